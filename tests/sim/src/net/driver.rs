//! Does what a shard asks, as `weir_ring::op` documents it, and says so when a shard breaks that contract.

use weir_ring::op::{Op, Output, RecvMode};
use weir_ring::token::{Address, Listener, Member, Socket, Token, Transfer};

use super::port::{Drain, Item, Sock};
use super::{Client, Place, errno, outbound};
use crate::disk;
use crate::fault::Fault;
use crate::history::Fact;
use crate::options::MS;
use crate::pipe::End;
use crate::stage::{Event, Stage};
use crate::text::Text;

/// Work that takes the kernel a while.
#[derive(Clone, Debug)]
pub enum Job {
    /// A connect reaches its address.
    Connect { token: Token, to: Address },
    /// The shard learns that it is connected.
    Connected { token: Token, socket: u32 },
    /// The shard learns that it is not.
    NotConnected { token: Token, errno: i32 },
    /// A close comes through.
    Close { token: Token, socket: u32 },
    /// A hand-over is decided.
    Move { token: Token, socket: u32, to: usize, transfer: Transfer },
    /// The giver learns that its socket left.
    Left { token: Token, socket: u32 },
    /// The taker gets it.
    Arrive { transfer: Transfer, socket: u32 },
    /// The log has what was appended, or has not.
    Append,
}

/// Runs one turn's operations in their order.
pub fn execute(stage: &mut Stage, shard: usize, out: &mut Output) {
    for op in std::mem::take(&mut out.ops) {
        stage.history.note(|| format!("shard {shard} asks {}", shown(&op, out)));
        match op {
            Op::Accept { listener } => accept(stage, shard, listener),
            Op::StopAccept { listener } => stop_accept(stage, shard, listener),
            Op::Connect { token, to } => outbound::connect(stage, shard, token, to),
            Op::Recv { token, socket, mode } => recv(stage, shard, token, socket, mode),
            Op::Send { token, socket, source } => send(stage, shard, (token, socket), out.bytes(source)),
            Op::Drain { token, socket, bytes } => drain(stage, shard, (token, socket), bytes),
            Op::Shutdown { token, socket } => shutdown(stage, shard, (token, socket)),
            Op::Close { token, socket } => close(stage, shard, (token, socket)),
            Op::HandOver { token, socket, to, transfer } => {
                hand_over(stage, shard, (token, socket), to, transfer);
            }
            Op::Append { segment, bytes } => disk::append(stage, shard, segment, bytes),
            Op::Discard { series, segment } => disk::discard(stage, shard, (series, segment)),
        }
    }
}

fn shown(op: &Op, out: &Output) -> String {
    match op {
        Op::Send { token, socket, source } => {
            format!("Send {token:?} {socket:?} {:?}", Text(out.bytes(*source)))
        }
        Op::Drain { token, socket, bytes } => {
            format!("Drain {token:?} {socket:?} {:?}", Text(bytes.as_slice()))
        }
        Op::Append { segment, bytes } => format!("Append {segment} {:?}", Text(bytes.as_slice())),
        op => format!("{op:?}"),
    }
}

pub(crate) fn broken(stage: &mut Stage, shard: usize, what: &str, about: impl std::fmt::Debug) {
    stage.history.contract(format!("shard {shard}: {what} ({about:?})"));
}

/// The socket an operation names, if the operation may name it.
fn named<'a>(stage: &'a mut Stage, shard: usize, name: (Token, Socket), op: &str) -> Option<&'a mut Sock> {
    let (token, socket) = name;
    let wrong = match stage.net.ports[shard].sock(socket.0) {
        None => Some("names a socket that is not open"),
        Some(sock) if sock.closing => Some("comes after Close"),
        Some(sock) if sock.moving => Some("comes during HandOver"),
        Some(sock) if sock.token.is_none() && !matches!(op, "Recv" | "Close") => {
            Some("comes before the first Recv")
        }
        Some(sock) if op != "Recv" && sock.token.is_some_and(|known| known != token) => {
            Some("comes in another token's name")
        }
        Some(_) => None,
    };
    if let Some(wrong) = wrong {
        broken(stage, shard, &format!("{op} {wrong}"), name);
        return None;
    }
    stage.net.ports[shard].sock(socket.0)
}

