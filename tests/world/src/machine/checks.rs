//! The books of the machine, and what must hold after every turn and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use websocksy::backend::Target;
use websocksy::reactor::Counts;

use super::books::ACCEPT_PAUSE;
use super::client::{Behaviour, Client};
use super::jobs::What;
use super::wire::Connect;
use super::{Machine, State};

/// RFC 8305 §5: how long an address has before the next is tried, too.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How many attempts of a race may be under way.
const ATTEMPTS: usize = 6;
/// How many clients may wait for their handshakes while others are accepted.
const ACCEPTS: usize = 64;
/// Turns in which nobody is, when more of them wait.
const CROWDED: usize = 60;
/// How many clients that are not let in may be told so at once.
const TOLD: usize = 256;
/// How late the daemon serves a deadline: a tick of its wheel, and one more for the rounding.
const LATE: Duration = Duration::from_millis(33);

/// What the daemon was told to keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Clients at once, and from one address if that is not 0.
    pub clients: usize,
    /// From one address; 0 for no limit.
    pub per_address: usize,
    /// Until the whole head is there.
    pub handshake: Duration,
    /// Until the peer is reached, the query included.
    pub answer: Duration,
    /// Until the peer is reached, once it is known.
    pub dial: Duration,
    /// Until the last session ends after a signal.
    pub drain: Duration,
}

/// How a run went: how often each thing happened.
pub type Summary = BTreeMap<String, u64>;

impl State {
    /// An attempt to reach a client's peer is about to begin: RFC 8305 §5.
    pub(super) fn check_begin(&mut self, client: usize, address: SocketAddr) {
        let now = self.now;
        let failed = self.clients[client].failed_at == Some(now)
            || self.attempts(client).any(|wire| wire.failed == Some(now));
        let client = &mut self.clients[client];
        // From another address of ours, since the one before has no port left.
        let is_same = client.dialled.replace(address) == Some(address);
        if is_same && failed && client.attempts.last() == Some(&now) {
            return;
        }
        if let Some(last) = client.attempts.last() {
            assert!(failed || now - *last >= ATTEMPT_DELAY, "an attempt comes too early");
            self.books.races += 1;
        }
        client.attempts.push(now);
        assert!(!client.left_told, "an attempt for a client that left");
    }

    /// An attempt has begun.
    pub(super) fn check_attempt(&self, id: usize) {
        let running = self.attempts(self.wires[id].client).filter(|wire| wire.is_held()).count();
        assert!(running <= ATTEMPTS, "{running} attempts at once");
    }

    fn attempts(&self, client: usize) -> impl Iterator<Item = &super::Wire> {
        self.clients[client].peers.iter().map(|wire| &self.wires[*wire])
    }

    /// Whether so many clients have sessions that no further one is told to go.
    pub(super) fn are_many_told(&self) -> bool {
        self.clients.iter().filter(|client| self.lives(client)).count() >= TOLD
    }

    /// The wire of a client that has a session.
    fn lives(&self, client: &Client) -> bool {
        client.wire.is_some_and(|wire| !self.wires[wire].gone)
    }

    fn check_counts(&self, counts: Counts, limits: &Limits) {
        let live: Vec<_> = self.clients.iter().filter(|client| self.lives(client)).collect();
        assert_eq!(counts.sessions, live.len(), "sessions are not the clients that are there");
        assert!(counts.admitted <= limits.clients && counts.admitted <= counts.sessions);
        let told = counts.sessions - counts.admitted;
        assert!(told <= TOLD, "{told} are told to go");
        let places: BTreeSet<_> = live.iter().map(|client| client.address).collect();
        assert!(counts.addresses <= places.len() && counts.addresses <= counts.admitted);
        if self.proxy.is_some() {
            return; // it need not be known yet whose they are
        }
        assert_eq!(counts.addresses == 0, counts.admitted == 0, "an address is forgotten");
        if limits.per_address > 0 {
            let most = limits.per_address * counts.addresses;
            assert!(counts.admitted <= most, "too many from one address");
        }
    }

