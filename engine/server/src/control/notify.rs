//! What a service manager is told (sd_notify(3)): ready, reloading, stopping, and that all shards still answer.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tokio::time;
use tracing::warn;
use weir_ring::clock::Clock;
use weir_shard::mail::{Answer, Question};

use super::api::Admin;

/// The manager's socket, if there is a manager. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Manager(Option<Arc<UnixDatagram>>);

impl Manager {
    /// That of `NOTIFY_SOCKET`.
    pub(super) fn of_environment() -> Manager {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Manager::default() };
        match connect(&path.to_string_lossy()) {
            Ok(socket) => Manager(Some(Arc::new(socket))),
            Err(error) => {
                warn!("the service manager cannot be told anything: {error}; it will give up waiting");
                Manager::default()
            }
        }
    }

    /// Clients are served; by this process, if the manager started another.
    pub(super) fn ready(&self) {
        self.say(&format!("READY=1\nMAINPID={}\nSTATUS=serving", std::process::id()));
    }

    /// The configuration is read again; [`Manager::ready`] follows.
    pub(super) fn reloading(&self) {
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", Clock::mono().0 / 1_000));
    }

    /// The orderly stop has begun.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=draining");
    }

    /// Says so often that all is well as the manager wants to hear it, and only if every shard answers.
    pub(super) async fn watch(self, admin: Arc<Admin>) {
        let Some(interval) = interval() else { return };
        let mut ticks = time::interval(interval);
        loop {
            ticks.tick().await;
            let mut all = true;
            for shard in admin.shards() {
                all &= matches!(admin.ask(shard, Question::Stats).await, Ok(Answer::Stats(_)));
            }
            if all {
                self.say("WATCHDOG=1");
            }
        }
    }

    fn say(&self, what: &str) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = socket.send(what.as_bytes()) {
            warn!("the service manager was not told {what:?}: {error}");
        }
    }
}

/// A name that begins with `@` has no place in the file system.
fn connect(path: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// Half of the time after which the manager takes this process for hung, if it watches it.
fn interval() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let mine = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let microseconds = number("WATCHDOG_USEC").filter(|microseconds| mine && *microseconds > 0)?;
    Some(Duration::from_micros(microseconds / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_manager_hears_it_on_either_kind_of_socket() {
        let path = env::temp_dir().join(format!("weir-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let name = format!("weir-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).expect("a name");
        let sockets = [
            (UnixDatagram::bind(&path).expect("bind"), path.display().to_string()),
            (UnixDatagram::bind_addr(&abstract_address).expect("bind"), format!("@{name}")),
        ];
        for (socket, path) in &sockets {
            let manager = Manager(Some(Arc::new(connect(path).expect("there"))));
            manager.ready();
            let pid = std::process::id();
            assert_eq!(heard(socket), format!("READY=1\nMAINPID={pid}\nSTATUS=serving"));
            manager.reloading();
            assert!(heard(socket).starts_with("RELOADING=1\nMONOTONIC_USEC="));
            manager.stopping();
            assert_eq!(heard(socket), "STOPPING=1\nSTATUS=draining");
        }
        std::fs::remove_file(&path).expect("remove");
        Manager::default().ready();
    }
}
