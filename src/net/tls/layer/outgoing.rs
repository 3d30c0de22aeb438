//! What goes out: plaintext to records, as far as the kernel takes them.

use std::io::{Error, ErrorKind, IoSlice, Result};

use super::super::engine::{Engine, RECORD};
use super::super::words;
use super::{Layer, MOST_RECORDS, State};
use crate::conn::socket::Socket;

impl<S: Socket> Layer<S> {
    /// Hands `out`, which is `plain` bytes encrypted, to the kernel, and keeps what it does not take.
    pub(super) fn send(&mut self, out: &[u8], plain: usize, last: bool) -> Result<()> {
        if out.is_empty() || self.shut {
            return Ok(());
        }
        self.account.wrote(plain, out.len());
        if !self.out.is_empty() {
            self.out.keep(out);
            return Ok(());
        }
        let taken = loop {
            match self.socket.write(&[IoSlice::new(out)], last) {
                Ok(taken) => break taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break 0,
                // Nothing would announce that it may be tried again.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.out.keep(out.get(taken..).unwrap_or_default());
        Ok(())
    }

    /// Says that nothing follows (RFC 8446 §6.1), once.
    pub(super) fn notify(&mut self) -> Result<()> {
        let State::Begun(engine) = &mut self.state else { return Ok(()) };
        if engine.is_handshaking() || std::mem::replace(&mut self.closing, true) {
            return Ok(());
        }
        let mut out = self.memory.outbox.take();
        out.clear();
        let told = engine.close_notify(&mut self.kept, &mut out);
        let sent = if told.is_ok() { self.send(&out, 0, true) } else { Ok(()) };
        self.memory.outbox.set(out);
        sent
    }

    /// Encrypts some of `parts` behind their first `sent` bytes, and sends it; returns how much.
    pub(super) fn encrypt_and_send(
        &mut self,
        parts: &[IoSlice<'_>],
        sent: usize,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<usize> {
        let State::Begun(engine) = &mut self.state else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let refused = |error: rustls::Error| Error::new(ErrorKind::BrokenPipe, words::of(&error));
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut record = self.memory.record.take();
        record.clear();
        let mut records = Records { engine, kept: &mut self.kept, record: &mut record, out };
        let taken = records.encrypt(parts, sent, self.records * RECORD).map_err(refused)?;
        self.memory.record.set(record);
        let last = last && sent + taken == length;
        if last {
            engine.close_notify(&mut self.kept, out).map_err(refused)?;
            self.closing = true;
        }
        self.send(out, taken, last)?;
        self.records = match self.out.is_empty() {
            true => (self.records * 2).min(MOST_RECORDS),
            false => 1,
        };
        Ok(taken)
    }
}

/// Plaintext on its way to records.
struct Records<'a> {
    engine: &'a mut Engine,
    /// Ciphertext that came in and is not whole.
    kept: &'a mut [u8],
    /// Small parts, until they are a record.
    record: &'a mut Vec<u8>,
    out: &'a mut Vec<u8>,
}

impl Records<'_> {
    /// Encrypts at most `most` bytes of `parts` behind their first `skip` ones; returns how many.
    fn encrypt(
        &mut self,
        parts: &[IoSlice<'_>],
        mut skip: usize,
        most: usize,
    ) -> std::result::Result<usize, rustls::Error> {
        let mut taken = 0;
        for part in parts {
            let (gone, left) = part.split_at(skip.min(part.len()));
            skip -= gone.len();
            let (left, _) = left.split_at(left.len().min(most - taken));
            taken += left.len();
            self.push(left)?;
        }
        if !self.record.is_empty() {
            self.engine.encrypt(self.record, self.kept, self.out)?;
        }
        Ok(taken)
    }

    /// Small parts share a record; whole ones are encrypted from where they lie.
    fn push(&mut self, mut rest: &[u8]) -> std::result::Result<(), rustls::Error> {
        while !rest.is_empty() {
            let whole = if self.record.is_empty() { rest.len() / RECORD * RECORD } else { 0 };
            let (lent, behind) = rest.split_at(whole);
            if !lent.is_empty() {
                self.engine.encrypt(lent, self.kept, self.out)?;
            }
            let (copied, behind) = behind.split_at(behind.len().min(RECORD - self.record.len()));
            self.record.extend_from_slice(copied);
            if self.record.len() == RECORD {
                self.engine.encrypt(self.record, self.kept, self.out)?;
                self.record.clear();
            }
            rest = behind;
        }
        Ok(())
    }
}
