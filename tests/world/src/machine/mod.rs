//! A made-up operating system for the whole reactor: clients that come and go, peers at addresses,
//! names, threads, descriptors, signals, a poll, and the clock.
//!
//! The poll keeps epoll's contract and no more: an edge is told once. The clock moves only while
//! the reactor waits, to what is due next or to the end of its timeout; a reactor that would sleep
//! for good while sessions wait for it is caught.

mod books;
mod checks;
mod client;
mod jobs;
mod peer;
mod system;
mod wire;

use std::cell::{RefCell, RefMut};
use std::collections::{HashMap, VecDeque};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use websocksy::conn::Side;
use websocksy::conn::socket::Ready;
use websocksy::reactor::{self, Event, OFFLOAD, Readiness, SIGNALS, Signal, Token};

use crate::agenda::Agenda;
use crate::chance::Random;
use crate::descriptors::Descriptors;
use crate::options::{Faults, Latencies};
use crate::socket::Plug;
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
/// Steps of a client's handshake, at most.
const STEPS: u64 = 3;
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
    descriptors: Descriptors,
    agenda: Agenda<Due>,
    tickets: u64,
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
    books: books::Books,
    /// Clients come by a proxy at this address.
    proxy: Option<IpAddr>,
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
            descriptors: Descriptors::new(descriptors),
            agenda: Agenda::new(),
            tickets: 0,
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
            books: books::Books::new(instant),
            proxy: None,
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

    /// Its clients come by a proxy at this address, and begin with PROXY headers.
    pub fn put_behind(&self, proxy: IpAddr) {
        let mut state = self.state();
        state.proxy = Some(proxy);
        state.clients.iter_mut().for_each(|client| client.comes_by(proxy));
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
        let descriptor = state.descriptors.take()?;
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

    /// Whether a peer can be dialled from here: the family is right, and there is a port left.
    fn check_source(&self, client: usize, to: SocketAddr, source: Option<IpAddr>) -> Result<()> {
        let Some(source) = source else { return Ok(()) };
        assert_eq!(source.is_ipv6(), to.is_ipv6(), "{to} cannot be dialled from {source}");
        let mut guard = self.state();
        let state = &mut *guard;
        if state.random.one_in(state.faults.no_port) {
            state.fails(client);
            return Err(Error::from_raw_os_error(libc::EADDRNOTAVAIL));
        }
        Ok(())
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
    fn latency(&mut self, up_to: Duration) -> Duration {
        Duration::from_micros(self.random.below(up_to.as_micros() as u64))
    }

    /// The same for what may hang.
    fn long_latency(&mut self, up_to: Duration) -> Duration {
        let hangs = self.random.one_in(self.faults.hang);
        self.latency(if hangs { self.latencies.hang } else { up_to })
    }

    fn enter(&mut self, after: Duration, due: Due) {
        self.agenda.enter(self.now + after, due);
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
            connected: None,
            address: None,
            failed: None,
            nodelay: false,
            token: None,
            announced: false,
            is_fifo: kind == PeerKind::Fifo,
            reads_in_pieces: pieces,
            steps: 0,
            handshake: 0,
            unheard: false,
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

    /// A read may be a step of a handshake; what comes behind the last one it takes, too.
    fn goes_on_with_handshake(&mut self, id: usize) -> bool {
        let is_step = self.wires[id].shakes_hands();
        if is_step {
            self.wires[id].handshake -= 1;
            let others = self.wires.iter().filter(|wire| wire.is_held()).count();
            self.books.step(others);
        }
        is_step && self.wires[id].handshake > 0
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
            match (self.agenda.next_at(), until) {
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
        let Some(due) = self.agenda.pop() else { return };
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
                wire.connected = Some(self.now);
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
        // After a stop all is told that happened meanwhile, so that it comes before any deadline,
        // but perhaps not what clients sent: for that the daemon looks itself.
        let stopped = !self.books.looked();
        let most = if stopped { usize::MAX } else { self.random.below(EVENTS) as usize };
        let holds_back = stopped && self.random.one_in(2);
        let mut held_back = VecDeque::new();
        for _ in 0..=most {
            let Some(id) = self.announced.pop_front() else { break };
            let wire = &mut self.wires[id];
            if holds_back && wire.side == Side::Client {
                held_back.push_back(id);
                continue;
            }
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
        self.announced.append(&mut held_back);
        // What a thread tells may come in the next poll.
        if self.offload_event && (self.random.one_in(2) || events.is_empty()) {
            self.offload_event = false;
            events.push((OFFLOAD, readable));
        }
        if std::mem::take(&mut self.signal_event) {
            self.books.told(self.now);
            events.push((SIGNALS, readable));
        }
        let at = self.random.below(1 + events.len() as u64) as usize;
        events.rotate_left(at);
    }
}

impl State {
    /// The daemon is stopped: things happen, and nobody looks.
    fn stop(&mut self, until: Instant) {
        self.books.interrupted(self.now, until);
        while let Some(at) = self.agenda.next_at()
            && at <= until
        {
            self.now = self.now.max(at);
            self.happen();
        }
        self.now = self.now.max(until);
    }
}
