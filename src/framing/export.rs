//! Our framings as C functions.
#![allow(unsafe_code)] // the C contract hands over pointers

use super::builtin::{Delimited, Framing};
use libc::{c_char, c_int, c_void, size_t};
use std::ffi::CStr;
use std::{ptr, slice};
use websocksy_abi::{WS_ENVELOPE_NONE, WS_ENVELOPE_STREAM, ws_envelope, ws_operation};

/// The [`websocksy_abi::ws_framing`] function of `F`; a configuration that `F` refuses makes it
/// return -1.
///
/// Plug-ins call it too, and may leave out what they do not need: without `framing_data` each call
/// stands for itself. A framing that remembers nothing leaves nothing there.
///
/// # Safety
/// As the contract says: `data` is null or has `length` bytes, `opcode` and `framing_data` are null
/// or valid, `*framing_data` is null or was set by this very function, `config` is null or a C string.
pub(super) unsafe extern "C" fn framing<F: Framing>(
    data: *mut u8,
    length: size_t,
    last_read: size_t,
    opcode: *mut ws_operation,
    framing_data: *mut *mut c_void,
    config: *const c_char,
) -> i64 {
    // SAFETY: the caller's obligation.
    let (opcode, slot) = unsafe { (opcode.as_mut(), framing_data.as_mut()) };
    if data.is_null() {
        // SAFETY: the caller's obligation.
        unsafe { release::<F>(slot) };
        return 0;
    }
    // SAFETY: the caller's obligation.
    let (waiting, config) = unsafe { (slice::from_raw_parts(data, length), text(config)) };
    let (length, kind) = match slot.filter(|_| size_of::<F>() > 0) {
        Some(slot) => {
            if slot.is_null() {
                let Ok(state) = F::new(config) else { return -1 };
                *slot = Box::into_raw(Box::new(state)).cast();
            }
            // SAFETY: not null, so it came out of the `Box` above in this call or an earlier one.
            let state = unsafe { &mut *slot.cast::<F>() };
            state.cut(waiting, last_read)
        }
        None => {
            let Ok(mut state) = F::new(config) else { return -1 };
            state.cut(waiting, length)
        }
    };
    if let Some(opcode) = opcode {
        *opcode = kind.opcode();
    }
    length as i64 // never more than a slice holds
}

/// Drops what `F` remembers of a session.
///
/// # Safety
/// What is in the slot is null or was left there by [`framing`].
unsafe fn release<F>(slot: Option<&mut *mut c_void>) {
    let Some(slot) = slot.filter(|_| size_of::<F>() > 0) else { return };
    let state = std::mem::replace(slot, ptr::null_mut()).cast::<F>();
    if !state.is_null() {
        // SAFETY: it came out of a `Box`, and the slot was its only copy.
        drop(unsafe { Box::from_raw(state) });
    }
}

/// The [`websocksy_abi::ws_encoder`] function of `D`.
///
/// # Safety
/// As the contract says: `config` is null or a C string, `out` is null or valid.
pub(super) unsafe extern "C" fn encoder<D: Delimited>(
    _length: u64,
    _opcode: ws_operation,
    config: *const c_char,
    out: *mut ws_envelope,
) -> c_int {
    // SAFETY: the caller's obligation.
    let (config, out) = unsafe { (text(config), out.as_mut()) };
    let Ok(delimiter) = D::delimiter(config) else { return -1 };
    if !delimiter.both_ways {
        return WS_ENVELOPE_NONE;
    }
    if let Some(out) = out {
        out.prefix_length = 0;
        out.suffix_length = delimiter.bytes.len();
        for (to, from) in out.suffix.iter_mut().zip(&delimiter.bytes) {
            *to = *from;
        }
    }
    WS_ENVELOPE_STREAM
}

/// A configuration's bytes; none for null.
///
/// # Safety
/// `config` is null or a C string that lives as long as the result is used.
unsafe fn text<'a>(config: *const c_char) -> &'a [u8] {
    if config.is_null() {
        return b"";
    }
    // SAFETY: the caller's obligation.
    unsafe { CStr::from_ptr(config) }.to_bytes()
}
