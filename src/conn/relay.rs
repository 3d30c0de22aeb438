//! Bridged: what either side gave goes to the other.

use std::time::Instant;

use super::bridge::Bridge;
use super::client_frames::{Answers, Found};
use super::data_frames::Compressing;
use super::inflating::Inflating;
use super::peer_frames::ControlRequests;
use super::to_peer::ToPeer;
use super::{Connection, Ending, Scratch, Side};

impl Connection {
    /// `side` gave `fresh` bytes; they end at `buffer[..length]` of the scratch memory, behind
    /// what it gave before. A request head is in the slot instead.
    pub fn received(&mut self, side: Side, length: usize, fresh: usize, scratch: &mut Scratch) {
        if side == Side::Client {
            // Any byte is a sign of life, not only a pong: a busy client must not starve its own.
            self.liveness.heard(scratch.now);
        }
        let bridged = self.lifecycle.bridge().is_some();
        let half = self.half_mut(side);
        if bridged {
            half.count(fresh);
        }
        match (side, half.is_live()) {
            (_, false) => half.discarded(fresh),
            (Side::Client, true) if bridged => self.client_received(length, scratch),
            (Side::Client, true) => self.head_received(length, scratch),
            (Side::Peer, true) => {
                let more = fresh == self.room(Side::Peer);
                self.peer_received(length, more, scratch);
            }
        }
    }

    /// Whether more can be made of what the client sent before.
    #[must_use]
    pub(super) fn has_unread(&self) -> bool {
        self.lifecycle.bridge().is_some_and(Bridge::has_unread)
            && self.client.is_live()
            && self.peer.egress.room() > 0
    }

    /// Makes more of what the client sent before, if there is such; returns whether there was.
    pub(super) fn read_on(&mut self, scratch: &mut Scratch) -> bool {
        if !self.has_unread() {
            return false;
        }
        let codec = self.lifecycle.bridge_mut().and_then(|bridge| bridge.codec.as_mut());
        let unread = codec.map(|codec| std::mem::take(&mut codec.unread)).unwrap_or_default();
        scratch.buffer[..unread.len()].copy_from_slice(&unread);
        // While it was not read, its silence was ours.
        self.liveness.heard(scratch.now);
        self.client_received(unread.len(), scratch);
        true
    }

    pub(super) fn client_received(&mut self, length: usize, scratch: &mut Scratch) {
        let Some(bridge) = self.lifecycle.bridge_mut() else { return };
        let before = scratch.traffic[Side::Client as usize].messages;
        let mut answers = Answers {
            batch: &mut scratch.to_client,
            client: &mut self.client.egress,
            traffic: &mut scratch.traffic[Side::Client as usize],
            may_answer: !bridge.close_sent,
        };
        let collected = bridge.collected.len();
        let budget = self.peer.egress.room();
        let inflating = bridge
            .codec
            .as_deref_mut()
            .map(|codec| Inflating::new(&mut codec.decoder, scratch.engines.output(), budget));
        let mut to_peer = ToPeer {
            framer: &bridge.framer,
            encoding: bridge.encoding,
            batch: &mut scratch.to_peer,
            collected: &mut bridge.collected,
        };
        let input = &mut scratch.buffer[..length];
        let fed = bridge.client_frames.feed(input, inflating, &mut to_peer, &mut answers);
        if let (Ok(Found { stopped: Some(at), .. }), Some(codec)) = (&fed, &mut bridge.codec) {
            codec.unread = input[*at..].to_vec();
        }
        self.client.messages += scratch.traffic[Side::Client as usize].messages - before;
        if !scratch.to_peer.is_empty() || bridge.collected.len() > collected {
            self.liveness.data(scratch.now);
            // After the peer's end, or ours, the client may finish what it has begun.
            if self.peer.egress.is_open() {
                self.prolong(scratch.now);
            }
        }
        match fed {
            Ok(Found { close, pong, .. }) => {
                self.late_pong(Side::Peer, scratch);
                if pong {
                    self.liveness.ponged();
                    self.ponged = true;
                }
                if let Some(code) = close {
                    // It is answered, and the connection ends (§5.5.1).
                    self.end_client(Ending::ClientClosed(code), scratch);
                }
            }
            // The fault may lie inside a frame, which then never ends: no pong may follow.
            Err(fault) => self.end_client(Ending::ClientFault(fault), scratch),
        }
    }

