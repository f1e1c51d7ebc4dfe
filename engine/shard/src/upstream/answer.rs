//! What a message of an upstream means to the errand that it came for.

use weir_ring::token::Token;
use weir_transports::jsonrpc::{Message, decode};
use weir_transports::mcp::{key, object};

use super::UpstreamFault;
use super::backing::Life;
use super::errand::Purpose;
use super::request::{INITIALIZE_ID, PROBE_ID};
use crate::mcp::wire_id;
use crate::turn::{Cx, Shard};

impl Shard {
    /// The whole answer to an errand over HTTP that is no stream.
    pub(super) fn errand_answered(&mut self, id: Token, status: u16, text: &str, cx: &mut Cx<'_>) {
        let Some(errand) = self.upstream.errands.get(id) else { return };
        let (upstream, target, backing) = (errand.upstream, errand.target, errand.backing);
        let good = (200..300).contains(&status);
        match errand.purpose {
            Purpose::Ask { .. } => self.ask_answered(id, status, text, cx),
            Purpose::Tell if status == 404 => {
                self.dismiss_errand(id);
                self.backing_forgotten(backing, cx);
            }
            Purpose::Initialize if good => self.initialize_answered(id, text, cx),
            Purpose::Initialize => self.fail_errand(id, UpstreamFault::Http(status), cx),
            Purpose::Initialized if good => {
                self.dismiss_errand(id);
                if let Some(backing) = backing {
                    self.backing_opened(backing, cx);
                }
            }
            Purpose::Initialized => self.fail_errand(id, UpstreamFault::Http(status), cx),
            Purpose::Listen => {
                if status < 500 {
                    self.stream_refused(backing);
                }
                self.dismiss_errand(id);
                self.stream_ended(backing, None, cx);
            }
            Purpose::Probe if status >= 500 => self.fail_errand(id, UpstreamFault::Http(status), cx),
            Purpose::Probe => self.probe_answered(id, text, cx),
            Purpose::Check => {
                self.dismiss_errand(id);
                self.replica_answered(upstream, target);
            }
            Purpose::Tell | Purpose::Farewell => drop(self.dismiss_errand(id)),
        }
    }

    fn ask_answered(&mut self, id: Token, status: u16, text: &str, cx: &mut Cx<'_>) {
        if status == 401 {
            self.token_refused(id);
        }
        let Some(errand) = self.upstream.errands.get(id) else { return };
        let (upstream, backing) = (errand.upstream, errand.backing);
        let session = backing.and_then(|token| self.backing(token)).is_some_and(|b| b.session().is_some());
        let ours = errand.wire_id().is_some_and(|wire_id| answers(text, wire_id));
        // Errors of 2026-07-28 come with 400 and 404, and are answers.
        if errand.resumed {
            self.fail_errand(id, UpstreamFault::Broken, cx);
        } else if status == 404 && session {
            // It has forgotten much, and lives.
            self.judge_upstream(upstream, Ok(()), cx);
            self.backing_forgotten(backing, cx);
        } else if ours {
            self.errand_done(id, text, cx);
        } else if (200..300).contains(&status) && !text.is_empty() {
            self.stats.upstream.garbage += 1;
            self.fail_errand(id, UpstreamFault::Garbage, cx);
        } else {
            self.fail_errand(id, UpstreamFault::Http(status), cx);
        }
    }

    /// Whether a response can be the one to this errand's request. A server that answers twice puts a
    /// connection out of step: whatever came on it next would reach the wrong client.
    pub(super) fn is_in_step(&self, id: Token, status: u16, body: &[u8]) -> bool {
        let Some(errand) = self.upstream.errands.get(id) else { return true };
        let answered = match std::str::from_utf8(body).map(decode) {
            Ok(Ok(Message::Response { id, .. })) => id,
            _ => None,
        };
        let answers = |id: &str| answered.is_none_or(|answered| answered.as_json() == id);
        match errand.purpose {
            Purpose::Ask { leg, .. } => {
                !matches!(status, 202 | 204) && answers(itoa::Buffer::new().format(wire_id::of(leg)))
            }
            Purpose::Tell | Purpose::Initialized | Purpose::Farewell => answered.is_none(),
            Purpose::Initialize => answers(INITIALIZE_ID),
            Purpose::Probe => answers(PROBE_ID),
            Purpose::Listen | Purpose::Check => true,
        }
    }

