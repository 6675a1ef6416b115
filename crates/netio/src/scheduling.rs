//! How soon a thread runs after it was woken.

use std::io;

use rustix::process::setpriority_process;

/// Lets the calling thread run before others of usual priority. Needs `CAP_SYS_NICE`.
///
/// # Errors
/// The thread may not.
pub fn raise_priority() -> io::Result<()> {
    setpriority_process(None, NICE)?;
    Ok(())
}

/// Half of the way to the most that there is.
const NICE: i32 = -10;

/// Lets the calling thread run sooner after it was woken, for a shorter time: for one that has
/// little to do, and that in time. It gets no more of a processor than others, and so needs no
/// right. Kernels before 6.12 accept it and do nothing.
///
/// # Errors
/// The kernel refuses.
#[expect(unsafe_code, reason = "no library has these system calls")]
pub fn shorten_slice() -> io::Result<()> {
    let size = u32::try_from(size_of::<libc::sched_attr>()).expect("it is small");
    // SAFETY: numbers alone, for which zero is a value.
    let mut attr: libc::sched_attr = unsafe { std::mem::zeroed() };
    let this = 0;
    // SAFETY: the kernel writes no more than `size` bytes.
    succeeds(unsafe { libc::syscall(libc::SYS_sched_getattr, this, &raw mut attr, size, 0) })?;
    attr.sched_runtime = SLICE;
    // SAFETY: the kernel reads no more than the size that stands in it.
    succeeds(unsafe { libc::syscall(libc::SYS_sched_setattr, this, &raw const attr, 0) })
}

fn succeeds(result: libc::c_long) -> io::Result<()> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// In nanoseconds: the least that the kernel grants. By default it is about 3 ms.
const SLICE: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_may_have_shorter_slices() {
        std::thread::spawn(|| shorten_slice().unwrap())
            .join()
            .unwrap();
    }
}
