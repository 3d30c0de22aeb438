//! What the reactor sees of a socket, whether it is the system's or made up.

use std::io::Result;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::event::Event;

use crate::conn::socket::{Ready, Socket};
use crate::proto::client_tls::ClientTls;

/// One end of a session.
pub trait Channel: Socket {
    /// Whether a read may stop before all that is there.
    fn reads_in_pieces(&self) -> bool;
    /// What became of a connect that was begun; nothing while it still runs.
    fn connect_outcome(&self) -> Option<Result<()>>;
    /// Goes on with what comes before the first byte of ours, once it is connected; nothing while that
    /// waits for the other end.
    ///
    /// # Errors
    /// The other end is not who it should be, or speaks something else; in words.
    fn prepare(&mut self) -> Option<Result<()>> {
        Some(Ok(()))
    }
    /// The version of TLS that was agreed on; none where it is not spoken.
    fn tls_version(&self) -> Option<&'static str> {
        None
    }
    /// What TLS says of the other end; nothing where it is not spoken.
    fn tls(&self) -> Option<ClientTls> {
        None
    }
    /// Whether the other end can read what is written: not while its TLS handshake runs.
    fn understands(&self) -> bool {
        true
    }
    /// What was remarkable about it, in words for the log.
    fn remark(&self) -> Option<&str> {
        None
    }
    /// Makes sure that somebody else is at the other end of a connection to `address`: where nobody
    /// has a port that the kernel may choose for us, a connection can meet itself (RFC 9293 §3.5,
    /// simultaneous open).
    ///
    /// # Errors
    /// It has met itself, which is a refusal.
    fn has_met_another(&self, _address: SocketAddr) -> Result<()> {
        Ok(())
    }
    /// Small writes do not wait for the acknowledgement of earlier ones.
    ///
    /// # Errors
    /// The system refuses.
    fn set_nodelay(&self) -> Result<()>;
    /// Has the system probe whether the other end is still there, though nothing is said.
    ///
    /// # Errors
    /// The system refuses.
    fn keep_alive(&self, interval: Duration) -> Result<()>;
    /// Where our end of a connection is, if it has an IP address.
    fn local_address(&self) -> Option<SocketAddr> {
        None
    }
    /// A second descriptor of a client's socket.
    ///
    /// # Errors
    /// There is none, or descriptors are used up.
    fn duplicate(&self) -> Result<OwnedFd>;
}

/// What one event says of a socket (epoll_ctl(2)).
#[derive(Clone, Copy, Default, Debug)]
pub struct Readiness {
    /// Something can be read.
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
    /// The other side has ended its stream.
    pub read_closed: bool,
    /// Nothing can be written any more.
    pub write_closed: bool,
    /// Urgent data is there.
    pub urgent: bool,
    /// It was reset, or failed otherwise.
    pub failed: bool,
}

impl Readiness {
    /// Adds to what is known of the socket.
    pub(crate) fn note(self, ready: &mut Ready) {
        ready.readable |= self.readable || self.read_closed || self.failed;
        ready.writable |= self.writable || self.write_closed || self.failed;
        ready.hung_up |= self.read_closed || self.failed;
        ready.failed |= self.failed;
        ready.reads_in_pieces |= self.urgent;
    }

    /// Whether a connect that was begun has come to an open connection, beyond doubt.
    pub(crate) fn is_open(self) -> bool {
        self.writable && !self.write_closed && !self.failed
    }
}

impl From<&Event> for Readiness {
    fn from(event: &Event) -> Self {
        Self {
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            write_closed: event.is_write_closed(),
            urgent: event.is_priority(),
            failed: event.is_error(),
        }
    }
}
