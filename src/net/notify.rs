//! What the service manager is told of the daemon: sd_notify(3).

use std::env;
use std::ffi::OsString;
use std::io::Result;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The socket of the service manager that started this process, if one did.
pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    ///
    /// # Errors
    /// The socket that is named is not there, or cannot be sent to.
    pub(crate) fn from_environment() -> Result<Self> {
        let socket = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let socket = socket.map(connect).transpose()?;
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_ours);
        Ok(Self { socket, watchdog: watchdog.map(Duration::from_micros) })
    }

    /// A worker's supervisor, which takes it for stuck when it is not told anything for as long as
    /// `watchdog`.
    ///
    /// # Errors
    /// The socket cannot be set up.
    pub(crate) fn supervisor(socket: UnixDatagram, watchdog: Option<Duration>) -> Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Some(socket), watchdog })
    }

    /// How often it wants to be told that the loop turns: twice in the time after which it takes
    /// the daemon for stuck.
    pub(crate) fn watchdog_interval(&self) -> Option<Duration> {
        self.socket.as_ref().and(self.watchdog).map(|timeout| timeout / 2)
    }

    /// Tells it that a reload begins, and when by the clock that both have (CLOCK_MONOTONIC).
    pub(crate) fn tell_reloading(&self) {
        let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from) else { return };
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// Tells it, as far as that goes at once: nothing waits for a manager that does not read.
    pub(crate) fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(state.as_bytes());
        }
    }
}

/// A path, or behind `@` a name in the abstract namespace (unix(7)).
fn connect(name: OsString) -> Result<UnixDatagram> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}
