//! Who asks, and whether they may.
//!
//! A credential is proved where its request is served: the core that accepted the connection, and again the one
//! that it moves to, where the signature is checked once and remembered. What lasts keeps what was proved
//! ([`Proof`]) and is looked at again before that runs out. With `auth.mode = off` nobody is asked, `who` is `None`
//! everywhere, and who a client says it is, it is.

mod carried;
mod life;
mod needs;
mod parked;
mod refresh;
#[cfg(test)]
mod tests;
mod ticket;

use std::borrow::Cow;
use std::sync::Arc;

use weir_ring::time::Now;
use weir_ring::token::Token;
use weir_transports::http1::{Head, query};
use weir_transports::websocket::close;

pub(crate) use life::{Prolonged, Proof};
pub(crate) use needs::{of_message, of_plan};
pub(crate) use parked::Parked;

use crate::channels::Join;
use crate::downstream::connection::{Exchange, Link, Waiting};
use crate::downstream::endpoint::Endpoint;
use crate::downstream::exchange::{Outcome, Raw};
use crate::downstream::identity::carried::Carried;
use crate::downstream::identity::needs::Need;
use crate::downstream::longpoll;
use crate::downstream::mcp::Fault;
use crate::downstream::reply::Terms;
use crate::downstream::websocket::Flow;
use crate::error::Error;
use crate::limits::{Mode, Permissions, Rate};
use crate::metrics::Feature;
use crate::policy::auth::{Credential, Denied, Principal, Standing};
use crate::policy::suspicion::Who;
use crate::turn::{Cx, Shard};

/// Tokens that prove nothing after which a socket is closed.
const DISPROVED_MAX: u8 = 10;

/// Why a request is not served now.
pub(crate) enum Unadmitted {
    /// It is refused.
    Refused(Error),
    /// It is served once the keys are here.
    Waits(Waiting),
}

impl From<Error> for Unadmitted {
    fn from(error: Error) -> Unadmitted {
        Unadmitted::Refused(error)
    }
}

/// Whether it is one who proves nothing, where that is allowed.
pub(crate) fn is_guest(who: &Principal) -> bool {
    who.subject.is_empty()
}

/// The client that a request calls itself.
fn claimed<'a>(head: &Head<'a>) -> Option<Cow<'a, str>> {
    match head.header("x-client-id") {
        Some(name) => Some(Cow::Borrowed(name)),
        None => query::get(head.query?, "client_id"),
    }
}

/// The client that a request is for: the one its sender is, or may be. `None`: it does not say.
///
/// # Errors
/// It names another client than its sender.
pub(crate) fn name<'a>(head: &Head<'a>, who: Option<&'a Principal>) -> Result<Option<Cow<'a, str>>, Error> {
    name_of(claimed(head), who)
}

/// The same of what a request or a join claims.
pub(crate) fn name_of<'a>(
    claimed: Option<Cow<'a, str>>,
    who: Option<&'a Principal>,
) -> Result<Option<Cow<'a, str>>, Error> {
    let Some(who) = who.filter(|who| !is_guest(who)) else { return Ok(claimed) };
    match claimed {
        Some(name) if *name != *who.subject && !who.may(Permissions::IMPERSONATE) => {
            Err(Error::ClientIdMismatch)
        }
        Some(name) => Ok(Some(name)),
        None => Ok(Some(Cow::Borrowed(&who.subject))),
    }
}

impl Shard {
    /// Who sends a request, if they may. `None`: nobody is asked, or it opens a socket whose first join will say.
    pub(crate) fn admit(
        &mut self,
        token: Token,
        exchange: &mut Exchange,
        endpoint: &Endpoint<'_>,
        head: &Head<'_>,
        raw: Raw<'_>,
        cx: &mut Cx<'_>,
    ) -> Result<Option<Arc<Principal>>, Unadmitted> {
        // What names a LongPoll session was sealed for whoever opened it.
        let public = matches!(endpoint, Endpoint::Resource(_));
        if self.config.auth.mode == Mode::Off || public || longpoll::is_of_session(endpoint, head) {
            return Ok(None);
        }
        let carried = carried::of(head, endpoint, self.config.auth.query_token)?;
        let who = match self.sender(endpoint, carried.as_ref(), cx) {
            Err(Denied::UnknownKey) if !exchange.asked_keys => {
                return Err(self.park(token, exchange, raw, cx));
            }
            proved => proved.map_err(Denied::error),
        };
        exchange.asked_keys = false;
        let who = who?;
        if let Some(who) = who.as_deref().filter(|who| !is_guest(who)) {
            self.let_in(Who::Client(&who.subject), cx.now)?;
        }
        self.check_need(&needs::of_request(endpoint, head), who.as_deref())?;
        name(head, who.as_deref())?;
        Ok(who)
    }

