//! What can be switched while the gateway runs. Limits, permissions and rules are not among it: what they are for does
//! not pause.

use super::Config;

/// What the log is told for those who look for a fault. Default: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debugging {
    /// Each connection that carries a client's messages, as it is opened and closed.
    pub connections: bool,
    /// What every message goes through.
    pub messages: bool,
    /// Where messages are passed on to, and which transport they take.
    pub routing: bool,
}

impl Debugging {
    /// Everything.
    pub const ALL: Debugging = Debugging { connections: true, messages: true, routing: true };
}

/// What is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// The bus is told what happens.
    pub events: bool,
    /// Messages are deflated on WebSockets that agreed to it.
    pub compression: bool,
    /// Features are timed in one turn of so many.
    pub timing: bool,
    /// What the log is told.
    pub debug: Debugging,
}

impl Switches {
    /// As configured.
    pub fn of(config: &Config) -> Switches {
        Switches {
            events: config.events,
            compression: config.websocket.compression,
            timing: config.timed_turns > 0,
            debug: config.debug,
        }
    }
}
