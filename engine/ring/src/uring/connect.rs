//! Connections that the shard opens.
//!
//! Three requests: make the socket in the table, turn Nagle's algorithm off (TCP), connect. The second
//! is known to Linux 6.7 and later; before, it fails alone and the connection keeps Nagle's algorithm.

use super::batch::Event;
use super::{Uring, entry};
use crate::op::Errno;
use crate::sockaddr;
use crate::token::{Address, Socket, Token};

/// One connection that is being opened.
struct Connect {
    token: Token,
    tcp: bool,
    /// The address as the kernel reads it.
    name: Vec<u8>,
    /// Made by the first request.
    socket: Socket,
}

/// All connects under way, each in its place until it is answered.
#[derive(Default)]
pub(super) struct Connects {
    places: Vec<Option<Connect>>,
    free: Vec<u32>,
}

impl Connects {
    fn insert(&mut self, connect: Connect) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = Some(connect);
                place
            }
            None => {
                self.places.push(Some(connect));
                self.places.len() as u32 - 1
            }
        }
    }

    fn get(&mut self, place: u32) -> &mut Connect {
        self.places[place as usize].as_mut().expect("a place is kept until its last completion")
    }

    fn remove(&mut self, place: u32) -> Connect {
        self.free.push(place);
        self.places[place as usize].take().expect("a place is kept until its last completion")
    }
}

impl Uring {
    pub(super) fn open(&mut self, token: Token, to: &Address) {
        let tcp = matches!(to, Address::Tcp(_));
        let socket = Socket(0);
        let place = self.connects.insert(Connect { token, tcp, name: sockaddr::bytes(to), socket });
        self.queue.push(entry::socket(sockaddr::family(to), place));
    }

    /// The socket is there, or could not be made.
    pub(super) fn on_socket(&mut self, place: u32, result: i32) -> Option<Event> {
        if result < 0 {
            let token = self.connects.remove(place).token;
            return Some(Event::ConnectFailed { token, errno: Errno(-result) });
        }
        let (socket, connect) = (Socket(result as u32), self.connects.get(place));
        connect.socket = socket;
        if connect.tcp {
            self.queue.push(entry::nodelay(socket));
        }
        let request = entry::connect(socket, &connect.name, place);
        // SAFETY: the request points to `name`, whose vector nobody changes and which stays at `place`
        // until the completion removes it; the queue is dropped before `connects`.
        unsafe { self.queue.push_lending(&request) }
        None
    }

    /// The connection is there, or could not be had.
    pub(super) fn on_connect(&mut self, place: u32, result: i32) -> Option<Event> {
        let Connect { token, socket, .. } = self.connects.remove(place);
        if result < 0 {
            self.queue.push(entry::forget(socket));
            return Some(Event::ConnectFailed { token, errno: Errno(-result) });
        }
        self.table.reset(socket);
        self.table.slot(socket).token = token;
        Some(Event::Connected { token, socket })
    }
}
