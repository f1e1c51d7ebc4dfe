//! Rules about messages, asked before anything is done with one.

use weir_ring::time::Now;
use weir_ring::token::Token;
use weir_transports::phoenix::{Frame, Payload};
use weir_transports::websocket::close;

use crate::audit::{Action, Culprit, Event, Record};
use crate::channels::Plan;
use crate::downstream::connection::Link;
use crate::downstream::websocket::Flow;
use crate::error::{Error, Violation};
use crate::message::{Publish, TopicContent};
use crate::metrics::{Feature, Meter};
use crate::policy::auth::Principal;
use crate::policy::rules::{Act, Breach, Deed, Doer, Kind, Law, Message, Outcome, Rules, Sender};
use crate::policy::suspicion::{Offence, Who};
use crate::policy::{Caller, Standing};
use crate::turn::{Cx, Shard};

/// Who publishes over HTTP.
#[derive(Clone, Copy)]
pub(crate) struct Publisher<'a> {
    /// As proved.
    pub(crate) who: Option<&'a Principal>,
    /// Its name, or its connection.
    pub(crate) caller: Caller<'a>,
    /// Where it stands with its limit.
    pub(crate) standing: Option<Standing>,
}

impl<'a> Publisher<'a> {
    /// Whoever calls itself `name` on a connection.
    pub(crate) fn new(
        token: Token,
        name: Option<&'a str>,
        who: Option<&'a Principal>,
        standing: Option<Standing>,
    ) -> Publisher<'a> {
        Publisher { who, caller: name.map_or(Caller::Connection(token), Caller::Client), standing }
    }
}

/// What is wrong with a message, in order, up to what refuses it: injection patterns first.
fn judge(rules: &mut Rules, meter: &mut Meter, deed: &Deed<'_>, sender: Sender, now: Now) -> Vec<Breach> {
    let began = meter.begin();
    let injected = rules.injected(&deed.message, sender);
    let mut breaches: Vec<Breach> = injected.into_iter().collect();
    if rules.asks(deed.act.kind(), deed.who.role).any && !breaches.iter().any(Breach::refuses) {
        breaches.append(&mut rules.judge(deed, now.mono));
    }
    meter.end(Feature::Rules, began);
    breaches
}

impl Shard {
    /// What the rules say to a client's frame about `topic`. Only what an application sends is a message.
    ///
    /// # Errors
    /// What refuses it.
    pub(crate) fn judge_plan(
        &mut self,
        token: Token,
        link: &Link,
        topic: &str,
        plan: &Plan<'_>,
        cx: &Cx<'_>,
    ) -> Result<(), Breach> {
        let (act, message) = match *plan {
            Plan::Push { event, payload } => (Act::Push, Message::Event { event, payload }),
            Plan::Publish { event, payload: Payload::Json(payload) } => {
                (Act::Publish { topic: Some(topic) }, Message::Event { event, payload })
            }
            Plan::Publish { event, payload: Payload::Binary(payload) } => {
                (Act::Publish { topic: Some(topic) }, Message::Binary { event, payload })
            }
            _ => return Ok(()),
        };
        let standing = link.proof.standing();
        let role = standing.map(|standing| standing.role);
        let asks = self.rules.asks(act.kind(), role);
        let rate = asks.used.then(|| self.rate_of(standing, self.config.client_rate));
        let Shard { rules, meter, sessions, suspicion, .. } = self;
        // Where there are no rules, nobody wants to know who it is.
        let session = link.session.filter(|_| asks.any).and_then(|id| sessions.get(id));
        let caller = session.map_or(Caller::Connection(token), |session| Caller::Client(&session.client));
        let bucket = session.map(|session| session.bucket).zip(rate);
        let who = Doer {
            caller,
            role,
            used: bucket
                .and_then(|(bucket, rate)| bucket.standing(&rate, cx.now.mono))
                .map_or(0.0, Standing::used),
            suspicion: match caller {
                Caller::Client(name) if asks.suspicion => suspicion.score(Who::Client(name), cx.now.mono),
                _ => 0.0,
            },
        };
        let breaches = judge(rules, meter, &Deed { act, message, who }, Sender::Client, cx.now);
        if breaches.is_empty() {
            return Ok(());
        }
        let client = link.session.and_then(|id| self.sessions.get(id)).map(|session| session.client.clone());
        let culprit = Culprit { client, kind: message.kind().into() };
        let judged = self.breached(breaches, &culprit, cx.now);
        if let (Err(breach), Some(id)) = (&judged, link.session) {
            self.client_offends(id, breach.offence(), cx.now);
        }
        judged
    }

