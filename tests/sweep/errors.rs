//! Which errors a call may meet on a real machine, by what it is about (the ERRORS section of each
//! call's page in section 2 of the manual, and of its protocol's in section 7).

use super::inject::Call;

/// An errno and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno {
    pub(crate) number: i32,
    pub(crate) name: &'static str,
}

macro_rules! errnos {
    ($($name:ident)*) => { &[$(Errno { number: libc::$name, name: stringify!($name) }),*] };
}

/// Errors that say that something is used up, which others will give back.
pub(crate) const EXHAUSTION: &[Errno] = errnos!(EMFILE ENFILE ENOBUFS ENOMEM ENOSPC EADDRNOTAVAIL);

/// Why a call is not made to fail.
pub(crate) type Reason = &'static str;

/// What `call` may fail with, or why it is left alone; none for a call that this table does not
/// know.
pub(crate) fn errors_of(call: &Call) -> Option<Result<&'static [Errno], Reason>> {
    let (_, about) = call.parts();
    let datagrams = matches!(about, "udp" | "unix-dgram" | "netlink");
    let socket = matches!(about, "client" | "tcp" | "unix") || datagrams;
    Some(Ok(match call.name.as_str() {
        "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg" | "pread64" => match about {
            "waker" | "signals" => errnos!(EAGAIN EINTR),
            _ if datagrams => {
                errnos!(EAGAIN EINTR ECONNREFUSED EHOSTUNREACH ENETUNREACH EMSGSIZE ENOBUFS ENOMEM)
            }
            _ if socket => {
                errnos!(EAGAIN EINTR ECONNRESET ETIMEDOUT EHOSTUNREACH ENETDOWN ENOBUFS ENOMEM)
            }
            about if about.starts_with("fifo") => errnos!(EAGAIN EINTR EIO ENOMEM),
            _ => errnos!(EIO ENOMEM EISDIR), // files, which no signal interrupts (signal(7))
        },
        "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg" => match about {
            "waker" | "signals" => errnos!(EAGAIN EINTR),
            "log" => errnos!(EAGAIN EINTR EIO ENOSPC EPIPE EFBIG),
            _ if datagrams => errnos!(EAGAIN EINTR ECONNREFUSED EHOSTUNREACH ENETUNREACH
                EMSGSIZE ENOBUFS ENOMEM EPERM ECONNRESET),
            _ if socket => errnos!(EAGAIN EINTR EPIPE ECONNRESET ETIMEDOUT EHOSTUNREACH ENOBUFS
                ENOMEM EACCES EPERM),
            _ => errnos!(EAGAIN EINTR EPIPE ENOMEM),
        },
        "accept4" | "accept" => errnos!(EAGAIN EINTR ECONNABORTED EPROTO EPERM EACCES ENETDOWN
            EHOSTUNREACH ENOPROTOOPT EOPNOTSUPP EMFILE ENFILE ENOBUFS ENOMEM),
        "socket" => errnos!(EMFILE ENFILE ENOBUFS ENOMEM EACCES EAFNOSUPPORT),
        "socketpair" | "pipe2" | "pipe" | "eventfd2" | "epoll_create1" | "timerfd_create" => {
            errnos!(EMFILE ENFILE ENOMEM)
        }
        "connect" => match about {
            // None waits, so none is interrupted.
            "unix" | "unix-dgram" => {
                errnos!(EAGAIN ECONNREFUSED ENOENT EACCES EPROTOTYPE ENOMEM)
            }
            _ => errnos!(ECONNREFUSED ETIMEDOUT ENETUNREACH EHOSTUNREACH EADDRNOTAVAIL EAGAIN
                EACCES EPERM ENOBUFS ENOMEM),
        },
        "bind" => errnos!(EADDRINUSE EADDRNOTAVAIL EACCES ENOMEM),
        "listen" => errnos!(EADDRINUSE ENOMEM),
        "epoll_ctl" => errnos!(ENOSPC ENOMEM),
        "epoll_wait" | "epoll_pwait" | "poll" | "ppoll" => errnos!(EINTR),
        "setsockopt" | "getsockopt" => errnos!(ENOBUFS ENOMEM EINVAL ENOPROTOOPT EPERM),
        "getsockname" | "getpeername" => errnos!(ENOBUFS ENOTCONN),
        "shutdown" => errnos!(ENOTCONN ENOBUFS),
        "ioctl" => errnos!(EINVAL ENOTTY ENOMEM),
        "fcntl" if about.ends_with("+1") => return left("F_GETFD: a check of std's debug build"),
        "fcntl" | "dup" | "dup2" => errnos!(EMFILE ENOMEM EINVAL),
        "openat" | "open" | "openat2" => {
            errnos!(EMFILE ENFILE ENOMEM EACCES ENOENT ENXIO EIO ELOOP)
        }
        "newfstatat" | "fstat" | "statx" | "stat" | "lstat" | "readlink" | "readlinkat" => {
            errnos!(EACCES EIO ENOMEM ENOENT)
        }
        "access" | "faccessat" | "faccessat2" => errnos!(EACCES ENOENT ENOMEM),
        "getdents64" => errnos!(EIO ENOENT ENOMEM),
        "lseek" => errnos!(ESPIPE),
        "brk" => return left("one that fails returns the old break, which the tool cannot do"),
        "mmap" | "mremap" | "mprotect" | "munmap" | "madvise" => errnos!(ENOMEM EAGAIN),
        "clone" | "clone3" => errnos!(EAGAIN ENOMEM),
        "prlimit64" | "getrlimit" => errnos!(EPERM EINVAL),
        "sigaltstack" | "prctl" | "sched_getaffinity" => errnos!(ENOMEM EPERM),
        "getrandom" => errnos!(EINTR ENOSYS),
        "close" => {
            return left("a descriptor is gone even if close(2) fails, which the tool cannot do");
        }
        "rt_sigaction" | "rseq" | "set_robust_list" | "set_tid_address" | "arch_prctl"
        | "uname" | "getuid" | "geteuid" | "getgid" | "getegid" | "getpid" | "getcwd"
        | "execve" | "kill" | "tgkill" | "umask" => {
            return left("fails with arguments that are wrong, and only then");
        }
        _ => return None,
    }))
}

#[expect(clippy::unnecessary_wraps, reason = "it is the answer of `errors_of`")]
fn left(reason: Reason) -> Option<Result<&'static [Errno], Reason>> {
    Some(Err(reason))
}

/// Whether `errno` may be what a call of this kind says each time, with the daemon none the wiser:
/// an interruption would be a storm of signals, and "nothing there yet" is not an error of a read.
pub(crate) fn may_persist(call: &Call, errno: Errno) -> bool {
    match errno.name {
        "EINTR" => false,
        // Of a read, or a write, it is the other side's silence, or its being slow.
        "EAGAIN" => matches!(
            call.name.as_str(),
            "connect" | "clone" | "clone3" | "mmap" | "mprotect" | "munmap" | "madvise"
        ),
        _ => true,
    }
}
