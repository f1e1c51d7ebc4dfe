//! The disk tier: streams that outlive the process.
//!
//! Each shard keeps a log, a *series* of segments. All that a turn appends is one batch: one write and one
//! fdatasync, and nothing of it is acknowledged or delivered before. The pure parts are here from bottom
//! to top: [`record`] is what is said, [`batch`] its frame on the disk, [`recover`] turns the bytes of all
//! series into streams again.

pub mod batch;
mod lives;
pub mod record;
mod recover;

pub use self::lives::{DeadLetter, Entry, Run, Stream};
pub use self::recover::{Held, Recovered, Report, Segment, Share, recover};
