//! Keys that tokens are checked with, as the control thread fetches them.

use std::sync::Arc;

use weir_ring::token::Member;

use crate::limits::KeySet;
use crate::mail::Mail;
use crate::turn::{Cx, Shard};

impl Shard {
    /// Asks the control thread for keys, because a token names one that is not known. The answer comes in any
    /// case and is the same for all who wait for it.
    pub(crate) fn want_keys(&mut self, cx: &mut Cx<'_>) {
        if self.auth.wants_keys() {
            let control = Member(self.config.shards);
            self.send(control, Mail::KeysWanted { from: self.me }, cx);
        }
    }

    /// All keys that hold from now on.
    pub(crate) fn keys_arrived(&mut self, keys: Arc<KeySet>, cx: &mut Cx<'_>) {
        self.auth.replace_keys(keys);
        self.run_parked(cx);
    }
}
