//! How the kernel backs this process's memory.

/// Gives the process pages of 4 KiB only. An allocator that asks for huge pages gets 2 MiB where a few
/// bytes are used: with 18,000 idle clients that was 824 B of RSS each instead of 578. False: the kernel
/// does not know the request (prctl(2), `PR_SET_THP_DISABLE`).
pub fn small_pages() -> bool {
    // SAFETY: this request takes two integers and unused zeros, and reads or writes no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_knows_the_request() {
        assert!(super::small_pages());
    }
}
