//! One client's visit, from its connect to the end of its session: what it and its peer do.

use std::io::ErrorKind;

use websocksy::conn::{Ending, Side};
use websocksy_world::{Descriptor, Faults, Plug, Random, Route, Session};

use crate::client_script::ClientScript;
use crate::kind::Kind;
use crate::peer_script::PeerScript;

/// A window that holds nobody up.
const WIDE: usize = 1 << 20;

/// How a session went.
pub(crate) struct Report {
    pub(crate) kind: Kind,
    pub(crate) ending: &'static str,
    pub(crate) bytes: u64,
}

/// Where a client is.
pub(crate) enum Stage {
    /// On its way, or in the listening queue: its socket is there and nobody looks at it.
    Outside(Box<Plug>),
    Inside(Box<Session>),
    Gone,
}

pub(crate) struct Visit {
    random: Random,
    kind: Kind,
    pub(crate) route: Route,
    client_script: ClientScript,
    peer_script: PeerScript,
    pub(crate) stage: Stage,
}

impl Visit {
    pub(crate) fn new(faults: &Faults, mut random: Random) -> Self {
        let kind = Kind::any(&mut random);
        let in_pieces = random.one_in(2);
        Self {
            kind,
            route: kind.route(&mut random),
            client_script: ClientScript::new(kind, &mut random),
            peer_script: PeerScript::new(kind, &mut random),
            stage: Stage::Outside(Box::new(Plug::new(faults, random.fork(), false, in_pieces))),
            random,
        }
    }

    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        match &mut self.stage {
            Stage::Inside(session) => Some(session),
            Stage::Outside(_) | Stage::Gone => None,
        }
    }

    fn client(&mut self) -> Option<&mut Plug> {
        match &mut self.stage {
            Stage::Outside(plug) => Some(plug),
            Stage::Inside(session) => Some(&mut session.client),
            Stage::Gone => None,
        }
    }

    fn peer(&mut self) -> Option<&mut Plug> {
        self.session()?.peer.as_mut()
    }

    /// The socket of a peer that was connected to.
    pub(crate) fn new_peer(&mut self, faults: &Faults, descriptor: Descriptor) -> Plug {
        let in_pieces = self.kind.reads_in_pieces(&mut self.random);
        let datagrams = self.route.is_datagram();
        let mut plug = Plug::new(faults, self.random.fork(), datagrams, in_pieces);
        plug.descriptor = Some(descriptor);
        plug
    }

    /// The client sends some of what is left; returns whether there was any.
    pub(crate) fn client_sends(&mut self) -> bool {
        let Some(client) = self.client().filter(|client| client.socket.end.is_none()) else {
            return false;
        };
        let sent = client.socket.arrived();
        let left = self.client_script.stream.len() - sent;
        if left == 0 {
            return false;
        }
        let n = self.random.up_to(left);
        let bytes = self.client_script.stream[sent..sent + n].to_vec();
        _ = self.client().map(|client| client.arrive(&bytes));
        true
    }

    pub(crate) fn peer_sends(&mut self) -> bool {
        let Some(peer) = self.peer().filter(|peer| peer.socket.end.is_none()) else { return false };
        let sent = peer.socket.arrived();
        let left = self.peer_left(sent);
        if left == 0 {
            return false;
        }
        let n = self.random.up_to(left);
        let Stage::Inside(session) = &mut self.stage else { return false };
        let Some(peer) = &mut session.peer else { return false };
        let PeerScript { stream, datagrams, .. } = &self.peer_script;
        if self.kind != Kind::Datagrams {
            peer.arrive(&stream[sent..sent + n]);
            return true;
        }
        let mut at = datagrams[..sent].iter().sum();
        for length in &datagrams[sent..sent + n] {
            peer.arrive(&stream[at..at + length]);
            at += length;
        }
        true
    }

    /// How many bytes, or datagrams, the peer sends behind the first `sent` ones.
    fn peer_left(&self, sent: usize) -> usize {
        let PeerScript { stream, datagrams, .. } = &self.peer_script;
        let all = if self.kind == Kind::Datagrams { datagrams.len() } else { stream.len() };
        all - sent
    }

    pub(crate) fn windows_open(&mut self) {
        let wider = [self.random.length(), self.random.length()];
        let session = self.session();
        let plugs = session.map(|session| [Some(&mut session.client), session.peer.as_mut()]);
        for (plug, wider) in plugs.into_iter().flatten().zip(wider) {
            _ = plug.map(|plug| plug.open_window(plug.window() + wider));
        }
    }

    /// Both ends take what the system holds for them, and say nothing.
    pub(crate) fn both_take_all(&mut self) {
        let session = self.session();
        let plugs = session.map(|session| [Some(&mut session.client), session.peer.as_mut()]);
        plugs.into_iter().flatten().flatten().for_each(Plug::take_all);
    }

    pub(crate) fn client_ends(&mut self) {
        let error = self.reset();
        if let Some(client) = self.client().filter(|client| client.socket.end.is_none()) {
            client.finish(error);
        }
    }

    pub(crate) fn peer_ends(&mut self) {
        let (error, is_datagram) = (self.reset(), self.kind == Kind::Datagrams);
        match self.peer() {
            // Nothing says that a datagram socket will send no more.
            Some(peer) if is_datagram && error.is_none() => peer.fail(ErrorKind::ConnectionRefused),
            Some(peer) if peer.socket.end.is_none() => peer.finish(error),
            _ => {}
        }
    }

    fn reset(&mut self) -> Option<ErrorKind> {
        self.random.one_in(2).then_some(ErrorKind::ConnectionReset)
    }

    /// Events that say more than is so.
    pub(crate) fn spurious(&mut self, side: Side) {
        let plug = if side == Side::Client { self.client() } else { self.peer() };
        _ = plug.map(Plug::spurious);
    }

    /// Nothing holds anybody up any more; returns whether anything happened.
    pub(crate) fn go_on(&mut self) -> bool {
        let mut happened = false;
        if let Some(session) = self.session() {
            for plug in [Some(&mut session.client), session.peer.as_mut()].into_iter().flatten() {
                happened |= plug.open_window(WIDE);
            }
            self.both_take_all();
        }
        happened |= self.client_sends() | self.peer_sends();
        happened | self.client_goes_home() | self.peer_goes_home()
    }

    /// A client that has said all leaves when the bridge has.
    fn client_goes_home(&mut self) -> bool {
        let (length, is_over) = (self.client_script.stream.len(), self.client_script.is_over);
        let Some(client) = self.client() else { return false };
        let said_all = client.socket.arrived() == length;
        let goes = said_all && client.socket.end.is_none() && (client.socket.shut || !is_over);
        if goes {
            client.finish(None);
        }
        goes
    }

    fn peer_goes_home(&mut self) -> bool {
        let Some(sent) = self.peer().map(|peer| peer.socket.arrived()) else { return false };
        let may_go = self.peer_left(sent) == 0 && self.kind != Kind::Datagrams;
        let Some(peer) = self.peer().filter(|_| may_go) else { return false };
        let goes = peer.socket.end.is_none() && peer.socket.shut;
        if goes {
            peer.finish(None);
        }
        goes
    }

    /// What became of a session that is finished, and that its books are in order.
    pub(crate) fn leave(&mut self) -> Option<Report> {
        let kind = self.kind;
        let session = self.session().filter(|session| session.connection.finished())?;
        session.check_end();
        let ending = session.connection.ending().map_or("none", Ending::name);
        let plugs = [Some(&session.client), session.peer.as_ref()].into_iter().flatten();
        let bytes =
            plugs.flat_map(|plug| &plug.socket.writes).map(|write| write.len() as u64).sum();
        self.stage = Stage::Gone;
        Some(Report { kind, ending, bytes })
    }
}
