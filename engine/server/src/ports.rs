//! The listeners: where, by which name, and which flag moves them.

use std::net::SocketAddr;

use weir_ring::socket::{self, Listening, Options, PortError};

use crate::config::Server;
use crate::holder;
use crate::inheritance::Inheritance;
use crate::start_error::StartError;

/// One listener to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    pub(crate) name: &'static str,
    pub(crate) flag: &'static str,
    pub(crate) address: SocketAddr,
}

impl Port {
    /// The data listeners. Each serves every transport; the names tell where clients look by default.
    pub(crate) fn data(server: &Server) -> [Port; 2] {
        [
            Port { name: "sse", flag: "--sse-port", address: SocketAddr::new(server.bind, server.sse_port) },
            Port { name: "ws", flag: "--ws-port", address: SocketAddr::new(server.bind, server.ws_port) },
        ]
    }

    pub(crate) fn admin(server: &Server) -> Port {
        Port { name: "admin", flag: "--admin-port", address: SocketAddr::new(server.bind, server.admin_port) }
    }

    /// The listener of `admin.probe_bind`.
    pub(crate) fn probe(server: &Server) -> Option<Port> {
        server.probe_bind.map(|address| Port { name: "probe", flag: "admin.probe_bind", address })
    }

    /// Takes the sockets that were there before, or listens with one for each shard, after a probe that nobody else
    /// does.
    ///
    /// # Errors
    /// The port cannot be had.
    pub(crate) fn listen(
        self,
        inheritance: &mut Inheritance,
        shards: u16,
        options: Options,
    ) -> Result<Listening, StartError> {
        if let Some(listening) = inheritance.take(self.name).map_err(StartError::System)? {
            return Ok(listening);
        }
        let listening =
            socket::probe(self.address).and_then(|()| socket::listen(self.address, shards, options));
        listening.map_err(|error| {
            let holder = match &error {
                PortError::Held(address) => holder::of(*address).map(Box::new),
                _ => None,
            };
            StartError::Port { port: self, error, holder }
        })
    }
}
