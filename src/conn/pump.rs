//! Carries bytes between a connection and its two sockets.
//!
//! Readiness is remembered ([`Ready`]) and wants are asked of the connection: a socket is
//! registered once, for both directions, edge-triggered, and nothing is reregistered ever. What
//! is ready and not wanted now is still known when it is wanted later.

use std::io::{ErrorKind, IoSlice, Result};

use super::batch::Batch;
use super::socket::{DATAGRAM_TOO_BIG, Endpoint, Ready, Socket, is_refusal};
use super::{Connection, Scratch, Side, SocketEnd};

/// Pieces of one vectored write; more go in a further one. POSIX guarantees 16, Linux takes 1,024.
const SLICES: usize = 64;
/// A message with its header, which is what most turns write: no need to set up 64.
const FEW_SLICES: usize = 2;
/// Datagrams of one turn: each costs a system call of its own.
const DATAGRAMS: usize = 16;
/// Reads of one turn from a stream that is read in pieces: the second mostly finds it empty, and
/// costs less than a turn of its own.
const PIECES: usize = 2;

/// A connection, its two sockets, and what a turn works with.
pub struct Pump<'a, S> {
    /// The connection.
    pub connection: &'a mut Connection,
    /// The client's socket.
    pub client: Endpoint<'a, S>,
    /// The peer's socket, once there is one.
    pub peer: Option<Endpoint<'a, S>>,
    /// The time and the loop's memory.
    pub scratch: &'a mut Scratch,
}

impl<'a, S: Socket> Pump<'a, S> {
    /// One turn of one connection: writes what waits and what the scratch memory holds, reads each
    /// side once (a bound for the sake of all the others; 16 datagrams, and the second piece of a
    /// stream that comes in pieces, are its exceptions), writes what came of it.
    ///
    /// Returns whether there is more to do at once; if not, only an event or a deadline brings work.
    pub fn turn(&mut self) -> bool {
        self.write(Side::Client);
        self.write(Side::Peer);
        self.connection.go_on(self.scratch);
        self.read(Side::Client);
        self.settle();
        for _ in 0..self.peer_reads() {
            self.read(Side::Peer);
            self.write(Side::Client);
        }
        self.settle();
        let goes_on = self.connection.can_go_on();
        goes_on
            || [Side::Client, Side::Peer].into_iter().any(|side| {
                self.way(side).is_some_and(|way| {
                    way.ready.readable && way.connection.room(side) > 0
                        || way.ready.writable && way.connection.waiting(side).is_some()
                })
            })
    }

    /// A deadline has come. The kernel is asked what it holds, and before anybody is judged both
    /// sockets are looked at once more: events may be among those that one poll did not bring.
    pub fn deadline(&mut self) {
        self.look();
        if !self.connection.is_overdue(self.scratch.now) {
            return;
        }
        for side in [Side::Client, Side::Peer] {
            if let Some(way) = self.way(side) {
                way.ready.writable = true;
                way.ready.readable |= way.socket.reads_unasked();
            }
        }
        self.turn();
        self.look();
        if self.connection.is_overdue(self.scratch.now) {
            self.connection.expired(self.scratch);
        }
    }

    /// Asks the kernel what it still holds for the sides where that is to be known.
    fn look(&mut self) {
        for side in [Side::Client, Side::Peer] {
            if self.connection.look_at(side).is_none() {
                continue;
            }
            let Some(way) = self.way(side) else { continue };
            // A socket that was reset keeps its number for good, and it means nothing.
            let held = if way.ready.failed { 0 } else { way.held() };
            way.connection.looked(side, held, way.scratch.now);
        }
    }

