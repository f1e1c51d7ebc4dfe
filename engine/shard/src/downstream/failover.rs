//! Which transport a message takes, and what the others do when one is lost.

use weir_ring::token::Token;

use crate::marks::Marks;
use crate::message::Target;
use crate::outbox::Entry;
use crate::session::{Carrier, Links};
use crate::turn::{Cx, Shard};

/// Whether a connection of this kind takes the entry.
pub(crate) fn wants(carrier: Carrier, links: &Links, entry: &Entry) -> bool {
    let websocket = match Target::of_class(entry.class) {
        Target::All => return true,
        Target::Auto | Target::Websocket => links.has(Carrier::WebSocket),
        Target::HttpSse => !links.has(Carrier::Sse),
    };
    websocket == (carrier == Carrier::WebSocket)
}

impl Shard {
    /// A connection leaves its session. If it was the last of its kind, those of the other kind go on where they
    /// began to leave messages to it.
    pub(crate) fn unlink(
        &mut self,
        token: Token,
        id: Token,
        carrier: Carrier,
        marks: Option<&Marks>,
        cx: &mut Cx<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if !session.links.remove(token) {
            return self.unlinked(id, cx.now.mono);
        }
        let begun = Marks::default();
        let marks = marks.unwrap_or(&begun);
        if session.links.as_slice().is_empty()
            && let Some(mailbox) = &mut session.mailbox
        {
            mailbox.left_at(marks);
        }
        if !session.links.has(carrier) {
            let heirs: Vec<Token> = session.links.as_slice().iter().map(|link| link.token).collect();
            for heir in heirs {
                self.take_over(heir, id, (carrier, marks), cx);
            }
        }
        self.unlinked(id, cx.now.mono);
    }

    /// Rewinds a connection to the first message it left to the lost one, unless the client is known to have it:
    /// what was only written there is sent again.
    fn take_over(&mut self, heir: Token, id: Token, (lost, theirs): (Carrier, &Marks), cx: &mut Cx<'_>) {
        let Shard { conns, sessions, .. } = self;
        let mailbox = sessions.get(id).and_then(|session| session.mailbox.as_deref());
        let (Some(conn), Some(mailbox)) = (conns.get_mut(heir), mailbox) else { return };
        let Some(marks) = conn.stage.marks_mut() else { return };
        let mut switched = false;
        for (lane, stream) in mailbox.lanes() {
            let mark = marks.open(lane);
            let skipped = std::mem::take(&mut mark.skipped);
            let confirmed = theirs.get(lane).confirmed.max(stream.outbox.acknowledged());
            let from = confirmed.max(skipped.saturating_sub(1));
            if skipped == 0 || mark.cursor <= from {
                continue;
            }
            mark.replay = mark.replay.max(mark.cursor);
            mark.again = mark.again.max(stream.written);
            mark.cursor = from;
            switched = true;
        }
        if !switched {
            return;
        }
        let to = match lost {
            Carrier::WebSocket => Carrier::Sse,
            Carrier::Sse => Carrier::WebSocket,
        };
        let names = (lost.name(), to.name());
        let payload = format!(r#"{{"from":"{}","to":"{}","reason":"connection_lost"}}"#, names.0, names.1);
        self.tell(heir, "transport_switched", payload.as_bytes(), cx);
        self.hungry.push(heir);
    }
}
