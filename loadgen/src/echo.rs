//! Request and reply: every user sends, and checks that its own replies come back, once and in order.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs,
    future::{Future, poll_fn},
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    str::FromStr,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use monoio::{io::AsyncReadRent, net::UnixStream};

use crate::{
    error::Error,
    gauge::{Gauge, TimedWindow, WindowArgs},
    net::{Inbox, Target},
    report::OutputArgs,
    slices::{self, Gate},
    wire::{self, Payload, Sender},
};

/// Requests that one user may have open before an open-loop run counts as unsustainable.
const BACKLOG_MAX: usize = 10_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the users connect
    #[arg(long, default_value = "ws://127.0.0.1:4002/mcp/ws")]
    url: String,
    /// Connections, one task each
    #[arg(long, default_value_t = 1_000)]
    users: u32,
    /// Closed loop: messages sent in one write, the next after all their replies
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// Open loop: messages per second of all users; latency counts from the intended start
    #[arg(long, conflicts_with = "in_flight")]
    rate: Option<f64>,
    /// mcp-ping, raw:BYTES (WebSocket text) or tcp:BYTES (no WebSocket)
    #[arg(long, default_value = "mcp-ping", value_parser = Payload::from_str)]
    payload: Payload,
    /// A file with a token on each line, which go to the users in turn, in the URL's query
    #[arg(long)]
    tokens: Option<PathBuf>,
    /// Closed loop: load only when told. Each line on stdin is a slice of so many milliseconds, and
    /// is answered with the number of messages so far
    #[arg(long, conflicts_with_all = ["rate", "seconds", "warmup", "pid", "json"])]
    slices: bool,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Connects all users, then loads; says how many users met an error.
pub(crate) async fn run(args: Args) -> Result<u64, Error> {
    let targets = targets(args.url.parse()?, args.tokens.as_deref())?;
    let (gauge, gate) = (Gauge::new(), Gate::new(args.slices));
    let mut users = Vec::new();
    for (number, target) in (0..args.users).zip(targets.iter().cycle()) {
        let (inbox, sender) = wire::open(target, number, args.payload).await?;
        let schedule = Rc::default();
        let (open, gauge, gate) = (VecDeque::new(), gauge.clone(), gate.clone());
        users.push(User { inbox, sender, schedule, open, next: 0, gauge, gate });
    }
    let schedules: Vec<_> = users.iter().map(|user| user.schedule.clone()).collect();
    for user in users {
        monoio::spawn(user.live(args.rate.is_none().then_some(args.in_flight)));
    }
    if args.slices {
        let begin = || schedules.iter().for_each(|schedule| schedule.burst(args.in_flight));
        slices::serve(&gate, &gauge, begin).await?;
        return Ok(gauge.errors());
    }
    let mut window = TimedWindow::open(&gauge, &args.window);
    match args.rate {
        None => window.wait().await?,
        Some(rate) => dispatch(rate, &schedules, &mut window).await?,
    }
    if let Some(load) = window.load()? {
        args.output.emit(&load)?;
    }
    Ok(gauge.errors())
}

/// Where the users connect: one place, or as many as there are tokens.
fn targets(target: Target, tokens: Option<&Path>) -> Result<Vec<Target>, Error> {
    let Some(file) = tokens else { return Ok(vec![target]) };
    let tokens = fs::read_to_string(file).map_err(Error::io("read the tokens"))?;
    let with = |token: &str| Target { path: format!("{}?token={token}", target.path), ..target.clone() };
    Ok(tokens.lines().map(with).collect())
}

/// When a user's next messages were meant to start.
#[derive(Default)]
struct Schedule {
    due: RefCell<VecDeque<Instant>>,
    waker: RefCell<Option<Waker>>,
}

impl Schedule {
    fn push(&self, at: Instant) {
        self.due.borrow_mut().push_back(at);
        self.wake();
    }

    /// `count` messages, now.
    fn burst(&self, count: u32) {
        let now = Instant::now();
        self.due.borrow_mut().extend((0..count).map(|_| now));
        self.wake();
    }

