//! The audit log: one JSON object a line, in a file or in the gateway's own log. A thread of its own writes it, so
//! that a slow disk holds nobody up.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tracing::{info, warn};
use weir_shard::audit::{Event, Record};

use super::lines::Lines;

/// Batches that wait for the disk; each is what a shard had to tell in a turn.
const BATCHES_MAX: usize = 256;

/// Where shards' records go.
#[derive(Debug)]
pub(crate) struct Audit {
    batches: SyncSender<Vec<Record>>,
    /// Records left out since it was last said.
    left_out: usize,
}

impl Audit {
    /// Opens the file, which is made if need be, and starts the thread. None: the gateway's log.
    ///
    /// # Errors
    /// The file cannot be written, or the system has no thread left.
    pub(crate) fn start(path: Option<&Path>) -> io::Result<Audit> {
        let writer = path.map(open).transpose()?;
        let (batches, received) = sync_channel(BATCHES_MAX);
        thread::Builder::new().name("weir-audit".into()).spawn(move || write(received, writer))?;
        Ok(Audit { batches, left_out: 0 })
    }

    /// Takes records without waiting.
    pub(crate) fn take(&mut self, records: Vec<Record>) {
        for Record { client, address, reason, .. } in
            records.iter().filter(|record| record.event == Event::SuspiciousBehavior)
        {
            warn!(
                ?client,
                ?address,
                offence = reason.as_deref(),
                "suspicious behaviour: refused for a while"
            );
        }
        let count = records.len();
        match self.batches.try_send(records) {
            Ok(()) if self.left_out > 0 => {
                warn!(
                    "{} audit records are left out: they came faster than they could be written",
                    self.left_out
                );
                self.left_out = 0;
            }
            Ok(()) => {}
            Err(_) => self.left_out += count,
        }
    }
}

fn open(path: &Path) -> io::Result<Lines> {
    Lines::open(path, "audit log", "audit.file")
}

/// Writes until nobody has anything to say any more.
fn write(batches: Receiver<Vec<Record>>, mut writer: Option<Lines>) {
    for records in batches {
        let mut lines = Vec::new();
        for record in &records {
            // Plain structs of texts always serialize.
            let line = serde_json::to_string(record).unwrap_or_default();
            match writer {
                Some(_) => lines.extend_from_slice(format!("{line}\n").as_bytes()),
                None => info!(target: "audit", "{line}"),
            }
        }
        if let Some(writer) = &mut writer {
            writer.append(&lines, records.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use weir_ring::time::Wall;
    use weir_shard::audit::Action;

    use super::*;

    #[test]
    fn records_are_lines_of_a_file_that_only_its_user_reads() {
        let path = std::env::temp_dir().join(format!("weir-audit-{}.ndjson", std::process::id()));
        let record = Record {
            client: Some("mallory\n".into()),
            reason: Some("script_tag".into()),
            ..Record::new(Event::PotentialInjection, Action::Denied, Wall(1_750_000_000_123))
        };
        let (sender, received) = sync_channel(2);
        sender.send(vec![record.clone(), record]).expect("a receiver");
        drop(sender);
        write(received, Some(open(&path).expect("a file")));
        let text = std::fs::read_to_string(&path).expect("a file");
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        std::fs::remove_file(&path).expect("a file");
        let line = r#"{"timestamp":"2025-06-15T15:06:40.123Z","event":"potential_injection","action":"denied","client":"mallory\n","reason":"script_tag"}"#;
        assert_eq!(text, format!("{line}\n{line}\n"));
        assert_eq!(mode & 0o777, 0o600);
    }
}
