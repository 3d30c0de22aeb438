//! One simulated session: a scripted client, a peer, and chance.

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration, Instant};

use websocksy::backend::QueryError;
use websocksy::config::{Config, Deadlines};
use websocksy::conn::pump::Pump;
use websocksy::conn::{Action, Connection, Scratch, Side, SocketEnd};
use websocksy::proto::handshake::Upgrade;

use crate::kind::Kind;
use crate::ledger::Ledger;
use crate::random::Random;
use crate::script::Script;
use crate::socket::{Fake, Plug};
use crate::speech::Speech;

/// Steps in which a session must have settled once nothing holds it up, and turns of one step.
const PATIENCE: usize = 20_000;
/// A window that holds nobody up.
const WIDE: usize = 1 << 20;
/// Datagrams that one turn reads at most.
const DATAGRAMS: usize = 16;

/// How a session went.
pub(crate) struct Report {
    pub(crate) kind: Kind,
    pub(crate) ending: String,
    pub(crate) bytes: u64,
}

pub(crate) struct World {
    random: Random,
    pub(crate) kind: Kind,
    pub(crate) script: Script,
    pub(crate) speech: Speech,
    pub(crate) ledger: Ledger,
    pub(crate) connection: Connection,
    pub(crate) client: Plug,
    pub(crate) peer: Plug,
    scratch: Scratch,
    upgrade: Option<Box<Upgrade>>,
    dialling: bool,
    connected: bool,
    /// The sides that a deadline cut off.
    given_up: Vec<Side>,
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
        let kind = Kind::any(&mut random);
        let script = Script::new(kind, &mut random);
        let speech = Speech::new(kind, &mut random);
        let in_pieces = [random.one_in(2), kind.reads_in_pieces(&mut random)];
        let client = Plug::new(Random::new(random.next()), false, in_pieces[0]);
        let peer = Random::new(random.next());
        Self {
            kind,
            script,
            speech,
            ledger: Ledger::default(),
            connection: Connection::new(Rc::new(config(&mut random)), now),
            client,
            peer: Plug::new(peer, kind == Kind::Datagrams, in_pieces[1]),
            scratch: Scratch::new(now),
            upgrade: None,
            dialling: false,
            connected: false,
            given_up: Vec::new(),
            random,
        }
    }

    /// One thing happens, or nothing; the connection has its turn, and the books are checked.
    fn step(&mut self) {
        match self.random.below(24) {
            0..=5 => _ = self.client_sends(),
            6..=9 => _ = self.peer_sends(),
            10..=13 => self.windows_open(),
            14..=15 => self.short_wait(),
            16..=17 => _ = self.query_or_dial(),
            18 if self.random.one_in(8) => self.client_ends(),
            19 if self.random.one_in(6) => self.peer_ends(),
            20 if self.random.one_in(40) => self.connection.shut_down(&mut self.scratch),
            21 if self.random.one_in(30) => self.long_wait(),
            22 if self.random.one_in(10) => self.client.spurious(),
            23 if self.random.one_in(10) && self.connected => self.peer.spurious(),
            _ => {}
        }
        self.pump();
    }

    /// The client sends some of what is left; returns whether there was any.
    fn client_sends(&mut self) -> bool {
        let sent = self.client.socket.arrived();
        let left = self.script.stream.len() - sent;
        if left == 0 || self.client.socket.end.is_some() {
            return false;
        }
        let n = self.random.up_to(left);
        self.client.arrive(&self.script.stream[sent..sent + n]);
        true
    }

    fn peer_sends(&mut self) -> bool {
        if !self.connected || self.peer.socket.end.is_some() {
            return false;
        }
        if self.kind == Kind::Datagrams {
            return self.datagrams_arrive();
        }
        let sent = self.peer.socket.arrived();
        let left = self.speech.stream.len() - sent;
        if left > 0 {
            let n = self.random.up_to(left);
            self.peer.arrive(&self.speech.stream[sent..sent + n]);
        }
        left > 0
    }

    fn datagrams_arrive(&mut self) -> bool {
        let sent = self.peer.socket.arrived();
        let left = self.speech.datagrams.len() - sent;
        if left == 0 {
            return false;
        }
        let mut at = self.speech.datagrams[..sent].iter().sum();
        for _ in 0..self.random.up_to(left) {
            let length = self.speech.datagrams[self.peer.socket.arrived()];
            self.peer.arrive(&self.speech.stream[at..at + length]);
            at += length;
        }
        true
    }

    fn windows_open(&mut self) {
        let wider = self.random.length();
        self.client.open_window(self.client.window() + wider);
        let wider = self.random.length();
        self.peer.open_window(self.peer.window() + wider);
    }

    fn query_or_dial(&mut self) -> bool {
        let Self { connection, scratch, .. } = self;
        let fails = self.random.one_in(12);
        if let Some(upgrade) = self.upgrade.take() {
            let answer = if fails { Err(QueryError::NoPeer) } else { Ok(self.kind.answer()) };
            connection.answered(upgrade, answer, scratch);
        } else if !std::mem::take(&mut self.dialling) {
            return false;
        } else if fails {
            connection.not_connected("refused".into(), scratch);
        } else {
            // The peer's socket may be there too late for its client.
            self.connected = true;
            connection.connected(scratch);
        }
        true
    }

    fn client_ends(&mut self) {
        if self.client.socket.end.is_none() {
            let error = self.reset();
            self.client.finish(error);
        }
    }

    fn peer_ends(&mut self) {
        if !self.connected || self.peer.socket.end.is_some() {
            return;
        }
        let error = self.reset();
        match self.kind {
            // Nothing says that a datagram socket will send no more.
            Kind::Datagrams if error.is_none() => self.peer.refuse(),
            _ => self.peer.finish(error),
        }
    }

    fn reset(&mut self) -> Option<ErrorKind> {
        self.random.one_in(2).then_some(ErrorKind::ConnectionReset)
    }

    fn short_wait(&mut self) {
        let wait = Duration::from_millis(self.random.below(200));
        self.time_passes(wait);
    }

    /// Nobody does anything, perhaps until a deadline and the next ones.
    fn long_wait(&mut self) {
        for _ in 0..self.random.up_to(3) {
            let due = self.connection.deadline().filter(|_| !self.random.one_in(3));
            let wait = match due {
                Some(due) => due.saturating_duration_since(self.scratch.now),
                None => Duration::from_secs(self.random.below(130)),
            };
            self.time_passes(wait);
            self.pump();
        }
    }

    /// Time passes; what is due is done.
    fn time_passes(&mut self, time: Duration) {
        self.scratch.now += time;
        if self.connection.deadline().is_none_or(|at| at > self.scratch.now) {
            return;
        }
        let sides = [Side::Client, Side::Peer];
        let before = sides.map(|side| self.connection.is_writable(side));
        self.client.socket.begin_turn();
        self.peer.socket.begin_turn();
        self.with_sockets().deadline();
        for (side, before) in sides.into_iter().zip(before) {
            if before && !self.connection.is_writable(side) {
                self.given_up.push(side);
            }
        }
    }

    pub(crate) fn was_given_up(&self, side: Side) -> bool {
        self.given_up.contains(&side)
    }

    /// The connection with its sockets.
    fn with_sockets(&mut self) -> Pump<'_, Fake> {
        Pump {
            connection: &mut self.connection,
            client: self.client.port(),
            peer: self.connected.then(|| self.peer.port()),
            scratch: &mut self.scratch,
        }
    }

    /// Turns until the connection waits for an event or a deadline.
    fn pump(&mut self) {
        for _ in 0..PATIENCE {
            if self.connection.finished() {
                return;
            }
            self.client.socket.begin_turn();
            self.peer.socket.begin_turn();
            let again = self.with_sockets().turn();
            if self.client.ready.hung_up {
                self.connection.hung_up();
            }
            match self.connection.take_action() {
                Some(Action::Ask(upgrade)) => self.upgrade = Some(upgrade),
                Some(Action::Dial(_)) => self.dialling = true,
                None => {}
            }
            self.check_turn();
            self.check();
            if !again && !self.connection.finished() {
                return self.check_rest();
            }
        }
        panic!("it spins");
    }

    /// No side takes more of a turn than its share (`conn::pump`).
    fn check_turn(&self) {
        let most = match self.kind {
            Kind::Datagrams => DATAGRAMS,
            _ => 1 + usize::from(self.peer.ready.reads_in_pieces),
        };
        let (client, peer) = (self.client.socket.reads, self.peer.socket.reads);
        assert!(client <= 1, "{client} reads of the client in one turn");
        assert!(peer <= most, "{peer} reads of the peer in one turn");
        self.client.socket.end_turn();
        self.peer.socket.end_turn();
    }

    /// A connection that waits has nothing left to do: no event would come for it.
    fn check_rest(&self) {
        let check = |side, socket: &Fake| {
            let wanted = self.connection.room(side) > 0;
            assert!(!(wanted && socket.has_news()), "{side:?} is readable, and nobody reads");
            let takes = self.connection.waiting(side).is_some_and(|bytes| socket.takes(bytes));
            assert!(!takes, "{side:?} is writable, and nobody writes");
            let end = self.connection.ending_of(side);
            assert_eq!(end, SocketEnd::None, "{side:?} is not shut down");
        };
        check(Side::Client, &self.client.socket);
        if self.connected {
            check(Side::Peer, &self.peer.socket);
        }
    }

    /// Nothing holds anybody up any more: the session comes to its end.
    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            if self.connection.finished() {
                return;
            }
            let events = [
                self.client.open_window(WIDE),
                self.peer.open_window(WIDE),
                self.query_or_dial(),
                self.client_sends(),
                self.peer_sends(),
                self.client_goes_home(),
                self.peer_goes_home(),
            ];
            if events == [false; 7] {
                self.wait_for_deadline();
            }
            self.pump();
            self.scratch.now += Duration::from_millis(1);
        }
        panic!("the session does not end: {:?}", self.connection.ending());
    }

    /// Only a peer that was given up is not told, and its session has to wait for a deadline.
    fn wait_for_deadline(&mut self) {
        let ending = self.connection.ending();
        assert!(self.was_given_up(Side::Peer), "nothing happens any more: {ending:?}");
        let due = self.connection.deadline().expect("a deadline");
        self.time_passes(due.saturating_duration_since(self.scratch.now));
    }

    /// A client that has said all leaves when the bridge has.
    fn client_goes_home(&mut self) -> bool {
        let socket = &self.client.socket;
        let said_all = socket.arrived() == self.script.stream.len();
        let goes = said_all && socket.end.is_none() && (socket.shut || !self.script.is_over);
        if goes {
            self.client.finish(None);
        }
        goes
    }

    fn peer_goes_home(&mut self) -> bool {
        let socket = &self.peer.socket;
        let said_all = socket.arrived() == self.speech.stream.len();
        let goes = said_all && socket.end.is_none() && socket.shut && self.kind != Kind::Datagrams;
        if goes {
            self.peer.finish(None);
        }
        goes
    }

    fn report(&self) -> Report {
        self.check_answer();
        let ending = self.connection.ending().map_or_else(String::new, ToString::to_string);
        let ending = ending.split(':').next().unwrap_or_default();
        let ending = ending.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let bytes = (self.client.socket.written + self.peer.socket.written) as u64;
        Report { kind: self.kind, ending, bytes }
    }
}

fn config(random: &mut Random) -> Config {
    let idle = Duration::from_secs(if random.one_in(4) { 45 } else { 0 });
    Config { deadlines: Deadlines { idle, ..Deadlines::default() }, ..Config::default() }
}
