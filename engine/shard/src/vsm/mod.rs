//! What the control system is told: events, which are news, and algedonic signals, which are pain and its end. Both
//! go to the control thread, whose bus passes them on; a shard never waits for it.

mod event;
mod herald;
mod intelligence;
mod recording;
mod signal;
mod topic;
mod trace;

pub use self::event::{DrainPhase, Event, Fact, Opened, Refusals, Step};
pub(crate) use self::herald::Herald;
pub use self::intelligence::{Distribution, Finding, Notice, NoticeState, Performance};
pub use self::signal::{Cause, Feeling, Severity, Signal};
pub use self::topic::{Source, Topic, Topics};
pub(crate) use self::trace::Tracer;
