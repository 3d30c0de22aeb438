//! A [`Framing`] behind a `ws_framing`, an [`Encoder`] behind a `ws_encoder`.
#![allow(unsafe_code)]

use super::{guarded, text};
use crate::log::log_for;
use crate::{Encoder, Framing, Message, Verdict, host, log};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null_mut;
use websocksy_abi::{
    WS_ENVELOPE_NONE, WS_ENVELOPE_SIZED, WS_ENVELOPE_STREAM, WS_FRAME_BINARY, WS_FRAME_DISCARD,
    WS_FRAME_MORE, WS_FRAME_TEXT, ws_encoder, ws_envelope, ws_operation,
};

/// A framing function's answer to a stream or a configuration that makes no sense.
const FAULT: i64 = -1;
/// An encoder's answer to a message that cannot be sent.
const ENCODER_FAULT: c_int = -1;

/// Registers a framing function and its encoder; called by a constructor. One that has no encoder gets
/// one that leaves messages as they are, for the core asks it what it thinks of the configuration.
///
/// `name` ends in a zero byte.
pub fn register<F: Framing>(name: &'static str, encoder: Option<ws_encoder>) {
    let name = CStr::from_bytes_until_nul(name.as_bytes()).unwrap_or(c"");
    let framing = host::register_framing(name, cut::<F>);
    let encoder = host::register_encoder(name, encoder.unwrap_or(check::<F>));
    if let Err(reason) = framing.and(encoder) {
        log(&format!("framing {name:?}: {reason}"));
    }
}

/// The framing function of `F`: makes the state at a session's first byte, asks it at each call,
/// and drops it at the call without data.
///
/// # Safety
/// What the header says of a framing function: `data` is null or `length` bytes that may be
/// written, `opcode` and `framing_data` may be written, the latter holds null or what an earlier
/// call for the same session left there, and `config` is null or ends in NUL.
pub unsafe extern "C" fn cut<F: Framing>(
    data: *mut u8,
    length: usize,
    last_read: usize,
    opcode: *mut ws_operation,
    framing_data: *mut *mut c_void,
    config: *const c_char,
) -> i64 {
    // SAFETY: the caller's promise: the slot is the session's own.
    let slot = unsafe { &mut *framing_data };
    if data.is_null() {
        // SAFETY: the slot holds null or a state of ours.
        unsafe { release::<F>(slot) };
        return 0;
    }
    // SAFETY: the caller's promise: these bytes are ours until we return.
    let data = unsafe { core::slice::from_raw_parts_mut(data, length) };
    // SAFETY: null or ends in NUL, and the slot is as above.
    let state = guarded(|| unsafe { state::<F>(slot, text(config)) }).flatten();
    let verdict = state.and_then(|state| guarded(|| state.cut(data, last_read)));
    let (operation, cut) = answer(verdict.unwrap_or(Verdict::Fault));
    // SAFETY: the caller's promise.
    unsafe { opcode.write(operation) };
    cut
}

/// The opcode and the count that say a verdict in C.
fn answer(verdict: Verdict) -> (ws_operation, i64) {
    let (operation, length) = match verdict {
        Verdict::More => return (WS_FRAME_BINARY, 0),
        Verdict::MoreText => return (WS_FRAME_TEXT, 0),
        Verdict::Fault => return (WS_FRAME_BINARY, FAULT),
        Verdict::Text(length) => (WS_FRAME_TEXT, length),
        Verdict::Binary(length) => (WS_FRAME_BINARY, length),
        Verdict::TextPart(length) => (WS_FRAME_TEXT | WS_FRAME_MORE, length),
        Verdict::BinaryPart(length) => (WS_FRAME_BINARY | WS_FRAME_MORE, length),
        Verdict::Discard(length) => (WS_FRAME_DISCARD, length),
    };
    (operation, i64::try_from(length).unwrap_or(FAULT))
}

/// The state of the session, made if there is none yet; `None` when its configuration is refused.
///
/// # Safety
/// `slot` holds null or what this function left there.
unsafe fn state<'a, F: Framing>(
    slot: &mut *mut c_void,
    config: Result<Option<&str>, String>,
) -> Option<&'a mut F> {
    if slot.is_null() {
        let made = config.and_then(F::new).map_err(|reason| log_for::<F>(&reason)).ok()?;
        *slot = Box::into_raw(Box::new(made)).cast();
    }
    // SAFETY: a box of `F` that only `release` takes back, and no call runs beside this one.
    unsafe { slot.cast::<F>().as_mut() }
}

