//! Carries bytes between a connection and its two sockets.
//!
//! Readiness is remembered ([`Ready`]) and wants are asked of the connection: a socket is
//! registered once, for both directions, edge-triggered, and nothing is reregistered ever. What
//! is ready and not wanted now is still known when it is wanted later.

use std::io::{ErrorKind, IoSlice, Result};
use std::time::Instant;

use super::batch::Batch;
use super::{Connection, Side, Turn};

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
    /// Ends both ways; nothing else is asked of the socket after it.
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
pub struct Port<'a, S> {
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
    client: &mut Port<'_, C>,
    mut peer: Option<Port<'_, P>>,
    turn: &mut Turn,
    now: Instant,
) -> bool {
    write(connection, Side::Client, client, turn, now);
    if let Some(peer) = &mut peer {
        write(connection, Side::Peer, peer, turn, now);
    }
    read(connection, Side::Client, client, turn, now);
    settle(connection, client, &mut peer, turn, now);
    if let Some(port) = &mut peer {
        let reads = if connection.is_datagram(Side::Peer) {
            DATAGRAMS
        } else if port.ready.reads_in_pieces {
            PIECES
        } else {
            1
        };
        for _ in 0..reads {
            read(connection, Side::Peer, port, turn, now);
            write(connection, Side::Client, client, turn, now);
        }
    }
    settle(connection, client, &mut peer, turn, now);
    let again = |side, ready: &Ready| {
        ready.readable && connection.room(side) > 0
            || ready.writable && connection.waiting(side).is_some()
    };
    again(Side::Client, client.ready) || peer.is_some_and(|peer| again(Side::Peer, peer.ready))
}

/// Writes the turn to both sides and shuts down what is due.
fn settle<C: Socket, P: Socket>(
    connection: &mut Connection,
    client: &mut Port<'_, C>,
    peer: &mut Option<Port<'_, P>>,
    turn: &mut Turn,
    now: Instant,
) {
    if let Some(peer) = peer {
        write(connection, Side::Peer, peer, turn, now);
    }
    write(connection, Side::Client, client, turn, now);
    shut_down(connection, Side::Client, client);
    match peer {
        Some(peer) => shut_down(connection, Side::Peer, peer),
        None if connection.shutdown_due(Side::Peer) => connection.shut(Side::Peer),
        None => {}
    }
}

fn shut_down<S: Socket>(connection: &mut Connection, side: Side, port: &mut Port<'_, S>) {
    if !connection.shutdown_due(side) {
        return;
    }
    if connection.is_read(side) {
        // It fails only when the other side is gone already, and then reads say so.
        let _ = port.socket.shutdown();
    } else {
        port.socket.close();
    }
    connection.shut(side);
}

fn read<S: Socket>(
    connection: &mut Connection,
    side: Side,
    port: &mut Port<'_, S>,
    turn: &mut Turn,
    now: Instant,
) {
    let room = connection.room(side);
    if room == 0 || !port.ready.readable {
        return;
    }
    let datagram = connection.is_datagram(side);
    let kept = connection.load(side, &mut turn.buffer);
    match port.socket.read(&mut turn.buffer[kept..kept + room]) {
        Ok(0) if !datagram => {
            port.ready.readable = false;
            connection.ended(side, None, now, turn);
        }
        Ok(n) => {
            // A stream that gave less than it was asked for has no more (epoll(7)), unless its
            // end, or an error, is what comes next, or it is one that gives pieces.
            let Ready { hung_up, reads_in_pieces, .. } = *port.ready;
            port.ready.readable = datagram || n == room || hung_up || reads_in_pieces;
            connection.received(side, kept + n, n, now, turn);
        }
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => {
                port.ready.readable = false;
                connection.found_empty(side, turn);
            }
            ErrorKind::Interrupted => {}
            kind => {
                port.ready.readable = datagram;
                connection.ended(side, Some(kind), now, turn);
            }
        },
    }
}