    /// Who a request's credential proves, or who sends one without.
    fn sender(
        &mut self,
        endpoint: &Endpoint<'_>,
        carried: Option<&Carried<'_>>,
        cx: &Cx<'_>,
    ) -> Result<Option<Arc<Principal>>, Denied> {
        let opens_channels = matches!(endpoint, Endpoint::WebSocket | Endpoint::Phoenix | Endpoint::LongPoll);
        let credential = match (carried, self.config.auth.mode) {
            (Some(Carried::Bearer(token)), _) => Credential::Bearer(token),
            (Some(Carried::ApiKey(key)), _) => Credential::ApiKey(key),
            (Some(Carried::Ticket(ticket)), _) => return self.ticket_holder(ticket, cx).map(Some),
            (None, Mode::Optional) => return Ok(Some(Arc::clone(&self.guest))),
            (None, Mode::Required) if opens_channels && self.config.auth.join_token => return Ok(None),
            (None, _) => return Err(Denied::Missing),
        };
        self.authenticate(credential, cx.now).map(Some)
    }

    fn authenticate(&mut self, credential: Credential<'_>, now: Now) -> Result<Arc<Principal>, Denied> {
        let began = self.meter.begin();
        let proved = self.auth.authenticate(credential, &self.config.auth, now);
        self.meter.end(Feature::Authentication, began);
        proved
    }

    fn check_need(&self, need: &Need<'_>, who: Option<&Principal>) -> Result<(), Error> {
        let standing = who.map(Principal::standing);
        let own = |client: &str| who.is_some_and(|who| !is_guest(who) && *who.subject == *client);
        let enough = match need {
            Need::Nothing => return Ok(()),
            Need::All(wanted) => return self.may(standing, *wanted),
            Need::Client(client) => client.as_deref().is_some_and(own),
            Need::Topic(topic) => self.may_join(who, topic).is_ok(),
        };
        match self.may(standing, Permissions::READ) {
            Ok(()) if enough => Ok(()),
            _ => self.may(standing, Permissions::OBSERVE),
        }
    }

    /// Whether someone may do this.
    ///
    /// # Errors
    /// They may not, or have not said yet who they are.
    pub(crate) fn may(&self, standing: Option<Standing>, wanted: Permissions) -> Result<(), Error> {
        match standing {
            Some(standing) => standing.require(wanted),
            None if self.config.auth.mode == Mode::Off => Ok(()),
            None => Err(Error::MissingToken),
        }
    }

    /// Whether someone may join a topic, or publish to it.
    ///
    /// # Errors
    /// The rules of their role say no.
    pub(crate) fn may_join(&self, who: Option<&Principal>, topic: &str) -> Result<(), Error> {
        let Some(who) = who else { return Ok(()) };
        let rules = self.config.auth.rules(who.role);
        if rules.permits_topic(topic, &who.subject) {
            Ok(())
        } else {
            Err(Error::NotAllowed { what: "topic" })
        }
    }

    /// How often someone may ask for something; `otherwise` where nobody is asked who they are.
    pub(crate) fn rate_of(&self, standing: Option<Standing>, otherwise: Rate) -> Rate {
        *self.config.auth.rate(standing.map(|standing| standing.role), &otherwise)
    }

    /// Who has this credential, other than a ticket.
    ///
    /// # Errors
    /// Nobody, or nobody any more. If a key may be missing it is asked for: another try may find it here.
    pub(crate) fn prove(
        &mut self,
        credential: Credential<'_>,
        cx: &mut Cx<'_>,
    ) -> Result<Arc<Principal>, Error> {
        let proved = self.authenticate(credential, cx.now);
        if let Err(Denied::UnknownKey) = proved {
            self.want_keys(cx);
        }
        proved.map_err(Denied::error)
    }

