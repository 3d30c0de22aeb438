//! The functions that C calls: what the macros export, and nothing that is called by name.
//!
//! Each borrows what it was handed for the length of the call only, catches panics, and turns
//! them into the ABI's own refusal.

pub mod backend;
pub mod framing;

pub use backend::Slot;
pub use core::ffi::c_char;
pub use websocksy_abi::{websocket, ws_http_header, ws_peer_info};

use crate::log::take_panics;
use core::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs an author's code; a panic has been reported by our hook and becomes `None`.
///
/// The state it may have left half changed is the author's own, and safe to drop.
fn guarded<T>(code: impl FnOnce() -> T) -> Option<T> {
    take_panics();
    catch_unwind(AssertUnwindSafe(code)).ok()
}

/// A string of the core as text; `Ok(None)` for null.
///
/// # Safety
/// `string` is null, or ends in NUL and is left unchanged for `'a`.
#[allow(unsafe_code)]
unsafe fn text<'a>(string: *const c_char) -> Result<Option<&'a str>, String> {
    if string.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(string) };
    bytes.to_str().map(Some).map_err(|_| format!("{bytes:?} is not UTF-8"))
}
