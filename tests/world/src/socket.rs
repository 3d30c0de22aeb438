//! A made-up socket, and what the event loop would know of it.
//!
//! Its events are those of an edge-triggered epoll (epoll(7)) and no more: bytes or a datagram
//! arrive, a window opens that was found shut, an end or an error is there. A step that the pump
//! leaves out because of an event it missed is therefore never made up for by chance.

mod plug;

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, IoSlice, Result};

use websocksy::conn::socket::{DATAGRAM_TOO_BIG, Socket};

use crate::chance::Random;
use crate::options::Faults;
pub use plug::Plug;

/// Calls in one turn after which it is taken to spin.
const CALLS: usize = 2_000;
/// How much a stream keeps that does so.
const KEPT: usize = 1_000;
/// How many refusals a peer of datagrams may answer with and still be there.
const REFUSALS: usize = 3;

/// A socket as the pump sees it.
#[derive(Debug)]
pub struct FakeSocket {
    random: Random,
    faults: Faults,
    /// What the other side has sent, and how much of it was read.
    input: Vec<u8>,
    at: usize,
    /// The lengths of the datagrams in `input` that were not read yet.
    datagrams: Option<VecDeque<usize>>,
    /// How the input ends.
    pub end: Option<Option<ErrorKind>>,
    end_seen: bool,
    reads_in_pieces: bool,
    /// What it may take before it blocks; the most that there is for no limit.
    window: usize,
    /// Whether it keeps what the system did not take, and what it keeps now.
    keeps: bool,
    kept: Vec<u8>,
    /// Whether the system tells what the other end has not acknowledged, how much that is, and how
    /// much it has.
    tells: bool,
    held: usize,
    acknowledged: u64,
    /// A write found the window too small: its next growth is an event.
    blocked: bool,
    /// Errors that come before anything else, such as what ICMP said of an earlier datagram.
    errors: VecDeque<ErrorKind>,
    /// What each read gave: bytes, or a datagram.
    pub reads: Vec<Vec<u8>>,
    /// What each write took; of datagrams those, too, that were lost when both attempts failed.
    pub writes: Vec<Vec<u8>>,
    /// Writes fail.
    pub broken: bool,
    /// An error was returned after which nothing more is to be expected.
    failed: bool,
    /// Its write end was shut down.
    pub shut: bool,
    /// The last bytes were taken, and their shutdown is due at once.
    corked: bool,
    closed: bool,
    /// It was closed though its end had not been read: what then comes in resets it, and so destroys
    /// what was written (tcp(7)).
    pub closed_early: bool,
    /// The errors of the attempts to send one datagram: the first may be of an earlier one.
    failures: Vec<ErrorKind>,
    /// How often it was said that a datagram was refused.
    refusals: usize,
    /// The largest datagram it takes, and whether one was larger.
    largest: usize,
    /// A datagram was too large.
    pub too_big: bool,
    /// System calls of this turn.
    turn_reads: usize,
    turn_writes: usize,
}

impl FakeSocket {
    fn new(faults: &Faults, mut random: Random, datagrams: bool, reads_in_pieces: bool) -> Self {
        let is_small = random.one_in(faults.small_datagrams);
        let keeps = !datagrams && random.one_in(faults.keeps);
        let largest = if is_small { 1 + random.length() } else { usize::MAX };
        Self {
            random,
            faults: *faults,
            input: Vec::new(),
            at: 0,
            datagrams: datagrams.then(VecDeque::new),
            end: None,
            end_seen: false,
            reads_in_pieces,
            window: 0,
            keeps,
            kept: Vec::new(),
            tells: false,
            held: 0,
            acknowledged: 0,
            blocked: false,
            errors: VecDeque::new(),
            reads: Vec::new(),
            writes: Vec::new(),
            broken: false,
            failed: false,
            shut: false,
            corked: false,
            closed: false,
            closed_early: false,
            failures: Vec::new(),
            refusals: 0,
            largest,
            too_big: false,
            turn_reads: 0,
            turn_writes: 0,
        }
    }

