//! A made-up operating system for the whole reactor: clients that come and go, peers at addresses,
//! names, threads, descriptors, signals, a poll, and the clock.
//!
//! The poll keeps epoll's contract and no more: an edge is told once. The clock moves only while
//! the reactor waits, to what is due next or to the end of its timeout; a reactor that would sleep
//! for good while sessions wait for it is caught.

mod checks;
mod client;
mod jobs;
mod peer;
mod wire;

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use websocksy::backend::Target;
use websocksy::conn::Side;
use websocksy::conn::socket::Ready;
use websocksy::reactor::{self, Event, OFFLOAD, Readiness, SIGNALS, Signal, Token};

use crate::chance::Random;
use crate::options::{Faults, Latencies};
use crate::socket::Plug;
use crate::system::Descriptor;
pub use checks::{Limits, Summary};
use client::Client;
use jobs::Jobs;
pub use wire::Handle;
use wire::{Connect, Wire};

/// Descriptors of a machine that has enough of them.
const MANY_DESCRIPTORS: usize = 10_000;
/// Descriptors, at most, of one that has few.
const FEW_DESCRIPTORS: usize = 12;
/// Queries that run at once, at most.
pub const QUERY_THREADS: usize = 3;
/// Events of one wait, at most.
const EVENTS: u64 = 40;
/// Waits in which all must be over.
const WAITS: usize = 200_000;
/// A window that holds nobody up.
const WIDE: usize = 1 << 20;

/// What is due at a time.
#[derive(Debug)]
enum Due {
    /// A client is in the listening queue.
    Arrival(usize),
    /// A client goes on with what it does.
    Client(usize),
    /// The other end of a peer's socket goes on.
    Peer(usize),
    /// A connect comes to its end.
    Connect(usize, std::result::Result<(), ErrorKind>),
    /// A query or look-up is done.
    Job(jobs::Kind, u64),
    Signal(Signal),
}

/// A made-up operating system; all clones are the same one.
#[derive(Clone, Debug)]
pub struct Machine(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    now: Instant,
    random: Random,
    faults: Faults,
    latencies: Latencies,
    free: Rc<Cell<usize>>,
    descriptors: usize,
    /// By time, and in the order in which they were entered.
    agenda: BTreeMap<(Instant, u64), Due>,
    entered: u64,
    clients: Vec<Client>,
    wires: Vec<Wire>,
    /// The sockets with an event that was not told yet, in order.
    announced: VecDeque<usize>,
    listener: Option<Token>,
    listener_event: bool,
    backlog: VecDeque<usize>,
    signals: VecDeque<Signal>,
    signal_event: bool,
    offload_event: bool,
    queries: Jobs,
    look_ups: Jobs,
    done: VecDeque<websocksy::reactor::Done<reactor::Key>>,
    /// What names stand for, once they were looked up; nothing for those that nobody knows.
    names: HashMap<String, Vec<SocketAddr>>,
    books: checks::Books,
}

impl Machine {
    /// A machine on which nothing has happened yet, with so many clients on their way to it.
    #[must_use]
    pub fn new(faults: Faults, latencies: Latencies, clients: usize, mut random: Random) -> Self {
        let descriptors = match random.one_in(faults.few_descriptors) {
            true => random.up_to(FEW_DESCRIPTORS),
            false => MANY_DESCRIPTORS,
        };
        let query_threads = random.up_to(QUERY_THREADS);
        let instant = random.one_in(2);
        let mut state = State {
            now: Instant::now(),
            faults,
            latencies,
            free: Rc::new(Cell::new(descriptors)),
            descriptors,
            agenda: BTreeMap::new(),
            entered: 0,
            clients: Vec::new(),
            wires: Vec::new(),
            announced: VecDeque::new(),
            listener: None,
            listener_event: false,
            backlog: VecDeque::new(),
            signals: VecDeque::new(),
            signal_event: false,
            offload_event: false,
            queries: Jobs::new(query_threads),
            look_ups: Jobs::new(2),
            done: VecDeque::new(),
            names: HashMap::new(),
            books: checks::Books::new(instant),
            random,
        };
        for id in 0..clients {
            let client = Client::new(id, &mut state.random);
            state.clients.push(client);
            let after = state.latency(latencies.arrival);
            state.enter(after, Due::Arrival(id));
        }
        Self(Rc::new(RefCell::new(state)))
    }

    fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// A signal comes after a while.
    pub fn signal(&self, after: Duration, signal: Signal) {
        self.state().enter(after, Due::Signal(signal));
    }

