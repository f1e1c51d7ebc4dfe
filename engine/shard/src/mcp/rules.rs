//! What the operator's rules say to a request: once for each, when it is known which tool it calls.

use crate::audit::Culprit;
use crate::mcp::answer::Refusal;
use crate::mcp::dispatch::Request;
use crate::mcp::outlet::{Asker, From, Outlet};
use crate::metrics::Feature;
use crate::policy::rules::{Act, Breach, Deed, Doer, Kind, Message};
use crate::policy::suspicion::Who;
use crate::policy::{Caller, Standing};
use crate::session::Sessions;
use crate::turn::{Cx, Shard};
use crate::upstream::UpstreamId;

impl Shard {
    /// Whether the rules let a request pass; `target` is the tool it calls, by its server's name for it.
    ///
    /// # Errors
    /// A rule refuses it.
    pub(crate) fn judge_request(
        &mut self,
        request: &Request<'_>,
        target: Option<(UpstreamId, &str)>,
        cx: &Cx<'_>,
    ) -> Result<(), Refusal> {
        let role = request.from.who.map(|who| who.role);
        if !self.rules.asks(Kind::Call, role).any {
            return Ok(());
        }
        let breaches = self.breaches_of(request, target, cx);
        if breaches.is_empty() {
            return Ok(());
        }
        let culprit = Culprit {
            client: self.asker_name(request.from.asker).map(Box::from),
            kind: request.method.name().unwrap_or_default().into(),
        };
        self.breached(breaches, &culprit, cx.now).map_err(|breach| {
            match (request.from.asker, request.from.who) {
                (Asker::Socket(Some(id)), _) => self.client_offends(id, breach.offence(), cx.now),
                (_, Some(who)) if !who.subject.is_empty() => {
                    self.offends(Who::Client(&who.subject), breach.offence(), cx.now);
                }
                _ => {}
            }
            let error = breach.error();
            Refusal::denied(i32::from(error.http_status()), error.message(), &error)
        })
    }

    fn breaches_of(
        &mut self,
        request: &Request<'_>,
        target: Option<(UpstreamId, &str)>,
        cx: &Cx<'_>,
    ) -> Vec<Breach> {
        let Request { from, method, .. } = request;
        let began = self.meter.begin();
        let role = from.who.map(|who| who.role);
        let asks = self.rules.asks(Kind::Call, role);
        let tool = target.filter(|_| asks.tools).map(|(server, own)| self.tool(server, own));
        let standing = if asks.used { self.asker_standing(from, cx) } else { None };
        let Shard { rules, sessions, suspicion, .. } = self;
        let name = name_of(from.asker, sessions);
        let score = |name| suspicion.score(Who::Client(name), cx.now.mono);
        let who = Doer {
            caller: caller(name, from),
            role,
            used: standing.map_or(0.0, Standing::used),
            suspicion: name.filter(|_| asks.suspicion).map_or(0.0, score),
        };
        let params = request.params.unwrap_or("{}");
        let message = Message::Call { params, data: request.read.arguments.unwrap_or(params) };
        let act = Act::Call { method: method.name().unwrap_or_default(), tool: tool.as_ref() };
        let breaches = rules.judge(&Deed { act, message, who }, cx.now.mono);
        self.meter.end(Feature::Rules, began);
        breaches
    }

    /// What a sender calls itself, or is called.
    pub(crate) fn asker_name<'a>(&'a self, asker: Asker<'a>) -> Option<&'a str> {
        name_of(asker, &self.sessions)
    }

    /// Where a sender stands with its limit.
    pub(crate) fn asker_standing(&self, from: &From<'_>, cx: &Cx<'_>) -> Option<Standing> {
        match from.asker {
            Asker::Http { standing, .. } => standing,
            Asker::Socket(id) => {
                let proved = from.who.map(|who| who.standing());
                let rate = self.rate_of(proved, self.config.client_rate);
                self.sessions.get(id?)?.bucket.standing(&rate, cx.now.mono)
            }
        }
    }
}

fn name_of<'a>(asker: Asker<'a>, sessions: &'a Sessions) -> Option<&'a str> {
    match asker {
        Asker::Http { name, .. } => name,
        Asker::Socket(id) => sessions.get(id?).map(|session| &*session.client),
    }
}

/// Who a sender is, if need be by its session or its connection.
fn caller<'a>(name: Option<&'a str>, from: &From<'_>) -> Caller<'a> {
    match (name, from.outlet) {
        (Some(name), _) => Caller::Client(name),
        (None, Outlet::Session { session } | Outlet::Stream { session, .. }) => Caller::Session(session),
        (None, Outlet::Post { connection, .. } | Outlet::Link { connection }) => {
            Caller::Connection(connection)
        }
    }
}
