//! A legacy upstream asks a stateless client: the call is answered with what it asks
//! (`InputRequiredResult`), and its leg is held until the client comes back with the answers.

use std::sync::Arc;
use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::{Member, Token};
use weir_transports::jsonrpc::{self, Body, Id};
use weir_transports::mcp::mrtr::{self, InputRequest, InputRequired};
use weir_transports::mcp::{Method, code, object};

use crate::mcp::answer::Refusal;
use crate::mcp::call::{Serves, Work};
use crate::mcp::dispatch::Request;
use crate::mcp::session::same_subject;
use crate::policy::auth::Principal;
use crate::seal::Purpose;
use crate::turn::{Alarm, Cx, Shard};
use crate::upstream::{UpstreamFault, UpstreamId};

/// How long a client may take to come back, where sessions do not age.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long other questions of the same call are waited for before the client is asked.
const GATHERING: Duration = Duration::from_millis(20);

/// Questions that may be open in one hold.
const QUESTIONS_MAX: usize = 64;

/// A leg whose upstream waits for its client.
#[derive(Debug)]
pub(crate) struct Hold {
    leg: Token,
    /// Who comes back must bring it.
    key: u64,
    /// Whose client it is: nobody else may answer.
    who: Option<Arc<Principal>>,
    /// The call that is still to be answered with the questions.
    call: Option<Token>,
    conversation: Token,
    method: Method,
    questions: Vec<Question>,
    /// Numbers the questions.
    asked: u32,
    /// The leg has ended meanwhile: what it came to, a whole response.
    outcome: Option<Outcome>,
    expires: Instant,
}

/// What an upstream asks.
#[derive(Debug)]
struct Question {
    key: String,
    /// The upstream's id, JSON.
    id: Box<str>,
    method: Box<str>,
    params: Box<str>,
}

#[derive(Debug)]
enum Outcome {
    Result(Box<str>),
    Error(Box<str>),
    Fault(UpstreamFault),
}

impl Shard {
    /// A legacy upstream asks something in the course of a stateless client's leg.
    pub(crate) fn hold_leg(
        &mut self,
        leg: Token,
        id: Id<'_>,
        method: &str,
        params: Option<&str>,
        cx: &mut Cx<'_>,
    ) {
        let Some(held) = self.mcp.legs.get(leg) else { return };
        let (serves, conversation, of, server) = (held.serves, held.conversation, held.method, held.server);
        let params = self.shown_params(server, Method::of(method), params.unwrap_or("{}"));
        let token = match serves {
            Serves::Hold(token) => token,
            _ => {
                let Serves::Call(call) = serves else { return };
                let who = self.mcp.calls.get(call).and_then(|call| call.who.clone());
                let hold = Hold {
                    leg,
                    key: self.random.next(),
                    who,
                    call: Some(call),
                    conversation,
                    method: of,
                    questions: Vec::new(),
                    asked: 0,
                    outcome: None,
                    expires: cx.now.mono.plus(self.hold_time()),
                };
                let Ok(token) = self.mcp.holds.insert(hold) else {
                    return self.refuse_in(conversation, id, "too many calls are held here", cx);
                };
                if let Some(held) = self.mcp.legs.get_mut(leg) {
                    held.serves = Serves::Hold(token);
                }
                self.alarm(cx.now.mono.plus(GATHERING), Alarm::Hold(token));
                token
            }
        };
        let Some(hold) = self.mcp.holds.get_mut(token) else { return };
        if hold.questions.len() >= QUESTIONS_MAX {
            return self.refuse_in(conversation, id, "too many questions are open", cx);
        }
        hold.asked += 1;
        let key = format!("{}-{}", method.rsplit('/').next().unwrap_or(method), hold.asked);
        let id = id.as_json().into();
        hold.questions.push(Question { key, id, method: method.into(), params: params.into() });
    }

