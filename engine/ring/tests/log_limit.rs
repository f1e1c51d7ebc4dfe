//! A log that meets the process's limit of file sizes, which stands for every device that takes a part of
//! a write and then no more. Alone in its binary, since the limit is the process's.

#[path = "contract/common/mod.rs"]
mod common;

use common::log_dir::LogDir;
use common::{Flow, Pump, pattern, unexpected};
use weir_ring::driver::Kind;
use weir_ring::op::{Completion, Errno, Op};

const LIMIT: usize = 1 << 20;

fn limit_file_sizes() {
    let limit = libc::rlimit { rlim_cur: LIMIT as u64, rlim_max: LIMIT as u64 };
    // SAFETY: `limit` is a valid rlimit and outlives the call; ignoring a signal needs no handler.
    let results = unsafe {
        let ignored = libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        (libc::setrlimit(libc::RLIMIT_FSIZE, &limit), ignored)
    };
    assert!(results.0 == 0 && results.1 != libc::SIG_ERR, "the limit is set");
}

#[test]
fn a_write_cut_short_goes_on_until_the_error_and_the_next_segment_serves() {
    limit_file_sizes();
    for driver in [Kind::IoUring, Kind::Epoll] {
        meet_the_limit(driver);
    }
}

fn meet_the_limit(driver: Kind) {
    let directory = LogDir::new(driver.name());
    let mut pump = Pump::on(driver, 8, |settings| settings.log = directory.open(3, 64 << 20));
    let bytes = pattern(LIMIT);
    let mut outcomes = Vec::new();
    for (segment, size) in [(1, 600_000), (1, 600_000), (2, LIMIT), (2, 1), (3, 1)] {
        pump.output.ops.push(Op::Append { segment, bytes: bytes[..size].to_vec() });
        pump.run(|completion, _| match completion {
            Completion::Appended { bytes: back, errno } => {
                assert_eq!(back.len(), size);
                outcomes.push(errno);
                Flow::Done
            }
            other => unexpected(&other),
        });
    }
    let full = Some(Errno(libc::EFBIG));
    assert_eq!(outcomes, [None, full, None, full, None]);
    let (first, second) = (directory.read(1), directory.read(2));
    assert!(first[..600_000] == bytes[..600_000], "what was answered stays");
    assert!(first[600_000..] == bytes[..LIMIT - 600_000], "the part that fitted was written in its place");
    assert!(second == bytes && directory.read(3) == bytes[..1]);
}