    fn peer_received(&mut self, length: usize, more: bool, scratch: &mut Scratch) {
        let Some(bridge) = self.lifecycle.bridge_mut() else { return };
        bridge.refusals = 0;
        let Scratch { buffer, to_client, to_peer, engines, .. } = scratch;
        let framer = &mut bridge.framer;
        let fed = match bridge.codec.as_deref_mut() {
            None => bridge.to_client.feed(framer, buffer, length, more, to_client),
            Some(codec) => {
                let mut frames = Compressing::new(to_client, codec, engines);
                bridge.to_client.feed(framer, buffer, length, more, &mut frames)
            }
        };
        // Pings and pongs of a peer's are no data.
        if !bridge.framer.is_two_way_frames() || !to_client.is_empty() {
            self.liveness.data(scratch.now);
        }
        match fed {
            Ok(ControlRequests { close, ping }) => {
                match ping {
                    // Frames do not nest: the pong waits for the end of the client's.
                    Some(payload) if bridge.client_frames.inside_frame() => {
                        self.peer.egress.keep_pong(&payload);
                    }
                    Some(payload) => self.peer.egress.pong(to_peer, &payload),
                    None => {}
                }
                if let Some(code) = close {
                    self.drop_peer(Ending::PeerClosed(code), scratch);
                }
            }
            Err(fault) => self.drop_peer(Ending::PeerFault(fault), scratch),
        }
        scratch.count_from_peer(&mut self.peer.messages);
    }

    /// A read from `side` found nothing: all that had arrived is with us.
    pub fn found_empty(&mut self, side: Side, scratch: &mut Scratch) {
        if side == Side::Peer
            && self.peer.is_live()
            && let Some(bridge) = self.lifecycle.bridge_mut()
        {
            let Scratch { to_client, engines, .. } = scratch;
            match bridge.codec.as_deref_mut() {
                None => bridge.to_client.no_more(&bridge.framer, to_client),
                Some(codec) => {
                    let mut frames = Compressing::new(to_client, codec, engines);
                    bridge.to_client.no_more(&bridge.framer, &mut frames);
                }
            }
            scratch.count_from_peer(&mut self.peer.messages);
        }
        if self.half(side).egress.is_given_up() && self.half(side).is_read() {
            self.failed_side_is_empty(side, scratch);
        }
    }

    /// Sends the pong that had to wait, if it need not wait any longer.
    fn late_pong(&mut self, side: Side, scratch: &mut Scratch) {
        let Some(bridge) = self.lifecycle.bridge() else { return };
        if side == Side::Client || !bridge.client_frames.inside_frame() {
            self.half_mut(side).egress.late_pong(scratch.batch(side));
        }
    }

    /// The kernel took `n` bytes for `side`.
    pub fn wrote(&mut self, side: Side, n: usize, now: Instant) {
        if !self.is_datagram(side) {
            self.half_mut(side).egress.flow.wrote(n, now);
        }
        if side == Side::Client {
            self.liveness.sent(n, now);
        }
    }

    /// `n` bytes of what [`waiting`](Self::waiting) showed were taken.
    pub fn sent(&mut self, side: Side, n: usize, scratch: &mut Scratch) {
        self.wrote(side, n, scratch.now);
        let is_asked = self.kernel_counts(side) && !self.is_datagram(side);
        let egress = &mut self.half_mut(side).egress;
        egress.sent(n);
        if !is_asked {
            egress.flow.progressed(scratch.now);
        }
        self.taken(side, scratch);
    }

    /// The transport keeps `n` bytes of what it took for `side`.
    pub fn unflushed(&mut self, side: Side, n: usize, scratch: &mut Scratch) {
        let is_asked = self.kernel_counts(side);
        let egress = &mut self.half_mut(side).egress;
        let before = egress.set_unflushed(n, scratch.now);
        if n >= before {
            return;
        }
        if !is_asked {
            egress.flow.progressed(scratch.now);
        }
        self.taken(side, scratch);
    }

    /// Whether nothing waits for `side`, here or, as it was told last, in its transport.
    #[must_use]
    pub fn is_drained(&self, side: Side) -> bool {
        self.half(side).egress.is_drained()
    }

    /// Something of what had to wait for `side` was taken.
    fn taken(&mut self, side: Side, scratch: &mut Scratch) {
        if self.lifecycle.bridge().is_some() {
            self.liveness.data(scratch.now);
        }
        if self.half(side).egress.is_drained() {
            // While one side could not be written to, the other was not read: silence was ours.
            self.liveness.heard(scratch.now);
            self.prolong(scratch.now);
            self.late_pong(side, scratch);
        }
    }

    /// All of a turn's `bytes` for `side` were taken at once.
    pub fn kept_up(&mut self, side: Side, bytes: usize) {
        self.half_mut(side).egress.kept_up(bytes);
    }

    /// Whether what is written to `side` still goes anywhere.
    #[must_use]
    pub fn is_writable(&self, side: Side) -> bool {
        self.half(side).egress.is_writable()
    }

    /// These parts of a turn's bytes for `side` have to wait.
    pub fn queue<'a>(&mut self, side: Side, parts: impl Iterator<Item = &'a [u8]>, now: Instant) {
        let datagrams = self.is_datagram(side);
        self.half_mut(side).egress.queue(parts, datagrams, now);
    }
}