    /// What has not begun has somebody who waits for it.
    fn check_jobs(&self) {
        for job in &self.queries.queued {
            let What::Query { client, .. } = &job.what else { continue };
            let client = &self.clients[*client];
            assert!(self.lives(client) && !client.left_told, "a query for nobody");
        }
        for job in &self.look_ups.queued {
            let What::LookUp { name } = &job.what else { continue };
            let waits = |client: &Client| {
                self.lives(client)
                    && client.waits_for(name)
                    && !client.left_told
                    && client.answered_at.is_none()
            };
            assert!(self.clients.iter().any(waits), "{name} is looked up for nobody");
        }
    }

    /// Who waits for a name has somebody who looks it up.
    fn check_names(&self) {
        if !self.done.is_empty() || self.books.signalled.is_some() {
            return;
        }
        for (id, client) in self.clients.iter().enumerate() {
            let Some(Target::Tcp { host, .. }) = &client.target else { continue };
            let dials = self.lives(client) && !client.left && client.answered_at.is_none();
            if dials && client.attempts.is_empty() && host.ends_with(".test") {
                assert!(self.look_ups.looks_up(host), "client {id} waits for {host} for ever");
            }
        }
    }

    /// What becomes of races while a client waits, after it left, and when it is answered.
    fn check_dials(&self) {
        let drains = self.books.signalled.is_some();
        for (id, client) in self.clients.iter().enumerate() {
            if client.attempts.is_empty() {
                continue;
            }
            let held = self.attempts(id).filter(|wire| wire.is_held()).count();
            let answered = client.answered_at.is_some();
            assert!(!answered || held <= 1, "lost attempts are not closed");
            let runs = |wire: &super::Wire| wire.is_held() && wire.connect == Connect::Running;
            let dials = self.attempts(id).any(runs);
            assert!(!(dials && client.left_told), "a dial for a client that left");
            let waits = self.lives(client) && !answered && !client.left && !drains;
            let left = client.attempts.len() < self.addresses_of(client);
            let last = client.attempts.last().copied().unwrap_or(self.now);
            let late = self.now > last + ATTEMPT_DELAY + LATE;
            assert!(!(waits && left && late && held < ATTEMPTS), "the next address is not tried");
            let failed = self.attempts(id).filter_map(|wire| wire.failed).max();
            let idle = waits && left && failed > Some(last);
            assert!(!idle, "after a failure the next address is not tried");
            let failed = |wire: &super::Wire| {
                wire.is_held() && matches!(wire.connect, Connect::Failed(_)) && !wire.has_event()
            };
            assert!(!self.attempts(id).any(failed), "a failed attempt is kept");
        }
    }

    /// Who waits in the queue is accepted when the pause is over, and the crowd of handshakes has gone on
    /// a little.
    fn check_queue(&mut self) {
        let waits = !self.backlog.is_empty() && self.listener.is_some() && !self.listener_event;
        let paused = self.books.paused_at.is_some();
        let waits_on = waits && !paused && !self.accepted_now();
        self.books.held_back = if waits_on { self.books.held_back + 1 } else { 0 };
        let crowded = self.wires.iter().filter(|wire| wire.steps > 0).count() >= ACCEPTS;
        let most = if crowded { CROWDED } else { 0 };
        assert!(self.books.held_back <= most, "accepting does not go on");
    }

    /// The daemon has slept until now: not longer than a pause of accepting lasts.
    pub(super) fn check_sleep(&self) {
        let waits = !self.backlog.is_empty() && self.listener.is_some();
        let over = self.books.paused_at.is_some_and(|at| self.now > at + ACCEPT_PAUSE + LATE);
        assert!(!(waits && over), "accepting pauses too long");
    }

    /// The daemon is about to sleep: what a client has sent must not wait for nothing.
    pub(super) fn check_rest(&self) {
        for wire in self.wires.iter().filter(|wire| !wire.gone && wire.token.is_some()) {
            let waits = wire.shakes_hands() && !wire.announced;
            assert!(!waits, "the handshake of client {} is forgotten", wire.client);
        }
        for (id, client) in self.clients.iter().enumerate() {
            let Some(wire) = client.wire.map(|wire| &self.wires[wire]) else { continue };
            let open =
                wire.plug.socket.writes.first().is_some_and(|w| w.starts_with(b"HTTP/1.1 1"));
            let speaks = !wire.gone && !client.left && client.is_at_it() && client.is_stream();
            let deaf = client.peers.iter().any(|peer| self.wires[*peer].deaf);
            let told = wire.announced || client.peer_fails || deaf;
            if open && speaks && !told {
                assert!(!wire.plug.socket.has_news(), "client {id} is not read");
            }
        }
    }

