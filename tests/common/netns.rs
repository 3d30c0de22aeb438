//! Network namespaces (network_namespaces(7)): a network of a daemon's own, and a way into it.
#![allow(unsafe_code)] // setns(2) has no safe wrapper in std

use super::{Daemon, left_out};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

/// A daemon in a network of its own, which `setup` prepares in a shell, with the loopback interface
/// up. None where we may not make one.
pub(crate) fn daemon(setup: &str, arguments: &[&str]) -> Option<Daemon> {
    let permitted = Command::new("unshare").args(["-n", "true"]).status();
    if !permitted.is_ok_and(|status| status.success()) {
        left_out("a network of the daemon's own", "unshare -n is not permitted");
        return None;
    }
    let script = format!("ip link set lo up && {setup} && exec \"$0\" \"$@\"");
    Some(Daemon::under(&["unshare", "-n", "sh", "-c", &script], arguments))
}

/// What comes of `work` in the daemon's network, in a thread that stays there.
pub(crate) fn inside<T: Send>(daemon: &Daemon, work: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/proc/{}/ns/net", daemon.pid())).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: the descriptor is open, and the call touches no memory. It is this thread's
            // network alone that changes, and the thread ends with `work`.
            let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "{}", std::io::Error::last_os_error());
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
