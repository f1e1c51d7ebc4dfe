//! What a former process left in the data folder, told and given to the shards.

use std::time::{Duration, Instant};

use tracing::{info, warn};
use weir_ring::clock::Clock;
use weir_ring::mapped::Mapped;
use weir_shard::durable::{self, Recovered, Report};
use weir_shard::limits::Config;

use crate::data_dir::{DataDir, DataDirError};

/// Reads the log of all series, and says what came of it. Each shard of `config` gets its part.
///
/// # Errors
/// A file cannot be read. Nothing was changed: the next start reads the same.
pub(crate) fn recover(data_dir: &DataDir, config: &Config) -> Result<Vec<durable::Share>, DataDirError> {
    let begun = Instant::now();
    let names = data_dir.segments()?;
    let files = names.iter().map(|name| data_dir.read(*name)).collect::<Result<Vec<Mapped>, _>>()?;
    let segments: Vec<durable::Segment<'_>> = names
        .iter()
        .zip(&files)
        .map(|(name, file)| durable::Segment { series: name.series, number: name.number, bytes: file })
        .collect();
    let recovered = durable::recover(&segments, &config.outbox, Clock::now().wall);
    tell(&recovered, files.len(), begun.elapsed());
    Ok(recovered.split(config))
}

/// Reads what a running gateway has handed over. Nothing of it is on a disk.
pub(crate) fn revive(parts: &[Vec<u8>], config: &Config) -> Vec<durable::Share> {
    let begun = Instant::now();
    let segments = parts.iter().zip(0..).map(|(bytes, series)| durable::Segment { series, number: 1, bytes });
    let segments: Vec<durable::Segment<'_>> = segments.collect();
    let mut recovered = durable::recover(&segments, &config.outbox, Clock::now().wall);
    tell(&recovered, parts.len(), begun.elapsed());
    recovered.segments.clear();
    recovered.split(config)
}

fn tell(recovered: &Recovered, files: usize, taken: Duration) {
    let Recovered { streams, dead, report, .. } = recovered;
    let Report { bytes, messages, torn_bytes, damaged_bytes, holes, streams_lost, .. } = *report;
    let (streams, dead, milliseconds) = (streams.len(), dead.len(), taken.as_millis() as u64);
    info!(files, bytes, messages, streams, dead, milliseconds, "recovered");
    if torn_bytes > 0 {
        info!(
            torn_bytes,
            "cut what was being written when the process before ended; none of it was acknowledged"
        );
    }
    if holes > 0 {
        warn!(
            damaged_bytes,
            holes,
            streams_lost,
            "the log is damaged: clients of the streams that lost messages are told of a gap"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_empty_folder_and_one_of_garbage_give_every_shard_an_empty_part() {
        let folder = std::env::temp_dir().join(format!("weir-recovery-{}", std::process::id()));
        let data_dir = DataDir::open(&folder).expect("free");
        let config = Config { shards: 3, ..Config::default() };
        let parts = |held: [usize; 3]| {
            let shares = recover(&data_dir, &config).expect("readable");
            assert_eq!(shares.iter().map(|share| share.segments.len()).collect::<Vec<_>>(), held);
            assert!(shares.iter().all(|share| share.streams.is_empty()));
        };
        parts([0, 0, 0]);
        fs::write(folder.join("log/0004-00000001.log"), vec![0x5a; 10_000]).expect("write");
        parts([0, 1, 0]);
        fs::remove_dir_all(&folder).expect("remove");
    }
}
