//! The hub's ears: all that it is told passes here. Tests listen in its place.

use weir_ring::token::Token;

use super::UpstreamFault;
#[cfg(test)]
use super::tests::Heard;
use crate::turn::{Cx, Shard};

impl Shard {
    pub(super) fn tell_ready(&mut self, backing: Token, cx: &mut Cx<'_>) {
        #[cfg(test)]
        if self.overhear(|| Heard::Ready(backing)) {
            return;
        }
        self.backing_ready(backing, cx);
    }

    pub(super) fn tell_lost(&mut self, backing: Token, why: UpstreamFault, cx: &mut Cx<'_>) {
        #[cfg(test)]
        if self.overhear(|| Heard::Lost(backing, why.clone())) {
            return;
        }
        self.backing_lost(backing, why, cx);
    }

    pub(super) fn tell_leg(&mut self, leg: Token, text: &str, cx: &mut Cx<'_>) {
        #[cfg(test)]
        if self.overhear(|| Heard::Leg(leg, text.to_owned())) {
            return;
        }
        self.leg_message(leg, text, cx);
    }

    pub(super) fn tell_leg_failed(&mut self, leg: Token, why: UpstreamFault, cx: &mut Cx<'_>) {
        #[cfg(test)]
        if self.overhear(|| Heard::Failed(leg, why.clone())) {
            return;
        }
        self.leg_failed(leg, why, cx);
    }

    pub(super) fn tell_backing(&mut self, backing: Token, text: &str, cx: &mut Cx<'_>) {
        #[cfg(test)]
        if self.overhear(|| Heard::Backing(backing, text.to_owned())) {
            return;
        }
        self.backing_message(backing, text, cx);
    }

    #[cfg(test)]
    fn overhear(&mut self, heard: impl FnOnce() -> Heard) -> bool {
        self.upstream.heard.as_mut().map(|all| all.push(heard())).is_some()
    }
}