    /// A message from the stream that answers an errand. False: nothing more of it is wanted.
    pub(super) fn errand_streamed(&mut self, id: Token, text: &str, cx: &mut Cx<'_>) -> bool {
        let Some(errand) = self.upstream.errands.get(id) else { return false };
        let (purpose, backing) = (errand.purpose, errand.backing);
        let Ok(message) = decode(text) else {
            self.stats.upstream.garbage += 1;
            return true;
        };
        match (purpose, message) {
            (Purpose::Ask { .. }, Message::Response { .. }) => {
                if errand.wire_id().is_some_and(|wire_id| answers(text, wire_id)) {
                    self.errand_done(id, text, cx);
                } else {
                    self.stats.upstream.garbage += 1;
                    self.fail_errand(id, UpstreamFault::Garbage, cx);
                }
                false
            }
            (Purpose::Ask { .. }, message) => {
                let asks = matches!(message, Message::Request { .. });
                self.errand_progressed(id, text, cx);
                if asks {
                    self.suspend_clock(id);
                }
                self.upstream.errands.get(id).is_some()
            }
            (Purpose::Initialize, Message::Response { .. }) => {
                self.initialize_answered(id, text, cx);
                false
            }
            (Purpose::Probe, Message::Response { .. }) => {
                self.probe_answered(id, text, cx);
                false
            }
            (Purpose::Listen, message) => {
                self.stream_said(backing, &message, text, cx);
                self.upstream.errands.get(id).is_some()
            }
            _ => true,
        }
    }

    /// A message on the stream of a conversation's own messages. An answer may come there too, after a
    /// resume.
    fn stream_said(&mut self, backing: Option<Token>, message: &Message<'_>, text: &str, cx: &mut Cx<'_>) {
        let Some(backing) = backing else { return };
        self.stream_progressed(backing);
        if !self.backing(backing).is_some_and(|backing| backing.life == Life::Ready) {
            return;
        }
        let Message::Response { id, .. } = message else { return self.tell_backing(backing, text, cx) };
        let wire_id = id.and_then(|id| id.as_json().parse::<u64>().ok());
        let errand = wire_id.and_then(|wire_id| self.upstream.legs.get(&wire_id).copied());
        let of_this = |errand: &super::Errand| errand.backing == Some(backing);
        match errand.filter(|id| self.upstream.errands.get(*id).is_some_and(of_this)) {
            Some(errand) => self.errand_done(errand, text, cx),
            None => self.stats.upstream.garbage += 1,
        }
    }

    /// The answer to a leg: its last message.
    pub(super) fn errand_done(&mut self, id: Token, text: &str, cx: &mut Cx<'_>) {
        let Some(errand) = self.dismiss_errand(id) else { return };
        if let (Some(server), Purpose::Ask { long: false, .. }) =
            (self.upstream.servers.get_mut(errand.upstream.index()), errand.purpose)
        {
            server.answers.record(cx.now.mono.since(errand.since));
        }
        self.judge_upstream(errand.upstream, Ok(()), cx);
        if let Purpose::Ask { leg, .. } = errand.purpose {
            self.tell_leg(leg, text, cx);
        }
    }

    /// A message of a leg that goes on.
    pub(super) fn errand_progressed(&mut self, id: Token, text: &str, cx: &mut Cx<'_>) {
        self.resume_clock(id, cx);
        let Some(errand) = self.upstream.errands.get(id) else { return };
        if let Purpose::Ask { leg, long } = errand.purpose {
            if long {
                // It has no end: that it speaks is all that the breaker can hear of it.
                self.judge_upstream(errand.upstream, Ok(()), cx);
            }
            self.tell_leg(leg, text, cx);
        }
    }

    /// The leg that a notification in a pipe names.
    pub(super) fn errand_of_notification(&self, method: &str, params: Option<&str>) -> Option<Token> {
        let name = match method {
            "notifications/progress" => object::find(params?, ["progressToken"]).ok()?[0],
            "notifications/cancelled" => object::find(params?, ["requestId"]).ok()?[0],
            _ => {
                let [meta] = object::find(params?, ["_meta"]).ok()?;
                object::find(meta?, [key::SUBSCRIPTION_ID]).ok()?[0]
            }
        };
        // Some servers make a string of a number.
        let wire_id: u64 = name?.trim_matches('"').parse().ok()?;
        self.upstream.legs.get(&wire_id).copied()
    }

    /// A server has forgotten a session.
    fn backing_forgotten(&mut self, backing: Option<Token>, cx: &mut Cx<'_>) {
        let session = backing.and_then(|token| self.backing(token)).is_some_and(|b| b.session().is_some());
        if session {
            self.lose_backing(backing, UpstreamFault::SessionLost, cx);
        }
    }
}

/// Whether a text is the response to the request of this id.
fn answers(text: &str, wire_id: u64) -> bool {
    match decode(text) {
        Ok(Message::Response { id: Some(id), .. }) => id.as_json() == itoa::Buffer::new().format(wire_id),
        _ => false,
    }
}
