//! What runs out and comes back: told to the control thread when it begins and when it is over, which says so.

use weir_ring::op::Errno;
use weir_ring::token::Member;

use crate::mail::{Mail, Trouble};
use crate::turn::{Cx, Shard};

/// Accepting failed because the system has run out of something: ENOMEM, ENFILE, EMFILE, ENOBUFS.
const EXHAUSTED: [i32; 4] = [12, 23, 24, 105];

impl Shard {
    /// Something is wrong from now on, or not any more.
    pub(crate) fn trouble(&mut self, what: Trouble, on: bool, cx: &mut Cx<'_>) {
        if self.troubles.contains(&what) == on {
            return;
        }
        match on {
            true => self.troubles.push(what),
            false => self.troubles.retain(|other| *other != what),
        }
        let control = Member(self.config.shards);
        self.send(control, Mail::Trouble { from: self.me, what, on }, cx);
    }

    /// Accepting failed: is it for want of descriptors?
    pub(crate) fn accept_trouble(&mut self, errno: Errno, cx: &mut Cx<'_>) {
        if EXHAUSTED.contains(&errno.0) {
            self.trouble(Trouble::Descriptors, true, cx);
        }
    }
}
