//! What the system gives us no more than so much of.
#![allow(unsafe_code)] // getrlimit(2) and setrlimit(2) have no safe wrapper in std

use std::fs;
use std::io;

use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::close;

/// Raises the soft limit on open descriptors to the hard one, since each session needs two; how
/// many there may be now.
pub(crate) fn raise_descriptor_limit() -> io::Result<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid `rlimit` that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid `rlimit` that the call only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// Has the kernel's table of descriptors hold so many. Else it grows when they come, to twice its size each
/// time, and where there are threads the one that opens something waits for all processors meanwhile:
/// 8 to 22 ms, in which the loop would stand still.
pub(crate) fn make_room_for_descriptors(number: usize) {
    let highest = i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX);
    if let Ok(copy) = fcntl(io::stderr(), FcntlArg::F_DUPFD_CLOEXEC(highest)) {
        let _ = close(copy);
    }
}

/// Lets the kernel write no memory of this process to a file.
pub(crate) fn no_core_dumps() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid `rlimit` that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = 0;
    // SAFETY: `limit` is a valid `rlimit` that the call only reads.
    match unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many descriptors there may be now.
pub(crate) fn descriptor_limit() -> io::Result<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid `rlimit` that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// How many descriptors are open, where the kernel counts them (Linux 6.2, proc(5)): to read the
/// directory would take milliseconds where there are thousands.
pub(crate) fn descriptors() -> Option<u64> {
    fs::metadata("/proc/self/fd").ok().map(|metadata| metadata.len()).filter(|count| *count > 0)
}

/// Whether a call failed because something is used up that others will give back: descriptors,
/// memory, room in epoll(7), ports of our own (EAGAIN is what connect(2) and bind(2) say of these).
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EADDRNOTAVAIL
                | libc::EAGAIN
                | libc::EMFILE
                | libc::ENFILE
                | libc::ENOBUFS
                | libc::ENOMEM
                | libc::ENOSPC
        )
    )
}
