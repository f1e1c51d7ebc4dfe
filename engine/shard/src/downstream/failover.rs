//! Which transport a message takes, and what the others do when one is lost or another is chosen.

use std::time::Duration;

use weir_ring::time::Instant;
use weir_ring::token::Token;

use crate::downstream::connection::Link;
use crate::lane::Lane;
use crate::limits::WebSocket;
use crate::mailbox::Mailbox;
use crate::marks::Marks;
use crate::message::Target;
use crate::outbox::Entry;
use crate::policy::routing::{Carrier, Course, Item, Reason, Routing, Switch, Up};
use crate::session::LinkRef;
use crate::stream::Sequence;
use crate::turn::{Alarm, Cx, Shard};
use crate::vsm::Event;

/// A probed WebSocket is lost when it has not answered for as many intervals.
const PROBES_LOST: u32 = 3;

/// Whether a connection of this kind takes the entry.
pub(crate) fn wants(carrier: Carrier, course: Course, lane: Lane, entry: &Entry) -> bool {
    let named = match Target::of_class(entry.class) {
        Target::All => return true,
        Target::Auto => None,
        Target::Websocket => Some(Carrier::WebSocket),
        Target::HttpSse => Some(Carrier::Sse),
    };
    let item = Item { bytes: entry.body.len(), urgent: lane == Lane::Urgent, named };
    course.carrier(item) == carrier
}

/// A connection that no longer takes its client's stream.
#[derive(Debug)]
pub(crate) struct Parting<'a> {
    /// What it was.
    pub(crate) carrier: Carrier,
    /// How far it was.
    pub(crate) marks: Option<&'a Marks>,
    /// When it began, in seconds of the monotonic clock.
    pub(crate) since: u32,
    /// Its transport failed.
    pub(crate) broke: bool,
}

impl Link {
    pub(crate) fn parting(&self) -> Parting<'_> {
        let Link { marks, since, broke, .. } = self;
        Parting { carrier: Carrier::WebSocket, marks: marks.as_deref(), since: *since, broke: *broke }
    }
}

impl Shard {
    /// A connection has joined its session's.
    pub(crate) fn carrier_opened(
        &mut self,
        id: Token,
        carrier: Carrier,
        prefer: Option<Carrier>,
        cx: &mut Cx<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let (up, epoch) = (session.links.up(), session.epoch);
        let has_choice = up.is_both() || prefer.is_some_and(|prefer| prefer != session.routing().preferred());
        if session.routing_mut().is_none() && !has_choice {
            return;
        }
        let mailbox = session.mailbox.get_or_insert_with(|| Box::new(Mailbox::new(epoch)));
        let routing = mailbox.routing.get_or_insert_with(|| {
            let first = if up.is_both() { carrier.other() } else { carrier };
            Box::new(Routing::new(first, cx.now.mono))
        });
        routing.opened(carrier, cx.now.mono);
        let mut reason = Reason::Connected;
        if let Some(prefer) = prefer.filter(|prefer| *prefer != routing.preferred()) {
            routing.prefer(prefer);
            reason = Reason::Preferred;
        }
        if let Some(switch) = self.decide(id, reason, cx)
            && switch.reason == Reason::Preferred
        {
            self.reroute(id);
        }
        self.probe_soon(id, cx.now.mono);
    }

    /// A connection leaves its session. If it was the last of its kind, those of the other kind go on where they
    /// began to leave messages to it.
    pub(crate) fn unlink(&mut self, token: Token, id: Token, parting: Parting<'_>, cx: &mut Cx<'_>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if !session.links.remove(token) {
            return self.unlinked(id, cx.now.mono);
        }
        let Parting { carrier, marks, since, broke } = parting;
        let begun = Marks::default();
        let marks = marks.unwrap_or(&begun);
        if session.links.as_slice().is_empty()
            && let Some(mailbox) = &mut session.mailbox
        {
            mailbox.left_at(marks);
            if let Some(ledger) = &mut mailbox.ledger {
                ledger.clock.stop(cx.now.mono);
            }
        }
        let is_last = !session.links.has(carrier);
        if let Some(routing) = session.routing_mut() {
            if broke {
                let since = Instant(u64::from(since) * 1_000_000_000);
                routing.broke(carrier, since, &self.config.routing, cx.now.mono);
            }
            if is_last {
                routing.closed(carrier);
            }
        }
        let reason = match (broke, is_last) {
            (true, true) => Reason::ConnectionLost,
            (true, false) => Reason::Unstable,
            (false, _) => Reason::Closed,
        };
        let switch = self.decide(id, reason, cx);
        if is_last {
            self.take_over(id, carrier, marks, switch.is_none().then_some(reason), cx);
        } else if switch.is_some() {
            self.reroute(id);
        }
        self.unlinked(id, cx.now.mono);
    }

    /// A look at a client's transports: one that was unstable may have been up for long enough.
    pub(crate) fn examine_routing(&mut self, id: Token, cx: &mut Cx<'_>) {
        if self.decide(id, Reason::Stable, cx).is_some() {
            self.reroute(id);
        }
    }

