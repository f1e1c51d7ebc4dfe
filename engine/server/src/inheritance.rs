//! Listening sockets that were open before this process: a service manager's (sd_listen_fds(3)), or those of the gateway
//! that it succeeds.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use weir_ring::pass;
use weir_ring::socket::Listening;

/// Names that sockets have when nobody names them, in the order of the unit's file.
const NAMES: [&str; 3] = ["sse", "ws", "admin"];

/// What there is, by the listeners' names.
#[derive(Debug, Default)]
pub(crate) struct Inheritance(BTreeMap<String, Vec<OwnedFd>>);

impl Inheritance {
    /// The sockets of a running gateway.
    pub(crate) fn of_predecessor(sockets: BTreeMap<String, Vec<OwnedFd>>) -> Inheritance {
        Inheritance(sockets)
    }

    /// What a service manager has passed on, if it was to this process.
    ///
    /// # Errors
    /// What it says it has is not there.
    pub(crate) fn of_manager(environment: &[(String, String)]) -> io::Result<Inheritance> {
        let variable = |wanted: &str| {
            let found = environment.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let meant = variable("LISTEN_PID").is_some_and(|pid| pid == std::process::id().to_string());
        let count: u16 = variable("LISTEN_FDS").and_then(|count| count.parse().ok()).unwrap_or(0);
        if !meant || count == 0 {
            return Ok(Inheritance::default());
        }
        let names = variable("LISTEN_FDNAMES").unwrap_or_default().split(':').map(str::to_owned);
        Ok(Inheritance::named(names.collect(), pass::inherited(count)?))
    }

    /// Sockets by their names, or by their places where those say nothing.
    fn named(names: Vec<String>, sockets: Vec<OwnedFd>) -> Inheritance {
        let known = names.iter().any(|name| NAMES.contains(&name.as_str()));
        let mut by_name = BTreeMap::<String, Vec<OwnedFd>>::new();
        for (at, socket) in sockets.into_iter().enumerate() {
            let name = if known { names.get(at).cloned() } else { NAMES.get(at).map(|&name| name.into()) };
            by_name.entry(name.unwrap_or_default()).or_default().push(socket);
        }
        Inheritance(by_name)
    }

    /// Takes the sockets of a listener, if there are any.
    ///
    /// # Errors
    /// They are none that listen.
    pub(crate) fn take(&mut self, name: &str) -> io::Result<Option<Listening>> {
        let Some(sockets) = self.0.remove(name) else { return Ok(None) };
        let Some(first) = sockets.first() else { return Ok(None) };
        let address = TcpListener::from(first.try_clone()?).local_addr()?;
        Ok(Some(Listening { address, sockets }))
    }

    /// Names of those that nobody took.
    pub(crate) fn left(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// Shares sockets out among `shards`: each shard has equally many, and each socket is somebody's. Where there are
/// fewer sockets than shards, several accept on one.
///
/// # Errors
/// The process has no descriptor left.
pub(crate) fn spread(sockets: &[OwnedFd], shards: usize) -> io::Result<Vec<Vec<OwnedFd>>> {
    let each = sockets.len().div_ceil(shards);
    let of = |shard: usize| {
        let mine = (0..each).map(|at| sockets[(shard * each + at) % sockets.len()].try_clone());
        mine.collect::<io::Result<Vec<OwnedFd>>>()
    };
    (0..shards).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("bind").into()).collect()
    }

    fn port(socket: &OwnedFd) -> u16 {
        let listener = TcpListener::from(socket.try_clone().expect("a copy"));
        listener.local_addr().expect("address").port()
    }

    #[test]
    fn every_socket_is_accepted_on_and_every_shard_has_as_many() {
        for count in 1..6 {
            let all = sockets(count);
            for shards in 1..6 {
                let shares = spread(&all, shards).expect("shared out");
                assert!(shares.iter().all(|share| share.len() == shares[0].len()), "{count} {shards}");
                let served: Vec<u16> = shares.iter().flatten().map(port).collect();
                assert!(all.iter().all(|socket| served.contains(&port(socket))), "{count} {shards}");
            }
        }
    }

    #[test]
    fn sockets_go_by_their_names_or_by_their_places() {
        let all = sockets(3);
        let ports: Vec<u16> = all.iter().map(port).collect();
        let names = |list: [&str; 3]| list.map(str::to_owned).to_vec();
        let copies = || all.iter().map(|socket| socket.try_clone().expect("a copy")).collect();
        let mut named = Inheritance::named(names(["admin", "sse", "other"]), copies());
        let taken = named.take("sse").expect("listening").expect("there");
        assert_eq!(taken.address.port(), ports[1]);
        assert!(named.take("ws").expect("nothing wrong").is_none());
        assert_eq!(named.left(), ["admin", "other"]);
        let mut placed = Inheritance::named(names(["weir.socket", "weir.socket", "weir.socket"]), copies());
        assert_eq!(placed.take("admin").expect("listening").expect("there").address.port(), ports[2]);
    }

    #[test]
    fn what_is_meant_for_another_process_is_not_touched() {
        let environment = [("LISTEN_PID", "1"), ("LISTEN_FDS", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(Inheritance::of_manager(&environment).expect("nothing wrong").left().is_empty());
    }
}
