//! The books: what was read from one side against what the other one has.

use std::mem::take;

use websocksy::conn::{Ending, Side, TURN_BYTES};
use websocksy_abi::PEER_BUFFER_SIZE;

use crate::heard::{Heard, Told};
use crate::kind::Kind;
use crate::world::World;

/// How many refusals in a row a datagram peer may answer with.
const REFUSALS: usize = 3;
/// More than this never waits: a turn's bytes, what is put around them, and a few control frames.
const MOST_WAITING: usize = TURN_BYTES + PEER_BUFFER_SIZE + 4096;

/// What both sides have, and what they must have.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Written to the client, and to the peer.
    heard: Heard,
    told: Told,
    /// How much the client, and the peer, were due when the connection had no ending yet.
    mark: (usize, usize),
}

impl World {
    /// The ledger and the rules of `conn`.
    pub(crate) fn check(&mut self) {
        self.check_rules();
        let (heard, told) = self.count();
        self.check_to_client(&heard);
        self.check_to_peer(&told);
        self.check_pongs(&heard, &told);
        if self.connection.ending().is_none() {
            let read = self.client.socket.read;
            self.ledger.mark = (heard.payload, self.script.due(read));
        }
    }

    fn check_rules(&self) {
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
    }

    /// Enters what was written; returns what the sides have once they take what waits.
    fn count(&mut self) -> (Heard, Told) {
        let Self { ledger, script, speech, kind, .. } = self;
        ledger.heard.feed(&take(&mut self.client.socket.output), speech, script);
        ledger.told.feed(&take(&mut self.peer.socket.output), *kind, script, speech);
        for datagram in take(&mut self.peer.socket.sent) {
            ledger.told.datagram(&datagram, script);
        }
        let (mut heard, mut told) = (ledger.heard.clone(), ledger.told.clone());
        if let Some(waiting) = self.connection.waiting(Side::Client) {
            heard.feed(waiting, speech, script);
        }
        match self.connection.waiting(Side::Peer) {
            Some(first) if *kind == Kind::Datagrams => told.datagram(first, script),
            Some(waiting) => told.feed(waiting, *kind, script, speech),
            None => {}
        }
        (heard, told)
    }

    /// All that the peer has said until it ended or the connection did is there or on its way.
    fn check_to_client(&self, heard: &Heard) {
        let read = self.peer.socket.read;
        let ending = self.connection.ending();
        let ended = matches!(
            ending,
            Some(Ending::PeerEnded | Ending::PeerFailed(_) | Ending::Shutdown | Ending::Idle)
                | Some(Ending::Stalled(Side::Peer))
        );
        let most = if ended { self.speech.due_at_end(read) } else { self.speech.due(read) };
        let least = match ending {
            _ if !self.connection.was_open() => 0,
            // A client that closes while the peer is still read is not told the rest.
            Some(Ending::PeerFailed(_)) if self.peer.socket.broken => match heard.close {
                Some(_) => self.ledger.mark.0,
                None => self.speech.due(read),
            },
            None | Some(Ending::PeerEnded | Ending::PeerFailed(_)) => most,
            Some(Ending::PeerClosed(_) | Ending::PeerFault(_)) => most,
            // What the peer says behind another ending goes nowhere.
            Some(_) => self.ledger.mark.0,
        };
        let there = heard.payload;
        assert!(there <= most, "the client gets {there} bytes of {most}");
        assert!(
            there >= least || self.is_excused(Side::Client),
            "the client has {there} bytes of {least}: {ending:?}"
        );
        // Behind an ending of ours the peer is read only to be forgotten.
        let forgotten = !matches!(ending, Some(Ending::PeerEnded | Ending::PeerFailed(_)));
        let whole = |tail| ended && (tail == most || forgotten && tail <= most);
        assert!(heard.tail.is_none_or(whole), "half a message");
    }

    /// All that the client has sent is there or on its way, unless the peer was left before.
    fn check_to_peer(&self, told: &Told) {
        let due = self.script.due(self.client.socket.read);
        let least = match self.connection.ending() {
            _ if !self.connection.was_open() => 0,
            Some(Ending::PeerClosed(_) | Ending::PeerFault(_)) => self.ledger.mark.1,
            _ => due,
        };
        let there = told.count;
        assert!(there <= due, "the peer gets {there} of {due}");
        // All that is to be seen of a queue of datagrams is the first one.
        let in_sight =
            self.kind != Kind::Datagrams || self.connection.waiting(Side::Peer).is_none();
        assert!(
            there >= least || !in_sight || self.is_excused(Side::Peer),
            "the peer has {there} of {least}: {:?}",
            self.connection.ending()
        );
    }

    /// Whether what is written to `side` goes nowhere, for a reason that came from outside.
    pub(crate) fn is_excused(&self, side: Side) -> bool {
        let socket = match side {
            Side::Client => &self.client.socket,
            Side::Peer => &self.peer.socket,
        };
        let refused = socket.refusals >= REFUSALS;
        let lost = socket.broken || socket.too_big || refused || self.was_given_up(side);
        lost && !self.connection.is_writable(side)
    }

    /// A ping is answered as soon as nothing waits before the pong.
    fn check_pongs(&self, heard: &Heard, told: &Told) {
        let read = self.client.socket.read;
        let open = self.connection.was_open() && self.connection.ending().is_none();
        let flows = |side| self.connection.waiting(side).is_none() && !self.is_excused(side);
        let settled = open && flows(Side::Client);
        heard.pongs.check(&self.script.pings, read, settled);
        // Frames do not nest; and a peer is not listened to for a client that is not there.
        let inside = self.script.is_inside(read) || self.is_excused(Side::Client);
        let settled = open && flows(Side::Peer) && !inside;
        told.pongs.check(&self.speech.pings, self.peer.socket.read, settled);
    }

    /// What the client was told fits why it ended, if it could be told anything.
    pub(crate) fn check_answer(&self) {
        let heard = &self.ledger.heard;
        let Some(ending) = self.connection.ending() else { return };
        if self.client.socket.broken || self.was_given_up(Side::Client) {
            return;
        }
        assert!(heard.frames.is_between(), "a frame is cut off: {ending}");
        assert!(self.connection.waiting(Side::Client).is_none(), "it ends with bytes that wait");
        if let (Some(status), false) = (ending.status(), self.connection.was_open()) {
            assert_eq!(heard.status, Some(status.code()), "{ending}");
        }
        let Some((code, _)) = ending.close().filter(|_| self.connection.was_open()) else { return };
        let told = heard.close.expect("a close frame");
        match ending {
            Ending::ClientClosed(_) => assert_eq!(Some(told), self.script.close, "{ending}"),
            _ => assert_eq!(told, Some(code.get()), "{ending}"),
        }
        if let Ending::PeerClosed(code) = ending {
            assert_eq!(self.speech.close, Some(code.get()));
        }
    }
}
