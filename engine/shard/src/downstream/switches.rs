//! What an operator switches while the shard works, and the events that are said only while somebody looks for a fault.

use weir_ring::token::Token;

use crate::limits::Switches;
use crate::turn::{Cx, Shard};
use crate::vsm::Event;

impl Shard {
    /// From now on that is on, and no more.
    pub(crate) fn switch(&mut self, to: Switches) {
        let Switches { events, compression, timing, debug } = to;
        self.switches = to;
        self.herald.switch(events || debug.connections || debug.messages || debug.routing);
        self.tracer.follow_all(debug.messages || debug.routing);
        self.meter.time_every(if timing { self.config.timed_turns } else { 0 });
        // Without one nothing is deflated; what peers deflate is still read, as agreed.
        match compression {
            true => drop(self.deflater.get_or_insert_default()),
            false => self.deflater = None,
        }
    }

    /// A connection of a client was opened, or has ended.
    pub(crate) fn tell_connection(
        &mut self,
        opened: bool,
        transport: &'static str,
        session: Option<Token>,
        cx: &Cx<'_>,
    ) {
        if !self.switches.debug.connections {
            return;
        }
        let session = session.and_then(|id| self.sessions.get(id));
        let client = session.map(|session| session.client.clone());
        self.herald.say(cx.now.wall, || match opened {
            true => Event::ConnectionOpened { transport, client },
            false => Event::ConnectionClosed { transport, client },
        });
    }
}
