//! Bridged: what either side gave goes to the other.

use std::time::Instant;

use super::client_frames::{ClientFault, Closed, Sinks};
use super::egress::End;
use super::to_client::ControlRequests;
use super::{Connection, Ending, Intake, Phase, Scratch, Side};

impl Connection {
    /// `side` gave `fresh` bytes; they end at `buffer[..length]` of the turn, behind what
    /// [`load`](Self::load) put there.
    pub fn received(&mut self, side: Side, length: usize, fresh: usize, scratch: &mut Scratch) {
        let more = fresh == self.room(side);
        if side == Side::Client {
            // Any byte is a sign of life, not only a pong: a busy client must not starve its own.
            self.last_heard = scratch.now;
            self.pinged = None;
        }
        let open = matches!(self.phase, Phase::Open(_));
        if open {
            self.half_mut(side).received += fresh as u64;
        }
        match (side, self.half(side).intake) {
            (Side::Client, Intake::Live) if open => self.client_received(length, scratch),
            (Side::Client, Intake::Live) => self.head_received(length, scratch),
            (Side::Peer, Intake::Live) => self.peer_received(length, more, scratch),
            (_, Intake::Discard(left)) => {
                self.half_mut(side).intake = Intake::Discard(left - fresh.min(left));
            }
            (_, Intake::Ended) => {}
        }
    }

    pub(super) fn client_received(&mut self, length: usize, scratch: &mut Scratch) {
        let Phase::Open(bridge) = &mut self.phase else { return };
        let mut outlet = Sinks {
            framer: &bridge.framer,
            encoding: bridge.encoding,
            to_peer: &mut scratch.to_peer,
            to_client: &mut scratch.to_client,
            client: &mut self.client.egress,
            may_answer: !bridge.close_sent,
        };
        let collected = bridge.client_frames.collected();
        let fed = bridge.client_frames.feed(&mut scratch.buffer[..length], &mut outlet);
        if !scratch.to_peer.is_empty() || bridge.client_frames.collected() > collected {
            self.last_data = scratch.now;
            // After the peer's end, or ours, the client may finish what it has begun.
            if self.ending.is_some() && self.peer.egress.end == End::Open {
                self.restart_deadline(scratch.now);
            }
        }
        // A fault may lie inside a frame, which then never ends.
        if fed.is_ok() {
            self.late_pong(Side::Peer, scratch);
        }
        match fed {
            Ok(None) => {}
            Ok(Some(Closed(code))) => self.client_closed(code, scratch),
            Err(fault) => self.client_fault(fault, scratch),
        }
    }

    fn peer_received(&mut self, length: usize, more: bool, scratch: &mut Scratch) {
        let Phase::Open(bridge) = &mut self.phase else { return };
        bridge.refusals = 0;
        let Scratch { buffer, to_client, to_peer, .. } = scratch;
        let fed = bridge.to_client.feed(&mut bridge.framer, buffer, length, more, to_client);
        // Pings and pongs of a peer's are no data.
        if !bridge.framer.is_two_way_frames() || !to_client.is_empty() {
            self.last_data = scratch.now;
        }
        match fed {
            Ok(ControlRequests { close, ping }) => {
                match ping {
                    // Frames do not nest: the pong waits for the end of the client's.
                    Some(payload) if bridge.client_frames.inside_frame() => {
                        self.peer.egress.late_pong = Some(payload.into());
                    }
                    Some(payload) => self.peer.egress.pong(to_peer, &payload),
                    None => {}
                }
                if let Some(code) = close {
                    self.drop_peer(Ending::PeerClosed(code), scratch);
                }
            }
            Err(fault) => {
                let ending = Ending::PeerFault(fault);
                self.drop_peer(ending, scratch);
            }
        }
    }

    /// A read from `side` found nothing.
    pub fn found_empty(&mut self, side: Side, scratch: &mut Scratch) {
        if let (Side::Peer, Phase::Open(bridge)) = (side, &mut self.phase) {
            bridge.to_client.no_more(&bridge.framer, &mut scratch.to_client);
        }
    }

    fn client_fault(&mut self, fault: ClientFault, scratch: &mut Scratch) {
        self.end_client(Ending::ClientFault(fault), scratch);
    }

    /// All that was queued for `side` is out.
    pub fn drained(&mut self, side: Side, scratch: &mut Scratch) {
        // While one side could not be written to, the other was not read: silence was ours.
        self.last_heard = scratch.now;
        self.pinged = None;
        if self.ending.is_some() {
            self.restart_deadline(scratch.now);
        }
        self.late_pong(side, scratch);
    }

    /// Sends the pong that had to wait, if it need not wait any longer.
    fn late_pong(&mut self, side: Side, scratch: &mut Scratch) {
        let Phase::Open(bridge) = &self.phase else { return };
        let inside = side == Side::Peer && bridge.client_frames.inside_frame();
        let batch = scratch.batch(side);
        let egress = &mut self.half_mut(side).egress;
        if inside || !egress.queue.is_empty() || egress.end != End::Open {
            return;
        }
        if let Some(payload) = egress.late_pong.take() {
            egress.pong(batch, &payload);
        }
    }

    /// `n` bytes of what [`waiting`](Self::waiting) showed were taken.
    pub fn sent(&mut self, side: Side, n: usize, now: Instant) {
        let egress = &mut self.half_mut(side).egress;
        egress.queue.sent(n);
        egress.progress = now;
    }

    /// Whether what is written to `side` still goes anywhere.
    #[must_use]
    pub fn is_writable(&self, side: Side) -> bool {
        self.half(side).egress.end != End::Done
    }

    /// All of a turn's `bytes` for `side` were taken at once.
    pub fn kept_up(&mut self, side: Side, bytes: usize) {
        self.half_mut(side).egress.kept_up(bytes);
    }

    /// These parts of a turn's bytes for `side` have to wait.
    pub fn queue<'a>(&mut self, side: Side, parts: impl Iterator<Item = &'a [u8]>, now: Instant) {
        let datagrams = self.is_datagram(side);
        let egress = &mut self.half_mut(side).egress;
        if egress.end == End::Done {
            return;
        }
        if egress.queue.is_empty() {
            egress.fell_behind(now);
        }
        for part in parts {
            if datagrams { egress.queue.push_datagram(part) } else { egress.queue.push(part) }
        }
    }
}
