//! A connection's move to its client's home, or towards another process. The kernel moves the descriptor, mail moves
//! the state; the letter leaves once the descriptor has arrived, and the target starts when it has both.

use weir_ring::op::{Errno, Op};
use weir_ring::token::{Member, Socket, Token, Transfer};
use weir_transports::websocket::close;

use crate::downstream::connection::{Departure, Link, Parcel, ParcelStage, Stage, Watch};
use crate::downstream::identity::Proof;
use crate::error::Error;
use crate::mail::Mail;
use crate::policy::Whence;
use crate::turn::{Cx, Shard};

/// Sockets whose letter, and letters whose socket, is still under way. Few, and not for long.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    sockets: Vec<(Transfer, Socket)>,
    parcels: Vec<(Transfer, Box<Parcel>, Whence)>,
}

impl Arrivals {
    pub(crate) fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.parcels.is_empty()
    }
}

impl Shard {
    /// Hands the connection over, once all that was written to it has left.
    pub(crate) fn depart(&mut self, token: Token, to: Member, parcel: Parcel, cx: &mut Cx<'_>) {
        let transfer = Transfer(u64::from(self.me.0) << 32 | u64::from(self.next_ticket()));
        let Some(conn) = self.conns.get_mut(token) else { return };
        conn.heard = cx.now.mono;
        conn.stage = Stage::Leaving(Box::new(Departure { to, transfer, asked: false, parcel }));
        self.leaving.push(token);
    }

    /// Lets those go that have nothing under way any more.
    pub(crate) fn leave_pending(&mut self, cx: &mut Cx<'_>) {
        for token in std::mem::take(&mut self.leaving) {
            let Some(conn) = self.conns.get_mut(token) else { continue };
            let said = conn.is_said();
            let Stage::Leaving(departure) = &mut conn.stage else { continue };
            if departure.asked {
                continue;
            }
            if said {
                departure.asked = true;
                let (to, transfer) = (departure.to, departure.transfer);
                cx.out.ops.push(Op::HandOver { token, socket: conn.socket, to, transfer });
            } else if !conn.egress.is_blocked() {
                self.leaving.push(token);
            }
        }
    }

    /// The socket has left, or could not.
    pub(crate) fn handed_over(&mut self, token: Token, errno: Option<Errno>, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if !matches!(conn.stage, Stage::Leaving(_)) {
            return;
        }
        let Stage::Leaving(departure) = std::mem::replace(&mut conn.stage, Stage::Lent) else { return };
        if errno.is_none() {
            let (tls, whence) = (conn.tls.take(), self.addresses.whence(conn.peer));
            self.closed(token);
            let Departure { to, transfer, parcel, .. } = *departure;
            match parcel.stage {
                ParcelStage::Emigrant(_) => self.stats.emigrated += 1,
                ParcelStage::Http | ParcelStage::WebSocket { .. } => self.stats.handed_over += 1,
            }
            let parcel = Box::new(Parcel { tls, ..parcel });
            return self.send(to, Mail::Moved { transfer, parcel, whence }, cx);
        }
        match departure.parcel.stage {
            ParcelStage::Http => {
                conn.stage = Stage::Http(Box::default());
                self.refuse_and_finish(token, &Error::insufficient_resources(), cx);
            }
            ParcelStage::WebSocket { .. } => {
                self.close_link(token, close::TRY_AGAIN_LATER, "the client's core is full: come again", cx);
            }
            ParcelStage::Emigrant(_) => {
                conn.stage = Stage::Http(Box::default());
                self.end_emigration();
                if let Some(emigrant) = departure.parcel.into_emigrant() {
                    self.go_on_with(token, emigrant, cx);
                }
            }
        }
    }

    /// The socket's half of an arrival.
    pub(crate) fn socket_arrived(&mut self, transfer: Transfer, socket: Socket, cx: &mut Cx<'_>) {
        let parcels = &mut self.arrivals.parcels;
        match parcels.iter().position(|(other, ..)| *other == transfer) {
            Some(at) => {
                let (_, parcel, whence) = parcels.swap_remove(at);
                self.arrive(socket, *parcel, whence, cx);
            }
            None => self.arrivals.sockets.push((transfer, socket)),
        }
    }

    /// The letter's half.
    pub(crate) fn parcel_arrived(
        &mut self,
        transfer: Transfer,
        parcel: Box<Parcel>,
        whence: Whence,
        cx: &mut Cx<'_>,
    ) {
        let sockets = &mut self.arrivals.sockets;
        match sockets.iter().position(|(other, _)| *other == transfer) {
            Some(at) => {
                let (_, socket) = sockets.swap_remove(at);
                self.arrive(socket, *parcel, whence, cx);
            }
            None => self.arrivals.parcels.push((transfer, parcel, whence)),
        }
    }

    fn arrive(&mut self, socket: Socket, parcel: Parcel, whence: Whence, cx: &mut Cx<'_>) {
        let peer = self.addresses.arrive(whence, &self.config.network, cx.now.mono);
        let Some(token) = self.open(socket, peer, Stage::Http(Box::default()), parcel.tls, cx) else {
            return;
        };
        let Parcel { stage, mut bytes, .. } = parcel;
        match stage {
            ParcelStage::Http => self.http_received(token, &bytes, cx),
            ParcelStage::WebSocket { speaks, deflate, who, opening, join } => {
                let mut link = Link::new(speaks, deflate, Watch::Once);
                link.proof = Proof::new(who, cx.now.wall);
                (link.opening, link.arrived) = (opening, true);
                self.start_link(token, link, cx);
                self.continue_link(token, &join, &mut bytes, cx);
            }
            ParcelStage::Emigrant(emigrant) => self.immigrate(token, *emigrant, cx),
        }
    }
}
