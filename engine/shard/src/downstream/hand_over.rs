//! A connection's move to its client's home. The kernel moves the descriptor, mail moves the state; the
//! letter leaves once the descriptor has arrived, and the target starts when it has both.

use weir_ring::op::{Errno, Op};
use weir_ring::token::{Member, Socket, Token, Transfer};
use weir_transports::websocket::close;

use crate::downstream::connection::{Departure, Exchange, Link, Parcel, ParcelStage, Stage, Watch};
use crate::downstream::identity::Proof;
use crate::error::Error;
use crate::mail::Mail;
use crate::turn::{Cx, Shard};

/// Sockets whose letter, and letters whose socket, is still under way. Few, and not for long.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    sockets: Vec<(Transfer, Socket)>,
    parcels: Vec<(Transfer, Box<Parcel>)>,
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
            let tls = conn.tls.take();
            self.conns.remove(token);
            self.stats.connections -= 1;
            self.stats.handed_over += 1;
            let Departure { to, transfer, parcel, .. } = *departure;
            let parcel = Box::new(Parcel { tls, ..parcel });
            return self.send(to, Mail::Moved { transfer, parcel }, cx);
        }
        match departure.parcel.stage {
            ParcelStage::Http => {
                conn.stage = Stage::Http(Box::default());
                self.refuse_and_finish(token, &Error::insufficient_resources(), cx);
            }
            ParcelStage::WebSocket { .. } => {
                self.close_link(token, close::TRY_AGAIN_LATER, "the client's core is full: come again", cx);
            }
        }
    }

    /// The socket's half of an arrival.
    pub(crate) fn socket_arrived(&mut self, transfer: Transfer, socket: Socket, cx: &mut Cx<'_>) {
        let parcels = &mut self.arrivals.parcels;
        match parcels.iter().position(|(other, _)| *other == transfer) {
            Some(at) => {
                let (_, parcel) = parcels.swap_remove(at);
                self.arrive(socket, *parcel, cx);
            }
            None => self.arrivals.sockets.push((transfer, socket)),
        }
    }

    /// The letter's half.
    pub(crate) fn parcel_arrived(&mut self, transfer: Transfer, parcel: Box<Parcel>, cx: &mut Cx<'_>) {
        let sockets = &mut self.arrivals.sockets;
        match sockets.iter().position(|(other, _)| *other == transfer) {
            Some(at) => {
                let (_, socket) = sockets.swap_remove(at);
                self.arrive(socket, *parcel, cx);
            }
            None => self.arrivals.parcels.push((transfer, parcel)),
        }
    }

    fn arrive(&mut self, socket: Socket, parcel: Parcel, cx: &mut Cx<'_>) {
        let Some(token) = self.open(socket, Exchange::default(), parcel.tls, cx) else { return };
        let mut bytes = parcel.bytes;
        match parcel.stage {
            ParcelStage::Http => self.http_received(token, &bytes, cx),
            ParcelStage::WebSocket { speaks, deflate, who, opening, join } => {
                let mut link = Link::new(speaks, deflate, Watch::Once);
                link.proof = Proof::new(who, cx.now.wall);
                (link.opening, link.arrived) = (opening, true);
                self.start_link(token, link, cx);
                self.continue_link(token, &join, &mut bytes, cx);
            }
        }
    }
}
