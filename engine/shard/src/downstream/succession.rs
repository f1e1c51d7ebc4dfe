//! The hand-over to a successor: from one turn on nothing more is appended to any stream, and what the streams hold is
//! given away. Connections stay until the drain that follows; the successor's clients are those that come after.

use std::sync::Arc;

use weir_ring::op::Op;
use weir_ring::token::{Listener, Member};

use crate::mail::{Answer, Mail};
use crate::turn::{Cx, Shard};

/// A hand-over: nothing is appended any more.
#[derive(Debug)]
pub(crate) struct Succession {
    /// What the log was given is on its way to the disk; then this is answered. None: the streams are another process's.
    ask: Option<(Member, u64)>,
    /// Letters that wait, should this process go on.
    shelved: Vec<Mail>,
}

impl Shard {
    /// Begins to hand over: nobody is accepted, nothing is appended.
    pub(crate) fn begin_succession(&mut self, from: Member, ask: u64, cx: &mut Cx<'_>) {
        self.succession = Some(Succession { ask: Some((from, ask)), shelved: Vec::new() });
        self.sessions.values_mut().for_each(|session| session.resumed = false);
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
        let Some((from, ask)) = self.succession.as_ref().and_then(|succession| succession.ask) else {
            return;
        };
        let streams: Arc<[u8]> = match &self.journal {
            Some(journal) if !journal.is_idle() => return,
            Some(_) => Arc::default(),
            None => self.export(cx).into(),
        };
        if let Some(succession) = &mut self.succession {
            succession.ask = None;
        }
        self.send(from, Mail::Answer { ask, answer: Answer::Streams(streams) }, cx);
    }

    /// The successor did not come, and has not touched the log: the shard goes on.
    pub(crate) fn end_succession(&mut self, cx: &mut Cx<'_>) {
        if let Some(succession) = self.succession.take()
            && self.draining.is_none()
        {
            if let Some(journal) = &mut self.journal {
                journal.resume();
            }
            self.accepting = true;
            for listener in 0..self.config.listeners {
                cx.out.ops.push(Op::Accept { listener: Listener(listener) });
            }
            self.local.extend(succession.shelved);
        }
    }

    /// Whether nothing may begin that the successor would not know.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.succession.is_some()
    }

    /// A letter that is read when this process goes on, if it does.
    pub(crate) fn shelve(&mut self, letter: Mail) {
        if let Some(succession) = &mut self.succession {
            succession.shelved.push(letter);
        }
    }
}