/// Drops the state of a session.
///
/// # Safety
/// `slot` holds null or what [`state`] left there.
unsafe fn release<F: Framing>(slot: &mut *mut c_void) {
    let state = std::mem::replace(slot, null_mut()).cast::<F>();
    if !state.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the slot was its only copy.
        let state = unsafe { Box::from_raw(state) };
        let _ = guarded(|| drop(state));
    }
}

/// The encoder of `E`.
///
/// # Safety
/// What the header says of an encoder: `config` is null or ends in NUL, `out` is null or may be
/// written.
pub unsafe extern "C" fn encode<E: Encoder>(
    length: u64,
    opcode: ws_operation,
    config: *const c_char,
    out: *mut ws_envelope,
) -> c_int {
    // SAFETY: the caller's promise.
    let config = unsafe { text(config) };
    let message = (!out.is_null()).then_some(Message { length, text: opcode == WS_FRAME_TEXT });
    let answer = guarded(|| envelope::<E>(config?, message));
    let answer = answer.unwrap_or_else(|| Err("the encoder panicked".into()));
    let (kind, envelope) = answer.unwrap_or_else(|reason| {
        log_for::<E>(&reason);
        (ENCODER_FAULT, None)
    });
    if let Some(envelope) = envelope {
        // SAFETY: there is an envelope only where `out` is not null.
        unsafe { out.write(envelope) };
    }
    kind
}

/// The encoder of a framing `F` that has none: judges the configuration.
///
/// # Safety
/// As for [`encode`].
unsafe extern "C" fn check<F: Framing>(
    _length: u64,
    _opcode: ws_operation,
    config: *const c_char,
    _out: *mut ws_envelope,
) -> c_int {
    // SAFETY: the caller's promise.
    let config = unsafe { text(config) };
    match guarded(|| config.and_then(F::new).map(drop)) {
        Some(Ok(())) => WS_ENVELOPE_NONE,
        Some(Err(reason)) => {
            log_for::<F>(&reason);
            ENCODER_FAULT
        }
        None => ENCODER_FAULT,
    }
}

