//! Clients that mean harm, to be run beside clients that do not: connections that stay silent, heads that never
//! end, reconnects without pause, one client that sends far more than it may. What they are answered is counted and
//! not judged.

mod attacker;
mod source;

use std::{
    cell::Cell,
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{error::Error, net::Target, report::OutputArgs, storm::source::Sources};

/// How often what is due is begun.
const PERIOD: Duration = Duration::from_millis(2);

/// Connections that are opened per second until all that are to be held are there.
const OPENING_RATE: f64 = 5_000.0;

/// Reconnects that may be under way at once; what would come on top is left out, and counted.
const RECONNECTS_MAX: u64 = 4_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the WebSockets of the server are
    #[arg(long, default_value = "ws://127.0.0.1:4002/mcp/ws")]
    url: String,
    /// Connections that never say anything; one that is closed is opened again
    #[arg(long, default_value_t = 0)]
    silent: u32,
    /// Connections that send a head, a byte a second; one that is closed is opened again
    #[arg(long, default_value_t = 0)]
    slow: u32,
    /// Upgrades per second; each connection is reset once it is answered
    #[arg(long, default_value_t = 0.0)]
    reconnects: f64,
    /// Messages per second that one client sends
    #[arg(long, default_value_t = 0.0)]
    flood: f64,
    /// Loopback addresses that the others come from, each of them in turn
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    addresses: u32,
    /// How long it lasts
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    #[command(flatten)]
    output: OutputArgs,
}

/// Attacks for as long as it was told to. Whatever the server does, there are no errors. Runs on
/// epoll.
pub(crate) async fn run(args: Args) -> Result<u64, Error> {
    let target = Target { nonblocking: true, ..args.url.parse()? };
    let sources = Sources::new(args.addresses);
    let storm = Rc::new(Storm { target, sources, tally: Tally::default() });
    if args.flood > 0.0 {
        monoio::spawn(attacker::flood(storm.clone(), args.flood));
    }
    let (held, begins) = (args.silent + args.slow, Instant::now());
    let ends = begins + Duration::from_secs_f64(args.seconds);
    let due = |rate: f64, now: Instant| (rate * (now - begins).as_secs_f64()) as u64;
    let (mut opened, mut reconnects) = (0, 0);
    while let now = Instant::now()
        && now < ends
    {
        while opened < held && u64::from(opened) < due(OPENING_RATE, now) {
            monoio::spawn(attacker::hold(storm.clone(), opened, opened >= args.silent));
            opened += 1;
        }
        while reconnects < due(args.reconnects, now) {
            storm.reconnect(reconnects);
            reconnects += 1;
        }
        monoio::time::sleep(PERIOD).await;
    }
    args.output.emit(&storm.tally.figures(args.seconds))?;
    Ok(0)
}

/// What the attackers share.
struct Storm {
    target: Target,
    sources: Sources,
    tally: Tally,
}

impl Storm {
    fn reconnect(self: &Rc<Self>, number: u64) {
        let tally = &self.tally;
        if tally.reconnecting.get() >= RECONNECTS_MAX {
            return add(&tally.left_out);
        }
        monoio::spawn(attacker::reconnect(self.clone(), number));
    }
}

/// Counters of a run.
#[derive(Default)]
struct Tally {
    /// Held connections that are open now, and the most there were.
    open: Cell<u64>,
    open_peak: Cell<u64>,
    /// Held connections that the server ended.
    ended: Cell<u64>,
    /// Connections that could not be opened.
    failed: Cell<u64>,
    reconnecting: Cell<u64>,
    upgraded: Cell<u64>,
    refused: Cell<u64>,
    /// Reconnects that got no answer.
    unanswered: Cell<u64>,
    left_out: Cell<u64>,
    sent: Cell<u64>,
    served: Cell<u64>,
    limited: Cell<u64>,
    /// How often the client that sends too much was cut off.
    cut_off: Cell<u64>,
}

fn add(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl Tally {
    fn figures(&self, seconds: f64) -> Figures {
        Figures {
            seconds,
            held_peak: self.open_peak.get(),
            held_ended: self.ended.get(),
            connects_failed: self.failed.get(),
            reconnects_upgraded: self.upgraded.get(),
            reconnects_refused: self.refused.get(),
            reconnects_unanswered: self.unanswered.get(),
            reconnects_left_out: self.left_out.get(),
            flood_sent: self.sent.get(),
            flood_served: self.served.get(),
            flood_limited: self.limited.get(),
            flood_cut_off: self.cut_off.get(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    seconds: f64,
    held_peak: u64,
    held_ended: u64,
    connects_failed: u64,
    reconnects_upgraded: u64,
    reconnects_refused: u64,
    reconnects_unanswered: u64,
    reconnects_left_out: u64,
    flood_sent: u64,
    flood_served: u64,
    flood_limited: u64,
    flood_cut_off: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held_peak, held_ended, connects_failed, .. } = self;
        writeln!(
            f,
            "held         {held_peak} at once; {held_ended} ended by the server, {connects_failed} failed"
        )?;
        let rate = (self.reconnects_upgraded + self.reconnects_refused) as f64 / self.seconds;
        writeln!(
            f,
            "reconnects   {rate:.0}/s answered: {} upgraded, {} refused; {} unanswered, {} left out",
            self.reconnects_upgraded,
            self.reconnects_refused,
            self.reconnects_unanswered,
            self.reconnects_left_out
        )?;
        write!(
            f,
            "flood        {} messages: {} served, {} over the limit; cut off {} times",
            self.flood_sent, self.flood_served, self.flood_limited, self.flood_cut_off
        )
    }
}
