//! The calls into framing functions and encoders, and the only place that makes them.
#![allow(unsafe_code)] // C functions are called through pointers

use super::busy::Name;
use super::registry::Known;
use super::selection::Selection;
use super::verdict::{Cause, Kind};
use libc::{c_char, c_int, c_void};
use std::ptr;
use websocksy_abi::{WS_ENVELOPE_NONE, WS_ENVELOPE_PREFIX, WS_ENVELOPE_SIZED, WS_ENVELOPE_STREAM};
use websocksy_abi::{WS_ENVELOPE_SUFFIX, WS_FRAME_BINARY};
use websocksy_abi::{ws_encoder, ws_envelope, ws_operation};

/// Whether messages to the peer get an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeMode {
    /// They go as they are.
    None,
    /// They do, and it can be made before the message's length is known.
    Stream,
    /// They do, and it needs the length.
    Sized,
}

/// What goes to the peer around one message.
#[derive(Clone, Copy)]
pub struct Envelope(ws_envelope);

impl Envelope {
    /// Goes before the message.
    pub fn prefix(&self) -> &[u8] {
        self.0.prefix.get(..self.0.prefix_length).unwrap_or_default()
    }

    /// Goes after the message.
    pub fn suffix(&self) -> &[u8] {
        self.0.suffix.get(..self.0.suffix_length).unwrap_or_default()
    }
}

impl Default for Envelope {
    fn default() -> Self {
        Self(ws_envelope {
            prefix_length: 0,
            prefix: [0; WS_ENVELOPE_PREFIX],
            suffix_length: 0,
            suffix: [0; WS_ENVELOPE_SUFFIX],
        })
    }
}

/// A framing function with the arguments that stay the same for a session.
///
/// That the function keeps the contract is what made the [`Selection`] (see [`Selection::foreign`]).
pub(super) struct Call {
    selection: Selection,
    framing_data: *mut c_void,
    /// As who watches the loop is told of it.
    name: Name,
}

impl Call {
    pub(super) fn name(&self) -> String {
        self.selection.known().name()
    }

    pub(super) fn new(selection: &Selection) -> Self {
        let name = Name::of(&selection.known().name());
        Self { selection: selection.clone(), framing_data: ptr::null_mut(), name }
    }

    pub(super) fn known(&self) -> Known {
        self.selection.known()
    }

    /// Calls the function with all of `view` but its last byte, which is zero meanwhile. What it
    /// returned, and the opcode it left.
    pub(super) fn cut(&mut self, view: &mut [u8], last_read: usize) -> (i64, ws_operation) {
        let length = view.len() - 1;
        let after = std::mem::replace(&mut view[length], 0);
        let returned = self.invoke(view.as_mut_ptr(), length, last_read);
        view[length] = after;
        returned
    }

    /// The one call with null `data`, if the function left something to free.
    pub(super) fn end(&mut self) {
        if !self.framing_data.is_null() {
            self.invoke(ptr::null_mut(), 0, 0);
            self.framing_data = ptr::null_mut();
        }
    }

    fn invoke(&mut self, data: *mut u8, length: usize, last_read: usize) -> (i64, ws_operation) {
        let mut opcode = WS_FRAME_BINARY;
        let (config, name) = (self.config(), self.name);
        let framing_data = &mut self.framing_data;
        let function = self.selection.function();
        // SAFETY: the selection promises a function that keeps the contract. Ours is kept here:
        // `data` is null or has `length` writable bytes and a zero after them, `opcode` and
        // `framing_data` are valid, the latter is this function's own, `config` is what the
        // selection promises, and lives as long as `self`.
        let call =
            || unsafe { function(data, length, last_read, &mut opcode, framing_data, config) };
        (name.during(call), opcode)
    }

    /// Asks an encoder of this function what it will do.
    pub(super) fn envelope_mode(&self, encoder: ws_encoder) -> Result<EnvelopeMode, Cause> {
        // SAFETY: the registry holds encoders that keep the contract, which allows a null `out`.
        mode(unsafe { encoder(0, WS_FRAME_BINARY, self.config(), ptr::null_mut()) })
    }

    /// Asks an encoder of this function for the envelope of one message.
    pub(super) fn envelope(
        &self,
        encoder: ws_encoder,
        length: u64,
        kind: Kind,
    ) -> Result<Envelope, Cause> {
        let Envelope(mut out) = Envelope::default();
        // SAFETY: the registry holds encoders that keep the contract; `out` is valid.
        let call = || unsafe { encoder(length, kind.opcode(), self.config(), &mut out) };
        let mode = mode(self.name.during(call))?;
        if out.prefix_length > WS_ENVELOPE_PREFIX || out.suffix_length > WS_ENVELOPE_SUFFIX {
            return Err(Cause::Envelope { prefix: out.prefix_length, suffix: out.suffix_length });
        }
        Ok(if mode == EnvelopeMode::None { Envelope::default() } else { Envelope(out) })
    }

    fn config(&self) -> *const c_char {
        self.selection.config()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end();
    }
}

fn mode(returned: c_int) -> Result<EnvelopeMode, Cause> {
    match returned {
        WS_ENVELOPE_NONE => Ok(EnvelopeMode::None),
        WS_ENVELOPE_STREAM => Ok(EnvelopeMode::Stream),
        WS_ENVELOPE_SIZED => Ok(EnvelopeMode::Sized),
        other => Err(Cause::Mode(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn envelope(
        length: u64,
        _: ws_operation,
        _: *const c_char,
        out: *mut ws_envelope,
    ) -> c_int {
        // SAFETY: null, or the caller's.
        if let Some(out) = unsafe { out.as_mut() } {
            (out.prefix_length, out.suffix_length) = (length as usize >> 8, length as usize & 0xff);
        }
        WS_ENVELOPE_STREAM
    }

    #[test]
    fn an_envelope_may_be_as_long_as_there_is_room() {
        let call = Call::new(&Selection::default());
        for (prefix, suffix, fits) in [
            (WS_ENVELOPE_PREFIX, WS_ENVELOPE_SUFFIX, true),
            (WS_ENVELOPE_PREFIX + 1, 0, false),
            (0, WS_ENVELOPE_SUFFIX + 1, false),
        ] {
            let made = call.envelope(envelope, (prefix << 8 | suffix) as u64, Kind::Binary);
            let lengths = made.ok().map(|made| (made.prefix().len(), made.suffix().len()));
            assert_eq!(lengths, fits.then_some((prefix, suffix)));
        }
    }
}
