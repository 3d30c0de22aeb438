//! How one end leads to the other, so that nothing that was sent is lost (RFC 6455 §5.5.1, §7.1).
//!
//! | what happens | to the client | to the peer |
//! |---|---|---|
//! | client's close frame | close frame, FIN | all it sent, FIN |
//! | client's EOF or reset | FIN | all it sent, FIN |
//! | client's fault | close frame, FIN; the rest is discarded | all before the fault, FIN |
//! | peer's EOF | all it sent, the unframed tail, 1000; then as the client closes | open until then |
//! | peer's reset, or a write to it that fails | all that had arrived, 1011; then as the client closes | dropped |
//! | a write to the client that fails | nothing | all that had arrived, FIN |
//! | framing's fault | 1009 or 1011; then as the client closes | FIN |
//! | shutdown, no data for too long, a session too long | the unframed tail, 1001 or 1000; then as the client closes | open until then |
//!
//! FIN is a shut-down write end; what still comes is read and forgotten until the other's FIN or
//! the close deadline, because closing a socket with unread bytes resets it, and a reset destroys
//! what the other side has not read yet.

use std::io::ErrorKind;
use std::time::Instant;

use super::batch::stage_frame;
use super::data_frames::Compressing;
use super::lifecycle::Phase;
use super::socket::{DATAGRAM_TOO_BIG, is_refusal};
use super::to_client::PeerFault;
use super::to_peer::ClientFault;
use super::{Connection, Ending, Scratch, Side};
use crate::access::NotAdmitted;
use crate::proto::close;
use crate::proto::frame::Opcode;
use crate::proto::handshake;

/// How many refusals in a row a datagram peer may answer with: one that restarts comes back.
const REFUSALS: u8 = 3;

impl Connection {
    /// `side`'s stream ended, or failed with `error`.
    pub fn ended(&mut self, side: Side, error: Option<ErrorKind>, scratch: &mut Scratch) {
        match (side, self.lifecycle.phase()) {
            (Side::Client, Phase::Open(_) | Phase::Closing(_) | Phase::Refused) => {
                self.client_gone(error, scratch);
            }
            (Side::Client, Phase::Head(..)) if self.is_between_requests() => {
                self.lifecycle.finish(|| Ending::Answered);
            }
            // No other transport finds what it reads wrong.
            (Side::Client, Phase::Head(..)) if error == Some(ErrorKind::InvalidData) => {
                self.lifecycle.finish(|| Ending::ClientTls);
            }
            (Side::Client, Phase::Head(..) | Phase::Verifying(_) | Phase::Asking)
            | (Side::Client, Phase::Dialling(_) | Phase::Responding(_)) => {
                self.lifecycle.finish(|| Ending::Left);
            }
            (Side::Peer, Phase::Open(bridge) | Phase::Closing(bridge)) => match error {
                Some(kind) if bridge.is_datagram() && is_refusal(kind) => {
                    self.refused_datagram(kind, scratch);
                }
                error => self.peer_gone(error, scratch),
            },
            (Side::Peer, Phase::Head(..) | Phase::Verifying(_) | Phase::Asking)
            | (Side::Peer, Phase::Dialling(_) | Phase::Responding(_) | Phase::Refused)
            | (_, Phase::Over { .. }) => {}
        }
    }

    /// The client's socket was hung up while nothing is read from it: before the 101 there is no
    /// reason to go on for it.
    pub fn hung_up(&mut self) {
        if self.lifecycle.is_connecting() {
            self.lifecycle.finish(|| Ending::Left);
        }
    }

