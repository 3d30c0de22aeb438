//! A connection between two made-up sockets, with its books: the real connection, the real pump.

use std::rc::Rc;
use std::time::Duration;

use websocksy::backend::{QueryError, Target};
use websocksy::config::Config;
use websocksy::conn::pump::Pump;
use websocksy::conn::socket::Socket;
use websocksy::conn::{Action, Connection, Scratch, Side, SocketEnd};
use websocksy::proto::handshake::Upgrade;
use websocksy::slab::{Loan, Slab, Slot};

use crate::ledger::{Ledger, View};
use crate::route::Route;
use crate::socket::{FakeSocket, Plug};
use crate::witness::Witness;

/// Turns after which a connection that still has more to do at once is taken to spin.
const TURNS: usize = 100_000;
/// Datagrams that one turn reads at most.
const DATAGRAMS: usize = 16;

/// The most that is read of a client at once where each message, even an empty one, gets an envelope:
/// what a turn makes of it is many times as much.
const ENVELOPED: usize = 16 * 1024;

/// No request head is longer.
const MOST_HEAD: usize = 16 * 1024;

/// What a session asks of whoever runs it.
#[derive(Debug)]
pub enum Wanted {
    /// The back end's answer; give it with [`Session::answered`].
    Answer,
    /// This peer; give it with [`Session::connected`] or [`Session::not_connected`].
    Peer(Target),
}

/// One client, its peer, the connection between them, and the books of all three.
pub struct Session {
    config: Rc<Config>,
    /// The connection.
    pub connection: Connection,
    /// The client's socket.
    pub client: Plug,
    /// The peer's, once it is connected.
    pub peer: Option<Plug>,
    route: Route,
    ledger: Ledger,
    slab: Slab,
    /// What the back end is asked about, and the slot that it has on loan.
    asked: Option<(Box<Upgrade>, Loan)>,
    dials: bool,
    wanted: Option<Wanted>,
    witness: Witness,
}

impl Session {
    /// A client that was just accepted.
    ///
    /// # Panics
    /// There is no address space for its slot.
    #[must_use]
    pub fn new(config: &Rc<Config>, route: Route, mut client: Plug, scratch: &Scratch) -> Self {
        client.tell_unacknowledged();
        let slab = Slab::new(1).expect("address space");
        let slot = slab.claim(0).expect("a slot that is nobody's");
        Self {
            config: Rc::clone(config),
            connection: Connection::new(Rc::clone(config), slot, scratch.now),
            client,
            peer: None,
            ledger: Ledger::new(&route),
            route,
            slab,
            asked: None,
            dials: false,
            wanted: None,
            witness: Witness::new(scratch.now),
        }
    }

    /// Its books.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What it asks for, once.
    pub fn take_wanted(&mut self) -> Option<Wanted> {
        self.wanted.take()
    }

    /// Whether it waits for an answer or a peer.
    #[must_use]
    pub fn waits_for_peer(&self) -> bool {
        self.asked.is_some() || self.dials
    }

    /// The back end has answered, if it was asked.
    pub fn answered(&mut self, found: Result<(), QueryError>, scratch: &mut Scratch) {
        let Some((upgrade, loan)) = self.asked.take() else { return };
        let answer = found.map(|()| self.route.answer());
        let slot = self.slab.take_back(loan);
        self.connection.answered(upgrade, slot, answer, scratch);
    }

    /// The peer that was dialled is there; who has given up waiting for it does not want it.
    pub fn connected(&mut self, mut peer: Plug, scratch: &mut Scratch) {
        if matches!(self.route.target, Target::Tcp { .. }) {
            peer.tell_unacknowledged();
        }
        if std::mem::take(&mut self.dials) {
            self.witness = Witness::new(scratch.now);
            self.connection.connected(scratch);
            self.peer = self.connection.was_open().then_some(peer);
        }
    }

    /// The peer that was dialled is not there.
    pub fn not_connected(&mut self, why: String, scratch: &mut Scratch) {
        if std::mem::take(&mut self.dials) {
            self.connection.not_connected(why, scratch);
        }
    }

    /// What it takes to find or reach a peer is used up.
    pub fn exhausted(&mut self, why: String, scratch: &mut Scratch) {
        self.asked = None;
        self.dials = false;
        self.connection.exhausted(why, scratch);
    }

    /// How long until the next deadline; zero for one that has passed, nothing for none.
    #[must_use]
    pub fn until_deadline(&self, scratch: &Scratch) -> Option<Duration> {
        let deadline = self.connection.deadline();
        deadline.map(|at| at.saturating_duration_since(scratch.now))
    }

    /// Does what is due.
    pub fn serve_deadline(&mut self, scratch: &mut Scratch) {
        if self.connection.finished() || self.until_deadline(scratch) != Some(Duration::ZERO) {
            return;
        }
        let sides = [Side::Client, Side::Peer];
        let before = sides.map(|side| self.connection.is_writable(side));
        let had_ended = self.connection.ending().is_some();
        self.look(scratch);
        self.begin_turn();
        self.pump(scratch).deadline();
        self.witness.check(self.view(), had_ended, &self.config.deadlines, scratch.now);
        for (side, before) in sides.into_iter().zip(before) {
            let is_shut = self.view().socket(side).is_some_and(|socket| socket.shut);
            let was_killed = before && !is_shut && !self.connection.is_writable(side);
            if was_killed || self.connection.ending_of(side) == SocketEnd::Close {
                self.ledger.give_up(side);
            }
        }
    }