    fn way(&mut self, side: Side) -> Option<Way<'_, S>> {
        let endpoint = match side {
            Side::Client => &mut self.client,
            Side::Peer => self.peer.as_mut()?,
        };
        Some(Way {
            side,
            connection: self.connection,
            socket: endpoint.socket,
            ready: endpoint.ready,
            scratch: self.scratch,
        })
    }

    fn peer_reads(&self) -> usize {
        match &self.peer {
            None => 0,
            Some(_) if self.connection.is_datagram(Side::Peer) => DATAGRAMS,
            Some(peer) if peer.ready.reads_in_pieces => PIECES,
            Some(_) => 1,
        }
    }

    fn read(&mut self, side: Side) {
        if let Some(mut way) = self.way(side) {
            way.read();
        }
    }

    fn write(&mut self, side: Side) {
        if let Some(mut way) = self.way(side) {
            way.write();
        }
    }

    /// Writes what there is to both sides, and ends what is at its end.
    fn settle(&mut self) {
        self.write(Side::Peer);
        self.write(Side::Client);
        for side in [Side::Client, Side::Peer] {
            if let Some(mut way) = self.way(side) {
                way.end();
            } else if self.connection.ending_of(side) != SocketEnd::None {
                // A peer that is not there has nothing to shut down.
                self.connection.shut(side);
            }
        }
    }
}

/// A connection and one of its sockets.
struct Way<'a, S> {
    side: Side,
    connection: &'a mut Connection,
    socket: &'a mut S,
    ready: &'a mut Ready,
    scratch: &'a mut Scratch,
}