/// Adds a completion and wakes the shard.
pub(crate) fn complete(stage: &mut Stage, shard: usize, item: Item) {
    stage.net.ports[shard].queue.push_back(item);
    let due = stage.soon(30_000);
    stage.at(due, Event::Turn { shard });
}

pub(crate) fn job(stage: &mut Stage, shard: usize, job: Job, span: u64) {
    stage.net.jobs.push(job);
    let event = Event::Finish { shard, job: stage.net.jobs.len() - 1 };
    let due = stage.soon(span);
    stage.at(due, event);
}

fn accept(stage: &mut Stage, shard: usize, listener: Listener) {
    if listener.0 >= stage.options.config.listeners {
        return broken(stage, shard, "Accept on a listener there is not", listener);
    }
    let accepting = stage.net.ports[shard].listener(usize::from(listener.0));
    if accepting.armed {
        return broken(stage, shard, "Accept on a listener that accepts", listener);
    }
    accepting.armed = true;
    let due = stage.soon(100_000);
    stage.at(due, Event::Accept { shard });
}

fn stop_accept(stage: &mut Stage, shard: usize, listener: Listener) {
    let accepting = stage.net.ports[shard].listener(usize::from(listener.0));
    if std::mem::take(&mut accepting.armed) {
        complete(stage, shard, Item::AcceptFailed { listener: listener.0, errno: errno::ECANCELED });
    }
}

/// Accepts what waits in the backlogs of `shard`.
pub fn accept_some(stage: &mut Stage, shard: usize) {
    for listener in 0..stage.options.config.listeners {
        while stage.net.ports[shard].listener(usize::from(listener)).armed {
            let Some(conn) = stage.net.ports[shard].listener(usize::from(listener)).backlog.front().copied()
            else {
                break;
            };
            let refused = stage.rng.chance(stage.weather.accept_failed);
            let socket = if refused { None } else { stage.net.ports[shard].open(conn) };
            let accepting = stage.net.ports[shard].listener(usize::from(listener));
            let Some(socket) = socket else {
                accepting.armed = false;
                stage.faults.count(Fault::AcceptFailed);
                let errno = if refused { errno::EMFILE } else { errno::ENFILE };
                complete(stage, shard, Item::AcceptFailed { listener, errno });
                break;
            };
            accepting.backlog.pop_front();
            stage.net.conns[conn].place = Place::Socket { shard, socket };
            let peer = super::address(stage.net.conns[conn].owner, stage.options.hosts);
            complete(stage, shard, Item::Accepted { listener, socket, peer });
        }
    }
}

fn recv(stage: &mut Stage, shard: usize, token: Token, socket: Socket, mode: RecvMode) {
    let racing = stage.rng.chance(stage.weather.racing_recv);
    let Some(sock) = named(stage, shard, (token, socket), "Recv") else { return };
    sock.token = Some(token);
    let armed = sock.mode != RecvMode::Off && sock.mode != mode;
    if sock.next.is_some() || (racing && armed) {
        sock.next = Some(mode);
        let life = sock.life;
        let due = stage.soon(2 * MS);
        stage.at(due, Event::Settle { shard, socket: socket.0, life });
    } else {
        sock.mode = mode;
        feed(stage, shard, socket.0);
    }
}

/// The mode that was asked for takes effect.
pub fn settle(stage: &mut Stage, shard: usize, socket: u32, life: u32) {
    if let Some(sock) = stage.net.ports[shard].sock(socket)
        && sock.life == life
        && let Some(mode) = sock.next.take()
    {
        sock.mode = mode;
        feed(stage, shard, socket);
    }
}

