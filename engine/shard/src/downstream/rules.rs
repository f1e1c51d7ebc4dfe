//! Rules about messages, asked before anything is done with one.

use weir_ring::time::Now;
use weir_ring::token::Token;
use weir_transports::phoenix::{Frame, Payload};
use weir_transports::websocket::close;

use crate::audit::{Action, Event, Record};
use crate::channels::Plan;
use crate::downstream::connection::Link;
use crate::downstream::websocket::Flow;
use crate::error::Error;
use crate::limits::{Effect, Role};
use crate::message::{Publish, TopicContent};
use crate::metrics::Feature;
use crate::policy::auth::Principal;
use crate::policy::rules::{Breach, Law, Message, Sender};
use crate::policy::suspicion::Offence;
use crate::turn::{Cx, Shard};

impl Shard {
    /// What the rules say to a client's frame. Only what an application sends is a message.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub(crate) fn judge_plan(&mut self, link: &Link, plan: &Plan<'_>, cx: &Cx<'_>) -> Result<(), Breach> {
        let message = match *plan {
            Plan::Push { event, payload } | Plan::Publish { event, payload: Payload::Json(payload) } => {
                Message::Event { event, payload }
            }
            Plan::Publish { event, payload: Payload::Binary(payload) } => Message::Binary { event, payload },
            _ => return Ok(()),
        };
        let role = link.proof.standing().map(|standing| standing.role);
        let breaches = self.judge(&message, Sender::Client, role);
        if breaches.is_empty() {
            return Ok(());
        }
        let session = link.session.and_then(|id| self.sessions.get(id));
        let client = session.map(|session| session.client.clone());
        let judged = self.breached(breaches, client.as_deref(), &message, cx.now);
        if let (Err(_), Some(id)) = (&judged, link.session) {
            self.client_offends(id, Offence::Forbidden, cx.now);
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
        if breach.effect != Effect::Close {
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
        who: Option<&Principal>,
        backend: Option<&str>,
        cx: &Cx<'_>,
    ) -> Result<Publish, Error> {
        let (kind, data) = match &publish {
            Publish::Client(message) => (&*message.kind, message.data.get()),
            Publish::Topic(message) => match &message.content {
                TopicContent::Message { kind, data } => (&**kind, data.get()),
                TopicContent::Event { .. } | TopicContent::Binary { .. } => return Ok(publish),
            },
        };
        let message = Message::Envelope { kind, data };
        let breaches = self.judge(&message, Sender::Backend, who.map(|who| who.role));
        let judged = self.breached(breaches, backend, &message, cx.now).map_err(|breach| breach.error());
        judged.inspect_err(|error| self.trace_unpublished(&publish, error, cx))?;
        Ok(publish)
    }

    /// Reports what looks like an injection in the parameters of an MCP request; nothing is refused for it.
    pub(crate) fn report_params(&mut self, method: &str, params: &str, cx: &Cx<'_>) {
        let message = Message::Event { event: method, payload: params };
        let breaches = self.judge(&message, Sender::Mcp, None);
        // None of them refuses.
        let _ = self.breached(breaches, None, &message, cx.now);
    }

    fn judge(&mut self, message: &Message<'_>, sender: Sender, role: Option<Role>) -> Vec<Breach> {
        let began = self.meter.begin();
        let breaches = self.rules.judge(message, sender, role);
        self.meter.end(Feature::Rules, began);
        breaches
    }

    /// Writes down what a message breaks; the error is what refuses it.
    fn breached(
        &mut self,
        mut breaches: Vec<Breach>,
        client: Option<&str>,
        message: &Message<'_>,
        now: Now,
    ) -> Result<(), Breach> {
        for breach in &breaches {
            self.trail.note(&self.config.audit, now, || record(breach, client, message, now));
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

fn record(breach: &Breach, client: Option<&str>, message: &Message<'_>, now: Now) -> Record {
    let action = match breach.effect {
        Effect::Report => Action::Reported,
        Effect::Deny => Action::Denied,
        Effect::Close => Action::Closed,
    };
    let (event, reason) = match &breach.law {
        Law::Injection(pattern) => (Event::PotentialInjection, pattern.name()),
        Law::Rule(name) => (Event::PolicyViolation, &**name),
    };
    Record {
        client: client.map(Into::into),
        reason: Some(reason.into()),
        kind: Some(message.kind().into()),
        ..Record::new(event, action, now.wall)
    }
}
