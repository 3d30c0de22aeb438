//! One simulated session: a scripted client, a peer, and chance.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::rc::Rc;
use std::time::{Duration, Instant};

use websocksy::backend::{Answer, QueryError, Target};
use websocksy::config::Config;
use websocksy::conn::pump::{Port, Ready, Socket, pump};
use websocksy::conn::{Action, Connection, Ending, Side, TURN_BYTES, Turn};
use websocksy::framing;
use websocksy::proto::handshake::Upgrade;

use crate::script::{Heard, Random, Script};

/// More than this never waits: a turn's bytes, frame headers, and a few control frames.
const MOST_WAITING: usize = TURN_BYTES + 4096;
/// Steps in which a session must have settled once nothing holds it up.
const PATIENCE: usize = 20_000;

/// A made-up socket.
struct Fake {
    random: Random,
    /// What the other side has sent, and how much of it was read.
    input: Vec<u8>,
    read: usize,
    /// How the input ends.
    end: Option<Option<ErrorKind>>,
    end_seen: bool,
    /// What it may take before it blocks.
    window: usize,
    output: Vec<u8>,
    broken: bool,
    shut: bool,
}

impl Fake {
    fn new(random: Random) -> Self {
        let (input, output) = (Vec::new(), Vec::new());
        let (end, window) = (None, 0);
        let (read, end_seen, broken, shut) = (0, false, false, false);
        Self { random, input, read, end, end_seen, window, output, broken, shut }
    }

    fn has_news(&self) -> bool {
        self.read < self.input.len() || self.end.is_some() && !self.end_seen
    }
}

