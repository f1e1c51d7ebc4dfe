//! Servers that were missing in lists: they are tried until they answer, and then clients are told that the
//! lists have changed.

use std::time::Duration;

use weir_ring::token::Token;
use weir_transports::mcp::{Method, about};

use crate::mcp::call::Serves;
use crate::turn::{Alarm, Cx, Shard};
use crate::upstream::UpstreamId;

/// How soon a server that was missing is tried; each further time that it is, the wait doubles.
const AGAIN: Duration = Duration::from_secs(5);

/// How often it doubles at most.
const DOUBLINGS_MAX: u32 = 6;

/// The lists of a server, and what says that they have changed.
const LISTS: [(Method, Method); 3] = [
    (Method::ToolsList, Method::NotificationToolsListChanged),
    (Method::PromptsList, Method::NotificationPromptsListChanged),
    (Method::ResourcesList, Method::NotificationResourcesListChanged),
];

/// That a server was missing.
#[derive(Debug)]
pub(crate) struct Absence {
    /// How often, since it last gave a list.
    times: u32,
    /// Clients have not been told that it is back.
    missing: bool,
}

impl Absence {
    fn wait(&self) -> Duration {
        AGAIN.saturating_mul(1 << (self.times.saturating_sub(1)).min(DOUBLINGS_MAX))
    }
}

impl Shard {
    /// A list was answered without a server's part.
    pub(crate) fn note_absence(&mut self, server: UpstreamId, cx: &mut Cx<'_>) {
        let absence = self.mcp.absent.entry(server).or_insert(Absence { times: 0, missing: false });
        if std::mem::replace(&mut absence.missing, true) {
            return;
        }
        absence.times = absence.times.saturating_add(1);
        let at = cx.now.mono.plus(absence.wait());
        self.alarm(at, Alarm::Absent(server));
    }

    /// Tries a server that is missing, as long as there is somebody to be told.
    pub(crate) fn examine_absent(&mut self, server: UpstreamId, cx: &mut Cx<'_>) {
        let Some(absence) = self.mcp.absent.get(&server).filter(|absence| absence.missing) else { return };
        let at = cx.now.mono.plus(absence.wait());
        if self.mcp.sessions.is_empty() && self.mcp.listeners.is_empty() {
            self.mcp.absent.remove(&server);
            return;
        }
        if let Ok(conversation) = self.shared_conversation(server, None, cx) {
            self.knock(server, conversation, cx);
        }
        self.alarm(at, Alarm::Absent(server));
    }

    /// Asks a server something that costs nothing, if it can be asked.
    fn knock(&mut self, server: UpstreamId, conversation: Token, cx: &mut Cx<'_>) {
        if self.is_legacy(server) {
            self.errand(conversation, Serves::Nobody, Method::Ping, "{}", cx);
            return;
        }
        let mut params = Vec::new();
        about::write_discover_params(&mut params, "{}", about::SERVER_INFO);
        let params = String::from_utf8(params).unwrap_or_default();
        self.errand(conversation, Serves::Nobody, Method::Discover, &params, cx);
    }

    /// A conversation with a server can begin. One that is missing again and again has to answer too.
    pub(crate) fn server_ready(&mut self, server: UpstreamId, cx: &mut Cx<'_>) {
        if self.mcp.absent.get(&server).is_some_and(|absence| absence.times <= 1) {
            self.server_is_back(server, cx);
        }
    }

    /// A server has given its part of a list.
    pub(crate) fn lists_again(&mut self, server: UpstreamId, cx: &mut Cx<'_>) {
        self.server_is_back(server, cx);
        self.mcp.absent.remove(&server);
    }

    /// Clients are told that the lists are not what they have seen, if the server was missing.
    pub(crate) fn server_is_back(&mut self, server: UpstreamId, cx: &mut Cx<'_>) {
        let Some(absence) = self.mcp.absent.get_mut(&server) else { return };
        if !std::mem::replace(&mut absence.missing, false) {
            return;
        }
        for (list, changed) in LISTS {
            if !self.has_list(server, list) {
                continue;
            }
            self.list_changed(server, changed);
            self.tell_sessions(changed, "{}", cx);
            self.tell_stateless(changed, "{}", cx);
        }
    }
}