/// The kind of an encoder and, if there is a message, what goes around it.
fn envelope<E: Encoder>(
    config: Option<&str>,
    message: Option<Message>,
) -> Result<(c_int, Option<ws_envelope>), String> {
    let Some(encoder) = E::new(config)? else { return Ok((WS_ENVELOPE_NONE, None)) };
    let kind = if E::NEEDS_LENGTH { WS_ENVELOPE_SIZED } else { WS_ENVELOPE_STREAM };
    let envelope = message.map(|message| encoder.envelope(&message)).transpose()?;
    Ok((kind, envelope.map(crate::Envelope::into_c)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::null;
    use std::cell::Cell;

    thread_local! {
        static LIVE: Cell<i32> = const { Cell::new(0) };
    }

    /// Does what the first byte says; counts how many of it live.
    struct Script;

    impl Framing for Script {
        fn new(config: Option<&str>) -> Result<Self, String> {
            match config {
                Some("refuse") => return Err("as asked".into()),
                Some("panic") => panic!("new"),
                _ => LIVE.set(LIVE.get() + 1),
            }
            Ok(Self)
        }

        fn cut(&mut self, data: &mut [u8], fresh: usize) -> Verdict {
            match data {
                [b'm', ..] => Verdict::More,
                [b'M', ..] => Verdict::MoreText,
                [b't', ..] => Verdict::Text(fresh),
                [b'b', ..] => Verdict::Binary(fresh),
                [b'd', ..] => Verdict::Discard(fresh),
                [b'f', ..] => Verdict::Fault,
                [b'w', last] => {
                    *last = b'!';
                    Verdict::Binary(2)
                }
                [b'h', ..] => Verdict::Text(usize::MAX),
                _ => panic!("cut"),
            }
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            LIVE.set(LIVE.get() - 1);
        }
    }

    /// One session as the core sees it.
    struct Session(*mut c_void, *const c_char);

    impl Session {
        fn call(&mut self, data: &mut [u8]) -> (i64, ws_operation) {
            let mut opcode = WS_FRAME_BINARY;
            let (start, length) = (data.as_mut_ptr(), data.len());
            // SAFETY: as the core calls.
            let cut = unsafe {
                cut::<Script>(start, length, 1, &raw mut opcode, &raw mut self.0, self.1)
            };
            (cut, opcode)
        }

        fn end(&mut self) {
            let mut opcode = WS_FRAME_BINARY;
            // SAFETY: as the core calls.
            let cut = unsafe {
                cut::<Script>(null_mut(), 0, 0, &raw mut opcode, &raw mut self.0, self.1)
            };
            assert_eq!(cut, 0);
            assert!(self.0.is_null());
        }
    }

    #[test]
    fn verdicts() {
        let cases: [(&[u8], i64, ws_operation); 9] = [
            (b"m", 0, WS_FRAME_BINARY),
            (b"M", 0, WS_FRAME_TEXT),
            (b"t", 1, WS_FRAME_TEXT),
            (b"b", 1, WS_FRAME_BINARY),
            (b"d", 1, WS_FRAME_DISCARD),
            (b"f", FAULT, WS_FRAME_BINARY),
            (b"h", FAULT, WS_FRAME_TEXT),
            (b"x", FAULT, WS_FRAME_BINARY),
            (b"", FAULT, WS_FRAME_BINARY),
        ];
        for (data, cut, opcode) in cases {
            let mut session = Session(null_mut(), null());
            assert_eq!(session.call(&mut data.to_vec()), (cut, opcode), "{data:?}");
            session.end();
        }
    }

    #[test]
    fn bytes_may_be_changed() {
        let mut session = Session(null_mut(), null());
        let mut data = *b"wa";
        assert_eq!(session.call(&mut data), (2, WS_FRAME_BINARY));
        assert_eq!(&data, b"w!");
        session.end();
    }

    #[test]
    fn state_is_made_once_and_freed_once() {
        let mut session = Session(null_mut(), null());
        for data in [b"m", b"t", b"x", b"m"] {
            session.call(&mut data.to_vec());
            assert_eq!(LIVE.get(), 1, "{data:?}");
        }
        session.end();
        assert_eq!(LIVE.get(), 0);
        session.end();
        assert_eq!(LIVE.get(), 0);
    }

    #[test]
    fn a_refused_configuration_is_a_fault_and_leaves_nothing() {
        for config in [c"refuse", c"panic", c"\xff"] {
            let mut session = Session(null_mut(), config.as_ptr());
            assert_eq!(session.call(&mut b"t".to_vec()).0, FAULT, "{config:?}");
            assert!(session.0.is_null());
            assert_eq!(LIVE.get(), 0);
        }
    }

    /// Puts the length before and a line end after; `config` says which fault.
    struct Sized<const NEEDS_LENGTH: bool>;

    impl<const NEEDS_LENGTH: bool> Encoder for Sized<NEEDS_LENGTH> {
        const NEEDS_LENGTH: bool = NEEDS_LENGTH;

        fn new(config: Option<&str>) -> Result<Option<Self>, String> {
            match config {
                Some("refuse") => Err("as asked".into()),
                Some("panic") => panic!("new"),
                Some("none") => Ok(None),
                _ => Ok(Some(Self)),
            }
        }

        fn envelope(&self, message: &Message) -> Result<crate::Envelope, String> {
            let kind = if message.text { 't' } else { 'b' };
            crate::Envelope::new(format!("{kind}{}", message.length).as_bytes(), b"\n")
        }
    }

    #[test]
    fn encoders() {
        let cases: [(Option<&CStr>, c_int, bool); 5] = [
            (None, WS_ENVELOPE_SIZED, true),
            (Some(c"none"), WS_ENVELOPE_NONE, false),
            (Some(c"refuse"), ENCODER_FAULT, false),
            (Some(c"panic"), ENCODER_FAULT, false),
            (Some(c"\xff"), ENCODER_FAULT, false),
        ];
        for (config, kind, written) in cases {
            let config = config.map_or(null(), CStr::as_ptr);
            let mut out = blank();
            // SAFETY: as the core calls.
            unsafe {
                assert_eq!(encode::<Sized<true>>(0, 2, config, null_mut()), kind);
                assert_eq!(encode::<Sized<true>>(12, 1, config, &raw mut out), kind);
            }
            let seen = (&out.prefix[..out.prefix_length], &out.suffix[..out.suffix_length]);
            let expected: (&[u8], &[u8]) = if written { (b"t12", b"\n") } else { (b"", b"") };
            assert_eq!(seen, expected);
        }
        let mut out = blank();
        // SAFETY: as the core calls.
        unsafe {
            assert_eq!(encode::<Sized<false>>(0, 2, null(), &raw mut out), WS_ENVELOPE_STREAM);
            let endless = encode::<Sized<true>>(u64::MAX, 2, null(), &raw mut out);
            assert_eq!(endless, ENCODER_FAULT, "21 bytes are no prefix");
        }
    }

    fn blank() -> ws_envelope {
        crate::Envelope::new(b"", b"").expect("fits").into_c()
    }
}
