//! The books: what was read from one side against what the other one has.

use websocksy::conn::{Connection, Ending, Side, TURN_BYTES};
use websocksy_abi::PEER_BUFFER_SIZE;

use crate::client_sent::ClientSent;
use crate::peer_sent::PeerSent;
use crate::received::{ClientReceived, PeerReceived};
use crate::response::Response;
use crate::route::{ClientGets, PeerGets, Route};
use crate::socket::{FakeSocket, Plug};

/// What is put around a turn's bytes, and a few control frames.
const AROUND: usize = PEER_BUFFER_SIZE + 4096;
/// The close code for a message that a peer does not take (RFC 6455 §7.4.1).
const TOO_BIG: u16 = 1009;
/// What waits for the rest of its character, at most.
const CUT_CHARACTER: usize = 3;

/// All that a session did, and what it must have done.
#[derive(Debug)]
pub struct Ledger {
    peer_gets: PeerGets,
    client_gets: ClientGets,
    client_sent: ClientSent,
    peer_sent: PeerSent,
    client_received: ClientReceived,
    peer_received: PeerReceived,
    /// How many reads and writes of either socket are in the books.
    entered: [[usize; 2]; 2],
    mark: Mark,
    /// The sides that a deadline cut off.
    given_up: Vec<Side>,
    /// How many writes client and peer had when nothing more was to be written to them.
    last_writes: [Option<usize>; 2],
}

/// How the books stood when the connection had no ending yet.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// What the client had, and what it has if the peer is not heard any more.
    client: usize,
    client_at_end: usize,
    /// What could be for the peer.
    peer: usize,
}

/// What a session looks like from outside while its books are checked.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// The client's socket.
    pub client: &'a FakeSocket,
    /// The peer's, once there is one.
    pub peer: Option<&'a FakeSocket>,
}

impl<'a> View<'a> {
    /// The view of these three.
    #[must_use]
    pub fn new(connection: &'a Connection, client: &'a Plug, peer: Option<&'a Plug>) -> Self {
        Self { connection, client: &client.socket, peer: peer.map(|peer| &peer.socket) }
    }

    /// The socket of a side, if there is one.
    #[must_use]
    pub fn socket(&self, side: Side) -> Option<&'a FakeSocket> {
        match side {
            Side::Client => Some(self.client),
            Side::Peer => self.peer,
        }
    }

    /// Whether bytes wait for a side, in the connection's queue or in what its socket keeps.
    #[must_use]
    pub fn blocks(&self, side: Side) -> bool {
        let keeps = self.socket(side).is_some_and(|socket| !socket.kept().is_empty());
        keeps || self.connection.waiting(side).is_some()
    }
}

impl Ledger {
    /// Empty books of a session on this route.
    #[must_use]
    pub fn new(route: &Route) -> Self {
        Self {
            peer_gets: route.peer_gets,
            client_gets: route.client_gets,
            client_sent: ClientSent::new(route.peer_gets),
            peer_sent: PeerSent::new(route),
            client_received: ClientReceived::new(route),
            peer_received: PeerReceived::new(route),
            entered: [[0; 2]; 2],
            mark: Mark::default(),
            given_up: Vec::new(),
            last_writes: [None; 2],
        }
    }

    /// What was read from the client.
    #[must_use]
    pub fn client_sent(&self) -> &ClientSent {
        &self.client_sent
    }

    /// What was read from the peer.
    #[must_use]
    pub fn peer_sent(&self) -> &PeerSent {
        &self.peer_sent
    }

    /// A deadline cut this side off.
    pub fn give_up(&mut self, side: Side) {
        self.given_up.push(side);
    }

    /// Whether one did.
    #[must_use]
    pub fn was_given_up(&self, side: Side) -> bool {
        self.given_up.contains(&side)
    }

    /// Enters a turn, and checks it.
    pub fn check(&mut self, view: View<'_>) {
        self.enter(view);
        self.check_rules(view);
        let (client, peer) = self.once_taken(view);
        self.check_to_client(view, &client);
        self.check_to_peer(view, &peer);
        self.check_pongs(view, &client, &peer);
        if view.connection.ending().is_none() {
            self.mark = Mark {
                client: client.payload,
                client_at_end: *self.peer_sent.due(true).start(),
                peer: self.client_sent.most(),
            };
        }
    }

    /// Enters what was read and written since the last time.
    fn enter(&mut self, view: View<'_>) {
        let [[client_reads, client_writes], [peer_reads, peer_writes]] = &mut self.entered;
        for read in &view.client.reads[*client_reads..] {
            self.client_sent.feed(read);
        }
        *client_reads = view.client.reads.len();
        if let Some(socket) = view.peer {
            for read in &socket.reads[*peer_reads..] {
                self.peer_sent.feed(read);
            }
            *peer_reads = socket.reads.len();
            for write in &socket.writes[*peer_writes..] {
                self.peer_received.feed(write, &self.peer_sent, &self.client_sent);
            }
            *peer_writes = socket.writes.len();
        }
        for write in &view.client.writes[*client_writes..] {
            self.client_received.feed(write, &self.peer_sent, &self.client_sent);
        }
        *client_writes = view.client.writes.len();
    }