    /// The drain is over when its time is.
    fn check_drain(&self, over: bool, limits: &Limits) {
        let late = self.books.drains_since.is_some_and(|at| self.now >= at + limits.drain);
        assert!(over || !late, "the drain does not end in time");
    }

    /// Whether some were accepted in this turn: the others come in the next.
    fn accepted_now(&self) -> bool {
        self.clients.iter().any(|client| client.accepted_at == Some(self.now))
    }

    /// Who waits too long.
    fn check_deadlines(&self, limits: &Limits) {
        for (id, client) in self.clients.iter().enumerate() {
            if !self.lives(client) || client.answered_at.is_some() || client.left {
                continue;
            }
            let Some(accepted) = client.accepted_at else { continue };
            let told = |wire: usize| {
                let wire = &self.wires[wire];
                wire.unheard || wire.handshake > 0 && wire.plug.socket.shut
            };
            if client.wire.is_some_and(told) {
                continue; // by the end of its stream, and nothing before that
            }
            let due = match client.head_sent_at {
                Some(sent) => sent + limits.answer,
                None => accepted + limits.handshake,
            };
            let due = due.max(accepted + limits.handshake);
            let slack = LATE + self.books.stopped(accepted, self.now);
            assert!(self.now <= due + slack, "client {id} waits for ever: {client:?}");
        }
    }

    /// What one client got in the end.
    fn check_client(&self, id: usize, client: &Client, limits: &Limits) -> String {
        let name = format!("client {id}");
        let Some(wire) = client.wire else {
            let excused = client.aborted || client.reset || self.on_its_way(id);
            assert!(excused, "{name} was forgotten in the queue");
            return "was not accepted".into();
        };
        let wire = &self.wires[wire];
        assert!(wire.gone, "{name} was forgotten");
        if wire.token.is_none() {
            let is_proxys = self.proxy.is_some();
            assert!(client.unwatched || client.one_too_many || is_proxys, "{name} was hung up on");
            return "was hung up on".into();
        }
        if client.is_stream() {
            assert!(
                client.payload.starts_with(&client.peer_got),
                "{name}: wrong bytes to the peer"
            );
            assert!(client.peer_sent.starts_with(&client.got), "{name}: wrong bytes from the peer");
        }
        let drained = self.books.signalled.is_some_and(|at| wire.gone_at >= Some(at));
        match client.status {
            _ if client.behaviour == Behaviour::Leaves => return "left".into(),
            Some(101) => {
                assert!(!client.no_peer);
                let lucky = client.is_stream() && !client.peer_fails && !drained;
                if client.behaviour == Behaviour::Polite && lucky {
                    assert!(client.is_settled(), "{name}: something is not there");
                    assert_eq!(client.closed, Some(Some(1000)), "{name}: the goodbye");
                    return "was echoed".into();
                }
                let code = client.closed.flatten();
                return format!("was closed with {code:?}");
            }
            Some(status) => {
                assert!((400..600).contains(&status));
                // An answer may come too late, or when the daemon ends.
                let fits = [404, 503, 504].contains(&status);
                assert!(if client.no_peer { fits } else { status != 404 }, "{name}: {status}");
                // What came in time counts, though the daemon was late.
                let headless = client.head_sent_at.is_none_or(|at| Some(at) >= client.answered_at);
                // Of several steps of a handshake one is looked at then, as if the other end had to answer.
                let times = client.accepted_at.zip(client.answered_at);
                let stopped = times.map(|(from, to)| self.books.stopped(from, to));
                let halfway = wire.steps > 1 && stopped > Some(Duration::ZERO);
                let excused = headless || halfway;
                assert!(status != 408 || excused, "{name} had sent its head in time");
                let mute = client.behaviour == Behaviour::Mute && !drained && status != 503;
                assert!(!mute || status == 408, "{name} sent no head");
                if status == 504 {
                    self.check_late(id, client, limits);
                }
                if status == 502 {
                    self.check_lost(id, client);
                }
                return format!("was refused with {status}");
            }
            None if wire.handshake > 0 || wire.unheard => {
                return "was hung up on in its handshake".into();
            }
            None if !drained && self.proxy.is_some() => {
                let read: usize = wire.plug.socket.reads.iter().map(Vec::len).sum();
                let is_unknown = read < client.header || !client.is_known;
                assert!(is_unknown, "{name} was not answered: {client:?}");
                return "was hung up on before it was known".into();
            }
            None => assert!(drained, "{name} was not answered: {client:?}"),
        }
        "was cut off".into()
    }

