//! The sink: everything that is said on the bus but about single clients, one JSON object a line, in a file or on
//! standard output. A thread of its own writes it, so that a slow disk or reader holds nobody up.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tracing::warn;

use super::Observer;
use super::published::Published;
use crate::control::lines::Lines;

/// Records that wait for the writer.
const RECORDS_MAX: usize = 4_096;

/// What stands for standard output.
const STDOUT: &str = "-";

/// Where everything goes.
#[derive(Debug)]
pub(crate) struct Sink {
    records: SyncSender<Arc<Published>>,
    /// Records left out since it was last said.
    left_out: u64,
}

impl Sink {
    /// Opens the file, which is made if need be, and starts the thread. `-` is standard output.
    ///
    /// # Errors
    /// The file cannot be written, or the system has no thread left.
    pub(crate) fn start(path: &Path) -> io::Result<Sink> {
        let to = match path.to_str() {
            Some(STDOUT) => Lines::stdout("event sink", "vsm.sink"),
            _ => Lines::open(path, "event sink", "vsm.sink")?,
        };
        let (records, received) = sync_channel(RECORDS_MAX);
        thread::Builder::new().name("weir-sink".into()).spawn(move || write(&received, to))?;
        Ok(Sink { records, left_out: 0 })
    }
}

impl Observer for Sink {
    fn observe(&mut self, published: &Arc<Published>) {
        match self.records.try_send(published.clone()) {
            Ok(()) if self.left_out > 0 => {
                warn!("{} events are left out of vsm.sink: it does not keep up", self.left_out);
                self.left_out = 0;
            }
            Ok(()) => {}
            Err(_) => self.left_out += 1,
        }
    }
}

/// Writes until nobody has anything to say any more; what has gathered meanwhile at once.
fn write(records: &Receiver<Arc<Published>>, mut to: Lines) {
    while let Ok(first) = records.recv() {
        let mut text = Vec::new();
        let mut count = 0;
        for published in [first].into_iter().chain(records.try_iter().take(RECORDS_MAX)) {
            text.extend_from_slice(published.text().as_bytes());
            text.push(b'\n');
            count += 1;
        }
        to.append(&text, count);
    }
}

#[cfg(test)]
mod tests {
    use weir_ring::time::Wall;
    use weir_shard::vsm::{Event, Source};

    use super::*;

    #[test]
    fn every_record_is_a_line() {
        let path = std::env::temp_dir().join(format!("weir-sink-{}.ndjson", std::process::id()));
        let (sender, received) = sync_channel(2);
        for level in 1..=2 {
            let event = Event::SheddingChanged { level };
            let published = Published::event(Wall(0), Source::Control, event);
            sender.send(Arc::new(published)).expect("a receiver");
        }
        drop(sender);
        write(&received, Lines::open(&path, "event sink", "vsm.sink").expect("a file"));
        let text = std::fs::read_to_string(&path).expect("a file");
        std::fs::remove_file(&path).expect("a file");
        let levels: Vec<_> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).expect("JSON")["data"]["level"].as_u64()
            })
            .collect();
        assert_eq!(levels, [Some(1), Some(2)]);
    }
}
