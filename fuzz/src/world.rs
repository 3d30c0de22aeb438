//! A session that a script moves, under a clock that stands still in between.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration, Instant};

use websocksy::backend::QueryError;
use websocksy::config::Config;
use websocksy::conn::Scratch;
use websocksy_world::{Faults, MAX_DATAGRAM, Plug, Random, Route, Session};

/// A request that is let in.
pub(super) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

thread_local! {
    /// As in the reactor, one for all connections: what one leaves there the next must not see.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new(Instant::now()));
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Fin,
    Reset,
}

/// A session and what is around it.
pub(super) struct World {
    pub(super) session: Session,
    is_datagram: bool,
    now: Instant,
}

impl World {
    pub(super) fn new(config: &Rc<Config>, route: Route) -> Self {
        let now = Instant::now();
        let is_datagram = route.is_datagram();
        let session = SCRATCH.with_borrow_mut(|scratch| {
            scratch.now = now;
            Session::new(config, route, plug(false), scratch)
        });
        Self { session, is_datagram, now }
    }

    /// Does something to the session, and then all that is to be done at once.
    pub(super) fn step(&mut self, act: impl FnOnce(&mut Session, &mut Scratch)) {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.now = self.now;
            act(&mut self.session, scratch);
            self.session.turns(scratch);
        });
    }

    /// Something happens to the client's socket.
    pub(super) fn client(&mut self, act: impl FnOnce(&mut Plug)) {
        self.step(|session, _| act(&mut session.client));
    }

    /// Something happens to the peer's socket, if there is one.
    pub(super) fn peer(&mut self, act: impl FnOnce(&mut Plug)) {
        self.step(|session, _| _ = session.peer.as_mut().map(act));
    }

    /// The peer sends bytes, or a datagram as long as UDP allows.
    pub(super) fn peer_says(&mut self, bytes: &[u8]) {
        let most = if self.is_datagram { MAX_DATAGRAM } else { usize::MAX };
        self.peer(|peer| peer.arrive(&bytes[..bytes.len().min(most)]));
    }

    /// The back end answers, and the peer is there; or nothing was asked.
    pub(super) fn grant(&mut self) {
        let peer = plug(self.is_datagram);
        self.step(|session, scratch| session.answered(Ok(()), scratch));
        self.step(|session, scratch| session.connected(peer, scratch));
    }

    /// The back end names nobody, or the peer is not there.
    pub(super) fn deny(&mut self) {
        self.step(|session, scratch| {
            session.not_connected("refused".into(), scratch);
            session.answered(Err(QueryError::NoPeer), scratch);
        });
    }

    /// Time passes, at most to the next deadline; what is due is done.
    pub(super) fn wait(&mut self, at_most: Duration) {
        let due = self.session.connection.deadline();
        let longest = due.map_or(Duration::ZERO, |due| due.saturating_duration_since(self.now));
        self.now += longest.min(at_most);
        self.step(Session::serve_deadline);
    }

    /// The peer ends its stream, or all.
    pub(super) fn peer_ends(&mut self, end: End) {
        let is_datagram = self.is_datagram;
        self.peer(|peer| match end {
            // Nothing says that a datagram socket will send no more.
            End::Fin if is_datagram => {}
            End::Reset if is_datagram => peer.fail(ErrorKind::ConnectionReset),
            End::Fin => peer.finish(None),
            End::Reset => peer.finish(Some(ErrorKind::ConnectionReset)),
        });
    }

    pub(super) fn client_ends(&mut self, end: End) {
        let error = (end == End::Reset).then_some(ErrorKind::ConnectionReset);
        self.client(|client| client.finish(error));
    }

    /// Whether the peer's socket is one of datagrams.
    pub(super) fn is_datagram(&self) -> bool {
        self.is_datagram
    }

    /// The client's request, and a peer that is there.
    pub(super) fn open(&mut self) {
        self.client(|client| client.arrive(REQUEST));
        self.grant();
    }
}

/// A socket that takes all, and with which nothing goes wrong but by the script.
fn plug(datagrams: bool) -> Plug {
    let mut plug = Plug::new(&Faults::default(), Random::new(0), datagrams, false);
    plug.set_window(usize::MAX);
    plug
}
