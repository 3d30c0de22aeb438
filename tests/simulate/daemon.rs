//! What stands in for the event loop: it lets clients in, asks, looks up, dials and keeps the time
//! for its sessions, over a made-up system and one scratch memory. What it does is what the
//! reactor does, so that the connections see no other world.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use websocksy::access::NotAdmitted;
use websocksy::backend::Target;
use websocksy::config::{Config, Deadlines};
use websocksy::conn::{Scratch, Side};
use websocksy_world::{Descriptor, Event, Faults, Latencies, Random, Session, System, Wanted};

use crate::visit::{Report, Stage, Visit};

/// Steps in which all sessions must have come to their end once nothing holds them up.
const PATIENCE: usize = 20_000;

const FAULTS: Faults = Faults {
    interrupted: 25,
    short_read: 4,
    keeps: 4,
    small_datagrams: 3,
    refused_datagram: 30,
    refused_again: 3,
    aborted: 60,
    few_descriptors: 12,
    no_peer: 16,
    unknown_name: 16,
    refused_connect: 16,
    hang: 16,
    unreachable: 0,
    no_port: 0,
    unwatched: 0,
    stopped: 0,
    failed_peer: 0,
    spurious: 0,
};

const LATENCIES: Latencies = Latencies {
    arrival: Duration::from_millis(100),
    query: Duration::from_millis(100),
    look_up: Duration::from_millis(100),
    connect: Duration::from_millis(100),
    step: Duration::ZERO,
    hang: Duration::from_secs(30),
};

pub(crate) struct Daemon {
    random: Random,
    system: System,
    config: Rc<Config>,
    scratch: Scratch,
    /// Whether what was asked for a session that ends is taken back at once, or comes too late.
    forgets: bool,
    visits: Vec<Visit>,
    reports: Vec<Report>,
}

/// All of what happens under a seed; how the sessions went.
pub(crate) fn run(seed: u64) -> Vec<Report> {
    let mut daemon = Daemon::new(seed);
    let steps = 20 + daemon.random.below(200);
    for _ in 0..steps {
        daemon.step();
    }
    daemon.settle();
    daemon.reports
}