    /// A socket of the daemon's, if it gets a descriptor.
    fn open(&self, wire: impl FnOnce(&mut State) -> Wire) -> Result<Handle> {
        let mut state = self.state();
        let descriptor = state.descriptor()?;
        let mut wire = wire(&mut state);
        wire.plug.descriptor = Some(descriptor);
        let id = state.wires.len();
        if wire.side == Side::Peer {
            state.clients[wire.client].peers.push(id);
        }
        state.wires.push(wire);
        drop(state);
        Ok(Handle::new(self, id))
    }

    /// A peer that is there at once, or is not.
    fn open_peer(&self, client: usize, kind: PeerKind) -> Result<Handle> {
        self.state().fail_at_once()?;
        let handle = self.open(|state| state.peer_wire(client, kind, Connect::Done))?;
        let mut guard = self.state();
        let state = &mut *guard;
        let after = state.latency(state.latencies.connect);
        state.enter(after, Due::Peer(handle.id));
        drop(guard);
        Ok(handle)
    }
}

/// What a peer's socket is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PeerKind {
    Stream,
    Pieces,
    Datagrams,
    Fifo,
}

impl State {
    fn descriptor(&self) -> Result<Descriptor> {
        Descriptor::take(&self.free)
    }

    fn has_descriptor(&self) -> bool {
        self.free.get() > 0
    }

    fn latency(&mut self, up_to: Duration) -> Duration {
        Duration::from_micros(self.random.below(up_to.as_micros() as u64))
    }

    /// The same for what may hang.
    fn long_latency(&mut self, up_to: Duration) -> Duration {
        let hangs = self.random.one_in(self.faults.hang);
        self.latency(if hangs { self.latencies.hang } else { up_to })
    }

    fn enter(&mut self, after: Duration, due: Due) {
        self.entered += 1;
        self.agenda.insert((self.now + after, self.entered), due);
    }

    fn new_wire(&mut self, client: usize, side: Side, kind: PeerKind, connect: Connect) -> Wire {
        let pieces = matches!(kind, PeerKind::Pieces | PeerKind::Fifo);
        let datagrams = kind == PeerKind::Datagrams;
        let mut plug = Plug::new(&self.faults, self.random.fork(), datagrams, pieces);
        plug.ready = Ready::default();
        let deaf = side == Side::Peer && self.random.one_in(16);
        plug.set_window(if deaf { 100 } else { WIDE });
        Wire {
            client,
            side,
            plug,
            connect,
            address: None,
            failed: None,
            token: None,
            announced: false,
            is_fifo: kind == PeerKind::Fifo,
            reads_in_pieces: pieces,
            deaf,
            taken: 0,
            gone: false,
            gone_at: None,
        }
    }

    fn peer_wire(&mut self, client: usize, kind: PeerKind, connect: Connect) -> Wire {
        self.new_wire(client, Side::Peer, kind, connect)
    }

    /// Refusals that come before anything is sent.
    fn fail_at_once(&mut self) -> Result<()> {
        if self.random.one_in(self.faults.unreachable) {
            return Err(Error::from_raw_os_error(libc::ENETUNREACH));
        }
        if self.random.one_in(self.faults.refused_connect) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        Ok(())
    }

    /// Lets the poll know that a socket may have news.
    fn announce(&mut self, id: usize) {
        let wire = &mut self.wires[id];
        if wire.token.is_some() && !wire.gone && wire.has_event() && !wire.announced {
            wire.announced = true;
            self.announced.push_back(id);
        }
    }

    /// The daemon drops a socket.
    fn hang_up(&mut self, id: usize) {
        let wire = &mut self.wires[id];
        assert!(!std::mem::replace(&mut wire.gone, true), "dropped twice");
        wire.gone_at = Some(self.now);
        drop(wire.plug.descriptor.take());
        if wire.side == Side::Client && wire.token.is_none() {
            let client = wire.client;
            self.clients[client].one_too_many = self.are_many_told();
        }
        self.announced.retain(|announced| *announced != id);
    }

    /// Time goes on to `until` at most, and what is due meanwhile happens, up to the first event.
    fn pass(&mut self, until: Option<Instant>) {
        while !self.has_event() {
            let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
            match (next, until) {
                (Some(next), until) if until.is_none_or(|until| next <= until) => {
                    self.now = self.now.max(next);
                    self.happen();
                }
                (_, Some(until)) => return self.now = self.now.max(until),
                (_, None) => panic!("the daemon sleeps for good: {:?}", self.books),
            }
        }
    }

    /// The first thing of the agenda happens.
    fn happen(&mut self) {
        let Some((_, due)) = self.agenda.pop_first() else { return };
        match due {
            Due::Arrival(id) => self.arrive(id),
            Due::Client(id) => self.client_goes_on(id),
            Due::Peer(id) => self.peer_goes_on(id),
            Due::Connect(id, outcome) => self.connect_ends(id, outcome),
            Due::Job(kind, ticket) => self.job_ends(kind, ticket),
            Due::Signal(signal) => {
                self.signals.push_back(signal);
                self.signal_event = true;
                if signal != Signal::Hangup {
                    self.books.signalled(self.now);
                }
            }
        }
    }

