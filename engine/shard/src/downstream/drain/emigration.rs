//! Connections that go on in the process that succeeds, before the others are sent away.

use std::time::Duration;

use weir_ring::token::Token;

use crate::downstream::connection::{Parcel, ParcelStage, Stage};
use crate::error::Error;
use crate::recovery::Lineage;
use crate::turn::{Cx, Shard};

/// How many leave at once, and how long it is until the next do: each is a descriptor until it is passed on.
const BATCH: usize = 64;
const PAUSE: Duration = Duration::from_millis(10);

impl Shard {
    /// The next ones leave, if it is time.
    pub(super) fn emigrate(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        let Some(drain) = &mut self.draining else { return };
        if now < drain.next_emigrants {
            return;
        }
        drain.next_emigrants = now.plus(PAUSE);
        let rest = drain.emigrants.len().saturating_sub(BATCH);
        let leaving = drain.emigrants.split_off(rest);
        // How far their topics were sent is known of those only that are sent all there is.
        self.deliver_all(cx);
        for token in leaving {
            self.send_over(token, cx);
        }
    }

    /// The successor cannot be given any.
    pub(crate) fn end_emigration(&mut self) {
        if let Some(drain) = &mut self.draining {
            drain.emigrants.clear();
        }
    }

    /// Whether a client may take the place of the connection that had this lineage.
    ///
    /// # Errors
    /// It is on its way to the successor, and would go on there: the client is to come there, too.
    pub(crate) fn check_departed(&self, lineage: Lineage) -> Result<(), Error> {
        match &self.draining {
            Some(drain) if drain.departed.contains(&lineage) => Err(Error::draining()),
            _ => Ok(()),
        }
    }

    /// A connection leaves if it is at rest.
    fn send_over(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get(token) else { return };
        let busy = match &conn.stage {
            Stage::Sse(feed) => self.is_owed(token, feed.session, cx.now.mono),
            _ => self.has_calls(token, conn, cx.now.mono),
        };
        if busy {
            return;
        }
        let Some(emigrant) = self.emigrant(token, cx) else { return };
        if let Some(drain) = &mut self.draining {
            drain.departed.extend(emigrant.lineage());
        }
        let Some(conn) = self.conns.get_mut(token) else { return };
        let was = std::mem::replace(&mut conn.stage, Stage::Lent);
        let stage = ParcelStage::Emigrant(Box::new(emigrant));
        self.depart(token, self.control(), Parcel { stage, bytes: Vec::new(), tls: None }, cx);
        self.left(token, was, cx);
    }
}
