//! Connections of trusted proxies before their first request: with a header of the PROXY protocol they are the
//! client's that it names, without one the proxy's.

use weir_ring::token::Token;
use weir_transports::proxy::{self, Preface as Header};

use crate::downstream::connection::{Stage, Watch};
use crate::policy::Peer;
use crate::turn::{Cx, Shard};

/// A connection that may begin with a header.
#[derive(Debug, Default)]
pub(crate) struct Preface {
    /// Received so far.
    spill: Vec<u8>,
}

impl Shard {
    /// The first bytes of a trusted proxy's connection.
    pub(crate) fn preface_received(&mut self, token: Token, bytes: &[u8], cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let Stage::Preface(preface) = &mut conn.stage else { return };
        preface.spill.extend_from_slice(bytes);
        let (len, client) = match proxy::parse(&preface.spill) {
            Ok(Some(Header::Absent)) => (0, None),
            Ok(Some(Header::Header { len, client })) => (len, client),
            Ok(None) => return cx.out.ops.push(Watch::Once.op(token, conn.socket)),
            Err(proxy::Malformed) => return self.close(token, cx),
        };
        let mut rest = preface.spill.split_off(len);
        conn.stage = Stage::Http(Box::default());
        if let Some(client) = client {
            match self.admit_peer(Some(client), cx.now) {
                Ok(peer) => self.set_peer(token, peer),
                Err(Some(error)) => return self.refuse_and_finish(token, &error, cx),
                Err(None) => return self.close(token, cx),
            }
        }
        if !rest.is_empty() {
            return self.received(token, &mut rest, cx);
        }
        if let Some(conn) = self.conns.get(token) {
            cx.out.ops.push(Watch::Once.op(token, conn.socket));
        }
    }

    fn set_peer(&mut self, token: Token, peer: Peer) {
        match self.conns.get_mut(token) {
            Some(conn) => conn.peer = peer,
            None => self.addresses.leave(peer),
        }
    }
}