    /// A write to `side` failed, and so has the session. What the side sent before may still be
    /// readable, so it is read until it ends by itself or nothing more is there.
    pub fn write_failed(&mut self, side: Side, error: ErrorKind, scratch: &mut Scratch) {
        if self.is_datagram(side) {
            return self.send_failed(error, scratch);
        }
        let bridged = self.lifecycle.bridge().is_some();
        let half = self.half_mut(side);
        half.egress.give_up();
        if half.is_live() && !bridged {
            // What else it asks for has no answer.
            half.stop();
        }
        let unread = half.is_read();
        match side {
            Side::Client => {
                self.peer.discard();
                self.end(Ending::ClientFailed(error), scratch.now);
            }
            Side::Peer => self.end(Ending::PeerFailed(error), scratch.now),
        }
        self.prolong(scratch.now);
        if !unread {
            self.failed_side_is_empty(side, scratch);
        }
    }

    /// All that a side sent before a write to it failed is with us.
    pub(super) fn failed_side_is_empty(&mut self, side: Side, scratch: &mut Scratch) {
        match side {
            Side::Client => {
                self.client.stop();
                self.leave_peer();
            }
            Side::Peer => self.peer_gone(None, scratch),
        }
    }

    /// A datagram was not sent. No end of the peer's will be read that could say more.
    fn send_failed(&mut self, error: ErrorKind, scratch: &mut Scratch) {
        match error {
            kind if is_refusal(kind) => self.refused_datagram(kind, scratch),
            DATAGRAM_TOO_BIG => {
                self.peer.egress.give_up();
                self.end_client(Ending::ClientFault(ClientFault::TooBig), scratch);
            }
            kind => self.peer_gone(Some(kind), scratch),
        }
    }

    /// A datagram was refused: the peer may be restarting, or its network.
    fn refused_datagram(&mut self, error: ErrorKind, scratch: &mut Scratch) {
        let Some(bridge) = self.lifecycle.bridge_mut() else { return };
        bridge.refusals += 1;
        if bridge.refusals >= REFUSALS {
            self.peer_gone(Some(error), scratch);
        }
    }

    /// Refuses a client before any work is done for it; where refusals are explained, as soon as its
    /// handshake is there, since who sends none can be told nothing.
    pub fn reject(&mut self, why: NotAdmitted, scratch: &mut Scratch) {
        let may_wait = match why {
            NotAdmitted::Denied | NotAdmitted::TooFast { .. } => true,
            NotAdmitted::Full | NotAdmitted::FullForAddress => true,
            NotAdmitted::Unwatched | NotAdmitted::Displaced => false,
        };
        if self.is_between_requests() {
            self.lifecycle.finish(|| Ending::Answered);
        } else if may_wait && self.config.explain_refusals && self.awaits_head() {
            self.condemn(why);
        } else {
            self.refuse(Ending::NotAdmitted(why), scratch);
        }
    }

    /// Answers a handshake with a status, and lets the rest of the request go by unread.
    pub(super) fn refuse(&mut self, ending: Ending, scratch: &mut Scratch) {
        if let Some(refusal) = ending.refusal().filter(|_| !self.explain(&ending, scratch)) {
            let mut response = Vec::with_capacity(512);
            let date = scratch.clock.map(|clock| clock());
            handshake::refuse(&refusal, date, &mut response);
            if self.head_only {
                // RFC 9110 §9.3.2.
                let end = response.windows(4).position(|four| four == b"\r\n\r\n");
                response.truncate(end.map_or(response.len(), |end| end + 4));
            }
            scratch.to_client.stage(&response);
        }
        self.end(ending, scratch.now);
        self.client.discard();
        self.client.egress.finish();
        self.peer.egress.give_up();
    }

    /// Nothing that the client sends from here on counts; what it sent goes to the peer.
    pub(super) fn end_client(&mut self, ending: Ending, scratch: &mut Scratch) {
        self.end(ending, scratch.now);
        self.stage_close(scratch);
        self.client.discard();
        self.client.egress.finish();
        self.leave_peer();
        self.prolong(scratch.now);
    }

