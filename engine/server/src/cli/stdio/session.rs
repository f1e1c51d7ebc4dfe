//! The session with the gateway: its id, its revision, and how it is begun again when the gateway has lost it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ureq::Body;
use ureq::http::Response;

use super::message::Message;

/// The header of a session's id.
pub(super) const SESSION: &str = "Mcp-Session-Id";

/// What is known of the session; a new one has another generation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    pub(super) id: Option<String>,
    /// The revision that was agreed upon.
    pub(super) version: Option<String>,
    pub(super) generation: u64,
}

/// The session, and the lines that began it.
#[derive(Debug, Default)]
pub(super) struct Session(Mutex<Inner>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) known: Known,
    pub(super) initialize: Option<String>,
    pub(super) initialized: Option<String>,
}

impl Session {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self) -> Known {
        self.lock().known.clone()
    }
}

impl Inner {
    /// Keeps what begins a session, to begin it again.
    pub(super) fn keep(&mut self, message: &Message, line: &str) {
        if message.is("initialize") {
            self.initialize = Some(line.to_owned());
        } else if message.is("notifications/initialized") {
            self.initialized = Some(line.to_owned());
        }
    }

    /// A new session has begun with this answer, whose id is in its head.
    pub(super) fn begun(&mut self, answer: &Response<Body>) {
        let id = answer.headers().get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        self.known = Known { id, version: None, generation: self.known.generation + 1 };
    }

    /// What the answer to `initialize` says of its revision.
    pub(super) fn agreed(&mut self, line: &str) {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(version) = answer["result"]["protocolVersion"].as_str() {
            self.known.version = Some(version.to_owned());
        }
    }
}