    /// What the sides have once they take what waits.
    fn once_taken(&self, view: View<'_>) -> (ClientReceived, PeerReceived) {
        let (mut client, mut peer) = (self.client_received.clone(), self.peer_received.clone());
        let waiting = |side| {
            let socket = view.socket(side).filter(|_| view.connection.is_writable(side));
            let kept = socket.map(FakeSocket::kept).filter(|kept| !kept.is_empty());
            [kept, view.connection.waiting(side)].into_iter().flatten()
        };
        for bytes in waiting(Side::Client) {
            client.feed(bytes, &self.peer_sent, &self.client_sent);
        }
        for bytes in waiting(Side::Peer) {
            peer.feed(bytes, &self.peer_sent, &self.client_sent);
        }
        (client, peer)
    }

    /// Checks what holds when the connection waits for an event: nothing is kept of a peer that is
    /// read, unless a message is to be found in it.
    pub fn check_rest(&self, view: View<'_>) {
        let prompt = matches!(self.client_gets, ClientGets::Bytes { late: ..=CUT_CHARACTER });
        let is_read = view.connection.room(Side::Peer) > 0 && view.connection.ending().is_none();
        if prompt && is_read && !self.is_excused(view, Side::Client) {
            let (there, all) = (self.client_received.payload, self.peer_sent.payload.len());
            assert_eq!(there, all, "bytes of the peer wait for nothing");
        }
    }

    /// The rules of `conn`.
    fn check_rules(&mut self, view: View<'_>) {
        let connection = view.connection;
        for side in [Side::Client, Side::Peer] {
            let writes = view.socket(side).map_or(0, |socket| socket.writes.len());
            if !connection.is_writable(side) {
                let last = *self.last_writes[side as usize].get_or_insert(writes);
                assert_eq!(writes, last, "written to a {side:?} that was given up");
            }
            let waiting = connection.waiting(side).map_or(0, <[u8]>::len);
            let most = self.most_waiting(side);
            assert!(waiting <= most, "{waiting} bytes wait for {side:?}");
        }
        if connection.finished() {
            assert!(connection.ending().is_some(), "it ended for no reason");
        } else {
            assert!(connection.deadline().is_some(), "nothing ends it if nobody does anything");
        }
        if connection.ending().is_none() {
            let blocked = |side| view.blocks(side);
            let reads = |side| connection.room(side) > 0;
            assert!(!(blocked(Side::Client) && reads(Side::Peer)), "backpressure on the peer");
            assert!(
                !(connection.was_open() && blocked(Side::Peer) && reads(Side::Client)),
                "backpressure on the client"
            );
        }
    }

    /// More than this never waits: what one turn made.
    fn most_waiting(&self, side: Side) -> usize {
        AROUND
            + match (side, self.client_gets) {
                // A header of two bytes before each message of at least as many as its delimiter.
                (Side::Client, ClientGets::Delimited(delimiter)) => {
                    TURN_BYTES * (2 + delimiter.len()) / delimiter.len()
                }
                // Messages of one byte at least.
                (Side::Client, ClientGets::Bytes { .. } | ClientGets::Dense { .. }) => {
                    TURN_BYTES * 3
                }
                _ => TURN_BYTES,
            }
    }

    /// All that the peer has said until it ended or the connection did is there or on its way.
    fn check_to_client(&self, view: View<'_>, client: &ClientReceived) {
        let ending = view.connection.ending();
        let ended = matches!(ending, Some(Ending::PeerEnded | Ending::PeerFailed(_)));
        // What was kept of a peer that is well goes out before the goodbye.
        let goodbye = matches!(
            ending,
            Some(Ending::Shutdown | Ending::Idle | Ending::Expired | Ending::Stalled(Side::Peer))
        );
        let (least, most) = self.peer_sent.due(ended || goodbye).into_inner();
        let least = match ending {
            _ if !view.connection.was_open() => 0,
            // A peer that takes nothing any more is read to its end, unless the client leaves.
            Some(Ending::PeerFailed(_)) if self.client_has_left(view) => self.mark.client,
            Some(Ending::PeerFailed(_)) if client.close.is_none() => {
                *self.peer_sent.due(false).start()
            }
            None | Some(Ending::PeerEnded | Ending::PeerFailed(_)) => least,
            Some(Ending::PeerClosed(_) | Ending::PeerFault(_)) if self.peer_sent.is_judged() => {
                least
            }
            Some(_) if goodbye => self.mark.client_at_end,
            // What the peer says behind another ending goes nowhere.
            Some(_) => self.mark.client,
        };
        let there = client.payload;
        assert!(there <= most, "the client gets {there} bytes of {most}");
        assert!(
            there >= least || self.is_excused(view, Side::Client),
            "the client has {there} bytes of {least}: {ending:?}"
        );
        // Behind a goodbye the peer is read only to be forgotten.
        let is_whole = |tail| ended && tail == most || goodbye && tail <= most;
        assert!(client.tail.is_none_or(is_whole), "half a message");
    }

