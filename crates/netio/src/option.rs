use std::io;
use std::os::fd::AsRawFd;

/// Sets an option that is a number.
pub(crate) fn set_option(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of_val(&value)).expect("a number");
    #[expect(unsafe_code, reason = "options that socket2 lacks")]
    // SAFETY: the value is a number that lives until the call is over, and the descriptor is open
    // as long as `socket` is borrowed.
    let result = unsafe {
        let value = (&raw const value).cast();
        libc::setsockopt(socket.as_raw_fd(), level, name, value, len)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