    /// Whether a read would give something.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.has_input() || !self.errors.is_empty() || self.end.is_some() && !self.end_seen
    }

    fn has_input(&self) -> bool {
        self.datagrams.as_ref().map_or(self.at < self.input.len(), |waiting| !waiting.is_empty())
    }

    /// Whether a write of this would do something.
    #[must_use]
    pub fn takes(&self, bytes: &[u8]) -> bool {
        let least = if self.datagrams.is_some() { bytes.len().max(1) } else { 1 };
        self.broken || !self.errors.is_empty() || self.window >= least
    }

    /// How many bytes, or datagrams, have arrived in all.
    #[must_use]
    pub fn arrived(&self) -> usize {
        let read = self.reads.len();
        self.datagrams.as_ref().map_or(self.input.len(), |waiting| read + waiting.len())
    }

    /// Whether what is written goes nowhere, for a reason that came from outside.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.broken || self.failed || self.too_big || self.refusals >= REFUSALS
    }

    /// How many bytes the other end has acknowledged in all.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The other end takes bytes that the system holds for it.
    fn acknowledge(&mut self, most: usize) {
        let n = self.held.min(most);
        self.held -= n;
        self.acknowledged += n as u64;
    }

    /// `n` bytes are taken, by the other end itself where nothing is held for it.
    fn take(&mut self, n: usize) {
        let is_bounded = self.window != usize::MAX;
        if is_bounded {
            self.window -= n;
        }
        match is_bounded && self.tells {
            true => self.held += n,
            false => self.acknowledged += n as u64,
        }
    }

    /// What it keeps.
    #[must_use]
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Hands on what it keeps, as far as that is taken.
    fn put_kept(&mut self) -> Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let n = self.kept.len().min(self.window);
        self.blocked = n < self.kept.len();
        if n > 0 {
            self.take(n);
            self.writes.push(self.kept.drain(..n).collect());
        }
        if self.blocked { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    /// Whether the end of the input was read.
    #[must_use]
    pub fn end_was_read(&self) -> bool {
        self.end_seen
    }

    /// Reads of this turn.
    #[must_use]
    pub fn turn_reads(&self) -> usize {
        self.turn_reads
    }

    /// A turn of the loop begins.
    pub fn begin_turn(&mut self) {
        (self.turn_reads, self.turn_writes) = (0, 0);
    }

    /// A turn ends: bytes that may wait for the end of the stream do not wait without it.
    pub fn end_turn(&self) {
        assert!(!self.corked || self.shut || self.broken, "the last bytes, and no shutdown");
    }

    /// What any call may fail with.
    fn call(&mut self) -> Result<()> {
        assert!(!self.closed, "a call after the close");
        assert!(self.turn_reads + self.turn_writes < CALLS, "it spins within a turn");
        if self.random.one_in(self.faults.interrupted) {
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    /// The same for one that writes.
    fn write_call(&mut self) -> Result<()> {
        self.call()?;
        if self.broken { Err(ErrorKind::BrokenPipe.into()) } else { self.error() }
    }

    /// The error that comes before anything else, if there is one.
    fn error(&mut self) -> Result<()> {
        let error = self.errors.pop_front();
        error.map_or(Ok(()), |kind| Err(self.failure(kind)))
    }

    fn failure(&mut self, kind: ErrorKind) -> Error {
        match kind {
            ErrorKind::Interrupted | DATAGRAM_TOO_BIG => {}
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable => self.refusals += 1,
            _ => self.failed = true,
        }
        kind.into()
    }

    /// How much of the waiting bytes, or of the datagrams the first, one read gives.
    fn portion(&mut self, room: usize) -> usize {
        let waiting = self.input.len() - self.at;
        match &self.datagrams {
            Some(lengths) => {
                let length = lengths.front().copied().unwrap_or_default();
                assert!(length <= room, "a datagram is cut");
                length
            }
            None if self.reads_in_pieces && self.random.one_in(self.faults.short_read) => {
                self.random.up_to(waiting.min(room))
            }
            None => waiting.min(room),
        }
    }

    /// What becomes of one attempt to send, errors that are made up included.
    fn attempt(&mut self, length: usize) -> Result<()> {
        self.write_call()?;
        if self.window < length.max(1) {
            self.blocked = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        if length > self.largest {
            return Err(DATAGRAM_TOO_BIG.into());
        }
        let Faults { refused_datagram, refused_again, .. } = self.faults;
        let rate = if self.failures.is_empty() { refused_datagram } else { refused_again };
        if self.random.one_in(rate) {
            let kinds =
                [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable, DATAGRAM_TOO_BIG];
            let kind = kinds[self.random.below(3) as usize];
            return Err(self.failure(kind));
        }
        self.take(length.max(1));
        Ok(())
    }
}

impl Socket for FakeSocket {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        assert!(!self.end_seen, "a read after the end");
        assert!(!buffer.is_empty(), "a read for nothing looks like an end");
        self.turn_reads += 1;
        self.call()?;
        self.error()?;
        if !self.has_input() {
            let Some(end) = self.end else { return Err(ErrorKind::WouldBlock.into()) };
            self.end_seen = true;
            return end.map_or(Ok(0), |kind| Err(Error::from(kind)));
        }
        let n = self.portion(buffer.len());
        let piece = &self.input[self.at..self.at + n];
        buffer[..n].copy_from_slice(piece);
        self.reads.push(piece.to_vec());
        self.at += n;
        _ = self.datagrams.as_mut().map(VecDeque::pop_front);
        Ok(n)
    }

    fn write(&mut self, parts: &[IoSlice<'_>], last: bool) -> Result<usize> {
        assert!(!self.shut, "a write after the shutdown");
        assert!(self.datagrams.is_none(), "a stream of datagrams");
        self.turn_writes += 1;
        self.write_call()?;
        self.put_kept()?;
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(length > 0, "a write of nothing");
        let taken = length.min(self.window);
        self.take(taken);
        self.blocked = taken < length;
        self.corked = last && taken == length;
        let kept = if self.keeps { (length - taken).min(KEPT) } else { 0 };
        if taken + kept == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut bytes = Vec::with_capacity(taken + kept);
        for part in parts {
            bytes.extend_from_slice(&part[..part.len().min(taken + kept - bytes.len())]);
        }
        self.kept = bytes.split_off(taken);
        if taken > 0 {
            self.writes.push(bytes);
        }
        Ok(taken + kept)
    }

    fn flush(&mut self) -> Result<()> {
        self.turn_writes += 1;
        self.write_call()?;
        self.put_kept()
    }

    fn unflushed(&self) -> usize {
        self.kept.len()
    }

    fn send(&mut self, datagram: &[u8]) -> Result<()> {
        assert!(!self.shut, "a datagram after the shutdown");
        assert!(self.datagrams.is_some(), "a datagram in a stream");
        assert!(!self.too_big, "a datagram after one that was too big");
        self.turn_writes += 1;
        let outcome = self.attempt(datagram.len());
        match outcome.as_ref().map_err(Error::kind) {
            Ok(()) => {}
            Err(ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.failures.clear();
                return outcome;
            }
            Err(kind) => self.failures.push(kind),
        }
        // It is sent, or lost for good: the socket is dead, or the second attempt failed too.
        if outcome.is_ok() || self.broken || self.failed || self.failures.len() == 2 {
            self.too_big = matches!(self.failures[..], [_, DATAGRAM_TOO_BIG]);
            self.failures.clear();
            self.writes.push(datagram.to_vec());
        }
        outcome
    }

    fn shutdown(&mut self) -> Result<()> {
        if !self.broken {
            self.put_kept()?;
        }
        assert!(!std::mem::replace(&mut self.shut, true), "shut down twice");
        if self.broken { Err(ErrorKind::NotConnected.into()) } else { Ok(()) }
    }

    fn close(&mut self) {
        assert!(!std::mem::replace(&mut self.closed, true), "closed twice");
        self.closed_early = !self.end_seen && !self.is_lost();
        self.shut = true;
        self.kept.clear();
        self.end_seen = true;
    }

    fn unacknowledged(&self) -> usize {
        self.held + self.kept.len()
    }

    fn reads_unasked(&self) -> bool {
        true
    }
}
