//! How one end leads to the other, so that nothing that was sent is lost (RFC 6455 §5.5.1, §7.1).
//!
//! | what happens | to the client | to the peer |
//! |---|---|---|
//! | client's close frame | close frame, FIN | all it sent, FIN |
//! | client's EOF or reset | FIN | all it sent, FIN |
//! | client's fault | close frame, FIN; the rest is discarded | all before the fault, FIN |
//! | peer's EOF | all it sent, the unframed tail, 1000; then as the client closes | open until then |
//! | peer's reset | all that had arrived, 1011; then as the client closes | dropped |
//! | framing's fault | 1009 or 1011; then as the client closes | FIN |
//! | shutdown | 1001; then as the client closes | open until then |
//!
//! FIN is a shut-down write end; what still comes is read and forgotten until the other's FIN or
//! the close deadline, because closing a socket with unread bytes resets it, and a reset destroys
//! what the other side has not read yet.

use std::io::ErrorKind;
use std::time::Instant;

use super::batch::stage_frame;
use super::client_frames::{ClientFault, PeerEncoding};
use super::egress::End;
use super::pump::{DATAGRAM_TOO_BIG, is_refusal};
use super::{Connection, Ending, Intake, Phase, Scratch, Side};
use crate::proto::frame::{CloseCode, Opcode, close_payload};
use crate::proto::handshake;

/// How many refusals in a row a datagram peer may answer with: one that restarts comes back.
const REFUSALS: u8 = 3;

impl Connection {
    /// `side`'s stream ended, or failed with `error`.
    pub fn ended(&mut self, side: Side, error: Option<ErrorKind>, scratch: &mut Scratch) {
        match (side, &self.phase) {
            (Side::Client, Phase::Open(_) | Phase::Refused) => self.client_gone(error, scratch.now),
            (Side::Client, _) => {
                self.ending.get_or_insert(Ending::Left);
                self.done = true;
            }
            (Side::Peer, Phase::Open(bridge)) => match error {
                Some(kind) if bridge.encoding == PeerEncoding::Datagram && is_refusal(kind) => {
                    self.refused_datagram(kind, scratch);
                }
                error => self.peer_gone(error, scratch),
            },
            (Side::Peer, _) => {}
        }
    }

    /// The client's socket was hung up while nothing is read from it: before the 101 there is no
    /// reason to go on for it.
    pub fn hung_up(&mut self) {
        if matches!(self.phase, Phase::Asking(_) | Phase::Dialling(_)) {
            self.ending.get_or_insert(Ending::Left);
            self.done = true;
        }
    }

    /// A write to `side` failed. What it sent before may still be readable, so reading goes on
    /// until it ends by itself.
    pub fn write_failed(&mut self, side: Side, error: ErrorKind, scratch: &mut Scratch) {
        if self.is_datagram(side) {
            return self.send_failed(error, scratch);
        }
        let unread = self.half(side).intake != Intake::Ended;
        self.half_mut(side).egress.kill();
        if self.ending.is_some() {
            self.restart_deadline(scratch.now);
        }
        match side {
            Side::Client => self.peer.discard(),
            Side::Peer if !unread => self.peer_gone(Some(error), scratch),
            Side::Peer => {}
        }
    }

    /// A datagram was not sent. No end of the peer's will be read that could say more.
    fn send_failed(&mut self, error: ErrorKind, scratch: &mut Scratch) {
        match error {
            kind if is_refusal(kind) => self.refused_datagram(kind, scratch),
            DATAGRAM_TOO_BIG => {
                self.peer.egress.kill();
                let fault = ClientFault::TooBig;
                self.end_client(Ending::ClientFault(fault), scratch);
            }
            kind => self.peer_gone(Some(kind), scratch),
        }
    }

    /// A datagram was refused: the peer may be restarting, or its network.
    fn refused_datagram(&mut self, error: ErrorKind, scratch: &mut Scratch) {
        let Phase::Open(bridge) = &mut self.phase else { return };
        bridge.refusals += 1;
        if bridge.refusals >= REFUSALS {
            self.peer_gone(Some(error), scratch);
        }
    }

    /// Refuses a client before any work is done for it.
    pub fn reject(&mut self, why: &'static str, scratch: &mut Scratch) {
        self.refuse(Ending::Full(why), scratch);
    }

    /// Answers a handshake with a status, and lets the rest of the request go by unread.
    pub(super) fn refuse(&mut self, ending: Ending, scratch: &mut Scratch) {
        if let Some(status) = ending.status() {
            let mut response = Vec::with_capacity(512);
            let date = scratch.clock.map(|clock| clock());
            handshake::refuse(status, date, &mut response);
            scratch.to_client.stage(&response);
        }
        self.ending.get_or_insert(ending);
        self.phase = Phase::Refused;
        self.client.discard();
        self.client.egress.finish();
        self.peer.egress.kill();
        self.restart_deadline(scratch.now);
    }