    /// Whether the client does not care any more what the peer says.
    fn client_has_left(&self, view: View<'_>) -> bool {
        let said_so = self.client_sent.closed.is_some() || self.client_sent.broken;
        said_so || view.client.end_was_read()
    }

    /// All that the client has sent is there or on its way, unless the peer was left before.
    fn check_to_peer(&self, view: View<'_>, peer: &PeerReceived) {
        let ending = view.connection.ending();
        let least = match ending {
            _ if !view.connection.was_open() => 0,
            Some(Ending::PeerClosed(_) | Ending::PeerFault(_)) => self.mark.peer,
            _ => self.client_sent.least,
        };
        let (there, most) = (peer.count, self.client_sent.most());
        assert!(there <= most, "the peer gets {there} of {most}");
        // All that is to be seen of a queue of datagrams is the first one.
        let in_sight =
            self.peer_gets != PeerGets::Datagrams || view.connection.waiting(Side::Peer).is_none();
        assert!(
            there >= least || !in_sight || self.is_excused(view, Side::Peer),
            "the peer has {there} of {least}: {ending:?}"
        );
    }

    /// Whether what is written to `side` goes nowhere, for a reason that came from outside.
    fn is_excused(&self, view: View<'_>, side: Side) -> bool {
        let lost = view.socket(side).is_some_and(FakeSocket::is_lost) || self.was_given_up(side);
        lost && !view.connection.is_writable(side)
    }

    /// A ping is answered as soon as nothing waits before the pong.
    fn check_pongs(&self, view: View<'_>, client: &ClientReceived, peer: &PeerReceived) {
        if !view.connection.was_open() || view.connection.ending().is_some() {
            return;
        }
        let flows = |side| !view.blocks(side) && !self.is_excused(view, side);
        let answered = client.pongs.are_settled(&self.client_sent.pings);
        assert!(answered || !flows(Side::Client), "a ping of the client's is not answered");
        // Frames do not nest; and a peer is not listened to for a client that is not there.
        let inside = self.client_sent.in_data() || self.is_excused(view, Side::Client);
        let answered = peer.pongs.are_settled(&self.peer_sent.pings);
        assert!(answered || !flows(Side::Peer) || inside, "a ping of the peer's is not answered");
    }

    /// What the client was told fits why it ended, if it could be told anything; and it ended for a
    /// reason that is so.
    pub fn check_end(&self, view: View<'_>) {
        let large = view.peer.is_some_and(|peer| peer.too_big);
        let Some(ending) = view.connection.ending() else {
            let fault = self.client_sent.broken || self.peer_sent.broken || large;
            let unheard = view.connection.was_open() && fault;
            return assert!(!unheard && self.client_received.close.is_none(), "no end of a fault");
        };
        assert!(!ending.to_string().chars().any(char::is_control), "{ending}");
        if view.connection.was_open() {
            self.check_reason(ending, large);
        }
        if view.client.broken || self.was_given_up(Side::Client) {
            return;
        }
        assert!(self.client_received.is_between(), "a frame is cut off: {ending}");
        assert!(view.connection.waiting(Side::Client).is_none(), "it ends with bytes that wait");
        if view.connection.was_open() {
            self.check_close(ending, large);
        } else if let Some(status) = ending.status() {
            let response = Response::read(&self.client_received.answer);
            response.check_refusal();
            assert_eq!(response.status, status.code(), "{ending}");
        }
    }

    fn check_close(&self, ending: &Ending, large: bool) {
        let Some((code, _)) = ending.close() else { return };
        let told = self.client_received.close.expect("a close frame");
        match ending {
            Ending::ClientClosed(_) => assert_eq!(Some(told), self.client_sent.closed, "{ending}"),
            _ => assert_eq!(told, Some(code.get()), "{ending}"),
        }
        if matches!(ending, Ending::ClientFault(_)) && large && !self.client_sent.broken {
            assert_eq!(told, Some(TOO_BIG), "a datagram was too large");
        }
    }

    /// The first end stands: a fault may come after the peer's end or the operator's.
    fn check_reason(&self, ending: &Ending, large: bool) {
        let (client, peer) = (&self.client_sent, &self.peer_sent);
        let is_so = match ending {
            Ending::ClientFault(_) => client.broken || large,
            Ending::PeerEnded | Ending::PeerFailed(_) | Ending::Shutdown => true,
            Ending::Idle | Ending::Expired => true,
            Ending::Stalled(Side::Peer) | Ending::ClientFailed(_) => true,
            Ending::PeerClosed(code) => peer.closed == Some(code.get()),
            Ending::PeerFault(_) => peer.broken || peer.faults_at_end() || !peer.is_judged(),
            Ending::ClientClosed(_) => !client.broken && client.closed.is_some(),
            _ => !client.broken,
        };
        assert!(is_so, "{ending}; a fault of the client's: {}", client.broken);
    }
}