    /// A join may say who its connection is, if nothing has before; later it may only say so again.
    ///
    /// # Errors
    /// What it brings proves nobody, or somebody else; it brings nothing where something is wanted; or who it is
    /// may not join anything.
    pub(crate) fn prove_join(
        &mut self,
        token: Token,
        link: &mut Link,
        join: &Join,
        cx: &mut Cx<'_>,
    ) -> Result<(), Error> {
        if self.config.auth.mode == Mode::Off {
            return Ok(());
        }
        if let Some(credential) = &join.credential {
            let proved = self.prove(Credential::Bearer(credential), cx)?;
            match link.proof.who().filter(|who| !is_guest(who)) {
                Some(who) if who.subject != proved.subject => return Err(Error::ClientIdMismatch),
                Some(_) => {}
                None => {
                    link.proof = Proof::new(Some(proved), cx.now.wall);
                    self.watch_proof(token, &link.proof, cx.now);
                }
            }
        }
        self.may(link.proof.standing(), Permissions::READ)
    }

    /// A frame was refused for who sends it. Each token that proves nothing costs a check of its signature, so a
    /// socket may bring only so many.
    pub(crate) fn disproved(
        &mut self,
        token: Token,
        link: &mut Link,
        error: &Error,
        cx: &mut Cx<'_>,
    ) -> Flow {
        self.stats.denied += 1;
        if !matches!(error, Error::InvalidToken { .. } | Error::TokenExpired | Error::TokenRevoked) {
            return Flow::Go;
        }
        link.disproved = link.disproved.saturating_add(1);
        if link.disproved < DISPROVED_MAX {
            return Flow::Go;
        }
        self.close_link(token, close::POLICY_VIOLATION, "too many tokens that prove nothing", cx)
    }

    /// A link is `client` from now on. Its home is this shard.
    ///
    /// # Errors
    /// There is no room for another client, or for one of its class, the name is not a guest's to take, or it is kept out.
    pub(crate) fn take_name(
        &mut self,
        token: Token,
        link: &mut Link,
        client: &str,
        cx: &mut Cx<'_>,
    ) -> Result<(), Error> {
        self.let_client_in(client, cx.now)?;
        self.admit_newcomer(client, link.proof.who())?;
        let id = self.open_session(client, cx)?;
        self.claim(token, id, link.proof.who(), cx)?;
        if let Some(session) = self.sessions.get_mut(id) {
            session.named += 1;
        }
        link.session = Some(id);
        Ok(())
    }

    /// `connection` is to be the client of session `id`. A client that a token has proved is not a guest's to be;
    /// guests that were it so far leave when it comes.
    ///
    /// # Errors
    /// A guest takes such a name.
    pub(crate) fn claim(
        &mut self,
        connection: Token,
        id: Token,
        who: Option<&Principal>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Error> {
        let (Some(who), Some(session)) = (who, self.sessions.get_mut(id)) else { return Ok(()) };
        if is_guest(who) {
            return if session.proven { Err(Error::MissingToken) } else { Ok(()) };
        }
        if !std::mem::replace(&mut session.proven, true) {
            for guest in self.links_of(id).into_iter().filter(|link| *link != connection) {
                self.end_unproved(guest, Denied::Missing, cx);
            }
        }
        Ok(())
    }

    /// Refuses a request for who sends it, or what page, in the words of its endpoint.
    pub(crate) fn refuse_sender(
        &mut self,
        token: Token,
        endpoint: Option<&Endpoint<'_>>,
        error: &Error,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        self.stats.denied += 1;
        match endpoint {
            Some(Endpoint::Mcp | Endpoint::HttpSse | Endpoint::Messages) => {
                self.refuse_mcp(token, &Fault::of(error, None), terms, cx)
            }
            Some(Endpoint::LongPoll) => self.refuse_poll(token, error, terms, cx),
            _ => self.refuse(token, error, terms, cx),
        }
    }
}
