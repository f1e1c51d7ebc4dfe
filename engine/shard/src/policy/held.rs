//! What an operator has set by hand, for a while.

use weir_ring::time::Instant;

/// A value that is held until an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<T>(Option<(T, Instant)>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Held(None)
    }
}

impl<T: Copy> Held<T> {
    /// Holds `value` until then; `None`: nothing is held any more.
    pub(crate) fn set(&mut self, value: Option<(T, Instant)>) {
        self.0 = value;
    }

    /// What is held at `now`.
    pub(crate) fn get(&self, now: Instant) -> Option<T> {
        self.0.filter(|(_, until)| now < *until).map(|(value, _)| value)
    }

    /// Until when something is held, if it still is at `now`.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.0.map(|(_, until)| until).filter(|until| now < *until)
    }
}