    fn connect_ends(&mut self, id: usize, outcome: std::result::Result<(), ErrorKind>) {
        let wire = &mut self.wires[id];
        if wire.gone {
            return;
        }
        match outcome {
            Ok(()) => {
                wire.connect = Connect::Done;
                wire.plug.ready.writable = true;
                let after = self.latency(self.latencies.connect);
                self.enter(after, Due::Peer(id));
            }
            Err(kind) => {
                wire.connect = Connect::Failed(kind);
                wire.plug.spurious();
                wire.plug.ready.hung_up = true;
            }
        }
        self.announce(id);
    }

    fn has_event(&self) -> bool {
        self.listener_event || self.signal_event || self.offload_event || !self.announced.is_empty()
    }

    /// Tells some events, in any order of their kinds.
    fn tell(&mut self, events: &mut Vec<Event>) {
        let readable = Readiness { readable: true, ..Readiness::default() };
        if std::mem::take(&mut self.listener_event)
            && let Some(token) = self.listener
        {
            events.push((token, readable));
        }
        for _ in 0..=self.random.below(EVENTS) {
            let Some(id) = self.announced.pop_front() else { break };
            let wire = &mut self.wires[id];
            wire.announced = false;
            let mut readiness = wire.readiness();
            if let (true, Some(token)) = (!wire.gone, wire.token) {
                let spurious = self.random.one_in(self.faults.spurious);
                readiness.readable |= spurious;
                if wire.side == Side::Client && wire.plug.socket.end.is_some() {
                    self.clients[wire.client].left_is_told = true;
                }
                events.push((token, readiness));
            }
        }
        // What a thread tells may come in the next poll.
        if self.offload_event && (self.random.one_in(2) || events.is_empty()) {
            self.offload_event = false;
            events.push((OFFLOAD, readable));
        }
        if std::mem::take(&mut self.signal_event) {
            events.push((SIGNALS, readable));
        }
        let at = self.random.below(1 + events.len() as u64) as usize;
        events.rotate_left(at);
    }
}

impl reactor::System for Machine {
    type Listener = ();
    type Transport = Handle;
    type Workers = Self;
    type Events = Vec<Event>;

    fn events(&self) -> Vec<Event> {
        Vec::new()
    }

