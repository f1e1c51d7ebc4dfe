//! Load in slices that another process asks for, so that two servers can take turns within a second.

use std::{
    cell::Cell,
    io::{self, BufRead as _, Write as _},
    rc::Rc,
    time::Duration,
};

use crate::{error::Error, gauge::Gauge};

/// How often a slice that ends looks for the last replies.
const LOOK: Duration = Duration::from_millis(1);

/// Whether closed loops go on, and what they wait for. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Rc<State>);

#[derive(Default)]
struct State {
    open: Cell<bool>,
    outstanding: Cell<u64>,
}

impl Gate {
    /// One that lets through from the start, unless `closed`.
    pub(crate) fn new(closed: bool) -> Self {
        let gate = Self::default();
        gate.0.open.set(!closed);
        gate
    }

    /// Whether the next burst may be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.0.open.get()
    }

    /// `count` requests were sent.
    pub(crate) fn sent(&self, count: u64) {
        self.0.outstanding.set(self.0.outstanding.get() + count);
    }

    /// `count` replies came.
    pub(crate) fn answered(&self, count: u64) {
        self.0.outstanding.set(self.0.outstanding.get() - count);
    }
}

/// For each line on stdin, a number of milliseconds: opens the gate for so long, has all users
/// begin with `begin`, waits for every reply, and prints how many messages there were so far. Ends
/// with stdin.
pub(crate) async fn serve(gate: &Gate, gauge: &Gauge, begin: impl Fn()) -> Result<(), Error> {
    // Nothing is under way between slices, so that the loop may rest in this read.
    for line in io::stdin().lock().lines() {
        let line = line.map_err(Error::io("read the next slice"))?;
        let Ok(millis) = line.trim().parse() else {
            return Err(Error::Check(format!("{line:?} is no slice: a number of milliseconds is needed")));
        };
        gate.0.open.set(true);
        begin();
        monoio::time::sleep(Duration::from_millis(millis)).await;
        gate.0.open.set(false);
        while gate.0.outstanding.get() > 0 {
            if let Some(error) = gauge.first_error() {
                return Err(Error::Check(error));
            }
            monoio::time::sleep(LOOK).await;
        }
        writeln!(io::stdout(), "{}", gauge.count()).map_err(Error::io("print"))?;
    }
    Ok(())
}
