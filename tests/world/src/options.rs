//! What may go wrong in a made-up system and how long things take there.

use std::time::Duration;

/// How often something goes wrong: once in so many times, and never for 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A call on a socket is interrupted by a signal (EINTR).
    pub interrupted: u64,
    /// A read of a stream that is read in pieces gives less than is there.
    pub short_read: u64,
    /// A stream keeps some of what the system did not take, as one does that encrypts it.
    pub keeps: u64,
    /// A socket takes no datagrams beyond some size (EMSGSIZE).
    pub small_datagrams: u64,
    /// Sending a datagram fails with an error, perhaps of an earlier one's (ICMP, ip(7)).
    pub refused_datagram: u64,
    /// The second attempt to send it fails, too.
    pub refused_again: u64,
    /// A client in the listening queue is gone when it is accepted (ECONNABORTED).
    pub aborted: u64,
    /// The system has few descriptors, so that who opens one may find none (EMFILE).
    pub few_descriptors: u64,
    /// The back end names no peer.
    pub no_peer: u64,
    /// A name is not known to the resolver.
    pub unknown_name: u64,
    /// A connect is refused (ECONNREFUSED).
    pub refused_connect: u64,
    /// A connect fails at once, before anything is sent (ENETUNREACH); a Unix socket's backlog is
    /// full.
    pub unreachable: u64,
    /// A source address has no port left (EADDRNOTAVAIL).
    pub no_port: u64,
    /// A socket cannot be watched (ENOSPC of epoll_ctl).
    pub unwatched: u64,
    /// A wait is interrupted, and by then time has passed (SIGSTOP, SIGCONT).
    pub stopped: u64,
    /// A peer ends or breaks off while it goes on with what it does.
    pub failed_peer: u64,
    /// An event says more than is so.
    pub spurious: u64,
    /// The back end, the resolver or a peer that is connected to takes [`Latencies::hang`] instead
    /// of its own time.
    pub hang: u64,
}

/// How long something takes: any time up to this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Until a client is in the listening queue.
    pub arrival: Duration,
    /// Until the back end has answered.
    pub query: Duration,
    /// Until a name is looked up.
    pub look_up: Duration,
    /// Until a peer has taken a connect, or refused it.
    pub connect: Duration,
    /// Until a client or a peer goes on with what it does.
    pub step: Duration,
    /// The same for those that hang.
    pub hang: Duration,
}
