//! What comes in: ciphertext to plaintext, as far as it is whole.

use std::io::{Error, ErrorKind, Result};

use super::super::certificates;
use super::super::engine::{Engine, Received, WIRE_RECORD};
use super::super::memory::Held;
use super::super::words;
use super::{End, Layer, State, failure};
use crate::conn::socket::Socket;

/// The longest handshake message that is waited for (a client's certificates), in bytes.
const MOST_KEPT: usize = 2 * WIRE_RECORD;

/// Whether this says of a socket that nobody is at its other end (tcp(7), ip(7)).
fn is_gone(error: ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
    )
}

impl<S: Socket> Layer<S> {
    /// Reads from the socket, once; returns how much plaintext is in `buffer` now.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut inbox = self.memory.inbox.take();
        let received = self.receive_into(&mut inbox, buffer);
        self.memory.inbox.set(inbox);
        received
    }

    fn receive_into(&mut self, inbox: &mut Vec<u8>, buffer: &mut [u8]) -> Result<usize> {
        // As much as the buffer takes when it is decrypted, and a whole record in any case.
        let wanted = (buffer.len() + buffer.len() / 512).max(WIRE_RECORD);
        let kept = self.kept.len();
        let length = wanted.max(kept + WIRE_RECORD);
        if inbox.len() < length {
            inbox.resize(length, 0);
        }
        let Some((front, space)) =
            inbox.get_mut(..length).and_then(|all| all.split_at_mut_checked(kept))
        else {
            return Err(ErrorKind::OutOfMemory.into());
        };
        front.copy_from_slice(&self.kept);
        let n = self.socket.read(space).inspect_err(|error| {
            self.drained |= error.kind() == ErrorKind::WouldBlock;
        })?;
        self.drained = n < space.len();
        if n == 0 {
            self.end = Some(End::Cut { early: !self.closing });
            return Ok(0);
        }
        self.take_in(inbox, kept + n, buffer)
    }

    /// Takes in the first `length` bytes of `inbox`; returns how much plaintext is in `buffer` now.
    pub(super) fn take_in(
        &mut self,
        inbox: &mut [u8],
        length: usize,
        buffer: &mut [u8],
    ) -> Result<usize> {
        let input = inbox.get_mut(..length).unwrap_or_default();
        if let State::Fresh = self.state {
            self.state = match self.memory.server.borrow().clone().map(Engine::server) {
                Some(Ok(engine)) => State::Begun(engine),
                Some(Err(error)) => self.state.failed(words::of(&error)),
                None => self.state.failed("there is no certificate for it".into()),
            };
        }
        let State::Begun(engine) = &mut self.state else { return Err(self.fail()) };
        let is_handshaking = engine.is_handshaking();
        let began_plain = is_handshaking && self.kept.is_empty();
        let leaves = is_handshaking && words::is_goodbye(input);
        let is_old = is_handshaking && words::is_old_hello(input);
        let mut given = 0;
        let plain = &mut self.plain;
        let take = |record: &[u8]| {
            let space = buffer.get_mut(given..).unwrap_or_default();
            let (now, later) = record.split_at(record.len().min(space.len()));
            space.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            given += now.len();
            plain.keep(later);
        };
        let mut out = self.memory.outbox.take();
        out.clear();
        let Received { used, ended, error } = engine.receive(input, take, &mut out);
        if is_handshaking && self.name.is_none() {
            self.name = certificates::asked();
        }
        if let Some(error) = error {
            let what = match is_old {
                true => Some(words::blame_version(&mut out)),
                false if began_plain => words::not_tls(input),
                false => None,
            };
            self.state = self.state.failed(what.unwrap_or_else(|| words::of(&error)));
        }
        if ended || leaves {
            self.end = Some(End::Notified);
        }
        let left = input.get(used..).unwrap_or_default();
        if left.len() > MOST_KEPT {
            self.state = self.state.failed("its TLS handshake message is too long".into());
        }
        self.keep(left);
        let answered = self.answer(&out);
        self.memory.outbox.set(out);
        match (&self.state, given) {
            (_, 1..) => Ok(given),
            (State::Failed { .. }, 0) => Err(self.fail()),
            (State::Fresh | State::Begun(_), 0) => answered.map(|()| 0),
        }
    }

    /// Sends what TLS itself has to say. A write that fails is nothing to a reader, who may find more
    /// behind it: it waits until a write is asked for, and fails there. A handshake is over then; of who
    /// has left, or was reset, that is all there is to say.
    fn answer(&mut self, out: &[u8]) -> Result<()> {
        if self.closing {
            return Ok(()); // behind our `close_notify`, where nobody would look at it (RFC 8446 §6.1)
        }
        let Err(error) = self.send(out, 0, false) else { return Ok(()) };
        match &self.state {
            State::Begun(engine) if engine.is_handshaking() => {
                if is_gone(error.kind()) {
                    return Err(error);
                }
                self.state = self.state.failed(error.to_string());
            }
            State::Begun(_) => self.out.keep(out),
            State::Fresh | State::Failed { .. } => {}
        }
        Ok(())
    }

    /// Keeps `left` for the next read; no memory for nothing.
    fn keep(&mut self, left: &[u8]) {
        self.kept.clear();
        if left.is_empty() {
            self.kept = Vec::new();
        }
        self.kept.reserve_exact(left.len());
        self.kept.extend_from_slice(left);
    }

    /// It has failed: what there is to tell the other end is on its way, as far as that goes at once.
    pub(super) fn fail(&mut self) -> Error {
        self.kept = Vec::new();
        if !self.shut {
            self.shut = true;
            let _ = self.socket.shutdown();
        }
        self.out = Held::default();
        let State::Failed { why, .. } = &self.state else { return ErrorKind::InvalidData.into() };
        failure(why)
    }
}
