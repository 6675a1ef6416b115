//! What a burst of work has left behind.

/// Gives memory that is free back to the kernel. The allocator keeps what it once had, mostly, and
/// a program that has read a whole cluster once would have the size of that for ever.
#[expect(unsafe_code, reason = "the allocator is C")]
pub fn give_back_memory() {
    // SAFETY: takes a number and looks at nothing of ours.
    unsafe {
        libc::malloc_trim(0);
    }
}