/// Reports input as the mode of the socket says.
fn feed(stage: &mut Stage, shard: usize, socket: u32) {
    let now = stage.now;
    loop {
        let Some(sock) = stage.net.ports[shard].sock(socket) else { return };
        let (Some(token), RecvMode::Once | RecvMode::Stream | RecvMode::Park) = (sock.token, sock.mode)
        else {
            return;
        };
        let up = &mut stage.net.conns[sock.conn].up;
        up.settle(now);
        if !up.has_news(now) {
            return;
        }
        if sock.next.is_some() || sock.closing || sock.moving {
            stage.faults.count(Fault::RacingRecv);
        }
        if sock.mode == RecvMode::Park {
            sock.mode = RecvMode::Off;
            return complete(stage, shard, Item::Readable { token });
        }
        if sock.mode == RecvMode::Once {
            sock.mode = RecvMode::Off;
        }
        if up.ready() > 0 {
            let bytes = Text(up.read(stage.rng.between(1, stage.weather.recv_max) as usize));
            complete(stage, shard, Item::Received { token, bytes });
        } else {
            sock.mode = RecvMode::Off;
            let errno = up.ended(now).and_then(|end| match end {
                End::Orderly => None,
                End::Broken(errno) => Some(errno),
            });
            return complete(stage, shard, Item::Ended { token, errno });
        }
    }
}

/// Bytes or an end arrived at the server.
pub fn arrived(stage: &mut Stage, conn: usize) {
    if let Place::Socket { shard, socket } = stage.net.conns[conn].place {
        feed(stage, shard, socket);
        push_drain(stage, shard, socket);
    }
}

fn send(stage: &mut Stage, shard: usize, name: (Token, Socket), bytes: &[u8]) {
    let turn = stage.net.ports[shard].turns;
    let Some(sock) = named(stage, shard, name, "Send") else { return };
    let wrong = if sock.sent_in == turn {
        Some("second Send of a turn")
    } else if sock.drain.is_some() || sock.unsent {
        Some("Send before Drained")
    } else if sock.shut {
        Some("Send after Shutdown")
    } else if bytes.is_empty() {
        Some("empty Send")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return broken(stage, shard, wrong, name);
    }
    sock.sent_in = turn;
    let conn = sock.conn;
    let (placed, errno) = place(stage, conn, bytes, true);
    if placed < bytes.len() {
        if let Some(sock) = stage.net.ports[shard].sock(name.1.0) {
            sock.unsent = true;
        }
        let tail = Text(bytes[placed..].to_vec());
        complete(stage, shard, Item::Unsent { token: name.0, tail, errno });
    }
}

/// Puts what fits into the pipe to the client; says how much, and what broke.
fn place(stage: &mut Stage, conn: usize, bytes: &[u8], may_be_short: bool) -> (usize, Option<i32>) {
    let Stage { net, weather, rng, faults, now, .. } = stage;
    let it = &mut net.conns[conn];
    if it.client == Client::Closed {
        // The first bytes to a closed peer bring its RST; they themselves seem to go out.
        if it.up.finish(End::Broken(errno::ECONNRESET), *now) > *now && may_be_short {
            stage.at(stage.now + 10_000, Event::ArriveUp { conn });
            return (bytes.len(), None);
        }
        return (0, Some(errno::EPIPE));
    }
    let mut fits = bytes.len().min(it.down.room());
    if fits < bytes.len() {
        faults.count(Fault::FullPipe);
    } else if may_be_short && rng.chance(weather.short_send) {
        faults.count(Fault::ShortSend);
        fits = rng.index(fits);
    }
    let mut due = Vec::new();
    it.down.write(&bytes[..fits], *now, weather, (rng, faults), |at| due.push(at));
    for at in due {
        stage.at(at, Event::ArriveDown { conn });
    }
    (fits, None)
}