    fn is_due(&self) -> bool {
        !self.due.borrow().is_empty()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Gives each user its turn at an even rate. Spins: timers have a resolution of a millisecond.
async fn dispatch(rate: f64, schedules: &[Rc<Schedule>], window: &mut TimedWindow) -> Result<(), Error> {
    let period = Duration::from_secs_f64(1.0 / rate);
    let start = Instant::now();
    let mut sent = 0u32;
    let mut users = schedules.iter().cycle();
    let mut turn = Turn::new()?;
    loop {
        let now = Instant::now();
        if !window.tick(now)? {
            return Ok(());
        }
        while let due = start + period * sent
            && due <= now
        {
            if let Some(schedule) = users.next() {
                schedule.push(due);
            }
            sent += 1;
        }
        turn.pass().await;
    }
}

/// One turn of the loop: all other tasks and the ring's completions come first.
struct Turn {
    at_end: UnixStream,
    byte: Vec<u8>,
}

impl Turn {
    fn new() -> Result<Self, Error> {
        let (at_end, _) = UnixStream::pair().map_err(Error::io("make a socket pair"))?;
        Ok(Self { at_end, byte: Vec::with_capacity(1) })
    }

    /// Reads at the end of a stream, which completes at once. A task that wakes itself would be
    /// the runtime's next one, and the only one.
    async fn pass(&mut self) {
        let (_, byte) = self.at_end.read(std::mem::take(&mut self.byte)).await;
        self.byte = byte;
    }
}

struct User {
    inbox: Inbox,
    sender: Sender,
    schedule: Rc<Schedule>,
    /// Requests without a reply: number, intended start.
    open: VecDeque<(u64, Instant)>,
    next: u64,
    gauge: Gauge,
    gate: Gate,
}

impl User {
    /// Sends and receives until something fails. With `burst`, a closed loop of that many.
    async fn live(mut self, burst: Option<u32>) {
        if let Err(error) = self.serve(burst).await {
            self.gauge.error(error);
        }
    }

    async fn serve(&mut self, burst: Option<u32>) -> Result<(), Error> {
        loop {
            if let Some(burst) = burst
                && self.open.is_empty()
                && self.gate.is_open()
                && !self.schedule.is_due()
            {
                self.schedule.burst(burst);
            }
            self.exchange().await?;
            self.receive()?;
        }
    }

    /// Sends all that is due, and what becomes due until bytes arrive.
    async fn exchange(&mut self) -> Result<(), Error> {
        let Self { inbox, sender, schedule, open, next, gauge, gate } = self;
        let mut fill = pin!(inbox.fill());
        loop {
            while let Some(at) = schedule.due.borrow_mut().pop_front() {
                sender.queue(*next);
                open.push_back((*next, at));
                *next += 1;
                gate.sent(1);
            }
            if open.len() > BACKLOG_MAX {
                return Err(Error::Check("the server does not keep up with --rate".to_owned()));
            }
            gauge.bytes_out(sender.flush().await?);
            let received = poll_fn(|context| match fill.as_mut().poll(context) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if schedule.is_due() => Poll::Ready(None),
                Poll::Pending => {
                    *schedule.waker.borrow_mut() = Some(context.waker().clone());
                    Poll::Pending
                }
            });
            if let Some(result) = received.await {
                return result;
            }
        }
    }

    /// Counts the replies that have come.
    fn receive(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let (mut replies, mut bytes) = (0, 0);
        while let Some(&(number, at)) = self.open.front() {
            let Some(len) = self.sender.reply(&mut self.inbox, number)? else { break };
            self.open.pop_front();
            self.gauge.latency(now.saturating_duration_since(at));
            replies += 1;
            bytes += len;
        }
        self.gauge.messages(replies);
        self.gate.answered(replies);
        self.gauge.bytes_in(bytes);
        match self.open.is_empty() && !self.inbox.bytes().is_empty() {
            true => Err(Error::Check("bytes came that nobody asked for".to_owned())),
            false => Ok(()),
        }
    }
}