impl<S: Socket> Way<'_, S> {
    /// What the kernel holds of what was written. What is safe there counts only while more waits
    /// for it.
    fn held(&self) -> usize {
        let unread = || self.connection.waiting(self.side).map_or(0, |_| self.socket.unread());
        self.socket.unacknowledged().max(unread())
    }

    /// Shuts down or closes the socket if that is due.
    fn end(&mut self) {
        match self.connection.ending_of(self.side) {
            SocketEnd::None => return,
            // It fails only when the other side is gone already, and then reads say so.
            SocketEnd::Shutdown => _ = self.socket.shutdown(),
            SocketEnd::Close => self.socket.close(),
        }
        self.connection.shut(self.side);
    }

    fn read(&mut self) {
        let room = self.connection.room(self.side);
        if room == 0 || !self.ready.readable {
            return;
        }
        let datagram = self.connection.is_datagram(self.side);
        let (kept, space) = self.connection.space(self.side, room, &mut self.scratch.buffer);
        match self.socket.read(space) {
            Ok(0) if !datagram => {
                self.ready.readable = false;
                self.connection.ended(self.side, None, self.scratch);
            }
            Ok(n) => {
                // A stream that gave less than it was asked for has no more (epoll(7)), unless its
                // end, or an error, is what comes next, or it is one that gives pieces.
                let Ready { hung_up, reads_in_pieces, .. } = *self.ready;
                self.ready.readable = datagram || n == room || hung_up || reads_in_pieces;
                self.connection.received(self.side, kept + n, n, self.scratch);
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => {
                    self.ready.readable = false;
                    self.connection.found_empty(self.side, self.scratch);
                }
                ErrorKind::Interrupted => {}
                kind => {
                    self.ready.readable = datagram;
                    self.connection.ended(self.side, Some(kind), self.scratch);
                }
            },
        }
    }

    /// Writes what waits, then what the turn made; keeps what is not taken.
    fn write(&mut self) {
        self.write_waiting();
        if self.scratch.batch(self.side).is_empty() {
            return;
        }
        let mut batch = std::mem::take(self.scratch.batch(self.side));
        if self.connection.is_datagram(self.side) {
            self.send_batch(&batch);
        } else {
            self.write_batch(&batch);
        }
        batch.clear();
        *self.scratch.batch(self.side) = batch;
    }

    fn write_waiting(&mut self) {
        let datagrams = self.connection.is_datagram(self.side);
        while let (true, Some(bytes)) = (self.ready.writable, self.connection.waiting(self.side)) {
            let length = bytes.len();
            let (taken, error) = if datagrams {
                let Sending { gone, error } = send(self.socket, self.ready, bytes);
                (gone.then_some(length), error)
            } else {
                let last = self.connection.ends_with_this(self.side);
                match self.socket.write(&[IoSlice::new(bytes)], last) {
                    Ok(n) => {
                        self.ready.writable = n == length;
                        (Some(n), None)
                    }
                    Err(error) => (None, write_error(self.ready, error.kind())),
                }
            };
            if let Some(n) = taken {
                self.connection.sent(self.side, n, self.scratch);
            }
            if let Some(kind) = error {
                self.failed(kind);
            }
        }
    }

    /// Writes a stream's `batch`, which holds something, if nothing waits before it.
    fn write_batch(&mut self, batch: &Batch) {
        let mut sent = 0;
        while sent < batch.len()
            && self.ready.writable
            && self.connection.waiting(self.side).is_none()
            && self.connection.is_writable(self.side)
        {
            let written = if batch.pieces() <= FEW_SLICES {
                self.write_slices::<FEW_SLICES>(batch, sent)
            } else {
                self.write_slices::<SLICES>(batch, sent)
            };
            match written {
                Ok(n) => {
                    sent += n;
                    self.connection.wrote(self.side, n, self.scratch.now);
                }
                Err(error) => {
                    if let Some(kind) = write_error(self.ready, error.kind()) {
                        self.failed(kind);
                    }
                }
            }
        }
        if sent == batch.len() {
            self.connection.kept_up(self.side, sent);
        } else {
            let rest = skip(batch, &self.scratch.buffer, sent);
            self.connection.queue(self.side, rest, self.scratch.now);
        }
    }

    /// Writes up to `N` pieces of what is left of a batch behind its first `sent` bytes.
    fn write_slices<const N: usize>(&mut self, batch: &Batch, sent: usize) -> Result<usize> {
        let mut slices = [IoSlice::new(&[]); N];
        let (mut count, mut length) = (0, 0);
        for (slot, part) in slices.iter_mut().zip(skip(batch, &self.scratch.buffer, sent)) {
            *slot = IoSlice::new(part);
            count += 1;
            length += part.len();
        }
        let last = self.connection.ends_with_this(self.side) && sent + length == batch.len();
        let written = self.socket.write(&slices[..count], last)?;
        self.ready.writable = written == length;
        Ok(written)
    }

    /// Sends the datagrams of a batch; keeps those that are not taken.
    fn send_batch(&mut self, batch: &Batch) {
        if !self.connection.is_writable(self.side) {
            return;
        }
        let mut failure = None;
        let mut parts = batch.parts(&self.scratch.buffer).peekable();
        while let (None, Some(part)) = (failure, parts.peek()) {
            if !self.ready.writable || self.connection.waiting(self.side).is_some() {
                break;
            }
            let Sending { gone, error } = send(self.socket, self.ready, part);
            if gone {
                parts.next();
            }
            failure = error;
        }
        if parts.peek().is_some() {
            self.connection.queue(self.side, &mut parts, self.scratch.now);
        }
        drop(parts);
        if let Some(kind) = failure {
            self.failed(kind);
        }
    }

    /// A write failed. What the other end sent before is still to be read, and no event announces
    /// it again.
    fn failed(&mut self, kind: ErrorKind) {
        self.ready.readable = true;
        self.connection.write_failed(self.side, kind, self.scratch);
    }
}

/// The parts of a batch without its first `sent` bytes.
fn skip<'a>(batch: &'a Batch, lent: &'a [u8], mut sent: usize) -> impl Iterator<Item = &'a [u8]> {
    batch.parts(lent).filter_map(move |part| {
        let gone = sent.min(part.len());
        sent -= gone;
        (gone < part.len()).then(|| &part[gone..])
    })
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
fn send<S: Socket>(socket: &mut S, ready: &mut Ready, datagram: &[u8]) -> Sending {
    let mut told = None;
    for first in [true, false] {
        match socket.send(datagram).map_err(|error| error.kind()) {
            Ok(()) => return Sending { gone: true, error: told },
            Err(ErrorKind::WouldBlock) => {
                ready.writable = false;
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
