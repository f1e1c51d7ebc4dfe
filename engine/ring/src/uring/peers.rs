//! Who is at the other end of accepted sockets.
//!
//! A multishot accept tells no addresses, and a socket of the table has no descriptor for getpeername(2).
//! The option SO_PEERNAME tells (socket(7)): one request, which completes as it is submitted, also for a peer
//! that has gone meanwhile. Linux before 6.7 does not read options by request: there nobody is known.

use std::net::IpAddr;

use super::batch::Event;
use super::{Uring, entry};
use crate::sockaddr;
use crate::token::{Listener, Socket};

/// A socket whose peer was asked for.
struct Question {
    listener: Listener,
    socket: Socket,
    /// Where the kernel writes the address.
    name: [u8; sockaddr::BYTES_MAX],
}

/// All questions under way, each in a place of its own that does not move.
#[derive(Default)]
pub(super) struct Peers {
    #[expect(clippy::vec_box, reason = "the kernel has the address of each, and the list grows")]
    places: Vec<Box<Question>>,
    free: Vec<u32>,
}

impl Peers {
    fn insert(&mut self, listener: Listener, socket: Socket) -> u32 {
        let question = Question { listener, socket, name: [0; sockaddr::BYTES_MAX] };
        match self.free.pop() {
            Some(place) => {
                *self.places[place as usize] = question;
                place
            }
            None => {
                self.places.push(Box::new(question));
                self.places.len() as u32 - 1
            }
        }
    }
}

impl Uring {
    /// A connection was accepted, by a listener whose addresses take `length` bytes: tells of it, or asks who it
    /// is first.
    pub(super) fn meet(&mut self, listener: Listener, socket: Socket, length: u32) -> Option<Event> {
        let Some(peers) = &mut self.peers_asked else {
            return Some(Event::Accepted { listener, socket, peer: None });
        };
        let place = peers.insert(listener, socket);
        let request = entry::peer_name(socket, &mut peers.places[place as usize].name, length, place);
        // SAFETY: the kernel writes to `name`, whose box stays at `place` until the completion frees the place,
        // and at most its length; the queue is dropped before the boxes.
        unsafe { self.queue.push_lending(&request) }
        None
    }

    /// The kernel has said who it is, or that it does not know.
    pub(super) fn on_peer(&mut self, place: u32, result: i32) -> Option<Event> {
        let peers = self.peers_asked.as_mut()?;
        peers.free.push(place);
        let Question { listener, socket, name } = &*peers.places[place as usize];
        let peer: Option<IpAddr> = (result > 0).then(|| sockaddr::ip(name)).flatten();
        Some(Event::Accepted { listener: *listener, socket: *socket, peer })
    }
}