fn drain(stage: &mut Stage, shard: usize, name: (Token, Socket), bytes: Vec<u8>) {
    let turn = stage.net.ports[shard].turns;
    let limit = stage.options.queue_bytes_max() + stage.options.config.message_bytes_max + 4096;
    if bytes.len() > limit {
        stage.history.bound(format!("shard {shard} drains {} bytes, more than {limit}", bytes.len()));
    }
    let Some(sock) = named(stage, shard, name, "Drain") else { return };
    let wrong = if sock.sent_in == turn {
        Some("Drain in the turn of a Send")
    } else if sock.drain.is_some() {
        Some("Drain before Drained")
    } else if sock.shut {
        Some("Drain after Shutdown")
    } else if bytes.is_empty() {
        Some("empty Drain")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return broken(stage, shard, wrong, name);
    }
    sock.sent_in = turn;
    sock.unsent = false;
    sock.drain = Some(Drain { token: name.0, bytes, placed: 0 });
    push_drain(stage, shard, name.1.0);
}

/// Gives the pipe as much of a `Drain` as it takes.
fn push_drain(stage: &mut Stage, shard: usize, socket: u32) {
    let Some(sock) = stage.net.ports[shard].sock(socket) else { return };
    let conn = sock.conn;
    let Some(mut drain) = sock.drain.take() else { return };
    let (placed, errno) = place(stage, conn, &drain.bytes[drain.placed..], false);
    drain.placed += placed;
    if errno.is_some() || drain.placed == drain.bytes.len() {
        complete(stage, shard, Item::Drained { token: drain.token, errno });
    } else if let Some(sock) = stage.net.ports[shard].sock(socket) {
        sock.drain = Some(drain);
    }
}

/// The client has read: there is room for more of a `Drain`.
pub fn drained_some(stage: &mut Stage, conn: usize) {
    if let Place::Socket { shard, socket } = stage.net.conns[conn].place {
        push_drain(stage, shard, socket);
    }
}

fn shutdown(stage: &mut Stage, shard: usize, name: (Token, Socket)) {
    let Some(sock) = named(stage, shard, name, "Shutdown") else { return };
    if sock.drain.is_some() || sock.unsent {
        return broken(stage, shard, "Shutdown before Drained", name);
    }
    sock.shut = true;
    let conn = sock.conn;
    note_close(stage, shard, name.0, conn);
    finish_down(stage, conn, End::Orderly);
}

/// The shard begins to close a connection: has it read everything?
fn note_close(stage: &mut Stage, shard: usize, closer: Token, conn: usize) {
    let of = |item: &Item| matches!(item, Item::Received { token, .. } if *token == closer);
    let unread = stage.net.ports[shard].queue.iter().any(of) || stage.net.conns[conn].up.has_unread();
    let now = stage.now;
    stage.net.conns[conn].closed.get_or_insert((now, unread));
}

fn finish_down(stage: &mut Stage, conn: usize, end: End) {
    let due = stage.net.conns[conn].down.finish(end, stage.now);
    stage.at(due, Event::ArriveDown { conn });
}

fn close(stage: &mut Stage, shard: usize, name: (Token, Socket)) {
    let racing = stage.rng.chance(stage.weather.racing_recv);
    let Some(sock) = named(stage, shard, name, "Close") else { return };
    sock.closing = true;
    sock.next = None;
    if !racing {
        sock.mode = RecvMode::Off;
    }
    let conn = sock.conn;
    if let Some(drain) = sock.drain.take() {
        complete(stage, shard, Item::Drained { token: drain.token, errno: Some(errno::ECANCELED) });
    }
    note_close(stage, shard, name.0, conn);
    let unread = stage.net.conns[conn].up.has_unread();
    let end = if unread && stage.rng.chance(stage.weather.close_reset) {
        stage.faults.count(Fault::CloseReset);
        End::Broken(errno::ECONNRESET)
    } else {
        End::Orderly
    };
    finish_down(stage, conn, end);
    job(stage, shard, Job::Close { token: name.0, socket: name.1.0 }, 2 * MS);
}

