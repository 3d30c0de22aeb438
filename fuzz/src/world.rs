//! A connection with two sockets that a script moves, and a clock that stands still in between.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::rc::Rc;
use std::time::{Duration, Instant};

use websocksy::backend::{Answer, QueryError, Target};
use websocksy::config::Config;
use websocksy::conn::pump::Pump;
use websocksy::conn::socket::{DATAGRAM_TOO_BIG, Endpoint, Ready, Socket};
use websocksy::conn::{Action, Connection, Scratch, Side, TURN_BYTES};
use websocksy::framing::Selection;
use websocksy::proto::handshake::Upgrade;

/// A request that is let in.
pub(super) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// Turns after which a connection that still has more to do at once is taken to spin.
const TURNS: usize = 100_000;
/// What may wait for a side: what one turn made. A message of one byte and its line end become
/// four bytes with their header; the longest envelope, 80 bytes, is around six bytes of a frame.
const WAITING: usize = 2 * TURN_BYTES;

/// The largest UDP payload.
const MAX_DATAGRAM: usize = 65_507;

thread_local! {
    /// As in the reactor, one for all connections: what one leaves there the next must not see.
    static TURN: RefCell<Scratch> = RefCell::new(Scratch::new(Instant::now()));
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Fin,
    Reset,
}

/// A socket, or what the kernel knows of it.
pub(super) struct Wire {
    datagrams: bool,
    /// What was not read yet, read by read.
    inbox: VecDeque<Vec<u8>>,
    end: Option<End>,
    /// How many bytes it takes before it is full.
    credit: usize,
    /// Errors that come before anything else.
    errors: VecDeque<ErrorKind>,
    /// The largest datagram that it takes.
    largest: usize,
    /// What the attempts to send one datagram failed with: the first error may be about an earlier
    /// one, so there is a second.
    failures: Vec<ErrorKind>,
    /// A datagram was too large.
    pub(super) too_large: bool,
    ready: Ready,
    /// All that was read from it; of datagrams, each after its length.
    pub(super) read: Vec<u8>,
    /// All that was written to it, likewise, with the datagrams that were lost.
    pub(super) written: Vec<u8>,
    /// How much had been written when the connection gave it up.
    given_up: Option<usize>,
    /// Its write end was shut down.
    pub(super) shut: bool,
}

impl Wire {
    fn new(datagrams: bool) -> Self {
        Self {
            datagrams,
            inbox: VecDeque::new(),
            end: None,
            credit: usize::MAX,
            errors: VecDeque::new(),
            largest: usize::MAX,
            failures: Vec::new(),
            too_large: false,
            ready: Ready { writable: true, ..Ready::default() },
            read: Vec::new(),
            written: Vec::new(),
            given_up: None,
            shut: false,
        }
    }

    /// Bytes arrive, if the stream did not end before.
    pub(super) fn deliver(&mut self, bytes: &[u8]) {
        let bytes =
            &bytes[..bytes.len().min(if self.datagrams { MAX_DATAGRAM } else { usize::MAX })];
        if self.end.is_some() || bytes.is_empty() && !self.datagrams {
            return;
        }
        match self.inbox.back_mut() {
            Some(last) if !self.datagrams => last.extend_from_slice(bytes),
            _ => self.inbox.push_back(bytes.to_vec()),
        }
        self.ready.readable = true;
    }

    /// The other side ends its stream, or all.
    pub(super) fn finish(&mut self, end: End) {
        match end {
            // Nothing says that a datagram socket will send no more.
            End::Fin if self.datagrams => return,
            End::Reset if self.datagrams => self.errors.push_back(ErrorKind::ConnectionReset),
            _ if self.end == Some(End::Reset) => return,
            _ => self.end = Some(end),
        }
        self.ready = Ready { readable: true, writable: true, hung_up: true, ..self.ready };
    }

    /// From now on it takes so many bytes.
    pub(super) fn set_credit(&mut self, credit: usize) {
        self.credit = credit;
        self.ready.writable |= credit > 0;
    }

    /// From now on larger datagrams than this are too large.
    pub(super) fn set_largest(&mut self, largest: usize) {
        self.largest = largest;
    }

    pub(super) fn is_datagram(&self) -> bool {
        self.datagrams
    }

    /// An event that says more than is so, and perhaps an error that passes.
    pub(super) fn wake(&mut self, error: Option<ErrorKind>) {
        self.errors.extend(error);
        self.ready.readable = true;
        self.ready.writable = true;
    }

    /// Whether a read would give something.
    fn is_readable(&self) -> bool {
        !self.inbox.is_empty() || self.end.is_some()
    }

