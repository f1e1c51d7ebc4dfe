//! MCP over WebSocket: one JSON-RPC message a text message, or the payload of a channel's event `mcp`. The
//! rules are those of stdio: the connection is the session's, and a stateless client cancels by
//! notification.

use weir_ring::token::Token;
use weir_transports::jsonrpc::{self, Message};
use weir_transports::mcp::{Method, code};
use weir_transports::phoenix;

use crate::downstream::connection::{Joined, Link};
use crate::downstream::identity::of_message;
use crate::downstream::mcp::fault::Fault;
use crate::downstream::mcp::modern::{id_of, method_of, says_stateless};
use crate::mcp::outlet::{Asker, Client, From, Outlet};
use crate::mcp::session::Carrier;
use crate::metrics::Received;
use crate::turn::{Cx, Shard};

/// The event that carries MCP messages over a channel.
pub(crate) const EVENT: &str = "mcp";

/// What the hub says to a WebSocket while that one's own message is with it.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    bytes: Vec<u8>,
    /// Where each ends, and the session it is for; `None`: for what the message came by.
    ends: Vec<(usize, Option<Token>)>,
}

impl Replies {
    fn push(&mut self, session: Option<Token>, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push((self.bytes.len(), session));
    }

    fn each(&self) -> impl Iterator<Item = (&[u8], Option<Token>)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, session))| (&self.bytes[start..*end], *session))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl Shard {
    /// Takes one message of a WebSocket: by itself, or by the channel of `topic`.
    pub(crate) fn link_message(
        &mut self,
        token: Token,
        link: &mut Link,
        topic: Option<&str>,
        text: &str,
        cx: &mut Cx<'_>,
    ) {
        self.stats.messages.received(Received::Mcp);
        self.serving.link = Some(token);
        match jsonrpc::decode(text) {
            Ok(message) => {
                if let Err(fault) = self.link_call(token, link, topic, message, cx) {
                    self.serving.replies.push(None, |out| fault.write(out));
                }
            }
            Err(refused) => {
                let (id, code) = (refused.id.as_ref(), refused.error.code());
                let sentence = refused.error.to_string();
                self.serving.replies.push(None, |out| jsonrpc::error(out, id, code, &sentence, None));
            }
        }
        self.serving.link = None;
        let mut replies = std::mem::take(&mut self.serving.replies);
        for (message, session) in replies.each() {
            let other = session.and_then(|session| channel_of(link, session));
            match other.or(topic) {
                Some(topic) if session.is_none_or(|session| link.rpc.as_deref() != Some(&session)) => {
                    self.push_rpc(token, link, topic, message, cx);
                }
                _ => self.put_text(token, link, message, cx),
            }
        }
        replies.clear();
        self.serving.replies = replies;
    }

    /// Hands a message to the hub.
    fn link_call<'a>(
        &mut self,
        token: Token,
        link: &mut Link,
        topic: Option<&str>,
        message: Message<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Fault<'a>> {
        let id = id_of(&message);
        if !matches!(message, Message::Response { .. })
            && let Some(client) = link.session
        {
            let kind = method_of(&message);
            self.trace_session(Some(client), kind, cx);
            // A stop begins nothing new; what ends a request is still heard.
            let begun = if id.is_some() { self.check_drain() } else { Ok(()) };
            let charged = begun
                .and_then(|()| self.may(link.proof.standing(), of_message(&message)))
                .and_then(|()| self.charge(client, link.proof.standing(), cx))
                .and_then(|()| self.charge_peer(token, cx))
                .and_then(|()| self.charge_session_method(client, kind, cx));
            if let Err(error) = &charged {
                self.trace_session_denied(Some(client), kind, error, cx);
            }
            // A notification too many is left out: nothing can be said about it.
            match (charged, id) {
                (Err(_), None) => return Ok(()),
                (charged, id) => charged.map_err(|error| Fault::of(&error, id))?,
            }
        }
        if link.session.is_none() && !matches!(message, Message::Response { .. }) {
            self.trace_session(None, method_of(&message), cx);
        }
        let session = match topic {
            None => link.rpc.as_deref().copied(),
            Some(topic) => link.channel(topic).and_then(|channel| match channel.state {
                Joined::Mcp { session } => session,
                _ => None,
            }),
        };
        let notifies = matches!(message, Message::Notification { .. });
        if topic.is_none() && (says_stateless(&message) || notifies && session.is_none()) {
            let outlet = Outlet::Link { connection: token };
            let who = link.proof.who.as_ref();
            let client = Client::Stateless;
            let from = From { outlet, client, who, asker: Asker::Socket(link.session), headers: &[] };
            self.mcp_message(from, message, cx);
            return Ok(());
        }
        let Some(session) = self.link_session(token, link, topic, session, &message, cx)? else {
            return Ok(());
        };
        let outlet = Outlet::Session { session };
        let (client, who) = (Client::Session(session), link.proof.who.as_ref());
        let from = From { outlet, client, who, asker: Asker::Socket(link.session), headers: &[] };
        self.mcp_message(from, message, cx);
        Ok(())
    }

    /// The session that a message belongs to, opened by `initialize`; `None`: the message is dealt with.
    fn link_session<'a>(
        &mut self,
        token: Token,
        link: &mut Link,
        topic: Option<&str>,
        session: Option<Token>,
        message: &Message<'a>,
        cx: &mut Cx<'_>,
    ) -> Result<Option<Token>, Fault<'a>> {
        let Message::Request { id, method, params } = message else { return Ok(session) };
        let fault = match (session, Method::of(method)) {
            (Some(_), Method::Initialize) => Fault::invalid("The session is initialized already."),
            (Some(session), _) => return Ok(Some(session)),
            (None, Method::Initialize) => {
                let opened = self.mcp_open(*params, carrier(token, topic), link.proof.who.clone(), cx);
                let opened = opened.map_err(|error| Fault::of(&error, Some(*id)))?;
                match topic.and_then(|topic| link.channel_mut(topic)) {
                    Some(channel) => channel.state = Joined::Mcp { session: Some(opened) },
                    None => link.rpc = Some(Box::new(opened)),
                }
                return Ok(Some(opened));
            }
            (None, Method::Ping) => {
                self.serving.replies.push(None, |out| jsonrpc::result(out, id, b"{}"));
                return Ok(None);
            }
            (None, Method::Other) => {
                let fault = Fault::invalid(format!("{method:?} is no method of MCP."));
                Fault { code: code::METHOD_NOT_FOUND, ..fault }
            }
            (None, _) if topic.is_some() => {
                Fault::invalid("Send initialize first; a channel carries a session.")
            }
            (None, _) => Fault::invalid("Send initialize first, or what 2026-07-28 wants in params._meta."),
        };
        Err(fault.to(Some(*id)))
    }

    /// A message of the hub for a WebSocket.
    pub(crate) fn deliver_link(
        &mut self,
        connection: Token,
        session: Option<Token>,
        message: &[u8],
        cx: &mut Cx<'_>,
    ) {
        if self.serving.link == Some(connection) {
            return self.serving.replies.push(session, |out| out.extend_from_slice(message));
        }
        let Some(link) = self.lend_link(connection) else { return };
        match session.and_then(|session| channel_of(&link, session)) {
            Some(topic) => self.push_rpc(connection, &link, topic, message, cx),
            None => self.put_text(connection, &link, message, cx),
        }
        self.return_link(connection, link, cx);
    }

    /// Sends a message over a channel.
    fn push_rpc(&mut self, token: Token, link: &Link, topic: &str, message: &[u8], cx: &mut Cx<'_>) {
        let join_ref = link.channel(topic).and_then(|channel| channel.join_ref.as_deref());
        let mut frame = std::mem::take(&mut self.reply);
        frame.clear();
        phoenix::push(link.version(), &mut frame, join_ref, topic, EVENT, message, None);
        self.put_text(token, link, &frame, cx);
        self.reply = frame;
    }

    /// A WebSocket or one of its channels is gone, and with it its session.
    pub(crate) fn forget_rpc(&mut self, session: Option<Token>) {
        self.serving.ended.extend(session);
    }

    /// A WebSocket is gone, and with it what it asked without a session.
    pub(crate) fn abandon_link(&mut self, connection: Token) {
        self.serving.abandoned.push(Outlet::Link { connection });
    }
}

fn carrier(connection: Token, topic: Option<&str>) -> Carrier {
    match topic {
        None => Carrier::WebSocket { connection },
        Some(_) => Carrier::Channel { connection },
    }
}

/// The channel that carries a session.
fn channel_of(link: &Link, session: Token) -> Option<&str> {
    let carries = Joined::Mcp { session: Some(session) };
    link.channels.iter().find(|channel| channel.state == carries).map(|channel| &*channel.topic)
}