    /// Nobody is told that it took too long when it did not.
    fn check_late(&self, id: usize, client: &Client, limits: &Limits) {
        let (Some(known), Some(answered)) = (client.known_at, client.answered_at) else { return };
        if known > answered {
            return;
        }
        assert!(answered >= known + limits.dial, "the answer came in time");
        let connected = |wire: &super::Wire| wire.connected.is_some_and(|at| at < answered);
        assert!(!self.attempts(id).any(connected), "the peer was reached in time");
        // A full backlog has room again soon, unless the daemon is stopped meanwhile.
        let may_hang = matches!(client.target, Some(Target::Tcp { .. } | Target::Udp { .. }));
        let stopped = self.books.stopped(known, answered);
        assert!(may_hang || stopped > limits.dial / 2, "a full backlog is left alone");
    }

    /// A race was lost only when all of its attempts were.
    fn check_lost(&self, id: usize, client: &Client) {
        let addresses = self.addresses_of(client);
        assert_eq!(client.attempts.len(), addresses, "client {id}: an address is left out");
        let failed = self.attempts(id).all(|wire| wire.failed.is_some());
        assert!(addresses == 0 || failed, "client {id}: not all attempts have failed");
    }

    /// How many addresses are to be tried for a client's peer.
    fn addresses_of(&self, client: &Client) -> usize {
        match &client.target {
            Some(Target::Tcp { host, .. }) => match host.as_str() {
                "192.0.2.1" => 1,
                "localhost" => 2,
                name => self.names.get(name).map_or(0, Vec::len),
            },
            _ => 0,
        }
    }

    fn on_its_way(&self, id: usize) -> bool {
        self.agenda.iter().any(|due| matches!(due, super::Due::Arrival(client) if *client == id))
    }
}

impl Machine {
    /// What must hold after every turn; `over`: whether the loop has ended.
    pub fn check(&self, counts: Counts, over: bool, limits: &Limits) {
        let mut state = self.state();
        state.check_counts(counts, limits);
        if state.books.looked() {
            state.clients.iter_mut().for_each(|client| client.left_told = client.left_is_told);
            state.check_queue();
            state.check_drain(over, limits);
            state.check_jobs();
            state.check_names();
            state.check_dials();
            state.check_deadlines(limits);
        }
    }

    /// Whether every client has come and gone.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let state = self.state();
        let over = |client: &Client| client.wire.is_none_or(|wire| state.wires[wire].gone);
        state.clients.iter().all(over) && state.backlog.is_empty()
    }

    /// What must hold when the reactor is gone; how it went.
    #[must_use]
    pub fn check_end(&self, limits: &Limits) -> Summary {
        let mut state = self.state();
        for id in 0..state.clients.len() {
            state.client_goes_on(id);
        }
        let held = state.queries.holds();
        assert_eq!(state.descriptors.taken(), held, "descriptors are not given back");
        assert!(state.wires.iter().all(|wire| wire.gone), "a socket is forgotten");
        let mut summary = Summary::new();
        for (id, client) in state.clients.iter().enumerate() {
            *summary.entry(state.check_client(id, client, limits)).or_default() += 1;
        }
        *summary.entry("(pauses of accepting)".into()).or_default() += state.books.pauses;
        *summary.entry("(further attempts)".into()).or_default() += state.books.races;
        summary
    }
}

/// Who is left.
impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        let queued = state.backlog.len();
        writeln!(f, "{} descriptors, {queued} clients queued", state.descriptors.count())?;
        let left = state.clients.iter().enumerate().filter(|(_, client)| state.lives(client));
        for (id, client) in left {
            writeln!(f, "client {id}: {client:?}")?;
        }
        Ok(())
    }
}