/// Writes what waits for `side`, then what the turn has for it; keeps what is not taken.
fn write<S: Socket>(
    connection: &mut Connection,
    side: Side,
    port: &mut Port<'_, S>,
    turn: &mut Turn,
    now: Instant,
) {
    write_waiting(connection, side, port, turn, now);
    if turn.batch(side).is_empty() {
        return;
    }
    let batch = std::mem::take(turn.batch(side));
    *turn.batch(side) = write_batch(connection, side, port, batch, turn, now);
}

fn write_waiting<S: Socket>(
    connection: &mut Connection,
    side: Side,
    port: &mut Port<'_, S>,
    turn: &mut Turn,
    now: Instant,
) {
    let datagrams = connection.is_datagram(side);
    while let (true, Some(bytes)) = (port.ready.writable, connection.waiting(side)) {
        let length = bytes.len();
        let (taken, error) = if datagrams {
            let Sending { gone, error } = send(port, bytes);
            (gone.then_some(length), error)
        } else {
            let last = connection.ends_with_this(side);
            match port.socket.write(&[IoSlice::new(bytes)], last) {
                Ok(n) => {
                    port.ready.writable = n == length;
                    (Some(n), None)
                }
                Err(error) => (None, write_error(port.ready, error.kind())),
            }
        };
        if let Some(n) = taken {
            connection.sent(side, n, now);
            if connection.waiting(side).is_none() {
                connection.drained(side, now, turn);
            }
        }
        if let Some(kind) = error {
            connection.write_failed(side, kind, now, turn);
        }
    }
}

/// Writes `batch`, which holds something, if nothing waits before it; returns it empty.
fn write_batch<S: Socket>(
    connection: &mut Connection,
    side: Side,
    port: &mut Port<'_, S>,
    mut batch: Batch,
    turn: &mut Turn,
    now: Instant,
) -> Batch {
    if connection.is_datagram(side) {
        send_all(connection, side, port, &batch, turn, now);
    } else {
        let mut sent = 0;
        while sent < batch.len()
            && port.ready.writable
            && connection.waiting(side).is_none()
            && connection.is_writable(side)
        {
            let last = connection.ends_with_this(side);
            let written = if batch.pieces() <= FEW_SLICES {
                write_slices::<FEW_SLICES, S>(port, &batch, &turn.buffer, sent, last)
            } else {
                write_slices::<SLICES, S>(port, &batch, &turn.buffer, sent, last)
            };
            match written {
                Ok(n) => sent += n,
                Err(error) => {
                    if let Some(kind) = write_error(port.ready, error.kind()) {
                        connection.write_failed(side, kind, now, turn);
                    }
                }
            }
        }
        if sent == batch.len() {
            connection.kept_up(side, sent);
        } else {
            connection.queue(side, skip(&batch, &turn.buffer, sent), now);
        }
    }
    batch.clear();
    batch
}

/// Writes up to `N` pieces of what is left of a batch behind its first `sent` bytes; `last` says that
/// nothing follows the batch.
fn write_slices<const N: usize, S: Socket>(
    port: &mut Port<'_, S>,
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
    let written = port.socket.write(&slices[..count], last)?;
    port.ready.writable = written == length;
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
    port: &mut Port<'_, S>,
    batch: &Batch,
    turn: &mut Turn,
    now: Instant,
) {
    if !connection.is_writable(side) {
        return;
    }
    let mut failure = None;
    let mut parts = batch.parts(&turn.buffer).peekable();
    while let (None, Some(part)) = (failure, parts.peek()) {
        if !port.ready.writable || connection.waiting(side).is_some() {
            break;
        }
        let Sending { gone, error } = send(port, part);
        if gone {
            parts.next();
        }
        failure = error;
    }
    if parts.peek().is_some() {
        connection.queue(side, &mut parts, now);
    }
    drop(parts);
    if let Some(kind) = failure {
        connection.write_failed(side, kind, now, turn);
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
fn send<S: Socket>(port: &mut Port<'_, S>, datagram: &[u8]) -> Sending {
    let mut told = None;
    for first in [true, false] {
        match port.socket.send(datagram).map_err(|error| error.kind()) {
            Ok(()) => return Sending { gone: true, error: told },
            Err(ErrorKind::WouldBlock) => {
                port.ready.writable = false;
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
