//! The disk tier: streams that outlive the process.
//!
//! Each shard keeps a log, a *series* of segments. All that a turn appends is one batch: one write and one
//! fdatasync, and nothing of it is acknowledged or delivered before. The pure parts are here from bottom
//! to top: [`record`] is what is said, [`batch`] its frame on the disk, [`recover`] turns the bytes of all
//! series into streams again.

pub(crate) mod batch;
mod commit;
mod export;
mod journal;
mod lives;
pub(crate) mod record;
mod recover;
mod restore;

pub(crate) use self::commit::{
    Log, begin_topic, client_name, log_acknowledged, log_dead, log_forgotten, log_gone, log_message,
    log_opened,
};
pub(crate) use self::journal::{StreamRef, Unsettled};
pub use self::lives::{DeadLetter, Entry, Run, Stream};
pub use self::record::Kind;
pub(crate) use self::record::{Name, Place};
pub use self::recover::{Held, Recovered, Report, Segment, Share, recover};

#[cfg(test)]
mod tests;
