//! What the kernel does to notice a dead end, and to keep a live one responsive.

use std::io::Result;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Unanswered probes after which a connection is dead.
const PROBES: u32 = 3;
/// The kernel counts in whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);
/// Unsent bytes beyond which a socket takes no more (TCP_NOTSENT_LOWAT, tcp(7)): what waits stays in
/// our own queue, and a ping, pong or close frame does not stand behind megabytes in the kernel.
const UNSENT: u32 = 128 * 1024;

/// Probes an idle connection (SO_KEEPALIVE, tcp(7)), so that a dead one is reset within three
/// `interval`s: the first probe after one, three of them half of one apart.
pub(crate) fn keep_alive(socket: &SockRef<'_>, interval: Duration) -> Result<()> {
    if interval.is_zero() {
        return Ok(());
    }
    let parameters = TcpKeepalive::new()
        .with_time(interval.max(SHORTEST))
        .with_interval((interval / 2).max(SHORTEST))
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&parameters)
}

/// Keeps the kernel's queue of unsent bytes short.
pub(crate) fn stay_responsive(socket: &SockRef<'_>) -> Result<()> {
    socket.set_tcp_notsent_lowat(UNSENT)
}
