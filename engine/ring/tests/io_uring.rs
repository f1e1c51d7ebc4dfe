//! The contract of operations, kept by the io_uring driver.

mod contract;

use weir_ring::driver::Kind;

/// The driver under test.
const DRIVER: Kind = Kind::IoUring;
