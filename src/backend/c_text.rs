//! Strings of C code.
#![allow(unsafe_code)] // pointers that C hands over

use libc::c_char;
use std::ffi::CStr;

/// A C string as text; none for null.
///
/// # Safety
/// `at` is null or a C string that lives as long as the result is used.
pub(super) unsafe fn word<'a>(at: *const c_char) -> Result<Option<&'a str>, std::str::Utf8Error> {
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's obligation.
    unsafe { CStr::from_ptr(at) }.to_str().map(Some)
}

/// The bytes of a C string, so many at most.
///
/// # Safety
/// `at` is a C string that lives as long as the result is used.
pub(super) unsafe fn bytes<'a>(at: *const c_char, most: usize) -> &'a [u8] {
    // SAFETY: the caller's obligation; what lies beyond the limit is not looked at.
    unsafe { std::slice::from_raw_parts(at.cast::<u8>(), libc::strnlen(at, most)) }
}