impl Socket for Fake {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        assert!(!self.end_seen, "a read after the end");
        if self.random.one_in(20) {
            return Err(ErrorKind::Interrupted.into());
        }
        let waiting = &self.input[self.read..];
        if waiting.is_empty() {
            let Some(end) = self.end else { return Err(ErrorKind::WouldBlock.into()) };
            self.end_seen = true;
            return end.map_or(Ok(0), |kind| Err(Error::from(kind)));
        }
        let short = self.random.one_in(4);
        let most = waiting.len().min(buffer.len());
        let n = if short { 1 + self.random.below(most as u64) as usize } else { most }.min(most);
        buffer[..n].copy_from_slice(&waiting[..n]);
        self.read += n;
        Ok(n)
    }

    fn write(&mut self, parts: &[IoSlice<'_>], _last: bool) -> Result<usize> {
        assert!(!self.shut, "a write after the shutdown");
        if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.random.one_in(30) {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.window == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        for part in parts {
            let n = part.len().min(self.window);
            self.output.extend_from_slice(&part[..n]);
            self.window -= n;
            taken += n;
        }
        Ok(taken)
    }

    fn send(&mut self, _: &[u8]) -> Result<()> {
        unreachable!("a stream")
    }

    fn shutdown(&mut self) -> Result<()> {
        assert!(!std::mem::replace(&mut self.shut, true), "shut down twice");
        Ok(())
    }

    fn close(&mut self) {
        self.shut = true;
        self.end_seen = true;
    }
}

/// How a session went.
pub(crate) struct Report {
    pub(crate) ending: String,
    pub(crate) bytes: u64,
}

struct World {
    random: Random,
    script: Script,
    now: Instant,
    turn: Turn,
    connection: Connection,
    client: Fake,
    client_ready: Ready,
    peer: Fake,
    peer_ready: Ready,
    upgrade: Option<Box<Upgrade>>,
    dialling: bool,
    connected: bool,
    /// All that the peer will ever send.
    speech: Vec<u8>,
    /// Something was done to it after which bytes may be missing: a reset, a broken pipe, a
    /// deadline.
    hurt: bool,
    /// A deadline was served.
    overdue: bool,
}

pub(crate) fn run(seed: u64) -> Report {
    let mut world = World::new(seed);
    let steps = 20 + world.random.below(200);
    for _ in 0..steps {
        world.step();
        if world.connection.finished() {
            return world.report();
        }
    }
    world.settle();
    world.report()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let now = Instant::now();
        let script = Script::new(&mut random);
        let length = random.length() * random.below(3) as usize;
        let speech = random.bytes(length);
        let config = Rc::new(Config::default());
        Self {
            script,
            now,
            turn: Turn::new(),
            connection: Connection::new(config, now),
            client: Fake::new(Random::new(random.next())),
            client_ready: Ready { writable: true, ..Ready::default() },
            peer: Fake::new(Random::new(random.next())),
            peer_ready: Ready::default(),
            upgrade: None,
            dialling: false,
            connected: false,
            speech,
            hurt: false,
            overdue: false,
            random,
        }
    }

    /// One thing happens, the connection has its turn, and the books are checked.
    fn step(&mut self) {
        match self.random.below(24) {
            0..=5 => self.client_sends(),
            6..=9 => self.peer_sends(),
            10..=13 => self.windows_open(),
            14..=15 => self.now += Duration::from_millis(self.random.below(200)),
            16..=17 => self.query_or_dial(),
            18 if self.random.one_in(8) => self.client_ends(),
            19 if self.random.one_in(6) => self.peer_ends(),
            20 if self.random.one_in(40) => self.connection.shut_down(self.now, &mut self.turn),
            21 if self.random.one_in(30) => self.time_passes(),
            _ => self.spurious(),
        }
        self.pump();
    }

    fn client_sends(&mut self) {
        let sent = self.client.input.len();
        if self.client.end.is_none() && sent < self.script.stream.len() {
            let most = (self.script.stream.len() - sent) as u64;
            let n = 1 + self.random.below(most) as usize;
            self.client.input.extend_from_slice(&self.script.stream[sent..sent + n]);
        }
        self.client_ready.readable |= self.client.has_news();
    }

    fn peer_sends(&mut self) {
        if !self.connected {
            return;
        }
        let sent = self.peer.input.len();
        if self.peer.end.is_none() && sent < self.speech.len() {
            let n = 1 + self.random.below((self.speech.len() - sent) as u64) as usize;
            self.peer.input.extend_from_slice(&self.speech[sent..sent + n]);
        }
        self.peer_ready.readable |= self.peer.has_news();
    }

    fn windows_open(&mut self) {
        self.client.window += self.random.length();
        self.peer.window += self.random.length();
        self.client_ready.writable |= self.client.window > 0;
        self.peer_ready.writable |= self.connected && self.peer.window > 0;
    }

    fn query_or_dial(&mut self) {
        if let Some(upgrade) = self.upgrade.take() {
            let answer =
                if self.random.one_in(12) { Err(QueryError::NoPeer) } else { Ok(answer()) };
            self.connection.answered(upgrade, answer, self.now, &mut self.turn);
        } else if std::mem::take(&mut self.dialling) {
            if self.random.one_in(12) {
                self.connection.not_connected("refused".into(), self.now, &mut self.turn);
            } else {
                // The peer's socket may be there too late for its client.
                self.connected = true;
                self.peer_ready.writable = true;
                self.connection.connected(self.now, &mut self.turn);
            }
        }
    }

    fn client_ends(&mut self) {
        if self.client.end.is_none() {
            let reset = self.random.one_in(2);
            self.hurt |= reset;
            self.client.end = Some(reset.then_some(ErrorKind::ConnectionReset));
            self.client.broken = reset;
            self.client_ready.readable = true;
            self.client_ready.hung_up = true;
            self.client_ready.writable |= reset;
        }
    }

    fn peer_ends(&mut self) {
        if self.connected && self.peer.end.is_none() {
            let reset = self.random.one_in(2);
            self.hurt |= reset;
            self.peer.end = Some(reset.then_some(ErrorKind::ConnectionReset));
            self.peer.broken = reset;
            self.peer_ready.readable = true;
            self.peer_ready.hung_up = true;
            self.peer_ready.writable |= reset;
        }
    }

    fn time_passes(&mut self) {
        self.hurt = true;
        self.now += Duration::from_secs(self.random.below(130));
        if self.connection.deadline().is_some_and(|at| at <= self.now) {
            self.overdue = true;
            self.connection.expired(self.now, &mut self.turn);
        }
    }

    /// Events that say nothing new are allowed.
    fn spurious(&mut self) {
        self.client_ready.readable |= !self.client.end_seen;
        self.peer_ready.readable |= self.connected && !self.peer.end_seen;
        self.client_ready.writable = true;
        self.peer_ready.writable = self.connected;
    }

    fn pump(&mut self) {
        let mut turns = 0;
        loop {
            let mut client = Port { socket: &mut self.client, ready: &mut self.client_ready };
            let port = Port { socket: &mut self.peer, ready: &mut self.peer_ready };
            let peer = self.connected.then_some(port);
            let again = pump(&mut self.connection, &mut client, peer, &mut self.turn, self.now);
            if self.client_ready.hung_up {
                self.connection.hung_up();
            }
            match self.connection.take_action() {
                Some(Action::Ask(upgrade)) => self.upgrade = Some(upgrade),
                Some(Action::Dial(_)) => self.dialling = true,
                None => {}
            }
            self.check();
            if !again || self.connection.finished() {
                return;
            }
            turns += 1;
            assert!(turns < PATIENCE, "it spins");
        }
    }

    /// The ledger and the rules of `conn`.
    fn check(&self) {
        let connection = &self.connection;
        for side in [Side::Client, Side::Peer] {
            let waiting = connection.waiting(side).map_or(0, <[u8]>::len);
            assert!(waiting <= MOST_WAITING, "{waiting} bytes wait for {side:?}");
        }
        if connection.finished() {
            assert!(connection.ending().is_some(), "it ended for no reason");
        } else {
            assert!(connection.deadline().is_some(), "nothing ends it if nobody does anything");
        }
        if connection.ending().is_none() {
            let blocked = |side| connection.waiting(side).is_some();
            let reads = |side| connection.room(side) > 0;
            assert!(!(blocked(Side::Client) && reads(Side::Peer)), "backpressure on the peer");
            assert!(
                !(connection.was_open() && blocked(Side::Peer) && reads(Side::Client)),
                "backpressure on the client"
            );
        }
        self.check_to_peer();
        self.check_to_client();
    }

    fn check_to_peer(&self) {
        let counted = self.client.read.min(self.script.ends_at.unwrap_or(usize::MAX));
        let due = self.script.payload(counted);
        let mut there = self.peer.output.clone();
        there.extend_from_slice(self.connection.waiting(Side::Peer).unwrap_or_default());
        assert!(due.starts_with(&there), "the peer gets what the client did not send");
        let lost = due.len() - there.len();
        if lost > 0 && self.connection.was_open() {
            assert!(
                self.may_lose(Side::Peer),
                "{lost} bytes for the peer are gone: {:?}",
                self.connection.ending()
            );
        }
    }

    fn check_to_client(&self) {
        let mut bytes = self.client.output.clone();
        bytes.extend_from_slice(self.connection.waiting(Side::Client).unwrap_or_default());
        let heard = Heard::read(&bytes);
        let said = &self.peer.input[..self.peer.read];
        assert!(said.starts_with(&heard.payload), "the client gets what the peer did not say");
        let lost = said.len() - heard.payload.len();
        if lost > 0 {
            assert!(
                self.may_lose(Side::Client),
                "{lost} bytes for the client are gone: {:?}",
                self.connection.ending()
            );
        }
        assert!(heard.pongs <= self.script.pings);
    }

    /// Whether the connection has named a reason for which bytes to `side` may be missing.
    fn may_lose(&self, side: Side) -> bool {
        // A failed write names itself, and so does a side that took nothing until its deadline,
        // though the first ending stands.
        let socket = if side == Side::Client { &self.client } else { &self.peer };
        let broken = (socket.broken || self.overdue) && !self.connection.is_writable(side);
        match (side, self.connection.ending()) {
            (_, None) => broken,
            // What the peer says after a close frame, the client's or ours, goes nowhere.
            (Side::Client, Some(Ending::PeerEnded | Ending::PeerFailed(_))) => broken,
            (Side::Client, Some(_)) => true,
            (Side::Peer, Some(Ending::PeerFailed(_) | Ending::Stalled(Side::Peer))) => true,
            (Side::Peer, Some(_)) => broken,
        }
    }

    /// Nothing holds anybody up any more: the session comes to its end.
    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            if self.connection.finished() {
                return;
            }
            self.client.window = 1 << 20;
            self.peer.window = 1 << 20;
            self.query_or_dial();
            self.client_sends();
            self.peer_sends();
            self.client_goes_home();
            self.peer_goes_home();
            self.spurious();
            self.pump();
            if self.connection.ending().is_some() && self.random.one_in(50) {
                self.time_passes();
            }
            self.now += Duration::from_millis(1);
        }
        panic!("the session does not end: {:?}", self.connection.ending());
    }

    /// A client that has said all leaves when the bridge has.
    fn client_goes_home(&mut self) {
        let said_all = self.client.input.len() == self.script.stream.len();
        let silent_end = self.script.ends_at.is_none();
        if said_all && self.client.end.is_none() && (self.client.shut || silent_end) {
            self.client.end = Some(None);
            self.client_ready.hung_up = true;
        }
    }

    fn peer_goes_home(&mut self) {
        let said_all = self.peer.input.len() == self.speech.len();
        if said_all && self.peer.end.is_none() && self.peer.shut {
            self.peer.end = Some(None);
            self.peer_ready.hung_up = true;
        }
    }

    fn report(&self) -> Report {
        self.check_answer();
        let ending = self.connection.ending().map_or_else(String::new, ToString::to_string);
        let kind = ending.split(':').next().unwrap_or_default();
        let kind = kind.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        Report { ending: kind, bytes: (self.client.output.len() + self.peer.output.len()) as u64 }
    }

    /// What the client was told fits why it ended.
    fn check_answer(&self) {
        let heard = Heard::read(&self.client.output);
        let Some(ending) = self.connection.ending() else { return };
        if self.hurt || self.client.end == Some(None) && !self.client.shut {
            return;
        }
        if let (Some(status), false) = (ending.status(), self.connection.was_open()) {
            assert_eq!(heard.status, Some(status.code()), "{ending}");
        } else if let (Some((code, _)), true) = (ending.close(), self.connection.was_open()) {
            let told = heard.close.expect("a close frame");
            assert_eq!(told, Some(code.get()), "{ending}");
            if let Ending::ClientClosed(Some(code)) = ending {
                assert_eq!(self.script.close, Some(code.get()));
            }
        }
    }
}

fn answer() -> Answer {
    Answer {
        target: Target::Tcp { host: "127.0.0.1".into(), port: 1 },
        framing: framing::by_name("binary").expect("a built-in"),
        protocol: None,
    }
}
