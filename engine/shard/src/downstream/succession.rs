//! The hand-over to a successor: from one turn on nothing more is appended to any stream, and what the streams hold is
//! given away. Connections stay until the drain that follows; the successor's clients are those that come after.

use std::sync::Arc;

use weir_ring::op::Op;
use weir_ring::token::{Listener, Member};

use crate::mail::{Answer, Mail};
use crate::turn::{Cx, Shard};

/// How far a hand-over is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Succession {
    /// Nothing is appended any more; what the log was given is on its way to the disk. Then `from` is answered.
    Begun { from: Member, ask: u64 },
    /// The streams are another process's.
    Done,
}

impl Shard {
    /// Begins to hand over: nobody is accepted, nothing is appended.
    pub(crate) fn begin_succession(&mut self, from: Member, ask: u64, cx: &mut Cx<'_>) {
        self.succession = Some(Succession::Begun { from, ask });
        for listener in 0..self.config.listeners {
            cx.out.ops.push(Op::StopAccept { listener: Listener(listener) });
        }
        if let Some(journal) = &mut self.journal {
            journal.end();
        }
    }

    /// Answers with the streams once nothing of them is under way. With a log they are on the disk, and this shard
    /// writes nothing there as long as the hand-over lasts.
    pub(crate) fn continue_succession(&mut self, cx: &mut Cx<'_>) {
        let Some(Succession::Begun { from, ask }) = self.succession else { return };
        let streams: Arc<[u8]> = match &self.journal {
            Some(journal) if !journal.is_idle() => return,
            Some(_) => Arc::default(),
            None => self.export(cx).into(),
        };
        self.succession = Some(Succession::Done);
        self.send(from, Mail::Answer { ask, answer: Answer::Streams(streams) }, cx);
    }

    /// The successor did not come, and has not touched the log: the shard goes on.
    pub(crate) fn end_succession(&mut self, cx: &mut Cx<'_>) {
        if self.succession.take().is_some() && self.draining.is_none() {
            if let Some(journal) = &mut self.journal {
                journal.resume();
            }
            self.accepting = true;
            for listener in 0..self.config.listeners {
                cx.out.ops.push(Op::Accept { listener: Listener(listener) });
            }
        }
    }
}