    /// Turns until the connection waits for an event or a deadline; the books are checked after
    /// each.
    pub fn turns(&mut self, scratch: &mut Scratch) {
        for _ in 0..TURNS {
            if self.connection.finished() {
                return;
            }
            let again = self.turn(scratch);
            self.check_turn();
            self.ledger.check(View::new(&self.connection, &self.client, self.peer.as_ref()));
            if !again && !self.connection.finished() {
                return self.check_rest();
            }
        }
        panic!("it spins");
    }

    fn look(&mut self, scratch: &Scratch) {
        let view = View::new(&self.connection, &self.client, self.peer.as_ref());
        self.witness.look(view, scratch.now);
    }

    fn begin_turn(&mut self) {
        let plugs = [Some(&mut self.client), self.peer.as_mut()];
        plugs.into_iter().flatten().for_each(|plug| plug.socket.begin_turn());
    }

    fn pump<'a>(&'a mut self, scratch: &'a mut Scratch) -> Pump<'a, FakeSocket> {
        Pump {
            connection: &mut self.connection,
            client: self.client.endpoint(),
            peer: self.peer.as_mut().map(Plug::endpoint),
            scratch,
        }
    }

    fn turn(&mut self, scratch: &mut Scratch) -> bool {
        self.look(scratch);
        self.begin_turn();
        let again = self.pump(scratch).turn();
        if self.client.ready.hung_up {
            self.connection.hung_up();
        }
        self.look(scratch);
        match self.connection.take_action() {
            Some(Action::Ask(upgrade, slot)) => {
                self.asked = Some((upgrade, scribbled(slot)));
                self.wanted = Some(Wanted::Answer);
            }
            Some(Action::Dial(target)) => {
                assert_eq!(target, self.route.target);
                self.dials = true;
                self.wanted = Some(Wanted::Peer(target));
            }
            Some(Action::Admit(_)) => panic!("no proxy is trusted"),
            Some(Action::Verify(_)) => panic!("no password is asked for"),
            Some(Action::Respond(..) | Action::Fetch { .. }) => {
                panic!("nothing is configured to answer")
            }
            None => {}
        }
        again
    }

    /// What has to be so once the connection is finished, or is left alone.
    pub fn check_end(&self) {
        self.ledger.check_end(self.view());
        if self.connection.was_open() {
            self.check_counts();
        }
    }

    /// The log says how many bytes came from either side, those that came early with the request, too.
    fn check_counts(&self) {
        let counted = [Side::Client, Side::Peer].map(|side| self.connection.received_bytes(side));
        let length = |plug: &Plug| plug.socket.reads.iter().map(Vec::len).sum::<usize>();
        let first: Vec<u8> =
            self.client.socket.reads.iter().flatten().copied().take(MOST_HEAD).collect();
        let head = first.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
        let came = [length(&self.client) - head, self.peer.as_ref().map_or(0, length)];
        assert_eq!(counted, came.map(|length| length as u64), "bytes of client and peer");
    }

    fn view(&self) -> View<'_> {
        View::new(&self.connection, &self.client, self.peer.as_ref())
    }

    /// No side takes more of a turn than its share (`conn::pump`).
    fn check_turn(&self) {
        let client = &self.client.socket;
        assert!(
            client.turn_reads() <= 1,
            "{} reads of the client in one turn",
            client.turn_reads()
        );
        client.end_turn();
        let given_up = |side| self.ledger.was_given_up(side);
        let is_cut_off = client.closed_early && !given_up(Side::Client);
        assert!(!is_cut_off, "the client's socket is closed with its end unread");
        let Some(peer) = &self.peer else { return };
        let most = match self.route.is_datagram() {
            true => DATAGRAMS,
            false => 1 + usize::from(peer.ready.reads_in_pieces),
        };
        let reads = peer.socket.turn_reads();
        assert!(reads <= most, "{reads} reads of the peer in one turn");
        peer.socket.end_turn();
        // The others do not end when we do.
        let answers = matches!(self.route.target, Target::Tcp { .. } | Target::UnixStream(_));
        let is_cut_off = answers && peer.socket.closed_early && !given_up(Side::Peer);
        assert!(!is_cut_off, "the peer's socket is closed with its end unread");
    }

    /// A connection that waits has nothing left to do: no event would come for it.
    fn check_rest(&self) {
        let is_left = self.client.ready.hung_up && self.connection.ending().is_none();
        assert!(!is_left || !self.waits_for_peer(), "it waits for the peer of nobody");
        self.ledger.check_rest(self.view());
        let is_open = self.connection.was_open() && self.connection.ending().is_none();
        if is_open && self.route.has_envelopes() {
            let room = self.connection.room(Side::Client);
            assert!(
                room <= ENVELOPED,
                "{room} bytes may be read, and envelopes be put around each"
            );
        }
        let check = |side, socket: &FakeSocket| {
            let wanted = self.connection.room(side) > 0;
            assert!(!(wanted && socket.has_news()), "{side:?} is readable, and nobody reads");
            let takes = self.connection.waiting(side).is_some_and(|bytes| socket.takes(bytes));
            assert!(!takes, "{side:?} is writable, and nobody writes");
            let keeps = socket.unflushed() > 0 && self.connection.is_writable(side);
            assert!(!keeps || !socket.takes(b"."), "{side:?} is writable, and nobody flushes");
            let end = self.connection.ending_of(side);
            assert_eq!(end, SocketEnd::None, "{side:?} is not shut down");
        };
        check(Side::Client, &self.client.socket);
        if let Some(peer) = &self.peer {
            check(Side::Peer, &peer.socket);
        }
    }
}

/// A slot on loan to a back end that writes over all of it: nothing of that is believed.
fn scribbled(slot: Slot) -> Loan {
    let mut loan = slot.lend();
    let ws = loan.websocket();
    ws.read_buffer.fill(0xff);
    (ws.read_buffer_offset, ws.peer_buffer_offset) = (usize::MAX, 7);
    loan
}
