//! Threads on cores.

use core_affinity::CoreId;

/// The cores this process may run on, by number. Empty only where the kernel does not tell.
pub fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Binds the calling thread to `core`. False: no such core, or not one of [`cores`].
#[must_use]
pub fn pin(core: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: core })
}

#[cfg(test)]
mod tests {
    use super::*;

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
