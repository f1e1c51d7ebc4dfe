use std::io::Write;
use std::os::unix::net::UnixStream as Peer;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Mutex;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::child::{Cause, Order};
use super::*;

fn command(words: &[&str]) -> Command {
    let arguments = words[1..].iter().map(|word| (*word).to_owned()).collect();
    Command { program: words[0].to_owned(), arguments, ..Command::default() }
}

fn shell(script: &str) -> Command {
    command(&["sh", "-c", script])
}

/// A child at the other end of a connection: the shard's end, how all children are stopped, and how it ends.
struct Pair {
    peer: UnixStream,
    stop: watch::Sender<Stop>,
    end: tokio::task::JoinHandle<Option<(Cause, ExitStatus)>>,
}

fn start(command: Command, grace: Duration) -> Pair {
    let (peer, own) = UnixStream::pair().expect("two sockets");
    let (stop, stopping) = watch::channel(Stop::No);
    let (upstream, command, stopping) = ("test".into(), command.into(), Stopping(stopping));
    let end = tokio::spawn(child::run(Order { upstream, command, grace, stopping }, own));
    Pair { peer, stop, end }
}

/// Long enough that no step of an end is hurried.
const LONG: Duration = Duration::from_secs(60);
/// Short enough to see each step.
const SHORT: Duration = Duration::from_millis(20);

