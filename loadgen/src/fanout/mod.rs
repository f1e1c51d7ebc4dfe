//! One message to thousands of subscribers: how many deliveries, and how long until the last one.

mod nats;
mod publisher;
mod subscriber;

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use clap::ValueEnum;

use crate::{
    error::Error,
    gauge::{Gauge, TimedWindow, WindowArgs},
    net::Target,
    progress::Progress,
    report::OutputArgs,
};

use publisher::Publisher;
use subscriber::Subscriber;

/// From the last subscription to the first message. `bare` does not confirm a subscription.
const SETTLE: Duration = Duration::from_millis(500);

/// Deliveries that are not there after this long are lost.
const ROUND_TIMEOUT: Duration = Duration::from_secs(10);

/// Digits of the number that begins each payload.
const NUMBER_DIGITS: usize = 8;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where subscribers and publisher connect
    #[arg(long, default_value = "ws://127.0.0.1:4002/mcp/ws")]
    url: String,
    /// Which server is there
    #[arg(long, value_enum, default_value_t = Peer::Weir)]
    peer: Peer,
    /// Subscribers, one connection and one task each
    #[arg(long, default_value_t = 5_000)]
    subscribers: u32,
    /// Payload of a message; with bare, the whole frame
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(8..))]
    payload_bytes: u32,
    /// Messages published at once; the next ones after the last delivery
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The server's kind.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Peer {
    /// Phoenix V2 subscribers of `topic:bench`, publisher over HTTP
    Weir,
    /// NATS protocol over WebSocket, both ways
    Nats,
    /// WebSocket at /sub?id=bench, publisher posts to /pub?id=bench
    Nchan,
    /// TCP: every byte that the publisher sends is one frame to each subscriber
    Bare,
}

/// Subscribes, then publishes in rounds; says how many errors there were.
pub(crate) async fn run(args: Args) -> Result<u64, Error> {
    let target: Target = args.url.parse()?;
    let gauge = Gauge::new();
    let round = Rc::new(Round::default());
    let payload_bytes = args.payload_bytes as usize;
    // The publisher first: `bare` takes the first connection for the one that commands.
    let mut publisher = Publisher::connect(args.peer, &target, payload_bytes).await?;
    let mut progress = Progress::counted(args.subscribers.into());
    for number in 0..args.subscribers {
        let subscriber = Subscriber::connect(args.peer, &target, number, payload_bytes).await?;
        monoio::spawn(receive(subscriber, gauge.clone(), round.clone()));
        progress.show(Instant::now(), number.into(), 0);
    }
    progress.finish();
    monoio::time::sleep(SETTLE).await;
    let mut window = TimedWindow::open(&gauge, &args.window);
    while window.tick(Instant::now())? && gauge.errors() == 0 {
        let start = Instant::now();
        round.begin(u64::from(args.subscribers) * u64::from(args.in_flight));
        publisher.publish(args.in_flight).await?;
        if monoio::time::timeout(ROUND_TIMEOUT, round.ended()).await.is_err() {
            let missing = round.missing.get();
            return Err(Error::Check(format!("{missing} deliveries are missing after {ROUND_TIMEOUT:?}")));
        }
        gauge.latency(round.last.get().unwrap_or(start) - start);
    }
    match window.load()? {
        Some(load) => args.output.emit(&load)?,
        None => eprintln!("weir-loadgen: {}", gauge.first_error().unwrap_or_default()),
    }
    Ok(gauge.errors())
}

/// Counts deliveries until something fails.
async fn receive(mut subscriber: Subscriber, gauge: Gauge, round: Rc<Round>) {
    loop {
        match subscriber.receive().await {
            Ok((deliveries, bytes)) => {
                gauge.messages(deliveries);
                gauge.bytes_in(bytes);
                round.delivered(deliveries);
            }
            Err(error) => {
                gauge.error(error);
                round.give_up();
                return;
            }
        }
    }
}

/// The deliveries that the messages published last still owe.
#[derive(Default)]
struct Round {
    missing: Cell<u64>,
    last: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

impl Round {
    fn begin(&self, deliveries: u64) {
        self.missing.set(deliveries);
    }

    fn delivered(&self, count: u64) {
        let missing = self.missing.get().saturating_sub(count);
        self.missing.set(missing);
        if missing == 0 {
            self.last.set(Some(Instant::now()));
            self.wake();
        }
    }

    fn give_up(&self) {
        self.missing.set(0);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    async fn ended(&self) {
        poll_fn(|context| {
            if self.missing.get() == 0 {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
