//! From the first byte to the 101: head, back end, peer (RFC 6455 §4.2).

use std::time::Instant;

use super::client_frames::{ClientFrames, PeerEncoding};
use super::egress::End;
use super::to_client::ToClient;
use super::{Action, Bridge, Connection, Ending, Intake, Opening, Phase, Scratch, encoding};
use crate::backend::{Answer, QueryError, Target};
use crate::framing::Framer;
use crate::proto::handshake::{self, Upgrade};

impl Connection {
    /// The next bytes of the request head.
    pub(super) fn head_received(&mut self, length: usize, scratch: &mut Scratch) {
        let Phase::Head(parser) = &mut self.phase else { return };
        let bytes = &scratch.buffer[..length];
        let end = match parser.push(bytes) {
            Ok(Some(end)) => end,
            Ok(None) => return,
            Err(error) => return self.refuse(Ending::Head(error), scratch),
        };
        let Phase::Head(parser) = std::mem::replace(&mut self.phase, Phase::Refused) else {
            return;
        };
        match handshake::judge(parser.finish(), &self.config.origins) {
            Ok(upgrade) => {
                let early = bytes[end..].to_vec();
                self.phase = Phase::Asking(early);
                self.phase_deadline = Some(scratch.now + self.config.deadlines.query);
                self.action = Some(Action::Ask(Box::new(upgrade)));
            }
            Err(refused) => self.refuse(Ending::Handshake(refused), scratch),
        }
    }

    /// The back end's answer to [`Action::Ask`], and the handshake it was requests about.
    pub fn answered(
        &mut self,
        upgrade: Box<Upgrade>,
        answer: Result<Answer, QueryError>,
        scratch: &mut Scratch,
    ) {
        let early = match std::mem::replace(&mut self.phase, Phase::Refused) {
            Phase::Asking(early) => early,
            // Too late: the client left, or was given an answer.
            other => return self.phase = other,
        };
        match answer {
            Ok(answer) => {
                self.action = Some(Action::Dial(answer.target.clone()));
                self.phase_deadline = Some(scratch.now + self.config.deadlines.connect);
                self.phase = Phase::Dialling(Box::new(Opening { upgrade, early, answer }));
            }
            Err(error) => self.refuse(Ending::Query(error), scratch),
        }
    }

    /// Descriptors, memory or threads are used up, so the back end cannot be requests or the peer not
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
        if matches!(self.phase, Phase::Asking(_) | Phase::Dialling(_)) {
            self.refuse(ending, scratch);
        }
    }

    /// The peer is there: the client gets its 101 and what it sent early is forwarded.
    pub fn connected(&mut self, scratch: &mut Scratch) {
        let Opening { upgrade, early, answer } =
            match std::mem::replace(&mut self.phase, Phase::Refused) {
                Phase::Dialling(opening) => *opening,
                other => return self.phase = other,
            };
        let framer = Framer::new(&answer.framing);
        let encoding = match encoding(&answer.target, &framer) {
            Ok(encoding) => encoding,
            Err(fault) => return self.refuse(Ending::Framing(fault), scratch),
        };
        let mut response = Vec::with_capacity(256);
        handshake::accept(&upgrade, answer.protocol, &mut response);
        scratch.to_client.stage(&response);
        let answers_fin = matches!(answer.target, Target::Tcp { .. } | Target::UnixStream(_));
        self.open(framer, encoding, answers_fin, scratch.now);
        if !early.is_empty() {
            scratch.buffer[..early.len()].copy_from_slice(&early);
            self.client.received += early.len() as u64;
            self.client_received(early.len(), scratch);
        }
    }

    fn open(&mut self, framer: Framer, encoding: PeerEncoding, answers_fin: bool, now: Instant) {
        let to_client =
            ToClient::new(framer.is_two_way_frames(), encoding == PeerEncoding::Datagram);
        self.phase = Phase::Open(Box::new(Bridge {
            client_frames: ClientFrames::new(),
            to_client,
            framer,
            encoding,
            answers_fin,
            close_sent: false,
            refusals: 0,
        }));
        self.peer.intake = Intake::Live;
        if encoding == PeerEncoding::ReadOnly {
            self.peer.egress.end = End::Done;
        }
        self.phase_deadline = None;
        self.last_heard = now;
        self.last_data = now;
    }
}