    /// How long a client may take to come back: as long as one with a session may be silent.
    fn hold_time(&self) -> Duration {
        let idle = self.config.mcp.session_idle_timeout;
        if idle.is_zero() { PATIENCE } else { idle }
    }

    /// Answers the call with the questions of a hold.
    fn ask_stateless(&mut self, token: Token, call: Token, cx: &mut Cx<'_>) {
        let expires = cx.now.mono.plus(self.hold_time());
        let Some(hold) = self.mcp.holds.get_mut(token) else { return };
        hold.expires = expires;
        let state = State { home: self.me, hold: token, key: hold.key };
        let state = self.seal.seal(Purpose::RequestState, &state.to_bytes());
        let questions = self.mcp.holds.get(token).map_or(&[][..], |hold| &hold.questions);
        let requests = questions.iter().map(|asked| InputRequest {
            key: asked.key.as_str().into(),
            method: (&*asked.method).into(),
            params: Some(&asked.params),
        });
        let required = InputRequired { requests: requests.collect(), request_state: Some(state.into()) };
        let mut result = Vec::new();
        required.write(&mut result);
        self.alarm(expires, Alarm::Hold(token));
        let Some(call) = self.end_call(call) else { return };
        if let Some(id) = Id::from_json(&call.id) {
            self.answer_result(call.outlet, id, &result, cx);
        }
    }

    /// A client comes back with answers: its request takes up the leg that was held.
    pub(crate) fn take_up(
        &mut self,
        request: &Request<'_>,
        server: UpstreamId,
        state: &str,
        cx: &mut Cx<'_>,
    ) -> Result<(), Refusal> {
        let expired = || Refusal::new(code::INVALID_PARAMS, "requestState is not known here, or has expired");
        let bytes = self.seal.open(Purpose::RequestState, state).ok_or_else(expired)?;
        let state = State::from_bytes(&bytes).filter(|state| state.home == self.me).ok_or_else(expired)?;
        let (token, key) = (state.hold, state.key);
        let its = |hold: &&Hold| {
            hold.key == key && hold.method == request.method && same_subject(&hold.who, request.from.who)
        };
        let hold = self.mcp.holds.get(token).filter(its).ok_or_else(expired)?;
        let (leg, conversation) = (hold.leg, hold.conversation);
        if hold.outcome.is_none() && self.mcp.legs.get(leg).is_none_or(|leg| leg.server != server) {
            return Err(expired());
        }
        let responses =
            mrtr::read_responses(request.read.input_responses.unwrap_or("{}")).ok_or_else(|| {
                Refusal::new(code::INVALID_PARAMS, "inputResponses must be an object of objects")
            })?;
        let call = self.begin(request, Work::Direct { leg })?;
        let Some(hold) = self.mcp.holds.get_mut(token) else { return Err(expired()) };
        let mut answers = Vec::new();
        for (key, response) in responses {
            if let Some(at) = hold.questions.iter().position(|asked| asked.key == *key) {
                answers.push((hold.questions.remove(at).id, response));
            }
        }
        let open = !hold.questions.is_empty();
        let backing = self.mcp.conversations.get(conversation).and_then(|held| held.backing);
        for (id, response) in answers {
            if let (Some(backing), Some(id)) = (backing, Id::from_json(&id)) {
                let mut message = Vec::new();
                jsonrpc::result(&mut message, &id, response.as_bytes());
                self.tell_upstream(backing, &message, cx);
            }
        }
        if open {
            self.ask_stateless(token, call, cx);
            return Ok(());
        }
        let outcome = self.mcp.holds.remove(token).and_then(|hold| hold.outcome);
        if let Some(leg) = self.mcp.legs.get_mut(leg) {
            leg.serves = Serves::Call(call);
        }
        match outcome {
            None => {}
            Some(Outcome::Result(result)) => self.finish_direct(call, server, Body::Result(&result), cx),
            Some(Outcome::Error(error)) => self.finish_direct(call, server, Body::Error(&error), cx),
            Some(Outcome::Fault(why)) => {
                let refusal = self.fault(server, &why);
                self.finish_with_error(call, &refusal, cx);
            }
        }
        Ok(())
    }