    /// The client's stream is at its end: abrupt, unless the close handshake came before.
    fn client_gone(&mut self, error: Option<ErrorKind>, scratch: &mut Scratch) {
        self.end(error.map_or(Ending::ClientVanished, Ending::ClientFailed), scratch.now);
        self.client.stop();
        if error.is_some() {
            self.client.egress.give_up();
        } else {
            // A peer that failed may still be read, and then the client has not been told yet.
            self.stage_close(scratch);
            self.client.egress.finish();
        }
        self.leave_peer();
        self.prolong(scratch.now);
    }

    /// The client is as good as gone: no close frame would reach it.
    pub(super) fn give_up_client(&mut self, ending: Ending, now: Instant) {
        self.end(ending, now);
        self.client.stop();
        self.client.egress.give_up();
        self.leave_peer();
        self.prolong(now);
    }

    /// The peer takes nothing: the client gets what there is, and a close frame.
    pub(super) fn give_up_peer(&mut self, ending: Ending, scratch: &mut Scratch) {
        let _ = self.deliver_tail(scratch);
        self.peer.stop();
        self.peer.egress.give_up();
        self.close(ending, scratch);
        self.prolong(scratch.now);
    }

    /// The peer gets its end of stream after what waits for it; what it still sends is forgotten.
    pub(super) fn leave_peer(&mut self) {
        self.peer.egress.finish();
        self.peer.discard();
        let Some(bridge) = self.lifecycle.bridge_mut() else { return };
        if let (false, Some(codec)) = (self.client.is_live(), &mut bridge.codec) {
            codec.give_up();
        }
        if !bridge.answers_fin {
            self.peer.stop();
        }
    }

    /// What the peer sent and no message was found in goes out as it is; the fault if it may not.
    fn deliver_tail(&mut self, scratch: &mut Scratch) -> Result<(), PeerFault> {
        match self.lifecycle.bridge_mut() {
            Some(bridge) if self.peer.is_live() => {
                let Scratch { to_client, engines, .. } = &mut *scratch;
                let end = match bridge.codec.as_deref_mut() {
                    None => bridge.to_client.end(&mut bridge.framer, to_client),
                    Some(codec) => {
                        let mut frames = Compressing::new(to_client, codec, engines);
                        bridge.to_client.end(&mut bridge.framer, &mut frames)
                    }
                };
                scratch.count_from_peer(&mut self.peer.messages);
                end
            }
            _ => Ok(()),
        }
    }

    /// The peer is at its end: the client gets what there is, then a close frame; what the client
    /// still sends goes to the peer, until it closes too.
    fn peer_gone(&mut self, error: Option<ErrorKind>, scratch: &mut Scratch) {
        let tail = self.deliver_tail(scratch);
        self.peer.stop();
        if self.lifecycle.bridge().is_none() {
            return;
        }
        let ending = match (error, tail) {
            (Some(kind), _) => Ending::PeerFailed(kind),
            (None, _) if self.peer.egress.is_given_up() => {
                Ending::PeerFailed(ErrorKind::BrokenPipe)
            }
            (None, Err(fault)) => Ending::PeerFault(fault),
            (None, Ok(())) => Ending::PeerEnded,
        };
        if matches!(ending, Ending::PeerFailed(_)) {
            self.peer.egress.give_up();
        }
        self.close(ending, scratch);
    }

    /// The peer is not to be listened to any more.
    pub(super) fn drop_peer(&mut self, ending: Ending, scratch: &mut Scratch) {
        self.leave_peer();
        self.close(ending, scratch);
    }

    /// The session is to end though both sides are well: what is there is delivered.
    pub(super) fn say_goodbye(&mut self, ending: Ending, scratch: &mut Scratch) {
        // A tail that is no message cannot go; the ending is another one's.
        let _ = self.deliver_tail(scratch);
        self.peer.discard();
        self.close(ending, scratch);
    }

    /// Our close frame goes out and the client's is awaited.
    fn close(&mut self, ending: Ending, scratch: &mut Scratch) {
        self.end(ending, scratch.now);
        if self.stage_close(scratch) {
            self.prolong(scratch.now);
        }
        if !self.client.is_read() {
            self.leave_peer();
        }
    }

