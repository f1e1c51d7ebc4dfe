//! `initialize` and `server/discover`: the gateway introduces itself as the sum of its servers.

use std::borrow::Cow;
use std::time::Duration;

use weir_ring::token::Token;
use weir_transports::jsonrpc::Id;
use weir_transports::mcp::about::{self, About};
use weir_transports::mcp::capabilities;
use weir_transports::mcp::hints::Hints;
use weir_transports::mcp::{Era, SUPPORTED};

use crate::mcp::answer::Refusal;
use crate::mcp::builtin;
use crate::mcp::call::Work;
use crate::mcp::dispatch::Request;
use crate::mcp::outlet::Client;
use crate::mcp::servers::BUILTIN;
use crate::turn::{Alarm, Cx, Shard};
use crate::upstream::UpstreamId;

/// How long a client waits for servers that have not introduced themselves.
const PATIENCE: Duration = Duration::from_secs(10);

impl Shard {
    /// Answers at once if every server is known, else once they are or have had their time.
    pub(crate) fn introduce(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let unknown = self.unknown_servers();
        if unknown.is_empty() {
            let result = self.introduction(request.from.client);
            self.answer_result(request.from.outlet, request.id, &result, cx);
            return Ok(());
        }
        let call = self.begin(request, Work::Introduction)?;
        let mut waits = false;
        for server in unknown {
            match self.conversation((request.from.client, request.from.who), None, server, cx) {
                // One that has failed before may do so again: nobody waits for it.
                Ok(_) => waits |= !self.mcp.faults.contains_key(&server),
                Err(why) => drop(self.mcp.faults.insert(server, why)),
            }
        }
        self.mcp.introducing.push(call);
        if waits {
            self.alarm(cx.now.mono.plus(PATIENCE), Alarm::Mcp(call));
        } else {
            self.end_introduction(call, cx);
        }
        Ok(())
    }

    /// Servers that have neither introduced themselves nor failed to.
    fn unknown_servers(&self) -> Vec<UpstreamId> {
        self.servers().filter(|server| *server != BUILTIN && !self.mcp.abouts.contains_key(server)).collect()
    }

    /// A server has introduced itself, or failed to: whoever has waited for the last one is answered.
    pub(crate) fn introduce_waiting(&mut self, cx: &mut Cx<'_>) {
        let open = self.unknown_servers();
        let waits = open.iter().any(|server| !self.mcp.faults.contains_key(server));
        if waits {
            return;
        }
        for call in std::mem::take(&mut self.mcp.introducing) {
            self.end_introduction(call, cx);
        }
    }

    /// Answers with what is known by now.
    pub(crate) fn end_introduction(&mut self, call: Token, cx: &mut Cx<'_>) {
        self.mcp.introducing.retain(|other| *other != call);
        let Some(call) = self.end_call(call) else { return };
        let Some(id) = Id::from_json(&call.id) else { return };
        let result = self.introduction(call.client);
        self.answer_result(call.outlet, id, &result, cx);
    }

    /// The result of `initialize` for a session, else of `server/discover`.
    fn introduction(&self, client: Client) -> Vec<u8> {
        let mut offered: Vec<&str> = Vec::new();
        let mut said: Vec<(&str, Cow<'_, str>)> = Vec::new();
        let mut complete = true;
        for server in self.servers() {
            let name = self.server_name(server);
            if server == BUILTIN {
                offered.push(builtin::CAPABILITIES);
                said.push((name, builtin::INSTRUCTIONS.into()));
                continue;
            }
            let about = self.mcp.abouts.get(&server).and_then(|about| About::read(&about.result));
            complete &= about.is_some();
            if let Some(about) = about {
                offered.push(about.capabilities);
                said.extend(about.instructions.map(|text| (name, text)));
            }
        }
        let capabilities = capabilities::merge(offered, complete);
        let instructions = capabilities::instructions(said.iter().map(|(name, text)| (*name, &**text)));
        let mut out = Vec::new();
        match self.era_of(client) {
            Some(Era::Legacy(version)) => {
                about::write_initialize(&mut out, version, &capabilities, instructions.as_deref());
            }
            _ => {
                let instructions = instructions.as_deref();
                about::write_discover(&mut out, &SUPPORTED, &capabilities, instructions, Hints::NONE);
            }
        }
        out
    }

    /// A session's client is ready: its conversations begin, so that their news reach it.
    pub(crate) fn client_is_ready(&mut self, session: Token, cx: &mut Cx<'_>) {
        let Some(held) = self.mcp.sessions.get_mut(session) else { return };
        held.initialized = true;
        let servers: Vec<UpstreamId> = self.servers().filter(|server| *server != BUILTIN).collect();
        for server in servers {
            if self.is_modern(server) {
                self.hear_modern(session, server, cx);
            } else {
                // One that cannot be had now is tried again with the first request for it.
                let _ = self.conversation((Client::Session(session), None), None, server, cx);
            }
        }
    }
}
