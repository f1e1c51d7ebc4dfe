//! The servers behind the gateway: which there are, what they are called, and whose a name is.

use std::borrow::Cow;

use weir_transports::mcp::{names, uris};

use crate::limits::{BUILTIN_NAME, Prefix};
use crate::mcp::catalog::Kind;
use crate::turn::Shard;
use crate::upstream::UpstreamId;

/// The built-in server, last of all.
pub(crate) const BUILTIN: UpstreamId = UpstreamId(u16::MAX);

/// Whose a name is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whose<'a> {
    /// This server's, who calls it so.
    Of(UpstreamId, Cow<'a, str>),
    /// It can be told once these servers' lists were seen.
    Ask(Vec<UpstreamId>),
    /// Nobody's.
    Nobodys,
}

impl Shard {
    /// All servers, in the order of the configuration, the built-in one last.
    pub(crate) fn servers(&self) -> impl Iterator<Item = UpstreamId> + use<> {
        let builtin = self.config.mcp.builtin.then_some(BUILTIN);
        (0..self.config.upstreams.len() as u16).map(UpstreamId).chain(builtin)
    }

    /// The server, if there is just one: then nothing needs to be told apart.
    pub(crate) fn sole_server(&self) -> Option<UpstreamId> {
        let mut servers = self.servers();
        servers.next().filter(|_| servers.next().is_none())
    }

    /// What a server is called.
    pub(crate) fn server_name(&self, server: UpstreamId) -> &str {
        self.config.upstreams.get(usize::from(server.0)).map_or(BUILTIN_NAME, |upstream| &upstream.name)
    }

    fn server_called(&self, name: &str) -> Option<UpstreamId> {
        self.servers().find(|server| self.server_name(*server) == name)
    }

    /// Whether clients see the server's own name before that of its tool or prompt.
    pub(crate) fn shows_prefix(&self, kind: Kind, name: &str) -> bool {
        match self.config.mcp.prefix {
            Prefix::Never => false,
            Prefix::Always => true,
            Prefix::OnConflict => self.mcp.catalog.owners(kind, name).len() > 1,
        }
    }

    /// Whether clients see URIs with their server's name.
    pub(crate) fn shows_uris(&self) -> bool {
        self.config.mcp.prefix != Prefix::Never && self.sole_server().is_none()
    }

    /// Whose tool or prompt clients call by `name`.
    pub(crate) fn whose_name<'a>(&self, kind: Kind, name: &'a str) -> Whose<'a> {
        let prefixed = || {
            let (server, own) = names::split(name)?;
            Some(Whose::Of(self.server_called(server)?, Cow::Borrowed(own)))
        };
        if self.config.mcp.prefix == Prefix::Always {
            return prefixed().unwrap_or(Whose::Nobodys);
        }
        if let Some(sole) = self.sole_server() {
            return Whose::Of(sole, Cow::Borrowed(name));
        }
        if let Some(first) = self.mcp.catalog.owners(kind, name).first() {
            return Whose::Of(*first, Cow::Borrowed(name));
        }
        if self.config.mcp.prefix == Prefix::OnConflict
            && let Some(whose) = prefixed()
        {
            return whose;
        }
        self.ask_or_nobody(kind)
    }

    /// Whose resource clients read by `uri`.
    pub(crate) fn whose_uri<'a>(&self, uri: &'a str) -> Whose<'a> {
        if let Some(sole) = self.sole_server() {
            return Whose::Of(sole, Cow::Borrowed(uri));
        }
        if self.shows_uris() {
            let found = uris::split(uri).and_then(|(name, own)| Some((self.server_called(name)?, own)));
            return found.map_or(Whose::Nobodys, |(server, own)| Whose::Of(server, Cow::Owned(own)));
        }
        match self.mcp.catalog.owners(Kind::Resource, uri).first() {
            Some(first) => Whose::Of(*first, Cow::Borrowed(uri)),
            None => self.ask_or_nobody(Kind::Resource),
        }
    }

    fn ask_or_nobody(&self, kind: Kind) -> Whose<'static> {
        let unseen: Vec<UpstreamId> =
            self.servers().filter(|server| !self.mcp.catalog.is_whole(kind, *server)).collect();
        if unseen.is_empty() { Whose::Nobodys } else { Whose::Ask(unseen) }
    }
}