async fn line(peer: &mut UnixStream) -> String {
    let mut text = Vec::new();
    while text.last() != Some(&b'\n') {
        text.push(peer.read_u8().await.expect("a line"));
    }
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn what_is_written_is_input_and_output_is_read() {
    let mut pair = start(command(&["cat"]), LONG);
    pair.peer.write_all(b"{\"a\":1}\n").await.expect("the child reads");
    assert_eq!(line(&mut pair.peer).await, "{\"a\":1}\n");
    drop(pair.peer);
    let (cause, status) = pair.end.await.expect("no panic").expect("it was started");
    assert_eq!((cause, status.code()), (Cause::Eof, Some(0)));
}

#[tokio::test]
async fn a_half_closed_connection_ends_the_input_and_the_answer_still_comes() {
    let mut pair = start(shell("cat > /dev/null; echo done"), LONG);
    pair.peer.shutdown().await.expect("open");
    let mut text = String::new();
    pair.peer.read_to_string(&mut text).await.expect("an orderly end");
    assert_eq!(text, "done\n");
}

#[tokio::test]
async fn a_child_that_ends_ends_the_connection_even_if_others_hold_it() {
    let mut pair = start(shell("sleep 1000 & echo last; exit 7"), LONG);
    let mut text = String::new();
    pair.peer.read_to_string(&mut text).await.expect("an orderly end");
    assert_eq!(text, "last\n");
    let (cause, status) = pair.end.await.expect("no panic").expect("it was started");
    assert_eq!((cause, status.code()), (Cause::Own, Some(7)));
}

#[tokio::test]
async fn a_child_that_does_not_mind_its_input_is_sent_term() {
    let mut pair = start(shell("echo up; exec sleep 1000"), SHORT);
    assert_eq!(line(&mut pair.peer).await, "up\n");
    drop(pair.peer);
    let (cause, status) = pair.end.await.expect("no panic").expect("it was started");
    assert_eq!((cause, status.signal()), (Cause::Signal(Signal::TERM), Some(Signal::TERM.as_raw())));
}

#[tokio::test]
async fn a_child_that_does_not_mind_term_is_killed() {
    let mut pair = start(shell("trap '' TERM; echo up; exec sleep 1000"), SHORT);
    assert_eq!(line(&mut pair.peer).await, "up\n");
    drop(pair.peer);
    let (cause, status) = pair.end.await.expect("no panic").expect("it was started");
    assert_eq!((cause, status.signal()), (Cause::Signal(Signal::KILL), Some(Signal::KILL.as_raw())));
}

#[tokio::test]
async fn a_gentle_stop_ends_the_input_of_a_child_that_is_in_use() {
    let mut pair = start(shell("echo up; cat > /dev/null; exit 3"), LONG);
    assert_eq!(line(&mut pair.peer).await, "up\n");
    pair.stop.send_replace(Stop::Gently);
    let (cause, status) = pair.end.await.expect("no panic").expect("it was started");
    assert_eq!((cause, status.code()), (Cause::Eof, Some(3)));
}

#[tokio::test]
async fn a_stop_at_once_does_not_wait() {
    let mut pair = start(shell("trap '' TERM; echo up; exec sleep 1000"), LONG);
    assert_eq!(line(&mut pair.peer).await, "up\n");
    pair.stop.send_replace(Stop::AtOnce);
    let (cause, _) = pair.end.await.expect("no panic").expect("it was started");
    assert_eq!(cause, Cause::Signal(Signal::KILL));
}

#[tokio::test]
async fn a_child_gets_its_own_variables_and_few_others() {
    let environment = vec![("WEIR_TEST".to_owned(), "1".to_owned())];
    let directory = Some("/".into());
    let mut pair = start(Command { environment, directory, ..shell("pwd; env") }, LONG);
    let mut text = String::new();
    pair.peer.read_to_string(&mut text).await.expect("an orderly end");
    assert!(text.starts_with("/\n") && text.contains("WEIR_TEST=1\n"), "{text}");
    // Cargo sets it for every test.
    assert!(!text.contains("CARGO_MANIFEST_DIR="), "{text}");
}

#[tokio::test]
async fn a_program_that_is_not_there_ends_the_connection_and_is_told() {
    let said = Said::default();
    let guard = said.listen();
    let mut pair = start(command(&["no-such-program"]), LONG);
    assert_eq!(pair.peer.read(&mut [0]).await.ok(), Some(0));
    assert_eq!(pair.end.await.expect("no panic"), None);
    drop(guard);
    assert!(
        said.text().contains("there is no program \"no-such-program\" on PATH; install it"),
        "{}",
        said.text()
    );
}

#[tokio::test]
async fn what_a_child_says_on_standard_error_is_logged_line_by_line_before_its_end() {
    let said = Said::default();
    let guard = said.listen();
    let pair = start(shell("echo one >&2; printf 'two\\033[0m' >&2; exit 1"), LONG);
    pair.end.await.expect("no panic").expect("it was started");
    drop(guard);
    let text = said.text();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("DEBUG")).collect();
    let [one, two, end] = &lines[..] else { panic!("three lines: {text}") };
    assert!(one.contains(" one") && one.contains("upstream=\"test\""), "{one}");
    assert!(two.contains("two\u{fffd}[0m"), "{two}");
    assert!(end.contains("the child ended by itself: exit status: 1"), "{end}");
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let said = self.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || said.clone());
        tracing::subscriber::set_default(log.finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sockets of one upstream with a pool of `size` and no overflow, and its address.
fn spawners(size: u32, command: &str) -> (Vec<Spawner>, SocketAddr) {
    let path = std::env::temp_dir().join(format!("weir-children-{}-{size}.toml", process::id()));
    let text = format!(
        "[[upstream]]\nname = \"test\"\ncommand = [\"sh\", \"-c\", \"{command}\"]\npool = {{ size = {size}, overflow = 0 }}\n"
    );
    std::fs::write(&path, text).expect("a writable folder for temporary files");
    let settings = crate::config::load(Some(Path::new(&path)), &[], &[]);
    let _ = std::fs::remove_file(&path);
    let settings = settings.expect("right");
    let mut config = settings.shard(1, 1_000, 2);
    let spawners = listen(&settings, &mut config, u64::from(size)).expect("a socket");
    let [Target { address: Address::Local(name), kind: TargetKind::Child, .. }] =
        &config.upstreams[0].targets[..]
    else {
        panic!("one target, a child: {config:?}")
    };
    (spawners, SocketAddr::from_abstract_name(&**name).expect("a short name"))
}

fn connect(address: &SocketAddr) -> UnixStream {
    let peer = Peer::connect_addr(address).expect("somebody listens");
    peer.set_nonblocking(true).expect("a socket");
    UnixStream::from_std(peer).expect("a runtime")
}

#[tokio::test]
async fn who_connects_gets_a_child_and_one_too_many_is_refused() {
    let (spawners, address) = spawners(2, "echo up; cat");
    let mut children = Children::start(spawners, LONG).expect("a runtime");
    let (mut one, mut two) = (connect(&address), connect(&address));
    assert_eq!((line(&mut one).await, line(&mut two).await), ("up\n".into(), "up\n".into()));
    let mut three = connect(&address);
    assert_eq!(three.read(&mut [0]).await.ok(), Some(0));
    one.write_all(b"one\n").await.expect("still there");
    assert_eq!(line(&mut one).await, "one\n");
    children.end(Stop::Gently).await;
    assert_eq!(two.read(&mut [0]).await.ok(), Some(0));
    assert!(Peer::connect_addr(&address).is_err());
}

#[tokio::test]
async fn a_stranger_is_refused_and_told_of_once() {
    let (spawners, address) = spawners(3, "echo up; cat");
    let said = Said::default();
    let guard = said.listen();
    let mut children = Children::start(spawners, LONG).expect("a runtime");
    let name = address.as_abstract_name().expect("abstract").to_vec();
    let name = String::from_utf8(name).expect("text");
    let script = format!(
        "import socket\nfor n in range(2):\n s = socket.socket(socket.AF_UNIX)\n s.connect('\\0{name}')\n print(s.recv(1))"
    );
    let python = tokio::process::Command::new("python3").args(["-c", &script]).output().await;
    children.end(Stop::AtOnce).await;
    drop(guard);
    let output = python.expect("python3, as all suites need it");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "b''\nb''\n", "{output:?}");
    assert_eq!(said.text().matches("another process wants a child").count(), 1, "{}", said.text());
}
