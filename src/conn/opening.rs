//! From the first byte to the 101: head, back end, peer (RFC 6455 §4.2).

use super::bridge::Bridge;
use super::lifecycle::{Opening, Phase};
use super::to_peer::PeerEncoding;
use super::{Action, Connection, Ending, Scratch};
use crate::backend::{Answer, QueryError};
use crate::framing::Framer;
use crate::proto::handshake::{self, Upgrade};

impl Connection {
    /// The next bytes of the request head.
    pub(super) fn head_received(&mut self, length: usize, scratch: &mut Scratch) {
        let Phase::Head(parser) = self.lifecycle.phase_mut() else { return };
        let bytes = &scratch.buffer[..length];
        let end = match parser.push(bytes) {
            Ok(Some(end)) => end,
            Ok(None) => return,
            Err(error) => return self.refuse(Ending::Head(error), scratch),
        };
        let head = std::mem::take(parser.as_mut()).finish();
        match handshake::judge(head, &self.config.origins) {
            Ok(upgrade) => {
                let deadline = scratch.now + self.config.deadlines.query;
                self.lifecycle.advance(Phase::Asking(bytes[end..].to_vec()), Some(deadline));
                self.action = Some(Action::Ask(Box::new(upgrade)));
            }
            Err(refused) => self.refuse(Ending::Handshake(refused), scratch),
        }
    }

    /// The back end's answer to [`Action::Ask`], and the handshake it was asked about.
    pub fn answered(
        &mut self,
        upgrade: Box<Upgrade>,
        answer: Result<Answer, QueryError>,
        scratch: &mut Scratch,
    ) {
        // Otherwise it is too late: the client left, or was given an answer.
        let Phase::Asking(early) = self.lifecycle.phase_mut() else { return };
        match answer {
            Ok(answer) => {
                let early = std::mem::take(early);
                self.action = Some(Action::Dial(answer.target.clone()));
                let opening = Box::new(Opening { upgrade, early, answer });
                let deadline = scratch.now + self.config.deadlines.connect;
                self.lifecycle.advance(Phase::Dialling(opening), Some(deadline));
            }
            Err(error) => self.refuse(Ending::Query(error), scratch),
        }
    }

    /// Descriptors, memory or threads are used up, so the back end cannot be asked or the peer not
    /// be dialled; `why` in words.
    pub fn exhausted(&mut self, why: String, scratch: &mut Scratch) {
        self.not_open(Ending::Exhausted(why), scratch);
    }

    /// The peer cannot be reached; `why` in words.
    pub fn not_connected(&mut self, why: String, scratch: &mut Scratch) {
        self.not_open(Ending::Dial(why), scratch);
    }

    /// Refuses a client that waits for its peer; one that left meanwhile does not care.
    fn not_open(&mut self, ending: Ending, scratch: &mut Scratch) {
        if self.lifecycle.is_connecting() {
            self.refuse(ending, scratch);
        }
    }

    /// The peer is there: the client gets its 101 and what it sent early is forwarded.
    pub fn connected(&mut self, scratch: &mut Scratch) {
        let Phase::Dialling(opening) = self.lifecycle.phase_mut() else { return };
        let Opening { upgrade, early, answer } = opening.as_mut();
        let bridge = match Bridge::new(&answer.target, Framer::new(&answer.framing)) {
            Ok(bridge) => bridge,
            Err(fault) => return self.refuse(Ending::Framing(fault), scratch),
        };
        let mut response = Vec::with_capacity(256);
        handshake::accept(upgrade, answer.protocol, &mut response);
        scratch.to_client.stage(&response);
        let early = std::mem::take(early);
        self.open(bridge, scratch);
        if !early.is_empty() {
            scratch.buffer[..early.len()].copy_from_slice(&early);
            self.client.count(early.len());
            self.client_received(early.len(), scratch);
        }
    }

    fn open(&mut self, bridge: Bridge, scratch: &Scratch) {
        self.peer.open();
        if bridge.encoding == PeerEncoding::ReadOnly {
            self.peer.egress.shut();
        }
        self.lifecycle.advance(Phase::Open(Box::new(bridge)), None);
        self.liveness.opened(scratch.now);
    }
}