    /// Refuses a client's frame that breaks a rule.
    pub(crate) fn refuse_frame(
        &mut self,
        token: Token,
        link: &Link,
        frame: &Frame<'_>,
        breach: &Breach,
        cx: &mut Cx<'_>,
    ) -> Flow {
        let error = breach.error();
        self.reply_error(token, link, frame, &error, cx);
        if breach.outcome != Outcome::Closed {
            return Flow::Go;
        }
        // A close frame has room for 123 bytes of reason (RFC 6455, section 5.5).
        let reason = error.reason().get(..64).unwrap_or(error.reason());
        self.close_link(token, close::POLICY_VIOLATION, reason, cx)
    }

    /// What the rules say to what a backend publishes.
    ///
    /// # Errors
    /// As the rule that refuses it says.
    pub(crate) fn judge_publish(
        &mut self,
        publish: Publish,
        publisher: &Publisher<'_>,
        cx: &Cx<'_>,
    ) -> Result<Publish, Error> {
        let (kind, data, topic) = match &publish {
            Publish::Client(message) => (&*message.kind, message.data.get(), None),
            Publish::Topic(message) => match &message.content {
                TopicContent::Message { kind, data } => (&**kind, data.get(), Some(&*message.topic)),
                TopicContent::Event { .. } | TopicContent::Binary { .. } => return Ok(publish),
            },
        };
        let (act, message) = (Act::Publish { topic }, Message::Envelope { kind, data });
        let Publisher { who, caller, standing } = *publisher;
        let role = who.map(|who| who.role);
        let score = match caller {
            Caller::Client(name) if self.rules.asks(Kind::Publish, role).suspicion => {
                self.suspicion.score(Who::Client(name), cx.now.mono)
            }
            _ => 0.0,
        };
        let deed = Deed {
            act,
            message,
            who: Doer { caller, role, used: standing.map_or(0.0, Standing::used), suspicion: score },
        };
        let breaches = judge(&mut self.rules, &mut self.meter, &deed, Sender::Backend, cx.now);
        if !breaches.is_empty() {
            let client = match caller {
                Caller::Client(name) => Some(name.into()),
                Caller::Session(_) | Caller::Connection(_) => None,
            };
            let culprit = Culprit { client, kind: message.kind().into() };
            let judged = self.breached(breaches, &culprit, cx.now).map_err(|breach| breach.error());
            judged.inspect_err(|error| self.trace_unpublished(&publish, error, cx))?;
        }
        Ok(publish)
    }

    /// Reports what looks like an injection in the parameters of an MCP request; nothing is refused for it.
    pub(crate) fn report_params(&mut self, method: &str, params: &str, cx: &Cx<'_>) {
        let began = self.meter.begin();
        let injected = self.rules.injected(&Message::Call { params, data: params }, Sender::Mcp);
        self.meter.end(Feature::Rules, began);
        if let Some(breach) = injected {
            let culprit = Culprit { client: None, kind: method.into() };
            // None of them refuses.
            let _ = self.breached(vec![breach], &culprit, cx.now);
        }
    }

    /// Writes down what a message breaks; the error is what refuses it.
    pub(crate) fn breached(
        &mut self,
        mut breaches: Vec<Breach>,
        culprit: &Culprit,
        now: Now,
    ) -> Result<(), Breach> {
        let trace_id = self.tracer.trace_id();
        for breach in &breaches {
            let record = || Record { trace_id: trace_id.clone(), ..record(breach, culprit, now) };
            self.trail.note(&self.config.audit, now, record);
            if let Law::Rule { name, .. } = &breach.law {
                self.herald.judged(name, breach.refuses());
            }
        }
        match breaches.pop() {
            Some(breach) if breach.refuses() => {
                self.stats.forbidden += 1;
                Err(breach)
            }
            _ => Ok(()),
        }
    }
}

impl Breach {
    /// What it counts as against its sender.
    pub(crate) fn offence(&self) -> Offence {
        match self.law {
            Law::Rule { why: Violation::Throttled { .. }, .. } => Offence::Limited,
            Law::Rule { .. } | Law::Injection(_) => Offence::Forbidden,
        }
    }
}

fn record(breach: &Breach, culprit: &Culprit, now: Now) -> Record {
    let action = match breach.outcome {
        Outcome::Reported => Action::Reported,
        Outcome::Denied => Action::Denied,
        Outcome::Closed => Action::Closed,
    };
    let (event, reason, detail) = match &breach.law {
        Law::Injection(pattern) => (Event::PotentialInjection, pattern.name(), None),
        Law::Rule { name, why } => (Event::PolicyViolation, &**name, Some(why.to_string().into())),
    };
    Record {
        client: culprit.client.clone(),
        reason: Some(reason.into()),
        detail,
        kind: Some(culprit.kind.clone()),
        ..Record::new(event, action, now.wall)
    }
}

#[cfg(test)]
mod tests;