fn hand_over(stage: &mut Stage, shard: usize, name: (Token, Socket), to: Member, transfer: Transfer) {
    let turn = stage.net.ports[shard].turns;
    let to = usize::from(to.0);
    if to > stage.net.ports.len() || to == shard {
        return broken(stage, shard, "HandOver to no other member", to);
    }
    let racing = stage.rng.chance(stage.weather.racing_recv);
    let Some(sock) = named(stage, shard, name, "HandOver") else { return };
    if sock.drain.is_some() || sock.unsent || sock.sent_in == turn || sock.shut {
        return broken(stage, shard, "HandOver with a send under way", name);
    }
    sock.moving = true;
    sock.next = None;
    // A recv may go on until the move. A poll that has fired is not told of any more.
    if !racing || sock.mode == RecvMode::Park {
        sock.mode = RecvMode::Off;
    }
    let queue = &mut stage.net.ports[shard].queue;
    queue.retain(|item| !matches!(item, Item::Readable { token } if *token == name.0));
    job(stage, shard, Job::Move { token: name.0, socket: name.1.0, to, transfer }, 2 * MS);
}

/// A job is done.
pub fn finish(stage: &mut Stage, shard: usize, number: usize) {
    if number < stage.net.jobs_void {
        return;
    }
    match stage.net.jobs[number].clone() {
        Job::Connect { token, to } => outbound::decide(stage, shard, token, &to),
        Job::Connected { token, socket } => outbound::connected(stage, shard, token, socket),
        Job::NotConnected { token, errno } => outbound::failed(stage, shard, token, errno),
        Job::Close { token, socket } => {
            if let Some(conn) = stage.net.ports[shard].sock(socket).map(|sock| sock.conn) {
                stage.net.conns[conn].place = Place::Gone;
                stage.history.add(Fact::Released { conn });
            }
            stage.net.ports[shard].release(socket);
            complete(stage, shard, Item::Closed { token });
            let due = stage.soon(100_000);
            stage.at(due, Event::Accept { shard });
        }
        Job::Move { token, socket, to, transfer } => move_socket(stage, shard, (token, socket), to, transfer),
        Job::Left { token, socket } => {
            stage.net.ports[shard].release(socket);
            complete(stage, shard, Item::HandedOver { token, errno: None });
        }
        Job::Append => disk::appended(stage, shard),
        Job::Arrive { transfer, socket } => complete(stage, shard, Item::Arrived { transfer, socket }),
    }
}

fn move_socket(stage: &mut Stage, from: usize, name: (Token, u32), to: usize, transfer: Transfer) {
    let (token, socket) = name;
    let failed = stage.rng.chance(stage.weather.hand_over_failed);
    let Some(sock) = stage.net.ports[from].sock(socket) else { return };
    sock.mode = RecvMode::Off;
    let conn = sock.conn;
    if to == stage.net.ports.len() && !failed {
        stage.net.conns[conn].place = Place::Landed;
        stage.net.landed.push((transfer, conn));
        return job(stage, from, Job::Left { token, socket }, 3 * MS);
    }
    let target = if failed { None } else { stage.net.ports[to].open(conn) };
    if let Some(target) = target {
        stage.net.conns[conn].place = Place::Socket { shard: to, socket: target };
        job(stage, from, Job::Left { token, socket }, 3 * MS);
        job(stage, to, Job::Arrive { transfer, socket: target }, 3 * MS);
    } else {
        stage.faults.count(Fault::HandOverFailed);
        if let Some(sock) = stage.net.ports[from].sock(socket) {
            sock.moving = false;
        }
        complete(stage, from, Item::HandedOver { token, errno: Some(errno::ENFILE) });
    }
}
