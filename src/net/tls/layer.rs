//! TLS over any stream socket, as a socket: the pump and the bridge do not learn of it.
//!
//! - What the kernel did not take is numbered and encrypted already, so it is kept here
//!   ([`Socket::unflushed`]), goes first, and counts as not acknowledged.
//! - A read gives less than it is asked for though more is there: [`Socket::holds_more`] says so.
//! - `close_notify` goes before the end of the stream (RFC 8446 §6.1), and an end without it is taken
//!   for one: what we carry says by itself where it ends. It is noted.

mod incoming;
mod outgoing;

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::rc::Rc;

use super::account::Account;
use super::engine::Engine;
use super::memory::{Held, Memory};
use crate::conn::socket::Socket;
use crate::proto::client_tls::ClientTls;

/// Records that are encrypted before the kernel is asked to take them, once it took as many.
const MOST_RECORDS: usize = 4;
/// Reads of the socket below for one of ours: more come in the next turn, for the sake of others.
const READS: usize = 4;

/// How far it is.
pub(super) enum State {
    /// A client of which nothing was read: there is nothing to keep for it.
    Fresh,
    /// The handshake runs, or is done.
    Begun(Engine),
    /// Nothing goes either way any more; why, in words, and what had been agreed on.
    Failed { why: String, version: Option<&'static str> },
}

impl State {
    /// The version that was agreed on, as others write it.
    fn version(&self) -> Option<&'static str> {
        match self {
            Self::Begun(engine) => engine.version(),
            Self::Failed { version, .. } => *version,
            Self::Fresh => None,
        }
    }

    /// What it is behind a fault.
    fn failed(&self, why: String) -> Self {
        Self::Failed { why, version: self.version() }
    }
}

/// A TLS connection over a stream socket.
pub struct Layer<S> {
    socket: S,
    pub(super) state: State,
    memory: Rc<Memory>,
    /// Ciphertext that is not a whole record or handshake message yet.
    pub(super) kept: Vec<u8>,
    /// Plaintext that a read had no room for.
    pub(super) plain: Held,
    /// Ciphertext that the kernel did not take.
    out: Held,
    account: Account,
    /// Records that are encrypted at once: fewer for one that was too slow for them.
    records: usize,
    /// What a client calls us.
    name: Option<Box<str>>,
    /// The last read of the socket gave less than it was asked for.
    drained: bool,
    /// The other end's stream is over: by a `close_notify`, or without one.
    end: Option<End>,
    /// Our `close_notify` is sent, or at least encrypted.
    closing: bool,
    /// The socket's write end is shut down.
    pub(super) shut: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Notified,
    Cut {
        /// It came before ours.
        early: bool,
    },
}

impl<S: Socket> Layer<S> {
    /// The end that a client reaches.
    pub(super) fn server(socket: S, memory: Rc<Memory>) -> Self {
        Self::new(socket, State::Fresh, memory)
    }

    /// The end that reaches a server. [`Layer::handshake`] begins.
    pub(super) fn client(socket: S, engine: Engine, memory: Rc<Memory>) -> Self {
        Self::new(socket, State::Begun(engine), memory)
    }

    fn new(socket: S, state: State, memory: Rc<Memory>) -> Self {
        Self {
            socket,
            state,
            memory,
            kept: Vec::new(),
            plain: Held::default(),
            out: Held::default(),
            account: Account::default(),
            records: MOST_RECORDS,
            name: None,
            drained: false,
            end: None,
            closing: false,
            shut: false,
        }
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket below, for the poll.
    pub(crate) fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Goes on with the handshake; none while it waits for the other end.
    ///
    /// # Errors
    /// There is no trust in the other end, or it does not speak TLS; in words.
    pub fn handshake(&mut self) -> Option<Result<()>> {
        loop {
            if !self.out.is_empty()
                && let Err(error) = self.flush()
            {
                match error.kind() {
                    ErrorKind::WouldBlock => {}
                    ErrorKind::Interrupted => continue,
                    _ => return Some(Err(error)),
                }
            }
            match &self.state {
                State::Failed { why, .. } => return Some(Err(failure(why))),
                State::Begun(engine) if !engine.is_handshaking() => return Some(Ok(())),
                State::Begun(_) | State::Fresh => {}
            }
            if self.end.is_some() {
                return Some(Err(failure("it hung up during the TLS handshake")));
            }
            match self.receive(&mut []) {
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return None,
                    ErrorKind::Interrupted => {}
                    _ => return Some(Err(error)),
                },
            }
        }
    }

