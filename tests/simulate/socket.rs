//! A made-up socket, and what the event loop would know of it.
//!
//! Its events are those of an edge-triggered epoll (epoll(7)) and no more: bytes or a datagram
//! arrive, a window opens that was found shut, an end or an error is there. A step that the pump
//! leaves out because of an event it missed is therefore never made up for by chance.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, IoSlice, Result};

use websocksy::conn::socket::{DATAGRAM_TOO_BIG, Endpoint, Ready, Socket};

use crate::random::Random;

/// Calls in one turn after which it is taken to spin.
const CALLS: usize = 2_000;

/// A socket as the pump sees it.
pub(crate) struct Fake {
    random: Random,
    /// What the other side has sent, and how much of it was read.
    input: Vec<u8>,
    at: usize,
    /// The lengths of the datagrams in `input` that were not read yet.
    datagrams: Option<VecDeque<usize>>,
    /// Bytes, or datagrams, that were read.
    pub(crate) read: usize,
    /// How the input ends.
    pub(crate) end: Option<Option<ErrorKind>>,
    end_seen: bool,
    reads_in_pieces: bool,
    /// What it may take before it blocks.
    window: usize,
    /// A write found the window too small: its next growth is an event.
    blocked: bool,
    /// What was written since the books were last checked.
    pub(crate) output: Vec<u8>,
    /// What was sent since then, or lost when both attempts failed.
    pub(crate) sent: Vec<Vec<u8>>,
    /// What was written in all.
    pub(crate) written: usize,
    /// Writes fail.
    pub(crate) broken: bool,
    pub(crate) shut: bool,
    /// The last bytes were taken, and their shutdown is due at once.
    corked: bool,
    closed: bool,
    /// The errors of the attempts to send one datagram.
    failures: Vec<ErrorKind>,
    /// What ICMP said of an earlier datagram.
    pending: Option<ErrorKind>,
    /// How often it was said that a datagram was refused.
    pub(crate) refusals: usize,
    /// The largest datagram it takes, and whether one was larger.
    largest: usize,
    pub(crate) too_big: bool,
    /// System calls of this turn.
    pub(crate) reads: usize,
    writes: usize,
}

impl Fake {
    fn new(mut random: Random, datagrams: bool, reads_in_pieces: bool) -> Self {
        let largest = if random.one_in(3) { 1 + random.length() } else { usize::MAX };
        Self {
            random,
            input: Vec::new(),
            at: 0,
            datagrams: datagrams.then(VecDeque::new),
            read: 0,
            end: None,
            end_seen: false,
            reads_in_pieces,
            window: 0,
            blocked: false,
            output: Vec::new(),
            sent: Vec::new(),
            written: 0,
            broken: false,
            shut: false,
            corked: false,
            closed: false,
            failures: Vec::new(),
            pending: None,
            refusals: 0,
            largest,
            too_big: false,
            reads: 0,
            writes: 0,
        }
    }

    /// Whether a read would give something.
    pub(crate) fn has_news(&self) -> bool {
        let waits = self.datagrams.as_ref().map_or(self.at < self.input.len(), |d| !d.is_empty());
        waits || self.pending.is_some() || self.end.is_some() && !self.end_seen
    }

    /// Whether a write of this would do something.
    pub(crate) fn takes(&self, bytes: &[u8]) -> bool {
        let least = if self.datagrams.is_some() { bytes.len().max(1) } else { 1 };
        self.broken || self.pending.is_some() || self.window >= least
    }

    /// How much has arrived in all.
    pub(crate) fn arrived(&self) -> usize {
        self.datagrams.as_ref().map_or(self.input.len(), |waiting| self.read + waiting.len())
    }

    pub(crate) fn begin_turn(&mut self) {
        (self.reads, self.writes) = (0, 0);
    }

    /// Bytes that may wait for the end of the stream do not wait without it.
    pub(crate) fn end_turn(&self) {
        assert!(!self.corked || self.shut || self.broken, "the last bytes, and no shutdown");
    }

