//! Who connects: the address at the other end of an accepted connection.

use std::net::{IpAddr, SocketAddr, TcpStream};

use super::common::{Flow, Pump, unexpected};
use weir_ring::op::Completion;
use weir_ring::socket::{Options, listen};

/// The peer that a listener on `host` reports of a client that connects to `to`.
fn peer(host: &str, to: IpAddr, asked: bool) -> Option<IpAddr> {
    let mut port = 0;
    let mut pump = Pump::new(8, |settings| {
        let listening = listen(host.parse().expect("an address"), 1, Options::default()).expect("listen");
        port = listening.address.port();
        settings.listeners = listening.sockets;
        settings.peers = asked;
    });
    let _client = TcpStream::connect(SocketAddr::new(to, port)).expect("connect");
    let mut heard = None;
    pump.run(|completion, _| match completion {
        Completion::Accepted { peer, .. } => {
            heard = Some(peer);
            Flow::Done
        }
        other => unexpected(&other),
    });
    heard.expect("accepted")
}

#[test]
fn a_connection_comes_with_its_peers_address() {
    for (host, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
        let to = to.parse().expect("an address");
        assert_eq!(peer(host, to, true), Some(to), "{host}");
    }
}

#[test]
fn nobody_is_asked_unless_that_is_wanted() {
    assert_eq!(peer("127.0.0.1:0", "127.0.0.1".parse().expect("an address"), false), None);
}

/// More at once than there are questions under way, and each gets its own answer.
#[test]
fn many_are_told_apart_by_their_sockets() {
    let mut pump = Pump::new(400, |settings| settings.peers = true);
    let clients: Vec<_> = (0..300).map(|_| TcpStream::connect(pump.address).expect("connect")).collect();
    let mut sockets = std::collections::HashSet::new();
    let here = pump.address.ip();
    pump.run(|completion, _| match completion {
        Completion::Accepted { socket, peer, .. } => {
            assert!(sockets.insert(socket), "{socket:?} is taken");
            assert_eq!(peer, Some(here));
            super::common::done_if(sockets.len() == clients.len())
        }
        other => unexpected(&other),
    });
}
