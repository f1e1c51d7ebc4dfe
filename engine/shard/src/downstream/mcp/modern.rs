//! `POST /mcp` of a stateless client (2026-07-28): each request says all about itself, and its headers say
//! it once more.

use weir_transports::jsonrpc::{Id, Message};
use weir_transports::mcp::headers::{self, EraFault, HeaderFault};
use weir_transports::mcp::{Era, Method, Params, params};

use crate::downstream::connection::Exchange;
use crate::downstream::exchange::Outcome;
use crate::downstream::mcp::fault::Fault;
use crate::downstream::mcp::pending::Source;
use crate::downstream::mcp::post::Request;
use crate::mcp::outlet::{Client, From, Outlet};
use crate::turn::{Cx, Shard};

/// The only method whose answer may take for ever.
const LISTEN: &str = "subscriptions/listen";

/// Whether a message belongs to the stateless era; its parameters if so.
///
/// # Errors
/// It belongs to no era that is spoken.
pub(crate) fn stateless<'a>(
    request: &Request<'a>,
    message: &Message<'a>,
) -> Result<Option<Params<'a>>, Fault<'a>> {
    let (version, session) = (request.headers.version, request.headers.session.is_some());
    if session && version.is_some_and(is_legacy) {
        return Ok(None);
    }
    let id = id_of(message);
    let read = match read(message) {
        Ok(read) => read,
        // In a session it is an error like any other.
        Err(_) if session => return Ok(None),
        Err(error) => {
            return Err(Fault { code: error.code(), ..Fault::http(400, format!("{error}.")) }.to(id));
        }
    };
    match headers::era(version, session, message, &read.meta) {
        Ok(Era::Modern) => Ok(Some(read)),
        // Who names no session is told so where sessions are looked for.
        Ok(Era::Legacy(_)) | Err(EraFault::NoSession) => Ok(None),
        Err(fault) => Err(Fault::of_era(&fault).to(id)),
    }
}

/// Whether a message on a WebSocket belongs to the stateless era: it says so of itself.
pub(crate) fn says_stateless(message: &Message<'_>) -> bool {
    // It says so in its parameters. Most pings have none, and there is no more frequent message.
    let (Message::Request { params: Some(_), .. } | Message::Notification { params: Some(_), .. }) = message
    else {
        return false;
    };
    read(message).is_ok_and(|read| {
        matches!(
            headers::era(None, true, message, &read.meta),
            Ok(Era::Modern) | Err(EraFault::MissingMeta(_))
        )
    })
}

fn is_legacy(version: &str) -> bool {
    weir_transports::mcp::Version::parse(version).is_some_and(|version| !version.is_modern())
}

fn read<'a>(message: &Message<'a>) -> Result<Params<'a>, params::DecodeError> {
    match message {
        // Whether the method has what it needs is asked after whether there is such a method.
        Message::Request { params, .. } | Message::Notification { params, .. } => {
            Params::read(Method::Other, *params)
        }
        Message::Response { .. } => Ok(Params::default()),
    }
}

/// The id of a request.
pub(crate) fn id_of<'a>(message: &Message<'a>) -> Option<Id<'a>> {
    match message {
        Message::Request { id, .. } => Some(*id),
        _ => None,
    }
}

/// What a message names; nothing if it is a response.
pub(crate) fn method_of<'m>(message: &'m Message<'_>) -> &'m str {
    match message {
        Message::Request { method, .. } | Message::Notification { method, .. } => method,
        Message::Response { .. } => "",
    }
}

impl Shard {
    pub(crate) fn post_stateless<'a>(
        &mut self,
        exchange: &mut Exchange,
        request: &mut Request<'a>,
        message: Message<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome, Fault<'a>> {
        let id = id_of(&message);
        if matches!(message, Message::Response { .. }) {
            return Err(Fault::invalid("Since 2026-07-28 clients send no responses."));
        }
        self.charge_mcp(exchange, request, None, (id, method_of(&message)), cx)?;
        self.may_send(request, &message, cx)?;
        let token = request.token;
        let number = self.next_ticket();
        let outlet = Outlet::Post { connection: token, exchange: number };
        let headers = &request.headers.passed;
        let from =
            From { outlet, client: Client::Stateless, who: request.raw.who, asker: request.asker(), headers };
        let Message::Request { ref method, .. } = message else {
            self.mcp_message(from, message, cx);
            return Ok(self.accept_post(request, cx));
        };
        let mut pending = request.pending(Source::Stateless { exchange: number });
        pending.long = method == LISTEN;
        self.serving.request = Some((token, pending));
        self.mcp_message(from, message, cx);
        Ok(self.asked_hub(token, cx))
    }
}

impl<'a> Fault<'a> {
    fn of_era(fault: &EraFault) -> Fault<'a> {
        Fault { code: fault.code(), data: fault.data(), ..Fault::http(fault.status(), fault.to_string()) }
    }

    /// Headers that say something else than the body.
    pub(crate) fn of_headers(fault: &HeaderFault) -> Fault<'a> {
        Fault { code: fault.code(), ..Fault::http(fault.status(), fault.to_string()) }
    }
}
