//! Threads on cores, and who goes first there.

use std::mem;

use core_affinity::CoreId;

/// The slice that a shard's thread asks for, nanoseconds: the shortest that the kernel takes.
const SLICE_NS: u64 = 100_000;

/// The cores this process may run on, by number. Empty only where the kernel does not tell.
pub fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Binds the calling thread to `core`. False: no such core, or not one of [`cores`].
#[must_use]
pub fn pin(core: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: core })
}

/// Asks the scheduler for slices of 0.1 ms for the calling thread, where it is an ordinary one. Its share of the
/// core stays the same, but as it wakes it goes before threads with longer slices (sched_setattr(2), EEVDF, Linux
/// 6.12): those of the process that may wait, io_uring's own workers, and other programs. False where the kernel
/// does not take it.
pub fn prefer_short_slices() -> bool {
    let Some(mut attr) = attributes() else { return false };
    if attr.sched_policy != libc::SCHED_OTHER as u32 {
        return true;
    }
    attr.sched_runtime = SLICE_NS;
    // Threads that this one starts, or io_uring for it, have slices of the usual length.
    attr.sched_flags |= libc::SCHED_FLAG_RESET_ON_FORK as u64;
    // SAFETY: the kernel reads `attr.size` bytes of `attr`, which is that large, and keeps no pointer; 0 is
    // the calling thread.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) == 0 }
}

/// How the calling thread is scheduled.
fn attributes() -> Option<libc::sched_attr> {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut attr: libc::sched_attr = unsafe { mem::zeroed() };
    let size = mem::size_of_val(&attr);
    // SAFETY: the kernel writes at most `size` bytes to `attr`, which is that large, and keeps no pointer; 0 is
    // the calling thread.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
    (got == 0).then_some(attr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_with_short_slices_is_as_nice_as_before_and_its_children_have_the_usual() {
        let (before, own, child) = std::thread::spawn(|| {
            let before = attributes().expect("its attributes");
            assert!(prefer_short_slices());
            let child = std::thread::spawn(attributes).join().expect("thread");
            (before, attributes().expect("its attributes"), child.expect("its attributes"))
        })
        .join()
        .expect("thread");
        assert_eq!((own.sched_policy, own.sched_nice), (before.sched_policy, before.sched_nice));
        assert_eq!(child.sched_runtime, before.sched_runtime);
        // Older kernels know no slices and say 0 for them.
        assert!(own.sched_runtime == SLICE_NS || before.sched_runtime == 0, "{} ns", own.sched_runtime);
    }

    #[test]
    fn a_pinned_thread_may_run_on_its_core_alone() {
        let core = *cores().last().expect("a core to run on");
        let seen = std::thread::spawn(move || pin(core).then(cores)).join().expect("thread");
        assert_eq!(seen, Some(vec![core]));
    }

    #[test]
    fn a_core_that_is_not_there_is_refused() {
        assert!(!std::thread::spawn(|| pin(1_000)).join().expect("thread"));
    }
}
