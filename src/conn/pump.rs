//! Carries bytes between a connection and its two sockets.
//!
//! Readiness is remembered ([`Ready`]) and wants are requests of the connection: a socket is
//! registered once, for both directions, edge-triggered, and nothing is reregistered ever. What
//! is ready and not wanted now is still known when it is wanted later.

use super::batch::Batch;
use super::{Connection, Scratch, Side};
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

/// Pieces of one vectored write; more go in a further one. POSIX guarantees 16, Linux takes 1,024.
const SLICES: usize = 64;
/// A message with its header, which is what most turns write: no need to set up 64.
const FEW_SLICES: usize = 2;
/// Datagrams of one turn: each costs a system call of its own.
const DATAGRAMS: usize = 16;
/// Reads of one turn from a stream that is read in pieces: the second mostly finds it empty, and
/// costs less than a turn of its own.
const PIECES: usize = 2;

/// A non-blocking socket, pipe, or something that a test made up.
pub trait Socket {
    /// Reads into `buffer`: bytes of a stream, with 0 at its end, or one datagram.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;
    /// Writes bytes of a stream. After the `last` ones the shutdown follows in the same turn, and
    /// seldom anything before it: they may wait for it, to go together.
    fn write(&mut self, parts: &[IoSlice<'_>], last: bool) -> Result<usize>;
    /// Sends one datagram.
    fn send(&mut self, datagram: &[u8]) -> Result<()>;
    /// Ends the stream to the other side, and goes on reading.
    fn shutdown(&mut self) -> Result<()>;
    /// Ends both ways; nothing else is requests of the socket after it.
    fn close(&mut self);
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

/// One turn of one connection: writes what waits and what `turn` holds, reads each side once (a
/// bound for the sake of all the others; [`DATAGRAMS`] and [`PIECES`] are its exceptions), writes
/// what came of it.
///
/// Returns whether there is more to do at once; if not, only an event or a deadline brings work.
pub fn pump<C: Socket, P: Socket>(
    connection: &mut Connection,
    client: &mut Endpoint<'_, C>,
    mut peer: Option<Endpoint<'_, P>>,
    scratch: &mut Scratch,
) -> bool {
    write(connection, Side::Client, client, scratch);
    if let Some(peer) = &mut peer {
        write(connection, Side::Peer, peer, scratch);
    }
    read(connection, Side::Client, client, scratch);
    settle(connection, client, &mut peer, scratch);
    if let Some(endpoint) = &mut peer {
        let reads = if connection.is_datagram(Side::Peer) {
            DATAGRAMS
        } else if endpoint.ready.reads_in_pieces {
            PIECES
        } else {
            1
        };
        for _ in 0..reads {
            read(connection, Side::Peer, endpoint, scratch);
            write(connection, Side::Client, client, scratch);
        }
    }
    settle(connection, client, &mut peer, scratch);
    let again = |side, ready: &Ready| {
        ready.readable && connection.room(side) > 0
            || ready.writable && connection.waiting(side).is_some()
    };
    again(Side::Client, client.ready) || peer.is_some_and(|peer| again(Side::Peer, peer.ready))
}

/// Writes the turn to both sides and shuts down what is due.
fn settle<C: Socket, P: Socket>(
    connection: &mut Connection,
    client: &mut Endpoint<'_, C>,
    peer: &mut Option<Endpoint<'_, P>>,
    scratch: &mut Scratch,
) {
    if let Some(peer) = peer {
        write(connection, Side::Peer, peer, scratch);
    }
    write(connection, Side::Client, client, scratch);
    shut_down(connection, Side::Client, client);
    match peer {
        Some(peer) => shut_down(connection, Side::Peer, peer),
        None if connection.shutdown_due(Side::Peer) => connection.shut(Side::Peer),
        None => {}
    }
}

fn shut_down<S: Socket>(connection: &mut Connection, side: Side, endpoint: &mut Endpoint<'_, S>) {
    if !connection.shutdown_due(side) {
        return;
    }
    if connection.is_read(side) {
        // It fails only when the other side is gone already, and then reads say so.
        let _ = endpoint.socket.shutdown();
    } else {
        endpoint.socket.close();
    }
    connection.shut(side);
}

fn read<S: Socket>(
    connection: &mut Connection,
    side: Side,
    endpoint: &mut Endpoint<'_, S>,
    scratch: &mut Scratch,
) {
    let room = connection.room(side);
    if room == 0 || !endpoint.ready.readable {
        return;
    }
    let datagram = connection.is_datagram(side);
    let kept = connection.prefill(side, &mut scratch.buffer);
    match endpoint.socket.read(&mut scratch.buffer[kept..kept + room]) {
        Ok(0) if !datagram => {
            endpoint.ready.readable = false;
            connection.ended(side, None, scratch);
        }
        Ok(n) => {
            // A stream that gave less than it was requests for has no more (epoll(7)), unless its
            // end, or an error, is what comes next, or it is one that gives pieces.
            let Ready { hung_up, reads_in_pieces, .. } = *endpoint.ready;
            endpoint.ready.readable = datagram || n == room || hung_up || reads_in_pieces;
            connection.received(side, kept + n, n, scratch);
        }
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => {
                endpoint.ready.readable = false;
                connection.found_empty(side, scratch);
            }
            ErrorKind::Interrupted => {}
            kind => {
                endpoint.ready.readable = datagram;
                connection.ended(side, Some(kind), scratch);
            }
        },
    }
}

/// Writes what waits for `side`, then what the turn has for it; keeps what is not taken.
fn write<S: Socket>(
    connection: &mut Connection,
    side: Side,
    endpoint: &mut Endpoint<'_, S>,
    scratch: &mut Scratch,
) {
    write_waiting(connection, side, endpoint, scratch);
    if scratch.batch(side).is_empty() {
        return;
    }
    let batch = std::mem::take(scratch.batch(side));
    *scratch.batch(side) = write_batch(connection, side, endpoint, batch, scratch);
}

fn write_waiting<S: Socket>(
    connection: &mut Connection,
    side: Side,
    endpoint: &mut Endpoint<'_, S>,
    scratch: &mut Scratch,
) {
    let datagrams = connection.is_datagram(side);
    while let (true, Some(bytes)) = (endpoint.ready.writable, connection.waiting(side)) {
        let length = bytes.len();
        let (taken, error) = if datagrams {
            let Sending { gone, error } = send(endpoint, bytes);
            (gone.then_some(length), error)
        } else {
            let last = connection.ends_with_this(side);
            match endpoint.socket.write(&[IoSlice::new(bytes)], last) {
                Ok(n) => {
                    endpoint.ready.writable = n == length;
                    (Some(n), None)
                }
                Err(error) => (None, write_error(endpoint.ready, error.kind())),
            }
        };
        if let Some(n) = taken {
            connection.sent(side, n, scratch.now);
            if connection.waiting(side).is_none() {
                connection.drained(side, scratch);
            }
        }
        if let Some(kind) = error {
            connection.write_failed(side, kind, scratch);
        }
    }
}

/// Writes `batch`, which holds something, if nothing waits before it; returns it empty.
fn write_batch<S: Socket>(
    connection: &mut Connection,
    side: Side,
    endpoint: &mut Endpoint<'_, S>,
    mut batch: Batch,
    scratch: &mut Scratch,
) -> Batch {
    if connection.is_datagram(side) {
        send_all(connection, side, endpoint, &batch, scratch);
    } else {
        let mut sent = 0;
        while sent < batch.len()
            && endpoint.ready.writable
            && connection.waiting(side).is_none()
            && connection.is_writable(side)
        {
            let last = connection.ends_with_this(side);
            let written = if batch.pieces() <= FEW_SLICES {
                write_slices::<FEW_SLICES, S>(endpoint, &batch, &scratch.buffer, sent, last)
            } else {
                write_slices::<SLICES, S>(endpoint, &batch, &scratch.buffer, sent, last)
            };
            match written {
                Ok(n) => sent += n,
                Err(error) => {
                    if let Some(kind) = write_error(endpoint.ready, error.kind()) {
                        connection.write_failed(side, kind, scratch);
                    }
                }
            }
        }
        if sent == batch.len() {
            connection.kept_up(side, sent);
        } else {
            connection.queue(side, skip(&batch, &scratch.buffer, sent), scratch.now);
        }
    }
    batch.clear();
    batch
}

/// Writes up to `N` pieces of what is left of a batch behind its first `sent` bytes; `last` says that
/// nothing follows the batch.
fn write_slices<const N: usize, S: Socket>(
    endpoint: &mut Endpoint<'_, S>,
    batch: &Batch,
    lent: &[u8],
    sent: usize,
    last: bool,
) -> Result<usize> {
    let mut slices = [IoSlice::new(&[]); N];
    let (mut count, mut length) = (0, 0);
    for (slot, part) in slices.iter_mut().zip(skip(batch, lent, sent)) {
        *slot = IoSlice::new(part);
        count += 1;
        length += part.len();
    }
    let last = last && sent + length == batch.len();
    let written = endpoint.socket.write(&slices[..count], last)?;
    endpoint.ready.writable = written == length;
    Ok(written)
}

/// The parts of a batch without its first `sent` bytes.
fn skip<'a>(batch: &'a Batch, lent: &'a [u8], mut sent: usize) -> impl Iterator<Item = &'a [u8]> {
    batch.parts(lent).filter_map(move |part| {
        let gone = sent.min(part.len());
        sent -= gone;
        (gone < part.len()).then(|| &part[gone..])
    })
}

/// Sends the datagrams of a batch; keeps those that are not taken.
fn send_all<S: Socket>(
    connection: &mut Connection,
    side: Side,
    endpoint: &mut Endpoint<'_, S>,
    batch: &Batch,
    scratch: &mut Scratch,
) {
    if !connection.is_writable(side) {
        return;
    }
    let mut failure = None;
    let mut parts = batch.parts(&scratch.buffer).peekable();
    while let (None, Some(part)) = (failure, parts.peek()) {
        if !endpoint.ready.writable || connection.waiting(side).is_some() {
            break;
        }
        let Sending { gone, error } = send(endpoint, part);
        if gone {
            parts.next();
        }
        failure = error;
    }
    if parts.peek().is_some() {
        connection.queue(side, &mut parts, scratch.now);
    }
    drop(parts);
    if let Some(kind) = failure {
        connection.write_failed(side, kind, scratch);
    }
}

/// What became of one datagram.
struct Sending {
    /// It is sent or lost; otherwise it waits.
    gone: bool,
    /// What there is to tell the connection.
    error: Option<ErrorKind>,
}

/// Sends one datagram. The first error may be of an earlier one (ICMP, ip(7)), and then the socket
/// is as good as before; the second is this one's.
fn send<S: Socket>(endpoint: &mut Endpoint<'_, S>, datagram: &[u8]) -> Sending {
    let mut told = None;
    for first in [true, false] {
        match endpoint.socket.send(datagram).map_err(|error| error.kind()) {
            Ok(()) => return Sending { gone: true, error: told },
            Err(ErrorKind::WouldBlock) => {
                endpoint.ready.writable = false;
                return Sending { gone: false, error: told };
            }
            // Still writable: it is tried again at once.
            Err(ErrorKind::Interrupted) => return Sending { gone: false, error: told },
            Err(kind) if is_refusal(kind) => told = Some(kind),
            Err(DATAGRAM_TOO_BIG) if first => {}
            Err(kind) => return Sending { gone: true, error: Some(kind) },
        }
    }
    Sending { gone: true, error: told }
}

/// Takes note of a failed write; returns the error if it is one.
fn write_error(ready: &mut Ready, kind: ErrorKind) -> Option<ErrorKind> {
    match kind {
        ErrorKind::WouldBlock => ready.writable = false,
        ErrorKind::Interrupted => {}
        kind => return Some(kind),
    }
    None
}