    /// The client's close frame: it is answered, and the connection ends (§5.5.1).
    pub(super) fn client_closed(&mut self, code: Option<CloseCode>, scratch: &mut Scratch) {
        if code.is_none() {
            self.stage_close(None, scratch);
        }
        self.end_client(Ending::ClientClosed(code), scratch);
    }

    /// Nothing that the client sends from here on counts; what it sent goes to the peer.
    pub(super) fn end_client(&mut self, ending: Ending, scratch: &mut Scratch) {
        self.stage_close(ending.close(), scratch);
        self.ending.get_or_insert(ending);
        self.client.discard();
        self.client.egress.finish();
        self.leave_peer();
        self.restart_deadline(scratch.now);
    }

    /// The client's stream is at its end: abrupt, unless the close handshake came before.
    fn client_gone(&mut self, error: Option<ErrorKind>, now: Instant) {
        let ending = error.map_or(Ending::ClientVanished, Ending::ClientFailed);
        self.ending.get_or_insert(ending);
        self.client.intake = Intake::Ended;
        if error.is_some() {
            self.client.egress.kill()
        } else {
            self.client.egress.finish()
        }
        self.leave_peer();
        self.restart_deadline(now);
    }

    /// The peer gets its end of stream after what waits for it; what it still sends is forgotten.
    pub(super) fn leave_peer(&mut self) {
        self.peer.egress.finish();
        self.peer.discard();
        let Phase::Open(bridge) = &self.phase else { return };
        if !bridge.answers_fin {
            self.peer.intake = Intake::Ended;
        }
    }

    /// The peer is at its end: the client gets what there is, then a close frame; what the client
    /// still sends goes to the peer, until it closes too.
    fn peer_gone(&mut self, error: Option<ErrorKind>, scratch: &mut Scratch) {
        let intake = std::mem::replace(&mut self.peer.intake, Intake::Ended);
        let Phase::Open(bridge) = &mut self.phase else { return };
        let unwritable =
            self.peer.egress.end == End::Done && bridge.encoding != PeerEncoding::ReadOnly;
        let mut ending = match error {
            Some(kind) => Ending::PeerFailed(kind),
            None if unwritable => Ending::PeerFailed(ErrorKind::BrokenPipe),
            None => Ending::PeerEnded,
        };
        if intake == Intake::Live {
            let tail = bridge.to_client.end(&mut bridge.framer, &mut scratch.to_client);
            if let (Err(fault), Ending::PeerEnded) = (tail, &ending) {
                ending = Ending::PeerFault(fault);
            }
        }
        if matches!(ending, Ending::PeerFailed(_)) {
            self.peer.egress.kill();
        }
        self.close(ending, scratch);
    }

    /// The peer is not to be listened to any more.
    pub(super) fn drop_peer(&mut self, ending: Ending, scratch: &mut Scratch) {
        self.leave_peer();
        self.close(ending, scratch);
    }

    /// Our close frame goes out and the client's is awaited.
    pub(super) fn close(&mut self, ending: Ending, scratch: &mut Scratch) {
        self.stage_close(ending.close(), scratch);
        if self.ending.is_none() {
            self.restart_deadline(scratch.now);
        }
        self.ending.get_or_insert(ending);
        if self.client.intake == Intake::Ended {
            self.leave_peer();
        }
    }

    /// Ends the connection because the daemon does.
    pub fn shut_down(&mut self, scratch: &mut Scratch) {
        match self.phase {
            Phase::Open(_) => {
                self.peer.discard();
                self.close(Ending::Shutdown, scratch);
            }
            Phase::Refused => {}
            _ => self.refuse(Ending::Shutdown, scratch),
        }
    }

    fn stage_close(&mut self, close: Option<(CloseCode, &str)>, scratch: &mut Scratch) {
        let Phase::Open(bridge) = &mut self.phase else { return };
        if std::mem::replace(&mut bridge.close_sent, true) || self.client.egress.end != End::Open {
            return;
        }
        self.client.egress.late_pong = None;
        match close {
            Some((code, reason)) => {
                let payload = close_payload(code, reason);
                stage_frame(&mut scratch.to_client, Opcode::Close, payload.as_slice());
            }
            None => stage_frame(&mut scratch.to_client, Opcode::Close, &[]),
        }
    }

    /// The other side has the close time-out from `now` on.
    pub(super) fn restart_deadline(&mut self, now: Instant) {
        self.phase_deadline = Some(now + self.config.deadlines.close);
    }
}