    /// Begins the handshake, with what goes before anything is read.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.take_in(&mut [], 0, &mut []).map(drop)
    }

    /// What was remarkable, in words, if anything was.
    pub fn remark(&self) -> Option<&str> {
        match &self.state {
            State::Failed { why, .. } => Some(why),
            State::Begun(engine) if engine.is_handshaking() => {
                Some("the TLS handshake was not done")
            }
            // Behind our own end it cuts nothing off: many hang up then.
            State::Begun(_) if self.end == Some(End::Cut { early: true }) => {
                Some("TLS ended without close_notify")
            }
            State::Begun(_) | State::Fresh => None,
        }
    }

    /// The version that was agreed on, as others write it.
    pub(crate) fn version(&self) -> Option<&'static str> {
        self.state.version()
    }

    /// What was agreed on, and who the other end is by its certificate: one that is not verified ends the
    /// handshake.
    pub(crate) fn facts(&self) -> Option<ClientTls> {
        let State::Begun(engine) = &self.state else { return None };
        let server_name = self.name.as_deref().map(str::to_owned);
        Some(ClientTls { server_name, ..engine.facts()? })
    }

    /// Whether the handshake is done.
    pub fn is_open(&self) -> bool {
        matches!(&self.state, State::Begun(engine) if !engine.is_handshaking())
    }
}

impl<S: Socket> Socket for Layer<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if !self.plain.is_empty() {
            // The socket was not asked, and there may have been an event since it was.
            self.drained = false;
            return Ok(self.plain.give(buffer));
        }
        for _ in 0..READS {
            match self.state {
                State::Failed { .. } => return Err(self.fail()),
                // It was hung up on: what it still sends is of no use to anybody.
                State::Fresh | State::Begun(_) if self.shut && !self.is_open() => {
                    return self.socket.read(buffer);
                }
                State::Fresh | State::Begun(_) => {}
            }
            if self.end.is_some() {
                return Ok(0);
            }
            let n = self.receive(buffer)?;
            if n > 0 {
                return Ok(n);
            }
        }
        Err(ErrorKind::Interrupted.into())
    }

    /// Before the handshake is done there is nobody to tell anything: what is written then, such as the
    /// refusal of a client for whom there is no room, is dropped.
    fn write(&mut self, parts: &[IoSlice<'_>], last: bool) -> Result<usize> {
        self.flush()?;
        if !self.is_open() {
            return match self.state {
                State::Failed { .. } => Err(ErrorKind::BrokenPipe.into()),
                State::Fresh | State::Begun(_) => Ok(parts.iter().map(|part| part.len()).sum()),
            };
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut out = self.memory.outbox.take();
        let mut taken = 0;
        // Less than all means that the kernel takes no more, so it is tried until that is so.
        while taken < length && self.out.is_empty() {
            out.clear();
            taken += self.encrypt_and_send(parts, taken, last, &mut out)?;
        }
        self.memory.outbox.set(out);
        Ok(taken)
    }

    fn send(&mut self, _datagram: &[u8]) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn flush(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.socket.write(&[IoSlice::new(self.out.bytes())], false)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                n => self.out.drop_front(n),
            }
        }
        Ok(())
    }

    fn unflushed(&self) -> usize {
        self.out.bytes().len()
    }

    fn holds_more(&self) -> bool {
        let failed = matches!(self.state, State::Failed { .. });
        !self.plain.is_empty() || !self.drained || self.end.is_some() || failed
    }

    fn shutdown(&mut self) -> Result<()> {
        if self.shut {
            return Ok(());
        }
        self.notify()?;
        self.flush()?;
        self.shut = true;
        self.socket.shutdown()
    }

    /// All that was written is out, or given up: then a `close_notify` would have no place.
    fn close(&mut self) {
        if self.out.is_empty() && !self.shut {
            let _ = self.notify();
        }
        self.plain = Held::default();
        self.out = Held::default();
        self.kept = Vec::new();
        self.shut = true;
        self.socket.close();
    }

    fn unacknowledged(&self) -> usize {
        self.account.on_its_way(self.socket.unacknowledged() + self.unflushed())
    }

    fn reads_unasked(&self) -> bool {
        self.socket.reads_unasked()
    }
}

fn failure(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why.to_owned())
}
