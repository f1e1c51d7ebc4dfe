//! What [`weir_ring::op`] promises, asked of the real kernel: the same of each driver, which the binary that these
//! modules are part of names as `DRIVER`.

pub(crate) mod common;
mod connect;
mod hand_over;
mod log;
mod members;
mod peers;
mod recv;
mod send;
mod streams;

use weir_ring::driver::Driver;
use weir_ring::settings::Settings;
use weir_ring::waker::Waker;

use self::common::Pump;

impl Pump {
    /// As [`Pump::on`], on the driver under test.
    fn new(sockets: u32, resize: impl FnOnce(&mut Settings)) -> Pump {
        Pump::on(crate::DRIVER, sockets, resize)
    }
}

/// The driver under test, without a listener.
fn driver(waker: Waker) -> Driver {
    Driver::new(crate::DRIVER, Settings::new(Vec::new(), 8, waker)).expect("driver")
}
