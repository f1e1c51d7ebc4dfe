//! Where the figures come from: the admin port, asked on a thread of its own.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::News;
use super::state::Sort;
use crate::cli::admin::{Admin, AdminFailure};

/// Clients that are fetched: more than fit on a screen are of no use.
const CLIENTS: usize = 100;

/// The pause before the stream of signals is opened again, and how long one stream is read.
const PAUSE: Duration = Duration::from_secs(2);
const STREAM: Duration = Duration::from_secs(3_600);

/// Asks a gateway.
pub(super) struct Feed {
    admin: Admin,
    interval: Duration,
}

impl Feed {
    pub(super) fn new(admin: Admin, interval: Duration) -> Feed {
        Feed { admin, interval }
    }

    /// What there is now.
    ///
    /// # Errors
    /// The gateway is not there, or refuses.
    pub(super) fn look(&self, sort: Sort) -> Result<Value, AdminFailure> {
        let clients = format!("/mcp/admin/connections?sort={}&limit={CLIENTS}", sort.name());
        Ok(json!({
            "stats": self.admin.get("/mcp/stats")?,
            "control": self.admin.get("/mcp/admin/control")?,
            "breakers": self.admin.get("/mcp/admin/breakers")?["breakers"],
            "clients": self.admin.get(&clients)?,
        }))
    }

    /// Tells `told` what there is, each interval and whenever clients are to be sorted otherwise.
    pub(super) fn start(self, told: Sender<News>) -> Sender<Sort> {
        let (sender, sorted) = channel();
        thread::spawn(move || {
            let mut sort = Sort::default();
            loop {
                match sorted.recv_timeout(self.interval) {
                    Ok(other) => sort = other,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if told.send(News::Figures(self.look(sort))).is_err() {
                    return;
                }
            }
        });
        sender
    }
}

/// Tells `told` what hurts, as it comes.
pub(super) fn signals(admin: Admin, told: Sender<News>) {
    thread::spawn(move || {
        loop {
            let events = admin.events("/mcp/admin/events?topics=algedonic", STREAM);
            for event in events.into_iter().flatten() {
                let signal = serde_json::from_str(&event).unwrap_or_default();
                if told.send(News::Signal(signal)).is_err() {
                    return;
                }
            }
            thread::sleep(PAUSE);
        }
    });
}
