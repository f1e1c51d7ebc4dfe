//! What the hub is told at the end of a turn, so that no call of the hub is answered while it is made.

use weir_ring::token::Token;

use super::UpstreamFault;
use super::errand::{Place, Purpose};
use crate::turn::{Cx, Shard};

/// One thing to tell.
#[derive(Debug)]
pub(super) enum News {
    /// A conversation can begin.
    Ready(Token),
    /// A conversation has ended.
    Lost(Token, UpstreamFault),
    /// This errand of a leg has failed.
    Failed(Token),
}

impl Shard {
    /// Tells the hub what there is to tell. What that leads to is told in the next turn, which is due at once.
    pub(crate) fn tell_news(&mut self, cx: &mut Cx<'_>) {
        for _ in 0..self.upstream.news.len() {
            match self.upstream.news.pop_front() {
                None => return,
                Some(News::Ready(backing)) => {
                    if self.upstream.backings.get(backing).is_some() {
                        self.tell_ready(backing, cx);
                    }
                }
                Some(News::Lost(backing, why)) => {
                    if self.upstream.backings.get(backing).is_some() {
                        self.tell_lost(backing, why, cx);
                        self.upstream.backings.remove(backing);
                    }
                }
                Some(News::Failed(errand)) => self.tell_failure(errand, cx),
            }
        }
    }

    /// Whether there is more to tell.
    pub(crate) fn has_news(&self) -> bool {
        !self.upstream.news.is_empty()
    }

    fn tell_failure(&mut self, errand: Token, cx: &mut Cx<'_>) {
        let Some(errand) = self.dismiss_errand(errand) else { return };
        if let (Purpose::Ask { leg, .. }, Place::Failed(why)) = (errand.purpose, errand.place) {
            self.tell_leg_failed(leg, why, cx);
        }
    }
}