impl Daemon {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clients = if random.one_in(3) { 2 + random.below(3) } else { 1 };
        let mut system = System::new(FAULTS, LATENCIES, random.fork());
        (0..clients as usize).for_each(|client| system.arrive(client));
        Self {
            config: Rc::new(config(&mut random)),
            scratch: Scratch::new(system.now()),
            system,
            forgets: random.one_in(2),
            visits: (0..clients).map(|_| Visit::new(&FAULTS, random.fork())).collect(),
            reports: Vec::new(),
            random,
        }
    }

    /// One thing happens, or nothing, to one client; its session has its turn.
    fn step(&mut self) {
        let at = self.random.below(self.visits.len() as u64) as usize;
        let visit = &mut self.visits[at];
        match self.random.below(24) {
            0..=5 => _ = visit.client_sends(),
            6..=9 => _ = visit.peer_sends(),
            10..=13 => visit.windows_open(),
            14..=15 => {
                let wait = self.random.below(200);
                self.pass(Duration::from_millis(wait));
            }
            16..=17 => self.pass_to_event(),
            18 if self.random.one_in(8) => visit.client_ends(),
            19 if self.random.one_in(6) => visit.peer_ends(),
            20 if self.random.one_in(40) => self.drain(),
            21 if self.random.one_in(30) => self.long_wait(at),
            22 if self.random.one_in(10) => visit.spurious(Side::Client),
            23 if self.random.one_in(10) => visit.spurious(Side::Peer),
            _ => {}
        }
        self.accept();
        self.turn(at);
    }

    fn pass(&mut self, time: Duration) {
        self.system.pass(time);
        self.scratch.now = self.system.now();
        self.take_events();
        for at in 0..self.visits.len() {
            if let Some(session) = self.visits[at].session() {
                session.serve_deadline(&mut self.scratch);
                self.turn(at);
            }
        }
    }

    fn pass_to_event(&mut self) {
        if let Some(at) = self.system.next_at() {
            self.pass(at.saturating_duration_since(self.system.now()));
        }
    }

    /// Nobody does anything, perhaps until a deadline and the next ones.
    fn long_wait(&mut self, at: usize) {
        for _ in 0..self.random.up_to(6) {
            if self.random.one_in(2) {
                self.visits[at].both_take_all();
            }
            let due = self.visits[at].session().and_then(|s| s.until_deadline(&self.scratch));
            let wait = match due.filter(|_| !self.random.one_in(3)) {
                Some(due) => due,
                None => Duration::from_secs(self.random.below(130)),
            };
            self.pass(wait);
        }
    }

    /// Takes in what the system has for its sessions: before deadlines, since an answer that is
    /// here is not too late.
    fn take_events(&mut self) {
        while let Some(event) = self.system.next_event() {
            let (Event::Answered { key, .. }
            | Event::LookedUp { key, .. }
            | Event::Connected { key, .. }) = event;
            self.take(key, event);
            self.turn(key);
        }
        self.accept();
    }

    fn take(&mut self, key: usize, event: Event) {
        let visit = &mut self.visits[key];
        let Some(session) = visit.session() else { return };
        match event {
            Event::Answered { found, .. } => session.answered(found, &mut self.scratch),
            Event::LookedUp { found: Ok(()), .. } => {
                let target = visit.route.target.clone();
                self.connect(key, &target);
            }
            Event::LookedUp { found: Err(error), .. }
            | Event::Connected { socket: Err(error), .. } => {
                session.not_connected(error.to_string(), &mut self.scratch);
            }
            Event::Connected { socket: Ok(descriptor), .. } => {
                let peer = visit.new_peer(&FAULTS, descriptor);
                if let Some(session) = visit.session() {
                    session.connected(peer, &mut self.scratch);
                }
            }
        }
    }

    /// Lets in who waits, while there are descriptors; returns whether there was anybody.
    fn accept(&mut self) -> bool {
        let mut somebody = false;
        loop {
            match self.system.accept() {
                Ok((client, descriptor)) => self.admit(client, descriptor),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => self.count_out(),
                Err(_) => return somebody,
            }
            somebody = true;
        }
    }

    /// Clients that the system awaits no more are gone.
    fn count_out(&mut self) {
        for (client, visit) in self.visits.iter_mut().enumerate() {
            if matches!(visit.stage, Stage::Outside(_)) && !self.system.awaits(client) {
                visit.stage = Stage::Gone;
            }
        }
    }

    fn admit(&mut self, client: usize, descriptor: Descriptor) {
        let inside = self.visits.iter_mut().filter_map(Visit::session).count();
        let visit = &mut self.visits[client];
        let Stage::Outside(mut plug) = std::mem::replace(&mut visit.stage, Stage::Gone) else {
            panic!("a client comes twice");
        };
        plug.descriptor = Some(descriptor);
        let mut session = Session::new(&self.config, visit.route.clone(), *plug, &self.scratch);
        if inside >= self.config.max_connections {
            session.connection.reject(NotAdmitted::Full, &mut self.scratch);
        }
        visit.stage = Stage::Inside(Box::new(session));
        self.turn(client);
    }

    /// A session's turn, and what follows from it.
    fn turn(&mut self, key: usize) {
        while let Some(session) = self.visits[key].session() {
            session.turns(&mut self.scratch);
            let ended = session.connection.ending().is_some();
            if ended && self.forgets || session.connection.finished() {
                // Nobody waits for its peer any more.
                self.system.forget(key);
            }
            match session.take_wanted().filter(|_| !session.connection.finished()) {
                Some(Wanted::Answer) => {
                    let asked = self.system.query(key);
                    self.refuse_unless(key, asked);
                }
                Some(Wanted::Peer(target)) if System::has_name(&target) => self.system.look_up(key),
                Some(Wanted::Peer(target)) => self.connect(key, &target),
                None => break,
            }
        }
        if let Some(report) = self.visits[key].leave() {
            self.reports.push(report);
        }
    }

    fn connect(&mut self, key: usize, target: &Target) {
        let begun = self.system.connect(key, target);
        self.refuse_unless(key, begun);
    }

    fn refuse_unless(&mut self, key: usize, begun: io::Result<()>) {
        if let (Err(error), Some(session)) = (begun, self.visits[key].session()) {
            session.exhausted(error.to_string(), &mut self.scratch);
        }
    }

    /// Takes no more clients, and says goodbye to those that are there.
    fn drain(&mut self) {
        self.accept();
        self.system.stop_listening();
        self.count_out();
        for key in 0..self.visits.len() {
            if let Some(session) = self.visits[key].session() {
                session.connection.shut_down(&mut self.scratch);
                self.turn(key);
            }
        }
    }

    /// Nothing holds anybody up any more: all sessions come to their end, and the descriptors back.
    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            if self.visits.iter().all(|visit| matches!(visit.stage, Stage::Gone)) {
                return assert!(self.system.has_all_descriptors(), "a descriptor is lost");
            }
            let mut happened = false;
            for key in 0..self.visits.len() {
                happened |= self.visits[key].go_on();
                self.turn(key);
            }
            happened |= self.accept();
            let wait = if happened { Duration::from_millis(1) } else { self.until_due() };
            self.pass(wait);
        }
        panic!("the sessions do not end");
    }

    /// How long until the system has something, or a session is due. Sessions wait for a deadline
    /// only if the system keeps them waiting, or if their peer was given up, which is not told.
    fn until_due(&mut self) -> Duration {
        let event = self.system.next_at();
        let mut soonest = event.map(|at| at.saturating_duration_since(self.scratch.now));
        for visit in &mut self.visits {
            let Some(session) = visit.session() else { continue };
            let due = session.until_deadline(&self.scratch).expect("a deadline");
            let ending = session.connection.ending();
            let may_wait = session.waits_for_peer() || session.ledger().was_given_up(Side::Peer);
            assert!(may_wait, "nothing happens any more: {ending:?}");
            soonest = Some(soonest.map_or(due, |soonest| soonest.min(due)));
        }
        soonest.expect("a client is on its way, or inside")
    }
}

fn config(random: &mut Random) -> Config {
    let idle = Duration::from_secs(if random.one_in(4) { 45 } else { 0 });
    let session = Duration::from_secs(if random.one_in(4) { 20 } else { 0 });
    let deadlines = Deadlines { idle, session, ..Deadlines::default() };
    let max_connections = if random.one_in(5) { 1 } else { 10 };
    Config { deadlines, max_connections, ..Config::default() }
}