    fn call(&mut self) -> Result<()> {
        assert!(!self.closed, "a call after the close");
        assert!(self.reads + self.writes < CALLS, "it spins within a turn");
        if self.random.one_in(25) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    /// How much of the `waiting` bytes, or datagrams' first, one read gives.
    fn portion(&mut self, room: usize) -> usize {
        let waiting = self.input.len() - self.at;
        match &self.datagrams {
            Some(lengths) => {
                let length = lengths.front().copied().unwrap_or_default();
                assert!(length <= room, "a datagram is cut");
                length
            }
            None if self.reads_in_pieces && self.random.one_in(4) => {
                self.random.up_to(waiting.min(room))
            }
            None => waiting.min(room),
        }
    }

    fn refused(&mut self, kind: ErrorKind) -> Error {
        self.refusals += usize::from(kind != DATAGRAM_TOO_BIG);
        kind.into()
    }

    /// What becomes of one attempt to send, errors that are made up included.
    fn attempt(&mut self, length: usize) -> Result<()> {
        self.call()?;
        if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if let Some(kind) = self.pending.take() {
            return Err(self.refused(kind));
        }
        if self.window < length.max(1) {
            self.blocked = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        if length > self.largest {
            return Err(DATAGRAM_TOO_BIG.into());
        }
        if self.random.one_in(if self.failures.is_empty() { 30 } else { 3 }) {
            let kinds =
                [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable, DATAGRAM_TOO_BIG];
            let kind = kinds[self.random.below(3) as usize];
            return Err(self.refused(kind));
        }
        self.window -= length.max(1);
        Ok(())
    }
}

impl Socket for Fake {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        assert!(!self.end_seen, "a read after the end");
        assert!(!buffer.is_empty(), "a read for nothing looks like an end");
        self.reads += 1;
        self.call()?;
        if let Some(kind) = self.pending.take() {
            return Err(self.refused(kind));
        }
        let waits = self.datagrams.as_ref().map_or(self.at < self.input.len(), |d| !d.is_empty());
        if !waits {
            let Some(end) = self.end else { return Err(ErrorKind::WouldBlock.into()) };
            self.end_seen = true;
            return end.map_or(Ok(0), |kind| Err(Error::from(kind)));
        }
        let n = self.portion(buffer.len());
        buffer[..n].copy_from_slice(&self.input[self.at..self.at + n]);
        self.at += n;
        let one = self.datagrams.as_mut().map(|lengths| lengths.drain(..1).len());
        self.read += one.unwrap_or(n);
        Ok(n)
    }

    fn write(&mut self, parts: &[IoSlice<'_>], last: bool) -> Result<usize> {
        assert!(!self.shut, "a write after the shutdown");
        assert!(self.datagrams.is_none(), "a stream of datagrams");
        self.writes += 1;
        self.call()?;
        if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(length > 0, "a write of nothing");
        let taken = length.min(self.window);
        self.window -= taken;
        self.blocked = taken < length;
        self.corked = last && taken == length;
        if taken == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut left = taken;
        for part in parts {
            let n = part.len().min(left);
            self.output.extend_from_slice(&part[..n]);
            left -= n;
        }
        self.written += taken;
        Ok(taken)
    }

    fn send(&mut self, datagram: &[u8]) -> Result<()> {
        assert!(!self.shut, "a datagram after the shutdown");
        assert!(self.datagrams.is_some(), "a datagram in a stream");
        assert!(!self.too_big, "a datagram after one that was too big");
        self.writes += 1;
        let outcome = self.attempt(datagram.len());
        match outcome.as_ref().map_err(Error::kind) {
            Ok(()) => self.written += datagram.len(),
            Err(ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.failures.clear();
                return outcome;
            }
            Err(kind) => self.failures.push(kind),
        }
        // It is sent, or lost for good: the socket is broken, or the second attempt failed too.
        if outcome.is_ok() || self.broken || self.failures.len() == 2 {
            self.too_big = matches!(self.failures[..], [_, DATAGRAM_TOO_BIG]);
            self.failures.clear();
            self.sent.push(datagram.to_vec());
        }
        outcome
    }

    fn shutdown(&mut self) -> Result<()> {
        assert!(!std::mem::replace(&mut self.shut, true), "shut down twice");
        if self.broken { Err(ErrorKind::NotConnected.into()) } else { Ok(()) }
    }

    fn close(&mut self) {
        assert!(!std::mem::replace(&mut self.closed, true), "closed twice");
        self.shut = true;
        self.end_seen = true;
    }

    fn unacknowledged(&self) -> usize {
        0
    }

    fn reads_unasked(&self) -> bool {
        true
    }
}

/// A socket and its readiness.
pub(crate) struct Plug {
    pub(crate) socket: Fake,
    pub(crate) ready: Ready,
}

impl Plug {
    pub(crate) fn new(random: Random, datagrams: bool, reads_in_pieces: bool) -> Self {
        Self {
            socket: Fake::new(random, datagrams, reads_in_pieces),
            ready: Ready { writable: true, reads_in_pieces, ..Ready::default() },
        }
    }

    pub(crate) fn port(&mut self) -> Endpoint<'_, Fake> {
        Endpoint { socket: &mut self.socket, ready: &mut self.ready }
    }

    /// Bytes arrive, at least one, or one datagram.
    pub(crate) fn arrive(&mut self, bytes: &[u8]) {
        self.socket.input.extend_from_slice(bytes);
        if let Some(lengths) = &mut self.socket.datagrams {
            lengths.push_back(bytes.len());
        }
        self.ready.readable = true;
    }

    /// The window grows up to `most`; returns whether that is an event.
    pub(crate) fn open_window(&mut self, most: usize) -> bool {
        let grows = most > self.socket.window;
        self.socket.window = self.socket.window.max(most);
        let event = grows && std::mem::take(&mut self.socket.blocked);
        self.ready.writable |= event;
        event
    }

    /// How far the window is open.
    pub(crate) fn window(&self) -> usize {
        self.socket.window
    }

    /// The other side ends its stream, or breaks it off with an error.
    pub(crate) fn finish(&mut self, error: Option<ErrorKind>) {
        self.socket.end = Some(error);
        self.ready.readable = true;
        self.ready.hung_up = true;
        if error.is_some() {
            self.socket.broken = true;
            self.ready.writable = true;
        }
    }

    /// ICMP says that a datagram was refused.
    pub(crate) fn refuse(&mut self) {
        self.socket.pending = Some(ErrorKind::ConnectionRefused);
        (self.ready.readable, self.ready.writable) = (true, true);
        self.ready.hung_up = true;
    }

    /// An event that says more than is so.
    pub(crate) fn spurious(&mut self) {
        (self.ready.readable, self.ready.writable) = (true, true);
    }
}