    /// A leg that is held was answered: kept for the client's return.
    pub(crate) fn hold_answered(
        &mut self,
        token: Token,
        server: UpstreamId,
        body: Body<'_>,
        cx: &mut Cx<'_>,
    ) {
        let Some(hold) = self.mcp.holds.get_mut(token) else { return };
        if let Some(call) = hold.call {
            self.mcp.holds.remove(token);
            return self.finish_direct(call, server, body, cx);
        }
        hold.questions.clear();
        hold.outcome = Some(match body {
            Body::Result(result) => Outcome::Result(result.into()),
            Body::Error(error) => Outcome::Error(error.into()),
        });
    }

    /// A leg that is held has failed.
    pub(crate) fn hold_failed(
        &mut self,
        token: Token,
        server: UpstreamId,
        why: UpstreamFault,
        cx: &mut Cx<'_>,
    ) {
        let Some(hold) = self.mcp.holds.get_mut(token) else { return };
        if let Some(call) = hold.call {
            self.mcp.holds.remove(token);
            let refusal = self.fault(server, &why);
            return self.finish_with_error(call, &refusal, cx);
        }
        hold.questions.clear();
        hold.outcome = Some(Outcome::Fault(why));
    }

    /// All questions of the moment are there, or a client that was waited for has had its time.
    pub(crate) fn examine_hold(&mut self, token: Token, cx: &mut Cx<'_>) {
        if let Some(call) = self.mcp.holds.get_mut(token).and_then(|hold| hold.call.take()) {
            return self.ask_stateless(token, call, cx);
        }
        let Some(hold) = self.mcp.holds.get(token).filter(|hold| cx.now.mono >= hold.expires) else { return };
        let leg = hold.leg;
        self.mcp.holds.remove(token);
        self.drop_leg(leg, cx);
    }

    /// The shard where what a `requestState` speaks of is held. `None`: nowhere, as far as it says.
    pub(crate) fn state_home(&self, state: &str) -> Option<Member> {
        let state = object::string(state)?;
        State::from_bytes(&self.seal.open(Purpose::RequestState, &state)?).map(|state| state.home)
    }

    fn refuse_in(&mut self, conversation: Token, id: Id<'_>, why: &str, cx: &mut Cx<'_>) {
        if let Some(backing) = self.mcp.conversations.get(conversation).and_then(|held| held.backing) {
            self.refuse_upstream(backing, id, why, cx);
        }
    }
}

/// What a `requestState` says. Sealed texts outlive the process where its secret does, and the next one gives the same
/// places to other holds: the key tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    home: Member,
    hold: Token,
    key: u64,
}

impl State {
    /// Before it is sealed.
    fn to_bytes(self) -> Vec<u8> {
        let State { home, hold, key } = self;
        let (index, generation) = (hold.index.to_be_bytes(), hold.generation.to_be_bytes());
        [&home.0.to_be_bytes()[..], &index, &generation, &key.to_be_bytes()].concat()
    }

    /// Reads what was sealed.
    fn from_bytes(bytes: &[u8]) -> Option<State> {
        let (home, rest) = bytes.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let hold = Token { index: u32::from_be_bytes(*index), generation: u32::from_be_bytes(*generation) };
        let key = u64::from_be_bytes(rest.try_into().ok()?);
        Some(State { home: Member(u16::from_be_bytes(*home)), hold, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_went() {
        let state = State { home: Member(3), hold: Token { index: 7, generation: 9 }, key: u64::MAX - 1 };
        let bytes = state.to_bytes();
        assert_eq!(State::from_bytes(&bytes), Some(state));
        assert!((0..bytes.len()).all(|len| State::from_bytes(&bytes[..len]).is_none()));
        assert_eq!(State::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }
}
