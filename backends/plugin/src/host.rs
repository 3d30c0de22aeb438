//! What the process that loaded us offers: the core's functions, and its stderr.
//!
//! The core's functions are looked up when they are needed, not linked: a plug-in's own tests run
//! in an executable that has none of them.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr::{NonNull, fn_addr_eq, null};
use std::ffi::CString;
use websocksy_abi::{ws_encoder, ws_framing};

type CoreFraming = unsafe extern "C" fn(*const c_char) -> Option<ws_framing>;
type CoreRegisterFraming = unsafe extern "C" fn(*const c_char, ws_framing) -> c_int;
type CoreRegisterEncoder = unsafe extern "C" fn(*const c_char, ws_encoder) -> c_int;

/// Whether a framing function is registered under that name.
///
/// `core_framing` itself answers an unknown name with `auto`, which hides a misspelt name.
pub fn framing_exists(name: &[u8]) -> bool {
    CString::new(name).is_ok_and(|name| framing(&name).is_some())
}

/// The framing function of that name.
pub(crate) fn framing(name: &CStr) -> Option<ws_framing> {
    let function = symbol(c"core_framing")?;
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let core_framing = unsafe { transmute::<NonNull<c_void>, CoreFraming>(function) };
    // SAFETY: it takes null and any string, from any thread, and keeps neither.
    let (auto, found) = unsafe { (core_framing(null())?, core_framing(name.as_ptr())?) };
    (name == c"auto" || !fn_addr_eq(auto, found)).then_some(found)
}

/// Registers a framing function; `Err` names what the core lacks or refuses.
pub(crate) fn register_framing(name: &CStr, framing: ws_framing) -> Result<(), &'static str> {
    let function = symbol(c"core_register_framing").ok_or("no core_register_framing here")?;
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let register = unsafe { transmute::<NonNull<c_void>, CoreRegisterFraming>(function) };
    // SAFETY: the name ends in NUL and is copied; the function is never unloaded.
    let refused = unsafe { register(name.as_ptr(), framing) };
    if refused == 0 { Ok(()) } else { Err("core_register_framing refuses it") }
}

/// Registers the encoder beside a framing function; `Err` names what the core lacks or refuses.
pub(crate) fn register_encoder(name: &CStr, encoder: ws_encoder) -> Result<(), &'static str> {
    let function = symbol(c"core_register_encoder").ok_or("no core_register_encoder here")?;
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let register = unsafe { transmute::<NonNull<c_void>, CoreRegisterEncoder>(function) };
    // SAFETY: the name ends in NUL and is copied; the function is never unloaded.
    let refused = unsafe { register(name.as_ptr(), encoder) };
    if refused == 0 { Ok(()) } else { Err("core_register_encoder refuses it") }
}

/// Whether stderr takes bytes without making us wait.
pub(crate) fn stderr_is_ready() -> bool {
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one `pollfd` that lives through the call, which returns at once.
    let ready = unsafe { libc::poll(&raw mut stderr, 1, 0) };
    ready == 1 && stderr.revents == libc::POLLOUT // and no POLLERR: a pipe that has a reader
}

fn symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name ends in NUL; a look-up has no other obligation.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_without_the_core_is_told_apart() {
        unsafe extern "C" fn encoder(
            _: u64,
            _: u32,
            _: *const c_char,
            _: *mut websocksy_abi::ws_envelope,
        ) -> c_int {
            0
        }
        assert!(!framing_exists(b"auto") && !framing_exists(b"a\0b"));
        assert_eq!(register_encoder(c"x", encoder), Err("no core_register_encoder here"));
    }
}