    fn now(&mut self) -> Instant {
        self.state().now
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> Result<()> {
        let mut guard = self.state();
        let state = &mut *guard;
        state.books.waits += 1;
        assert!(state.books.waits < WAITS, "it does not come to an end: {:?}", state.books);
        for wire in state.wires.iter_mut().filter(|wire| !wire.gone) {
            wire.plug.socket.end_turn();
            wire.plug.socket.begin_turn();
        }
        events.clear();
        if state.random.one_in(state.faults.stopped) {
            let stopped = state.long_latency(state.latencies.arrival);
            let until = state.now + stopped;
            state.stop(until);
            state.books.interrupted();
            return Err(ErrorKind::Interrupted.into());
        }
        let until = timeout.map(|timeout| state.now + timeout);
        state.pass(until);
        state.tell(events);
        state.books.turn(timeout, events.len());
        Ok(())
    }

    fn iter(events: &Vec<Event>) -> impl Iterator<Item = Event> {
        events.iter().copied()
    }

    fn next_signal(&mut self) -> Option<Signal> {
        self.state().signals.pop_front()
    }

    fn watch_listener(&mut self, (): &mut (), token: Token) -> Result<()> {
        self.state().listener = Some(token);
        Ok(())
    }

    fn accept(&mut self, (): &()) -> Result<(Handle, SocketAddr)> {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(&client) = state.backlog.front() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        if !state.has_descriptor() {
            let now = state.now;
            state.books.nothing_left(now);
            return Err(Error::from_raw_os_error(libc::EMFILE));
        }
        state.backlog.pop_front();
        if state.random.one_in(state.faults.aborted) {
            state.clients[client].aborted = true;
            return Err(ErrorKind::ConnectionAborted.into());
        }
        drop(guard);
        let handle = self
            .open(|state| state.new_wire(client, Side::Client, PeerKind::Stream, Connect::Done))?;
        let mut state = self.state();
        let now = state.now;
        state.clients[client].accepted(handle.id, now);
        state.enter(Duration::ZERO, Due::Client(client));
        let address = SocketAddr::new(state.clients[client].address, 1);
        drop(state);
        Ok((handle, address))
    }

    fn stop_listening(&mut self, (): ()) {
        let mut state = self.state();
        state.listener = None;
        let all = state.backlog.is_empty() || !state.has_descriptor();
        assert!(all, "those who wait are reset");
        while let Some(client) = state.backlog.pop_front() {
            state.clients[client].reset = true;
        }
    }

    fn watch(&mut self, transport: &mut Handle, token: Token) -> Result<()> {
        let mut guard = self.state();
        let state = &mut *guard;
        let wire = &mut state.wires[transport.id];
        assert!(wire.token.is_none(), "registered twice");
        let (client, side) = (wire.client, wire.side);
        if state.random.one_in(state.faults.unwatched) {
            wire.failed = Some(state.now);
            state.clients[client].failed_at = Some(state.now);
            state.clients[client].unwatched |= side == Side::Client;
            return Err(Error::from_raw_os_error(libc::ENOSPC));
        }
        state.wires[transport.id].token = Some(token);
        state.announce(transport.id);
        Ok(())
    }

    fn connect_tcp(&mut self, address: SocketAddr) -> Result<Handle> {
        let client = usize::from(address.port()) - 1;
        self.state().check_begin(client);
        if self.state().has_descriptor() {
            let mut state = self.state();
            if let Err(error) = state.fail_at_once() {
                state.fails(client);
                return Err(error);
            }
        }
        let opened = self.open(|state| {
            let mut wire = state.peer_wire(client, PeerKind::Stream, Connect::Running);
            wire.address = Some(address);
            wire
        });
        let handle = opened.inspect_err(|_| self.state().fails(client))?;
        self.state().attempt_begins(handle.id);
        Ok(handle)
    }

    fn connect_udp(&mut self, address: SocketAddr) -> Result<Handle> {
        let client = usize::from(address.port()) - 1;
        self.open_peer(client, PeerKind::Datagrams)
    }

    fn connect_unix(&mut self, path: &Path) -> Result<Handle> {
        if self.state().is_full() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.open_peer(client_of(path), PeerKind::Pieces)
    }

    fn connect_unix_datagram(&mut self, path: &Path) -> Result<Handle> {
        self.open_peer(client_of(path), PeerKind::Datagrams)
    }

    fn open_fifo(&mut self, path: &Path, _write: bool) -> Result<Handle> {
        self.open_peer(client_of(path), PeerKind::Fifo)
    }
}

impl State {
    /// The daemon is stopped: things happen, and nobody looks.
    fn stop(&mut self, until: Instant) {
        self.books.stopped += until.saturating_duration_since(self.now);
        while let Some((&(at, _), _)) = self.agenda.first_key_value()
            && at <= until
        {
            self.now = self.now.max(at);
            self.happen();
        }
        self.now = self.now.max(until);
    }

    /// An attempt to reach a client's peer fails at once.
    fn fails(&mut self, client: usize) {
        self.clients[client].failed_at = Some(self.now);
    }

    fn is_full(&mut self) -> bool {
        self.random.one_in(self.faults.unreachable)
    }

    fn attempt_begins(&mut self, id: usize) {
        let refused = self.random.one_in(self.faults.refused_connect);
        let outcome = if refused { Err(ErrorKind::ConnectionRefused) } else { Ok(()) };
        let dark = self.clients[self.wires[id].client].dark;
        let after = match dark {
            true => self.latencies.hang,
            false => self.long_latency(self.latencies.connect),
        };
        self.enter(after, Due::Connect(id, outcome));
        self.check_attempt(id);
    }

    /// Where a client is led.
    fn target(&mut self, client: usize) -> Target {
        let port = client as u16 + 1;
        let path = format!("/run/{client}").into();
        let host = match self.random.below(4) {
            0 => "192.0.2.1".into(),
            1 => "localhost".into(),
            _ => format!("name{}.test", self.random.below(4)),
        };
        match self.random.below(10) {
            0..=4 => Target::Tcp { host, port },
            5 => Target::Udp { host, port },
            6 => Target::UnixDatagram(path),
            7 => Target::FifoTx(path),
            8 => Target::FifoRx(path),
            _ => Target::UnixStream(path),
        }
    }

    /// Addresses of either family.
    fn addresses(&mut self) -> Vec<SocketAddr> {
        let address = |n: u64, v6| -> IpAddr {
            if v6 {
                [0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16].into()
            } else {
                [192, 0, 2, n as u8].into()
            }
        };
        let count = self.random.up_to(9) as u64;
        (1..=count).map(|n| SocketAddr::new(address(n, self.random.one_in(2)), 0)).collect()
    }
}

fn client_of(path: &Path) -> usize {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).expect("a path that the machine gave")
}
