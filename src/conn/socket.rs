//! What the pump asks of a socket, and what is known of one.

use std::io::{ErrorKind, IoSlice, Result};

/// What [`Socket::send`] fails with when a datagram is larger than the socket takes (EMSGSIZE).
pub const DATAGRAM_TOO_BIG: ErrorKind = ErrorKind::FileTooLarge;

/// Whether this is what ICMP, or a route that is missing, says of a datagram (udp(7), ip(7)).
pub(super) fn is_refusal(error: ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::PermissionDenied
    )
}

/// A non-blocking socket, pipe, or something that a test made up.
pub trait Socket {
    /// Reads into `buffer`: bytes of a stream, with 0 at its end, or one datagram.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, `Interrupted`, or what ends the stream.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;
    /// Writes bytes of a stream. After the `last` ones the shutdown follows in the same turn, and
    /// seldom anything before it: they may wait for it, to go together.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is taken, `Interrupted`, or why nothing ever will be.
    fn write(&mut self, parts: &[IoSlice<'_>], last: bool) -> Result<usize>;
    /// Sends one datagram.
    ///
    /// # Errors
    /// As for a write; [`DATAGRAM_TOO_BIG`] for this one alone.
    fn send(&mut self, datagram: &[u8]) -> Result<()>;
    /// Hands on what was written and is [not flushed](Self::unflushed).
    ///
    /// # Errors
    /// As for a write.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
    /// Bytes that were written and that the system did not take: the transport keeps them, for what
    /// it writes is not what it was given.
    fn unflushed(&self) -> usize {
        0
    }
    /// Whether a read may give more though the last one gave less than it was asked for and no event
    /// announces any: the transport keeps what it has read, or reads in pieces of its own.
    fn holds_more(&self) -> bool {
        false
    }
    /// Ends the stream to the other side, and goes on reading.
    ///
    /// # Errors
    /// `WouldBlock` or `Interrupted` when what goes before is not flushed: it is asked again then. The
    /// other side is gone, which reads tell too.
    fn shutdown(&mut self) -> Result<()>;
    /// Ends both ways; nothing else is asked of the socket after it.
    fn close(&mut self);
    /// Bytes written that the other end has not acknowledged: they would be lost by a reset, and
    /// while their number falls the other end lives. Zero where the system does not say.
    fn unacknowledged(&self) -> usize;
    /// Bytes written that are safe whatever happens, and not read yet: while their number falls, the
    /// other end lives. Zero where the system does not say.
    fn unread(&self) -> usize {
        0
    }
    /// Whether a read that no event announced tells the truth. A FIFO without a writer reads like
    /// one at its end.
    fn reads_unasked(&self) -> bool;
}

/// What is known of a socket's readiness.
#[derive(Clone, Copy, Default, Debug)]
pub struct Ready {
    /// A read may give something.
    pub readable: bool,
    /// A write may take something.
    pub writable: bool,
    /// The other side has ended its stream, or all: reads go on until they say so.
    pub hung_up: bool,
    /// A read may give less than is there: reads go on until one finds nothing.
    pub reads_in_pieces: bool,
    /// It was reset, or failed otherwise.
    pub failed: bool,
}

/// A socket and its readiness.
pub struct Endpoint<'a, S> {
    /// The socket.
    pub socket: &'a mut S,
    /// Its readiness.
    pub ready: &'a mut Ready,
}
