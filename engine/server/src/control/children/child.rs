//! The life of one child.

use std::ffi::OsString;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;
use tokio::time;
use tracing::{debug, error, info, warn};

use super::{Stop, Stopping, stderr};
use crate::config::Command;

/// What a child gets of the gateway's environment. The rest may hold secrets that are none of its business.
const INHERITED: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "LANG", "LC_ALL"];

/// A child to be.
pub(super) struct Order {
    pub(super) upstream: Arc<str>,
    pub(super) command: Arc<Command>,
    /// Time for each step of its end.
    pub(super) grace: Duration,
    pub(super) stopping: Stopping,
}

/// How a child came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It ended by itself.
    Own,
    /// Its input ended, and so it did.
    Eof,
    /// It was sent a signal.
    Signal(Signal),
}

/// Starts a child on `stream`, the end of a connection whose other end a shard holds, and returns when nothing
/// is left of it. When it ends, so does the connection; when the connection ends, so does its input.
pub(super) async fn run(order: Order, stream: tokio::net::UnixStream) -> Option<(Cause, ExitStatus)> {
    let Order { upstream, command, grace, mut stopping } = order;
    let started = start(&command, stream).map_err(|error| advice(&command, &error));
    let (mut child, stream) = match started {
        Ok(started) => started,
        Err(advice) => {
            error!(%upstream, "no child can be started: {advice}");
            return None;
        }
    };
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()))?;
    debug!(%upstream, pid = %group, "a child has started");
    let said = child.stderr.take().map(|stderr| tokio::spawn(stderr::log(upstream.clone(), group, stderr)));
    let end = supervise(&mut child, group, &stream, grace, &mut stopping).await;
    // Processes that it leaves behind would hold its end of the connection, and nobody would end them.
    signal(group, Signal::KILL);
    // What it wrote is still read.
    let _ = stream.get_ref().shutdown(Shutdown::Both);
    if let Some(said) = said {
        let _ = time::timeout(grace, said).await;
    }
    match &end {
        Ok((Cause::Own, status)) if !status.success() => {
            warn!(%upstream, pid = %group, "the child ended by itself: {status}");
        }
        Ok((Cause::Signal(Signal::KILL), _)) => {
            warn!(%upstream, pid = %group, "the child did not end on SIGTERM and was killed");
        }
        Ok((_, status)) => {
            info!(%upstream, pid = %group, "the child ended: {status}")
        }
        Err(error) => error!(%upstream, pid = %group, "the child's end cannot be awaited: {error}"),
    }
    end.ok()
}

/// Starts the process, and watches the connection for its end only: input is the child's, and would wake this
/// thread for each message.
fn start(command: &Command, stream: tokio::net::UnixStream) -> io::Result<(Child, AsyncFd<UnixStream>)> {
    let stream = stream.into_std()?;
    // The mode is of the connection, not of the descriptor, and programs expect their input to wait.
    stream.set_nonblocking(false)?;
    let stdio = || stream.try_clone().map(|half| Stdio::from(OwnedFd::from(half)));
    let inherited = INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let mut process = tokio::process::Command::new(&command.program);
    process
        .args(&command.arguments)
        .env_clear()
        .envs(inherited)
        .envs(command.environment.iter().map(|(name, value)| (name, OsString::from(value))))
        .stdin(stdio()?)
        .stdout(stdio()?)
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = &command.directory {
        process.current_dir(directory);
    }
    let child = process.spawn()?;
    #[expect(
        deprecated,
        reason = "its successor is unsafe for those who do not own the descriptor; a UnixStream does"
    )]
    let stream = AsyncFd::with_interest(stream, Interest::PRIORITY)?;
    Ok((child, stream))
}

/// Waits for the child's end, and brings it about when the connection or the gateway ends.
async fn supervise(
    child: &mut Child,
    group: Pid,
    stream: &AsyncFd<UnixStream>,
    grace: Duration,
    stopping: &mut Stopping,
) -> io::Result<(Cause, ExitStatus)> {
    tokio::select! {
        // In this order: a child that has ended because its input has did not end by itself.
        biased;
        _ = hung_up(stream) => {}
        () = stopping.reached(Stop::Gently) => {}
        status = child.wait() => return Ok((Cause::Own, status?)),
    }
    // Does nothing if the shard has closed its end.
    let _ = stream.get_ref().shutdown(Shutdown::Read);
    let mut cause = Cause::Eof;
    for next in [Signal::TERM, Signal::KILL] {
        tokio::select! {
            status = child.wait() => return Ok((cause, status?)),
            () = time::sleep(grace) => {}
            () = stopping.reached(Stop::AtOnce) => {}
        }
        signal(group, next);
        cause = Cause::Signal(next);
    }
    Ok((cause, child.wait().await?))
}

/// Returns when the other end is closed.
async fn hung_up(stream: &AsyncFd<UnixStream>) -> io::Result<()> {
    loop {
        let mut ready = stream.ready(Interest::PRIORITY).await?;
        if ready.ready().is_read_closed() {
            return Ok(());
        }
        ready.clear_ready();
    }
}

/// To the child and the processes it has started.
fn signal(group: Pid, signal: Signal) {
    // There is nobody left where it fails.
    let _ = kill_process_group(group, signal);
}

/// Why a child cannot be started, and what to do.
fn advice(command: &Command, error: &io::Error) -> String {
    let Command { program, directory, .. } = command;
    let folder =
        directory.as_ref().map(|folder| format!(" or no folder {}", folder.display())).unwrap_or_default();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "there is no program {program:?} on PATH{folder}; install it, or correct upstream.command or cwd"
            )
        }
        io::ErrorKind::PermissionDenied => format!(
            "this user may not run {program:?} or not enter its folder; grant it, or correct upstream.command or cwd"
        ),
        _ => format!(
            "{program:?}: {error}; if the system is short of processes or files, see `ulimit -u` and `ulimit -n`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_what_is_missing() {
        let command = |directory: Option<&str>| Command {
            program: "uvx".into(),
            directory: directory.map(Into::into),
            ..Command::default()
        };
        let missing = io::ErrorKind::NotFound.into();
        assert!(
            advice(&command(None), &missing).starts_with("there is no program \"uvx\" on PATH; install it")
        );
        let said = advice(&command(Some("/srv")), &missing);
        assert!(said.starts_with("there is no program \"uvx\" on PATH or no folder /srv; install"), "{said}");
    }
}