    /// Finds out which transport ordinary messages take from now on, and tells a client that has not chosen it.
    fn decide(&mut self, id: Token, reason: Reason, cx: &mut Cx<'_>) -> Option<Switch> {
        let session = self.sessions.get_mut(id)?;
        let up = session.links.up();
        let routing = session.routing_mut()?;
        let due = routing.look(cx.now.mono);
        let switch = routing.settle(up, reason, &self.config.routing, cx.now);
        if let Some(Switch { from, to, .. }) = switch {
            self.herald.say(cx.now.wall, || {
                let (client, reason) = (session.client.clone(), reason.name());
                Event::TransportSwitched { client, from: from.name(), to: to.name(), reason }
            });
        }
        if let Some(due) = due {
            self.alarm(due, Alarm::Routing(id));
        }
        if let Some(Switch { from, to, .. }) = switch
            && !reason.is_the_clients()
        {
            for heir in self.links_by(id, to) {
                self.tell_switched(heir, (from, to), reason, cx);
            }
        }
        switch
    }

    fn tell_switched(
        &mut self,
        heir: Token,
        (from, to): (Carrier, Carrier),
        reason: Reason,
        cx: &mut Cx<'_>,
    ) {
        let (from, to, reason) = (from.name(), to.name(), reason.name());
        let payload = format!(r#"{{"from":"{from}","to":"{to}","reason":"{reason}"}}"#);
        self.tell(heir, "transport_switched", payload.as_bytes(), cx);
    }

    fn links_by(&self, id: Token, carrier: Carrier) -> Vec<Token> {
        let links = self.sessions.get(id).map_or(&[][..], |session| session.links.as_slice());
        links.iter().filter(|link| link.carrier == carrier).map(|link| link.token).collect()
    }

    /// The last connection of a kind is gone: what was only written there is sent again on those of the other
    /// kind, unless the client is known to have it. `untold`: why, if they were not told yet.
    fn take_over(
        &mut self,
        id: Token,
        lost: Carrier,
        theirs: &Marks,
        untold: Option<Reason>,
        cx: &mut Cx<'_>,
    ) {
        for heir in self.links_by(id, lost.other()) {
            let Shard { conns, sessions, .. } = self;
            let mailbox = sessions.get(id).and_then(|session| session.mailbox.as_deref());
            let (Some(conn), Some(mailbox)) = (conns.get_mut(heir), mailbox) else { return };
            let Some(marks) = conn.stage.marks_mut() else { continue };
            let mut rewound = false;
            for (lane, stream) in mailbox.lanes() {
                let known = theirs.get(lane).confirmed.max(stream.outbox.acknowledged());
                let mark = marks.open(lane);
                let before = mark.cursor;
                if mark.rewind(known, stream.written) {
                    mark.replay = mark.replay.max(before);
                    rewound = true;
                }
                mark.skipped = 0;
            }
            if !rewound {
                continue;
            }
            if let Some(reason) = untold {
                self.tell_switched(heir, (lost, lost.other()), reason, cx);
            }
            self.hungry.push(heir);
        }
    }

    /// Both kinds are up and messages go another way from now on: each kind takes up what it left to the other
    /// and that has not written yet.
    fn reroute(&mut self, id: Token) {
        let behind = [Carrier::WebSocket, Carrier::Sse].map(|carrier| self.furthest_behind(id, carrier));
        let Shard { conns, sessions, hungry, .. } = self;
        let Some(session) = sessions.get(id) else { return };
        let Some(mailbox) = session.mailbox.as_deref() else { return };
        for LinkRef { token, carrier } in session.links.as_slice() {
            let Some(behind) = behind[carrier.other() as usize] else { continue };
            let Some(marks) = conns.get_mut(*token).and_then(|conn| conn.stage.marks_mut()) else { continue };
            let rewound = mailbox.lanes().filter(|(lane, stream)| {
                let behind = behind[*lane as usize];
                marks.open(*lane).rewind(behind, stream.written)
            });
            if rewound.count() > 0 {
                hungry.push(*token);
            }
        }
    }

    /// By lane, where the slowest of a client's connections of a kind is.
    fn furthest_behind(&self, id: Token, carrier: Carrier) -> Option<[Sequence; 4]> {
        let links = self.sessions.get(id)?.links.as_slice().iter().filter(|link| link.carrier == carrier);
        let marks = links.filter_map(|link| self.conns.get(link.token)?.stage.marks());
        let cursors = marks.map(|marks| Lane::ALL.map(|lane| marks.get(lane).cursor));
        cursors.reduce(|one, other| std::array::from_fn(|lane| one[lane].min(other[lane])))
    }

    /// After how long without input a WebSocket of this client is pinged, and how long after that it is lost.
    /// Where SSE can take over at once, it is worth asking more often.
    pub(crate) fn ping_times(&self, id: Option<Token>) -> (Duration, Duration) {
        let WebSocket { ping_interval, pong_timeout, .. } = self.config.websocket;
        let session = id.and_then(|id| self.sessions.get(id));
        match (self.config.routing.probe_interval, session) {
            (Some(probe), Some(session)) if session.links.up().is_both() => {
                (ping_interval.min(probe), pong_timeout.min(probe * PROBES_LOST))
            }
            _ => (ping_interval, pong_timeout),
        }
    }

    /// SSE has come up beside a WebSocket, or the reverse: from now on it may be asked more often.
    fn probe_soon(&mut self, id: Token, now: Instant) {
        let up = self.sessions.get(id).map_or(Up::default(), |session| session.links.up());
        if self.config.routing.probe_interval.is_none() || !up.is_both() {
            return;
        }
        let (interval, timeout) = self.ping_times(Some(id));
        for token in self.links_by(id, Carrier::WebSocket) {
            // Not before a ping that is under way has had its time.
            self.wake_by(token, now.plus(interval + timeout));
        }
    }
}
