//! Bridged: what either side gave goes to the other.

use std::time::Instant;

use super::ending::{ClientFault, FramingTrouble};
use super::inbound::{Closed, Fault, Outlet};
use super::lane::End;
use super::outbound::Asked;
use super::{Connection, Ending, Intake, Phase, Side, Turn};

impl Connection {
    /// `side` gave `fresh` bytes; they end at `buffer[..length]` of the turn, behind what
    /// [`load`](Self::load) put there.
    pub fn received(
        &mut self,
        side: Side,
        length: usize,
        fresh: usize,
        now: Instant,
        turn: &mut Turn,
    ) {
        let more = fresh == self.room(side);
        if side == Side::Client {
            // Any byte is a sign of life, not only a pong: a busy client must not starve its own.
            self.heard = now;
            self.pinged = None;
        }
        let open = matches!(self.phase, Phase::Open(_));
        if open {
            self.half_mut(side).received += fresh as u64;
        }
        match (side, self.half(side).intake) {
            (Side::Client, Intake::Live) if open => self.client_received(length, now, turn),
            (Side::Client, Intake::Live) => self.head_received(length, now, turn),
            (Side::Peer, Intake::Live) => self.peer_received(length, more, now, turn),
            (_, Intake::Discard(left)) => {
                self.half_mut(side).intake = Intake::Discard(left - fresh.min(left));
            }
            (_, Intake::Ended) => {}
        }
    }

    pub(super) fn client_received(&mut self, length: usize, now: Instant, turn: &mut Turn) {
        let Phase::Open(session) = &mut self.phase else { return };
        let mut outlet = Outlet {
            framer: &session.framer,
            wrap: session.wrap,
            to_peer: &mut turn.to_peer,
            to_client: &mut turn.to_client,
            client: &mut self.client.lane,
            may_answer: !session.close_sent,
        };
        let collected = session.inbound.collected();
        let fed = session.inbound.feed(&mut turn.buffer[..length], &mut outlet);
        if !turn.to_peer.is_empty() || session.inbound.collected() > collected {
            self.moved = now;
            // After the peer's end, or ours, the client may finish what it has begun.
            if self.ending.is_some() && self.peer.lane.end == End::Open {
                self.restart_due(now);
            }
        }
        // A fault may lie inside a frame, which then never ends.
        if fed.is_ok() {
            self.late_pong(Side::Peer, turn);
        }
        match fed {
            Ok(None) => {}
            Ok(Some(Closed(code))) => self.client_closed(code, now, turn),
            Err(fault) => self.client_fault(fault, now, turn),
        }
    }

    fn peer_received(&mut self, length: usize, more: bool, now: Instant, turn: &mut Turn) {
        let Phase::Open(session) = &mut self.phase else { return };
        session.refusals = 0;
        let Turn { buffer, to_client, to_peer, .. } = turn;
        let fed = session.outbound.feed(&mut session.framer, buffer, length, more, to_client);
        // Pings and pongs of a peer's are no data.
        if !session.framer.is_two_way_frames() || !to_client.is_empty() {
            self.moved = now;
        }
        match fed {
            Ok(Asked { close, ping }) => {
                match ping {
                    // Frames do not nest: the pong waits for the end of the client's.
                    Some(payload) if session.inbound.inside_frame() => {
                        self.peer.lane.late_pong = Some(payload.into());
                    }
                    Some(payload) => self.peer.lane.pong(to_peer, &payload),
                    None => {}
                }
                if let Some(code) = close {
                    self.drop_peer(Ending::PeerClosed(code), now, turn);
                }
            }
            Err(fault) => {
                let ending = Ending::PeerFault(FramingTrouble(fault));
                self.drop_peer(ending, now, turn);
            }
        }
    }

    /// A read from `side` found nothing.
    pub fn found_empty(&mut self, side: Side, turn: &mut Turn) {
        if let (Side::Peer, Phase::Open(session)) = (side, &mut self.phase) {
            session.outbound.no_more(&session.framer, &mut turn.to_client);
        }
    }

    fn client_fault(&mut self, fault: Fault, now: Instant, turn: &mut Turn) {
        self.end_client(Ending::ClientFault(ClientFault(fault)), now, turn);
    }

    /// All that was queued for `side` is out.
    pub fn drained(&mut self, side: Side, now: Instant, turn: &mut Turn) {
        // While one side could not be written to, the other was not read: silence was ours.
        self.heard = now;
        self.pinged = None;
        if self.ending.is_some() {
            self.restart_due(now);
        }
        self.late_pong(side, turn);
    }

    /// Sends the pong that had to wait, if it need not wait any longer.
    fn late_pong(&mut self, side: Side, turn: &mut Turn) {
        let Phase::Open(session) = &self.phase else { return };
        let inside = side == Side::Peer && session.inbound.inside_frame();
        let batch = turn.batch(side);
        let lane = &mut self.half_mut(side).lane;
        if inside || !lane.queue.is_empty() || lane.end != End::Open {
            return;
        }
        if let Some(payload) = lane.late_pong.take() {
            lane.pong(batch, &payload);
        }
    }

    /// `n` bytes of what [`waiting`](Self::waiting) showed were taken.
    pub fn sent(&mut self, side: Side, n: usize, now: Instant) {
        let lane = &mut self.half_mut(side).lane;
        lane.queue.sent(n);
        lane.progress = now;
    }

    /// Whether what is written to `side` still goes anywhere.
    #[must_use]
    pub fn is_writable(&self, side: Side) -> bool {
        self.half(side).lane.end != End::Done
    }

    /// All of a turn's `bytes` for `side` were taken at once.
    pub fn kept_up(&mut self, side: Side, bytes: usize) {
        self.half_mut(side).lane.kept_up(bytes);
    }

    /// These parts of a turn's bytes for `side` have to wait.
    pub fn queue<'a>(&mut self, side: Side, parts: impl Iterator<Item = &'a [u8]>, now: Instant) {
        let datagrams = self.is_datagram(side);
        let lane = &mut self.half_mut(side).lane;
        if lane.end == End::Done {
            return;
        }
        if lane.queue.is_empty() {
            lane.fell_behind(now);
        }
        for part in parts {
            if datagrams { lane.queue.push_datagram(part) } else { lane.queue.push(part) }
        }
    }
}
