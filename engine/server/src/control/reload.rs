//! SIGHUP: certificates, keys, trusted CAs and rules are read again. Open connections are not touched.

use std::sync::Arc;

use tokio::signal::unix::Signal;
use tracing::{error, info, warn};
use weir_ring::token::Member;
use weir_shard::mail::Mail;
use weir_shard::tls::Credentials;

use super::mailbox::Mailbox;
use super::notify::Manager;
use super::rules::Rulebook;
use crate::config::Files;
use crate::tls::{self, Loaded};

/// Reads the files again with each signal and gives them to the shards. If one of those for TLS cannot be used, all
/// that was read of them before stays; so do the rules if theirs cannot.
pub(super) async fn on_hangup(
    mut hangup: Signal,
    files: Files,
    rules: Arc<Rulebook>,
    mailbox: Mailbox,
    manager: Manager,
) {
    while hangup.recv().await.is_some() {
        manager.reloading();
        match tls::load(&files) {
            Ok(Loaded { credentials, warnings }) => {
                warnings.iter().for_each(|warning| warn!("{warning}"));
                tell(credentials.into(), &mailbox).await;
                info!("SIGHUP: certificates are read again; connections that are open keep theirs");
            }
            Err(error) => error!("SIGHUP: certificates stay as they are: {error}"),
        }
        if rules.has_file() {
            // It says itself what has become of it.
            let _ = rules.reload().await;
        }
        manager.ready();
    }
}

async fn tell(credentials: Arc<Credentials>, mailbox: &Mailbox) {
    for shard in 0..mailbox.shards() {
        mailbox.send(Member(shard), Mail::Credentials(credentials.clone())).await;
    }
}