    fn try_to_send(&mut self, length: usize) -> Result<()> {
        self.fail()?;
        if self.credit < length.max(1) {
            self.credit = 0;
            return Err(ErrorKind::WouldBlock.into());
        }
        // A full socket does not say it: the datagram waits, and then it is too large.
        if length > self.largest {
            return Err(DATAGRAM_TOO_BIG.into());
        }
        self.credit -= length.max(1);
        Ok(())
    }

    fn fail(&mut self) -> Result<()> {
        self.errors.pop_front().map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn log(log: &mut Vec<u8>, datagrams: bool, bytes: &[u8]) {
        if datagrams {
            log.extend((bytes.len() as u32).to_le_bytes());
        }
        log.extend_from_slice(bytes);
    }
}

impl Socket for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        assert!(!buffer.is_empty(), "a read for nothing looks like an end");
        self.fail()?;
        let Some(mut piece) = self.inbox.pop_front() else {
            return match self.end {
                None => Err(ErrorKind::WouldBlock.into()),
                Some(End::Fin) => Ok(0),
                Some(End::Reset) => Err(ErrorKind::ConnectionReset.into()),
            };
        };
        let n = piece.len().min(buffer.len());
        buffer[..n].copy_from_slice(&piece[..n]);
        Self::log(&mut self.read, self.datagrams, &piece[..n]);
        if !self.datagrams && n < piece.len() {
            piece.drain(..n);
            self.inbox.push_front(piece);
        }
        Ok(n)
    }

    fn write(&mut self, parts: &[IoSlice<'_>], _last: bool) -> Result<usize> {
        assert!(!self.shut && !self.datagrams, "written after the end");
        self.fail()?;
        if self.end == Some(End::Reset) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let mut taken = 0;
        for part in parts {
            let n = part.len().min(self.credit);
            self.written.extend_from_slice(&part[..n]);
            self.credit -= n;
            taken += n;
        }
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn send(&mut self, datagram: &[u8]) -> Result<()> {
        assert!(!self.shut && self.datagrams, "sent after the end");
        assert!(!self.too_large, "sent after a datagram that was too large");
        let sent = self.try_to_send(datagram.len());
        match sent.as_ref().map_err(Error::kind) {
            Ok(()) => {}
            Err(ErrorKind::WouldBlock | ErrorKind::Interrupted) => self.failures.clear(),
            Err(kind) => self.failures.push(kind),
        }
        if sent.is_ok() || self.failures.len() == 2 {
            self.too_large = matches!(self.failures[..], [_, DATAGRAM_TOO_BIG]);
            self.failures.clear();
            Self::log(&mut self.written, true, datagram);
        }
        sent
    }

    fn shutdown(&mut self) -> Result<()> {
        assert!(!self.shut, "shut down twice");
        self.shut = true;
        match self.end {
            Some(End::Reset) => Err(Error::from(ErrorKind::NotConnected)),
            _ => Ok(()),
        }
    }

    fn close(&mut self) {
        self.shut = true;
    }

    fn unacknowledged(&self) -> usize {
        0
    }

    fn reads_unasked(&self) -> bool {
        true
    }
}

/// What the back end answers.
pub(super) struct Bridge {
    pub(super) target: Target,
    pub(super) framing: Selection,
}

/// A connection and what is around it.
pub(super) struct World {
    pub(super) connection: Connection,
    pub(super) client: Wire,
    pub(super) peer: Option<Wire>,
    bridge: Bridge,
    now: Instant,
    asked: Option<Box<Upgrade>>,
    dialled: bool,
}

impl World {
    pub(super) fn new(config: &Rc<Config>, bridge: Bridge) -> Self {
        let now = Instant::now();
        Self {
            connection: Connection::new(Rc::clone(config), now),
            client: Wire::new(false),
            peer: None,
            bridge,
            now,
            asked: None,
            dialled: false,
        }
    }

    /// Does something to the connection, and then all that is to be done at once.
    pub(super) fn step(&mut self, act: impl FnOnce(&mut Self, &mut Scratch)) {
        TURN.with_borrow_mut(|scratch| {
            scratch.now = self.now;
            act(self, scratch);
            self.settle(scratch);
        });
        self.check();
    }

    /// Something happens to the client's socket.
    pub(super) fn client(&mut self, act: impl FnOnce(&mut Wire)) {
        self.step(|world, _| act(&mut world.client));
    }

    /// Something happens to the peer's socket, if there is one.
    pub(super) fn peer(&mut self, act: impl FnOnce(&mut Wire)) {
        self.step(|world, _| _ = world.peer.as_mut().map(act));
    }

    fn settle(&mut self, scratch: &mut Scratch) {
        for _ in 0..TURNS {
            let again = self.with_sockets(scratch, |mut pump| pump.turn());
            if self.client.ready.hung_up {
                self.connection.hung_up();
            }
            self.take_action();
            if self.connection.finished() || !again {
                return;
            }
        }
        panic!("it spins");
    }

    /// Hands the connection with its sockets to `act`.
    fn with_sockets<T>(
        &mut self,
        scratch: &mut Scratch,
        act: impl FnOnce(Pump<'_, Wire>) -> T,
    ) -> T {
        let mut client = self.client.ready;
        let mut peer = self.peer.as_ref().map(|wire| wire.ready).unwrap_or_default();
        let done = act(Pump {
            connection: &mut self.connection,
            client: Endpoint { socket: &mut self.client, ready: &mut client },
            peer: self.peer.as_mut().map(|socket| Endpoint { socket, ready: &mut peer }),
            scratch,
        });
        self.client.ready = client;
        if let Some(wire) = &mut self.peer {
            wire.ready = peer;
        }
        done
    }

    fn take_action(&mut self) {
        match self.connection.take_action() {
            Some(Action::Ask(upgrade)) => self.asked = Some(upgrade),
            Some(Action::Dial(target)) => {
                assert_eq!(target, self.bridge.target);
                self.dialled = true;
            }
            None => {}
        }
    }

    /// The back end answers, and the peer is there; or nothing was asked.
    pub(super) fn grant(&mut self) {
        self.step(|world, scratch| {
            let Some(upgrade) = world.asked.take() else { return };
            let Bridge { target, framing } = &world.bridge;
            let answer =
                Answer { target: target.clone(), framing: framing.clone(), protocol: None };
            world.connection.answered(upgrade, Ok(answer), scratch);
        });
        self.step(|world, scratch| {
            if std::mem::take(&mut world.dialled) {
                let datagrams = is_datagram(&world.bridge.target);
                world.peer = Some(Wire::new(datagrams));
                world.connection.connected(scratch);
            }
        });
    }

    /// The back end names nobody, or the peer is not there.
    pub(super) fn deny(&mut self) {
        self.step(|world, scratch| {
            if let Some(upgrade) = world.asked.take() {
                world.connection.answered(upgrade, Err(QueryError::NoPeer), scratch);
            } else if std::mem::take(&mut world.dialled) {
                world.connection.not_connected("refused".into(), scratch);
            }
        });
    }

    /// Time passes, at most to the next deadline; what is due is done.
    pub(super) fn wait(&mut self, at_most: Duration) {
        self.step(|world, scratch| {
            let due = world.connection.deadline();
            let longest =
                due.map_or(Duration::ZERO, |due| due.saturating_duration_since(world.now));
            world.now += longest.min(at_most);
            let now = world.now;
            scratch.now = now;
            if due.is_some_and(|due| due <= now) && !world.connection.finished() {
                world.with_sockets(scratch, |mut pump| pump.deadline());
            }
        });
    }

    /// What holds after every step.
    fn check(&mut self) {
        let connection = &self.connection;
        let wires = [(Side::Client, Some(&mut self.client)), (Side::Peer, self.peer.as_mut())];
        for (side, wire) in wires {
            let Some(wire) = wire.filter(|_| !connection.is_writable(side)) else { continue };
            let before = *wire.given_up.get_or_insert(wire.written.len());
            assert_eq!(before, wire.written.len(), "written to a {side:?} given up");
        }
        if connection.finished() {
            return;
        }
        assert!(connection.deadline().is_some(), "it waits without a deadline");
        let wires = [(Side::Client, Some(&self.client)), (Side::Peer, self.peer.as_ref())];
        for (side, wire) in wires {
            let waiting = connection.waiting(side).map_or(0, <[u8]>::len);
            assert!(waiting <= WAITING, "{waiting} bytes wait for the {side:?}");
            let Some(wire) = wire else { continue };
            let wanted = connection.room(side) > 0 && wire.is_readable();
            assert!(!wanted || wire.ready.readable, "{side:?} is readable, and nobody knows");
            let blocked = connection.waiting(side).is_some() && wire.credit > 0;
            assert!(!blocked, "{side:?} is writable, and nobody writes");
        }
    }

    /// The client's request, and a peer that is there.
    pub(super) fn open(&mut self) {
        self.client(|client| client.deliver(REQUEST));
        self.grant();
    }
}

pub(super) fn is_datagram(target: &Target) -> bool {
    matches!(target, Target::Udp { .. } | Target::UnixDatagram(_))
}
