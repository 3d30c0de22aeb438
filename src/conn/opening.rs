//! From the first byte to the 101: head, back end, peer (RFC 6455 §4.2).

use std::time::Instant;

use super::inbound::{Inbound, Wrap};
use super::lane::End;
use super::outbound::Outbound;
use super::{Action, Connection, Ending, Intake, Opening, Phase, Session, Turn, wrap};
use crate::backend::{Answer, QueryError, Target};
use crate::framing::Framer;
use crate::proto::handshake::{self, Upgrade};

impl Connection {
    /// The next bytes of the request head.
    pub(super) fn head_received(&mut self, length: usize, now: Instant, turn: &mut Turn) {
        let Phase::Head(parser) = &mut self.phase else { return };
        let bytes = &turn.buffer[..length];
        let end = match parser.push(bytes) {
            Ok(Some(end)) => end,
            Ok(None) => return,
            Err(error) => return self.refuse(Ending::Head(error), now, turn),
        };
        let Phase::Head(parser) = std::mem::replace(&mut self.phase, Phase::Refused) else {
            return;
        };
        match handshake::judge(parser.finish(), &self.config.origins) {
            Ok(upgrade) => {
                let early = bytes[end..].to_vec();
                self.phase = Phase::Asking(early);
                self.due = Some(now + self.config.deadlines.query);
                self.action = Some(Action::Ask(Box::new(upgrade)));
            }
            Err(refused) => self.refuse(Ending::Handshake(refused), now, turn),
        }
    }

    /// The back end's answer to [`Action::Ask`], and the handshake it was asked about.
    pub fn answered(
        &mut self,
        upgrade: Box<Upgrade>,
        answer: Result<Answer, QueryError>,
        now: Instant,
        turn: &mut Turn,
    ) {
        let early = match std::mem::replace(&mut self.phase, Phase::Refused) {
            Phase::Asking(early) => early,
            // Too late: the client left, or was given an answer.
            other => return self.phase = other,
        };
        match answer {
            Ok(answer) => {
                self.action = Some(Action::Dial(answer.target.clone()));
                self.due = Some(now + self.config.deadlines.connect);
                self.phase = Phase::Dialling(Box::new(Opening { upgrade, early, answer }));
            }
            Err(error) => self.refuse(Ending::Query(error), now, turn),
        }
    }

    /// Descriptors, memory or threads are used up, so the back end cannot be asked or the peer not
    /// be dialled; `why` in words.
    pub fn exhausted(&mut self, why: String, now: Instant, turn: &mut Turn) {
        self.not_open(Ending::Exhausted(why), now, turn);
    }

    /// The peer cannot be reached; `why` in words.
    pub fn not_connected(&mut self, why: String, now: Instant, turn: &mut Turn) {
        self.not_open(Ending::Dial(why), now, turn);
    }

    /// Refuses a client that waits for its peer; one that left meanwhile does not care.
    fn not_open(&mut self, ending: Ending, now: Instant, turn: &mut Turn) {
        if matches!(self.phase, Phase::Asking(_) | Phase::Dialling(_)) {
            self.refuse(ending, now, turn);
        }
    }

    /// The peer is there: the client gets its 101 and what it sent early is forwarded.
    pub fn connected(&mut self, now: Instant, turn: &mut Turn) {
        let Opening { upgrade, early, answer } =
            match std::mem::replace(&mut self.phase, Phase::Refused) {
                Phase::Dialling(opening) => *opening,
                other => return self.phase = other,
            };
        let framer = Framer::new(&answer.framing);
        let wrap = match wrap(&answer.target, &framer) {
            Ok(wrap) => wrap,
            Err(fault) => return self.refuse(Ending::Framing(fault), now, turn),
        };
        let mut response = Vec::with_capacity(256);
        handshake::accept(&upgrade, answer.protocol, &mut response);
        turn.to_client.stage(&response);
        let answers_fin = matches!(answer.target, Target::Tcp { .. } | Target::UnixStream(_));
        self.open(framer, wrap, answers_fin, now);
        if !early.is_empty() {
            turn.buffer[..early.len()].copy_from_slice(&early);
            self.client.received += early.len() as u64;
            self.client_received(early.len(), now, turn);
        }
    }

    fn open(&mut self, framer: Framer, wrap: Wrap, answers_fin: bool, now: Instant) {
        let outbound = Outbound::new(framer.is_two_way_frames(), wrap == Wrap::Datagram);
        self.phase = Phase::Open(Box::new(Session {
            inbound: Inbound::new(),
            outbound,
            framer,
            wrap,
            answers_fin,
            close_sent: false,
            refusals: 0,
        }));
        self.peer.intake = Intake::Live;
        if wrap == Wrap::ReadOnly {
            self.peer.lane.end = End::Done;
        }
        self.due = None;
        self.heard = now;
        self.moved = now;
    }
}
