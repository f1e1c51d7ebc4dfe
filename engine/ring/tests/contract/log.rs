//! The log on a real file system: what an answer promises is in the file.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::common::log_dir::LogDir;
use super::common::{Flow, Pump, pattern, unexpected};
use weir_ring::op::{Completion, Errno, Op};

const SEGMENT_BYTES: u64 = 1 << 20;

/// A driver whose log is series 3 of `directory`.
fn pump(directory: &LogDir) -> Pump {
    Pump::new(8, |settings| settings.log = directory.open(3, SEGMENT_BYTES))
}

/// Appends, and waits for the answer, whose buffer must be the one that was given.
fn append(pump: &mut Pump, segment: u32, bytes: &[u8]) -> Option<Errno> {
    pump.output.ops.push(Op::Append { segment, bytes: bytes.to_vec() });
    let mut outcome = None;
    pump.run(|completion, _| match completion {
        Completion::Appended { bytes: back, errno } => {
            assert!(back == bytes, "the buffer comes back as it was");
            outcome = errno;
            Flow::Done
        }
        other => unexpected(&other),
    });
    outcome
}

#[test]
fn appends_lie_end_to_end_in_their_segments() {
    let directory = LogDir::new("end-to-end");
    let mut pump = pump(&directory);
    // Beyond the room set aside, too.
    let bytes = pattern(3 << 20);
    let sizes = [1, 4_095, 4_097, 65_536, 2 << 20, 7];
    for segment in [1, 2, 9] {
        let mut end = 0;
        for size in sizes {
            assert_eq!(append(&mut pump, segment, &bytes[end..end + size]), None);
            end += size;
            assert!(directory.read(segment) == bytes[..end], "all of it is readable with the answer");
        }
    }
    assert!(directory.read(1) == directory.read(9), "the others are left alone");
}

#[test]
fn a_segment_has_its_room_set_aside_and_no_length_of_it() {
    let directory = LogDir::new("reserved");
    let mut pump = pump(&directory);
    assert_eq!(append(&mut pump, 1, b"short"), None);
    let metadata = fs::metadata(directory.file(3, 1)).expect("the segment");
    assert_eq!(metadata.len(), 5);
    assert!(metadata.blocks() * 512 >= SEGMENT_BYTES, "{} blocks", metadata.blocks());
    assert_eq!(metadata.mode() & 0o777, 0o600, "clients' messages are nobody else's");
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let directory = LogDir::new("exists");
    let mut pump = pump(&directory);
    fs::write(directory.file(3, 4), b"of another process").expect("write");
    assert_eq!(append(&mut pump, 4, b"mine"), Some(Errno(libc::EEXIST)));
    assert_eq!(append(&mut pump, 5, b"mine"), None, "the next segment begins afresh");
    assert_eq!(directory.read(4), b"of another process");
    assert_eq!(directory.read(5), b"mine");
}

#[test]
fn a_directory_that_is_gone_is_an_error_and_not_the_end() {
    let directory = LogDir::new("gone");
    let mut pump = pump(&directory);
    assert_eq!(append(&mut pump, 1, b"a"), None);
    let parent = directory.file(3, 1).parent().expect("parent").to_owned();
    fs::remove_dir_all(&parent).expect("remove");
    assert_eq!(append(&mut pump, 1, b"b"), None, "an open file does not miss its name");
    assert_eq!(append(&mut pump, 2, b"c"), Some(Errno(libc::ENOENT)));
    fs::create_dir(&parent).expect("create");
    assert_eq!(append(&mut pump, 3, b"d"), Some(Errno(libc::ENOENT)), "another directory of that name");
}

#[test]
fn discarded_segments_are_removed_whoever_wrote_them() {
    let directory = LogDir::new("discard");
    let mut pump = pump(&directory);
    let old: Vec<_> = (1..=20).map(|number| (number as u16 % 5, number)).collect();
    for &(series, number) in &old {
        fs::write(directory.file(series, number), b"old").expect("write");
    }
    let kept = directory.file(7, 1);
    fs::write(&kept, b"kept").expect("write");
    pump.output.ops.push(Op::Discard { series: 9, segment: 9 });
    let discards = old.iter().map(|&(series, segment)| Op::Discard { series, segment });
    pump.output.ops.extend(discards);
    // Removals have no answer of their own; appends take their turns meanwhile.
    let mut appended = 0;
    while old.iter().any(|&(series, number)| directory.file(series, number).exists()) {
        assert_eq!(append(&mut pump, 100, b"new"), None);
        appended += 3;
    }
    assert!(kept.exists());
    assert_eq!(directory.read(100).len(), appended);
}

#[test]
fn a_driver_may_end_with_an_append_under_way() {
    let directory = LogDir::new("dropped");
    let bytes = pattern(8 << 20);
    for (segment, turns) in (1..=8).zip([0, 1, 2, 3, 4, 5, 6, 7]) {
        let mut pump = pump(&directory);
        pump.output.ops.push(Op::Append { segment, bytes: bytes.clone() });
        let now = weir_ring::clock::Clock::now().mono;
        for _ in 0..turns {
            pump.driver.submit(&mut pump.output);
            pump.driver.wait(Some(now), now).expect("wait");
            let mut completions = pump.driver.completions();
            while weir_ring::op::Completions::next(&mut completions).is_some() {}
        }
        drop(pump);
        if let Ok(written) = fs::read(directory.file(3, segment)) {
            assert!(bytes.starts_with(&written), "what was written is a beginning of it");
        }
    }
}
