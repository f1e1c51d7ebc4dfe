//! What a run counts, and the window of time in which it counts.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{
    error::Error,
    process,
    progress::Progress,
    report::{Latency, Load, Usage},
};

/// Latencies above this are recorded as this.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// How often the waiting side of a run looks at the clock.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Counters that all users of a run share. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Gauge(Rc<Counters>);

struct Counters {
    measuring: Cell<bool>,
    messages: Cell<u64>,
    errors: Cell<u64>,
    first_error: RefCell<Option<Error>>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    latency: RefCell<Histogram<u64>>,
}

impl Gauge {
    /// Counts nothing yet.
    pub(crate) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("constant bounds are valid");
        Self(Rc::new(Counters {
            measuring: Cell::new(false),
            messages: Cell::new(0),
            errors: Cell::new(0),
            first_error: RefCell::new(None),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            latency: RefCell::new(latency),
        }))
    }

    /// `count` messages arrived.
    pub(crate) fn messages(&self, count: u64) {
        self.0.messages.set(self.0.messages.get() + count);
    }

    /// Bytes of the measured messages, to size the payload of `bare`.
    pub(crate) fn bytes_in(&self, count: usize) {
        self.0.bytes_in.set(self.0.bytes_in.get() + count as u64);
    }

    /// See [`Gauge::bytes_in`].
    pub(crate) fn bytes_out(&self, count: usize) {
        self.0.bytes_out.set(self.0.bytes_out.get() + count as u64);
    }

    /// One latency, kept only inside the window.
    pub(crate) fn latency(&self, taken: Duration) {
        if self.0.measuring.get() {
            self.0.latency.borrow_mut().saturating_record(taken.as_nanos() as u64);
        }
    }

    /// Counts an error and keeps the first.
    pub(crate) fn error(&self, error: Error) {
        self.0.errors.set(self.0.errors.get() + 1);
        self.0.first_error.borrow_mut().get_or_insert(error);
    }

    /// Errors so far.
    pub(crate) fn errors(&self) -> u64 {
        self.0.errors.get()
    }

    /// What the first error said.
    pub(crate) fn first_error(&self) -> Option<String> {
        self.0.first_error.borrow().as_ref().map(Error::to_string)
    }

    /// Messages so far, warm-up included.
    pub(crate) fn count(&self) -> u64 {
        self.0.messages.get()
    }

    /// Percentiles of what was recorded.
    pub(crate) fn percentiles(&self) -> Latency {
        Latency::of(&self.0.latency.borrow())
    }

    fn snapshot(&self, pids: &[u32]) -> Result<Snapshot, Error> {
        Ok(Snapshot {
            at: Instant::now(),
            messages: self.0.messages.get(),
            bytes_in: self.0.bytes_in.get(),
            bytes_out: self.0.bytes_out.get(),
            server_cpu_ns: process::cpu_ns(pids)?,
            own_cpu_ns: process::cpu_ns(&[std::process::id()])?,
        })
    }
}

/// All counters at one moment.
struct Snapshot {
    at: Instant,
    messages: u64,
    bytes_in: u64,
    bytes_out: u64,
    server_cpu_ns: u64,
    own_cpu_ns: u64,
}

/// How long to warm up and to measure, and whom to observe.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WindowArgs {
    /// Seconds that are measured
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Seconds before that
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warmup: f64,
    /// Server's process ids: their CPU and memory stand beside the figures
    #[arg(long, value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,
}

/// The measured time of a run.
pub(crate) struct Window {
    gauge: Gauge,
    pids: Vec<u32>,
    start: Option<Snapshot>,
    end: Option<Snapshot>,
}

impl Window {
    /// Neither begun nor ended.
    pub(crate) fn new(gauge: &Gauge, pids: &[u32]) -> Self {
        Self { gauge: gauge.clone(), pids: pids.to_vec(), start: None, end: None }
    }

    /// Latencies count from now.
    ///
    /// # Errors
    /// [`Error::Process`] when an observed process is gone.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        self.start = Some(self.gauge.snapshot(&self.pids)?);
        self.gauge.0.measuring.set(true);
        Ok(())
    }

    /// Latencies no longer count. Errors as [`Window::begin`].
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        self.end = Some(self.gauge.snapshot(&self.pids)?);
        self.gauge.0.measuring.set(false);
        Ok(())
    }

    /// The figures between begin and end; `None` without them.
    pub(crate) fn load(&self) -> Result<Option<Load>, Error> {
        let (Some(start), Some(end)) = (&self.start, &self.end) else { return Ok(None) };
        let seconds = (end.at - start.at).as_secs_f64();
        let messages = end.messages - start.messages;
        let per_message = |bytes: u64| bytes as f64 / messages.max(1) as f64;
        let server = Usage::new(end.server_cpu_ns - start.server_cpu_ns, seconds);
        let observed = !self.pids.is_empty();
        Ok(Some(Load {
            seconds,
            messages,
            messages_per_second: messages as f64 / seconds,
            messages_per_server_cpu_second: observed.then(|| messages as f64 / server.cpu_seconds),
            bytes_in_per_message: per_message(end.bytes_in - start.bytes_in),
            bytes_out_per_message: per_message(end.bytes_out - start.bytes_out),
            latency: self.gauge.percentiles(),
            server: observed.then_some(server),
            server_rss_bytes: observed.then(|| process::rss_bytes(&self.pids)).transpose()?,
            generator: Usage::new(end.own_cpu_ns - start.own_cpu_ns, seconds),
            errors: self.gauge.errors(),
            first_error: self.gauge.first_error(),
        }))
    }
}

/// A window that a clock begins and ends, with the live line. [`TimedWindow::tick`] must be called
/// every now and then.
pub(crate) struct TimedWindow {
    window: Window,
    begins: Instant,
    length: Duration,
    ends: Option<Instant>,
    progress: Progress,
}

impl TimedWindow {
    /// The warm-up begins now.
    pub(crate) fn open(gauge: &Gauge, args: &WindowArgs) -> Self {
        let begins = Instant::now() + Duration::from_secs_f64(args.warmup);
        let length = Duration::from_secs_f64(args.seconds);
        let progress = Progress::timed(Duration::from_secs_f64(args.warmup + args.seconds));
        Self { window: Window::new(gauge, &args.pid), begins, length, ends: None, progress }
    }

    /// Looks at the clock; false once the window has ended. However late the ticks come, one finds
    /// the window open. Errors as [`Window::begin`].
    pub(crate) fn tick(&mut self, now: Instant) -> Result<bool, Error> {
        let window = &mut self.window;
        self.progress.show(now, window.gauge.count(), window.gauge.errors());
        if window.start.is_none() && now >= self.begins {
            window.begin()?;
            self.ends = Some(now + self.length);
        } else if window.end.is_none() && self.ends.is_some_and(|ends| now >= ends) {
            window.end()?;
            self.progress.finish();
        }
        Ok(window.end.is_none())
    }

    /// Sleeps until the window has ended.
    pub(crate) async fn wait(&mut self) -> Result<(), Error> {
        while self.tick(Instant::now())? {
            monoio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// See [`Window::load`].
    pub(crate) fn load(&self) -> Result<Option<Load>, Error> {
        self.window.load()
    }
}