    /// Ends the connection because the daemon does.
    pub fn shut_down(&mut self, scratch: &mut Scratch) {
        self.end_by_us(Ending::Shutdown, scratch);
    }

    /// Ends the connection because the daemon goes on in another process.
    pub fn end_for_restart(&mut self, scratch: &mut Scratch) {
        self.end_by_us(Ending::Restart, scratch);
    }

    /// Ends the connection because the operator wants that.
    pub fn close_for_operator(&mut self, scratch: &mut Scratch) {
        self.end_by_us(Ending::Operator, scratch);
    }

    /// Ends the connection because others wait until its compressed message ends, which is given up at once.
    pub fn give_way(&mut self, scratch: &mut Scratch) {
        // A tail that is no message cannot go; the ending is another one's.
        let _ = self.deliver_tail(scratch);
        self.end_client(Ending::Dawdled, scratch);
    }

    fn end_by_us(&mut self, ending: Ending, scratch: &mut Scratch) {
        match self.lifecycle.phase() {
            Phase::Open(_) => self.say_goodbye(ending, scratch),
            Phase::Head(..) if self.is_between_requests() => {
                self.lifecycle.finish(|| Ending::Answered);
            }
            Phase::Head(..) | Phase::Verifying(_) | Phase::Asking | Phase::Dialling(_) => {
                self.refuse(ending, scratch);
            }
            Phase::Responding(_) => self.answer_no_more(),
            Phase::Closing(_) | Phase::Refused | Phase::Over { .. } => {}
        }
    }

    /// What a further request is served by is another: there is none on this connection. Returns whether
    /// it has ended by that.
    pub fn outdated(&mut self) -> bool {
        match self.lifecycle.phase() {
            Phase::Head(..) if self.is_between_requests() => {
                self.lifecycle.finish(|| Ending::Answered);
                true
            }
            Phase::Responding(_) => {
                self.answer_no_more();
                false
            }
            Phase::Head(..) | Phase::Verifying(_) | Phase::Asking | Phase::Dialling(_) => false,
            Phase::Open(_) | Phase::Closing(_) | Phase::Refused | Phase::Over { .. } => false,
        }
    }

    /// The close time-out ran out. A peer that failed may still be read, and then the client has
    /// not been told yet.
    pub(super) fn closing_is_over(&mut self, scratch: &mut Scratch) {
        let told = self.lifecycle.bridge().is_none_or(|bridge| bridge.close_sent);
        if told || !self.client.egress.is_open() || !self.peer.is_read() {
            return self.lifecycle.cut_off();
        }
        self.peer_gone(None, scratch);
    }

    /// Tells the client why it ends; returns whether a close frame goes out: it is the first, and
    /// the client can be written to.
    fn stage_close(&mut self, scratch: &mut Scratch) -> bool {
        let (payload, reason);
        let frame = match self.lifecycle.ending() {
            None => return false,
            // RFC 6455 §5.5.1: the answer to one without a code.
            Some(Ending::ClientClosed(None)) => &[][..],
            Some(ending) => {
                let Some((code, words)) = ending.close() else { return false };
                reason = words;
                payload = close::payload(code, reason);
                payload.as_slice()
            }
        };
        let Some(bridge) = self.lifecycle.bridge_mut() else { return false };
        if !self.client.egress.is_open() || std::mem::replace(&mut bridge.close_sent, true) {
            return false;
        }
        self.client.egress.forget_pong();
        stage_frame(&mut scratch.to_client, Opcode::Close, frame);
        true
    }

    /// It ends, for the reason that stands already or for this one; the other side has the close
    /// time-out from `now` on.
    pub(super) fn end(&mut self, ending: Ending, now: Instant) {
        self.lifecycle.end(ending, now + self.config.deadlines.close);
    }

    /// The other side of an ending session has the close time-out anew.
    pub(super) fn prolong(&mut self, now: Instant) {
        self.lifecycle.prolong(now + self.config.deadlines.close);
    }
}
