//! Carries bytes between a connection and its two sockets.
//!
//! Readiness is remembered ([`Ready`]) and wants are asked of the connection: a socket is
//! registered once, for both directions, edge-triggered, and nothing is reregistered ever. What
//! is ready and not wanted now is still known when it is wanted later.

use std::io::{ErrorKind, IoSlice, Result};

use super::batch::Batch;
use super::datagram::{Sending, send};
use super::socket::{Endpoint, Ready, Socket};
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
        if self.connection.read_on(self.scratch) {
            self.settle();
        }
        self.read(Side::Client);
        if self.connection.take_pong() {
            self.look(); // now that it has what came before, and not in a turn of its own
        }
        self.settle();
        for _ in 0..self.peer_reads() {
            self.read(Side::Peer);
            self.write(Side::Client);
        }
        self.settle();
        let goes_on = self.connection.can_go_on() || self.connection.has_unread();
        let mut sides = [Side::Client, Side::Peer].into_iter();
        goes_on || sides.any(|side| self.way(side).is_some_and(|way| way.has_more()))
    }

    /// A deadline has come. The kernel is asked what it holds, and before anybody is judged both
    /// sockets are looked at once more: events may be among those that one poll did not bring.
    pub fn deadline(&mut self) {
        self.look();
        if self.connection.must_judge(self.scratch.now) {
            for side in [Side::Client, Side::Peer] {
                if let Some(way) = self.way(side) {
                    way.ready.writable = true;
                    way.ready.readable |= way.socket.reads_unasked();
                }
            }
            self.turn();
            self.look();
        }
        if self.connection.is_overdue(self.scratch.now) {
            self.connection.expired(self.scratch);
        }
    }

    /// Asks the kernel what it still holds for the sides where that is to be known.
    fn look(&mut self) {
        for side in [Side::Client, Side::Peer] {
            if self.connection.look_at(side).is_some()
                && let Some(way) = self.way(side)
            {
                // A socket that was reset keeps its number for good, and it means nothing.
                let held = if way.ready.failed { 0 } else { way.held() };
                way.connection.looked(side, held, way.scratch.now);
            }
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
    /// Whether the transport keeps what is still of use to the other side.
    fn keeps(&self) -> bool {
        self.socket.unflushed() > 0 && self.connection.is_writable(self.side)
    }

    /// Whether there is something to do that no event announces.
    fn has_more(&self) -> bool {
        let waits = || self.connection.waiting(self.side).is_some() || self.keeps();
        self.ready.readable && self.connection.room(self.side) > 0 || self.ready.writable && waits()
    }

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
            SocketEnd::Shutdown => {
                let shut = self.socket.shutdown().map_err(|error| error.kind());
                // Otherwise it fails only when the other side is gone already, and reads say so.
                if let Err(kind @ (ErrorKind::WouldBlock | ErrorKind::Interrupted)) = shut {
                    self.ready.writable &= kind == ErrorKind::Interrupted;
                    return self.note_unflushed();
                }
            }
            SocketEnd::Close => self.socket.close(),
        }
        self.connection.shut(self.side);
    }

    fn read(&mut self) {
        let room = if self.ready.readable { self.connection.room(self.side) } else { 0 };
        if room == 0 {
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
                self.ready.readable =
                    datagram || n == room || hung_up || reads_in_pieces || self.socket.holds_more();
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
        // Reading may have had something to say, as in a handshake.
        self.note_unflushed();
    }

    /// Hands on what the transport kept, and tells the connection how much it keeps now.
    fn flush(&mut self) {
        if self.ready.writable
            && self.keeps()
            && let Err(error) = self.socket.flush()
        {
            self.refused(error.kind());
        }
        self.note_unflushed();
    }

    /// Nearly always there was nothing and is nothing: a plain socket keeps none.
    fn note_unflushed(&mut self) {
        let unflushed = self.socket.unflushed();
        if unflushed > 0 || !self.connection.is_drained(self.side) {
            self.connection.unflushed(self.side, unflushed, self.scratch);
        }
    }

    /// Writes what waits, then what the turn made; keeps what is not taken. A turn asks for it seven
    /// times, and mostly for nothing.
    #[inline]
    fn write(&mut self) {
        let is_drained = self.connection.is_drained(self.side) && self.socket.unflushed() == 0;
        if !is_drained || !self.scratch.batch(self.side).is_empty() {
            self.write_all();
        }
    }

    #[inline(never)] // so that asking for nothing costs no more than the question
    fn write_all(&mut self) {
        self.flush();
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
                        self.ready.writable = n == length && self.socket.unflushed() == 0;
                        (Some(n), None)
                    }
                    Err(error) => (None, Some(error.kind())),
                }
            };
            self.note_unflushed();
            if let Some(n) = taken {
                self.connection.sent(self.side, n, self.scratch);
            }
            if let Some(kind) = error {
                self.refused(kind);
            }
        }
    }

    /// Writes a stream's `batch`, which holds something, if nothing waits before it.
    fn write_batch(&mut self, batch: &Batch) {
        let mut sent = 0;
        while sent < batch.len()
            && self.ready.writable
            && self.socket.unflushed() == 0
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
                    self.note_unflushed();
                }
                Err(error) => self.refused(error.kind()),
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
        self.ready.writable = written == length && self.socket.unflushed() == 0;
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

    /// A write was not taken, for now or for good.
    fn refused(&mut self, kind: ErrorKind) {
        match kind {
            ErrorKind::WouldBlock => self.ready.writable = false,
            ErrorKind::Interrupted => {}
            kind => self.failed(kind),
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

#[cfg(test)]
mod tests {
    use super::super::tests::{Stuck, bridged, frame, gives};
    use super::*;
    use crate::slab::Slab;
    use std::time::Instant;

    #[test]
    fn who_cannot_be_shut_down_yet_is_told_when_it_can() {
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
        for kind in [ErrorKind::WouldBlock, ErrorKind::Interrupted] {
            let mut connection = bridged(&slab, &mut scratch);
            gives(&mut connection, Side::Client, &frame(8, b""), &mut scratch);
            assert!(matches!(connection.ending_of(Side::Peer), SocketEnd::Shutdown));
            let ready = &mut Ready { writable: true, ..Ready::default() };
            let socket = &mut Stuck { shut: Some(kind), ..Stuck::default() };
            let connection = &mut connection;
            let mut way =
                Way { side: Side::Peer, connection, socket, ready, scratch: &mut scratch };
            way.end();
            assert_eq!(way.ready.writable, kind == ErrorKind::Interrupted, "{kind:?}");
        }
    }

    #[test]
    fn what_waits_here_or_in_the_transport_needs_no_event_to_be_written() {
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
        for (waits, unflushed) in [(false, 0), (true, 0), (false, 1)] {
            let mut connection = bridged(&slab, &mut scratch);
            if waits {
                connection.queue(Side::Client, [&b"late"[..]].into_iter(), scratch.now);
            }
            for writable in [false, true] {
                let way = Way {
                    side: Side::Client,
                    connection: &mut connection,
                    socket: &mut Stuck { unflushed, ..Stuck::default() },
                    ready: &mut Ready { writable, ..Ready::default() },
                    scratch: &mut scratch,
                };
                assert_eq!(way.has_more(), writable && (waits || unflushed > 0));
                way.ready.readable = true;
                assert!(way.has_more());
            }
        }
    }
}
