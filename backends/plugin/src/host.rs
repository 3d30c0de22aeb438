//! What the process that loaded us offers: the core's functions, and its stderr.
//!
//! The core's functions are looked up when they are needed, not linked: a plug-in's own tests run
//! in an executable that has none of them.
#![allow(unsafe_code)]

use crate::Peer;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem::transmute;
use core::ptr::{NonNull, fn_addr_eq, null};
use std::ffi::CString;
use std::sync::OnceLock;
use websocksy_abi::{websocket, ws_encoder, ws_framing, ws_http_header};

type CoreFraming = unsafe extern "C" fn(*const c_char) -> Option<ws_framing>;
type CoreRegisterFraming = unsafe extern "C" fn(*const c_char, ws_framing) -> c_int;
type CoreRegisterEncoder = unsafe extern "C" fn(*const c_char, ws_encoder) -> c_int;
type CoreHeaderCount = unsafe extern "C" fn(*const websocket) -> usize;
type CoreHeaderAt = unsafe extern "C" fn(*const websocket, usize) -> *const ws_http_header;
type CoreRefuse = unsafe extern "C" fn(*const websocket, c_int, *const c_char, c_uint) -> c_int;
type CoreClient = unsafe extern "C" fn(*const websocket, *const c_char) -> *const c_char;
type CoreSendProxy = unsafe extern "C" fn(*const websocket, c_int) -> c_int;
type CoreAddPeer = unsafe extern "C" fn(*const websocket, *const c_char, *const c_char) -> c_int;
type CoreSession = unsafe extern "C" fn(*const websocket) -> u64;
type CoreMaxSession = unsafe extern "C" fn(*const websocket, c_uint, c_int) -> c_int;
type CoreSecret = unsafe extern "C" fn(*const websocket, *const c_char) -> c_int;
type CoreCount = unsafe extern "C" fn(*const c_char, u64) -> c_int;
type CoreCheckPeer = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const c_char,
    *const c_char,
    *mut c_char,
    usize,
) -> c_int;
type CoreLog = unsafe extern "C" fn(c_int, *const c_char);

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

/// All header fields of the client that `query` was handed: its arguments have the first ten. None
/// where the core does not say, as in tests.
///
/// # Safety
/// `ws` is what `query` was handed, and the call has not returned.
pub(crate) unsafe fn headers(ws: *const websocket) -> Option<Vec<*const ws_http_header>> {
    static COUNT: OnceLock<Option<CoreHeaderCount>> = OnceLock::new();
    static AT: OnceLock<Option<CoreHeaderAt>> = OnceLock::new();
    // SAFETY: the symbols are the core's functions of these names, whose types the header fixes.
    let (count, at) = unsafe {
        (
            (*COUNT.get_or_init(|| symbol(c"core_header_count").map(|at| transmute(at))))?,
            (*AT.get_or_init(|| symbol(c"core_header_at").map(|at| transmute(at))))?,
        )
    };
    // SAFETY: the caller's promise; no field goes away during the call.
    Some(unsafe { (0..count(ws)).map(|index| at(ws, index)).collect() })
}

/// Refuses the client that `query` was handed; `false` where the core cannot, and then it is 404.
///
/// # Safety
/// `ws` is what `query` was handed, and the call has not returned.
pub(crate) unsafe fn refuse(
    ws: *const websocket,
    status: u16,
    reason: &CStr,
    retry_after: u32,
) -> bool {
    static REFUSE: OnceLock<Option<CoreRefuse>> = OnceLock::new();
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let refuse = REFUSE.get_or_init(|| symbol(c"core_refuse").map(|at| unsafe { transmute(at) }));
    let Some(refuse) = refuse else { return false };
    // SAFETY: the caller's promise; the reason ends in NUL and is copied.
    unsafe { refuse(ws, status.into(), reason.as_ptr(), retry_after) == 0 }
}

/// What is known of the client that `query` was handed; null where the core does not know it, or does
/// not say.
///
/// # Safety
/// `ws` is what `query` was handed, and the call has not returned; nor has it while the string is read.
pub(crate) unsafe fn client(ws: *const websocket, name: &CStr) -> *const c_char {
    static CLIENT: OnceLock<Option<CoreClient>> = OnceLock::new();
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let client = CLIENT.get_or_init(|| symbol(c"core_client").map(|at| unsafe { transmute(at) }));
    let Some(client) = client else { return null() };
    // SAFETY: the caller's promise; the name ends in NUL and is not kept.
    unsafe { client(ws, name.as_ptr()) }
}

/// Says which PROXY header the peer of the client that `query` was handed is sent; `false` where the core
/// cannot send any.
///
/// # Safety
/// `ws` is what `query` was handed, and the call has not returned.
pub(crate) unsafe fn send_proxy(ws: *const websocket, version: c_int) -> bool {
    static SEND: OnceLock<Option<CoreSendProxy>> = OnceLock::new();
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let send = SEND.get_or_init(|| symbol(c"core_send_proxy").map(|at| unsafe { transmute(at) }));
    let Some(send) = send else { return false };
    // SAFETY: the caller's promise.
    unsafe { send(ws, version) == 0 }
}

/// Names one more peer of the client that `query` was handed; `false` where the core takes none.
///
/// # Safety
/// `ws` is what `query` was handed, and the call has not returned.
pub(crate) unsafe fn add_peer(ws: *const websocket, host: &CStr) -> bool {
    static ADD: OnceLock<Option<CoreAddPeer>> = OnceLock::new();
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let add = ADD.get_or_init(|| symbol(c"core_add_peer").map(|at| unsafe { transmute(at) }));
    let Some(add) = add else { return false };
    // SAFETY: the caller's promise; the host ends in NUL and is copied.
    unsafe { add(ws, host.as_ptr(), null()) == 0 }
}

/// The number of the session of the client that `query` was handed; 0 where the core has none.
///
/// # Safety
/// `ws` is what `query` was handed, and the call has not returned.
pub(crate) unsafe fn session(ws: *const websocket) -> u64 {
    static SESSION: OnceLock<Option<CoreSession>> = OnceLock::new();
    let find = || symbol(c"core_session");
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let session = SESSION.get_or_init(|| find().map(|at| unsafe { transmute(at) }));
    // SAFETY: the caller's promise.
    session.map_or(0, |session| unsafe { session(ws) })
}

/// Ends the session of the client that `query` was handed after a time; `false` where the core does not.
///
/// # Safety
/// `ws` is what `query` was handed, and the call has not returned.
pub(crate) unsafe fn max_session(ws: *const websocket, seconds: u32, code: u16) -> bool {
    static MAX: OnceLock<Option<CoreMaxSession>> = OnceLock::new();
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let max = MAX.get_or_init(|| symbol(c"core_max_session").map(|at| unsafe { transmute(at) }));
    let Some(max) = max else { return false };
    // SAFETY: the caller's promise.
    unsafe { max(ws, seconds, code.into()) == 0 }
}

/// Keeps a text out of the log: all of it, with null, or what it says of the client that `query` was handed;
/// `false` where the core does not.
///
/// # Safety
/// `ws` is null, or what `query` was handed, and the call has not returned.
pub(crate) unsafe fn secret(ws: *const websocket, text: &CStr) -> bool {
    static SECRET: OnceLock<Option<CoreSecret>> = OnceLock::new();
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let secret = SECRET.get_or_init(|| symbol(c"core_secret").map(|at| unsafe { transmute(at) }));
    let Some(secret) = secret else { return false };
    // SAFETY: the caller's promise; the text ends in NUL and is copied.
    unsafe { secret(ws, text.as_ptr()) == 0 }
}

/// Counts so many more; nothing where the core does not count.
pub(crate) fn count(name: &CStr, by: u64) -> bool {
    static COUNT: OnceLock<Option<CoreCount>> = OnceLock::new();
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let count = COUNT.get_or_init(|| symbol(c"core_count").map(|at| unsafe { transmute(at) }));
    let Some(count) = count else { return false };
    // SAFETY: the name ends in NUL and is copied, from any thread.
    unsafe { count(name.as_ptr(), by) == 0 }
}

/// What the core thinks of a peer; `Ok` where it does not say, as in tests.
pub(crate) fn check_peer(peer: &Peer) -> Result<(), String> {
    static CHECK: OnceLock<Option<CoreCheckPeer>> = OnceLock::new();
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    let check = CHECK.get_or_init(|| symbol(c"core_check_peer").map(|at| unsafe { transmute(at) }));
    let Some(check) = check else { return Ok(()) };
    let c_string = |part: Option<&Vec<u8>>| {
        let string = part.map(|bytes| CString::new(bytes.as_slice())).transpose();
        string.map_err(|_| "there is a zero byte in it".to_owned())
    };
    let host = c_string(Some(&peer.address))?;
    let port = c_string(peer.port.as_ref())?;
    let framing = c_string(peer.framing.as_ref())?;
    let config = c_string(peer.framing_config.as_ref())?;
    let at = |text: &Option<CString>| text.as_ref().map_or(null(), |text| text.as_ptr());
    let mut reason = [0_u8; 512];
    // SAFETY: null or strings that live through the call, and as many bytes as is said.
    let judged = unsafe {
        let (out, size) = (reason.as_mut_ptr().cast(), reason.len());
        check(at(&host), at(&port), at(&framing), at(&config), out, size)
    };
    if judged == 0 {
        return Ok(());
    }
    let reason = CStr::from_bytes_until_nul(&reason).map(CStr::to_string_lossy);
    Err(reason.map_or_else(|_| "it is no peer".into(), |reason| reason.into_owned()))
}

/// Whether lines go to the core's log, and nowhere else.
pub(crate) fn has_log() -> bool {
    core_log().is_some()
}

/// Puts a line into the core's log; `false` where there is none.
pub(crate) fn log(level: c_int, line: &CStr) -> bool {
    let Some(core_log) = core_log() else { return false };
    // SAFETY: the line ends in NUL and is copied, from any thread.
    unsafe { core_log(level, line.as_ptr()) };
    true
}

fn core_log() -> Option<CoreLog> {
    static LOG: OnceLock<Option<CoreLog>> = OnceLock::new();
    // SAFETY: the symbol is the core's function of that name, whose type the header fixes.
    *LOG.get_or_init(|| symbol(c"core_log").map(|at| unsafe { transmute(at) }))
}

/// Writes to stderr if that takes bytes without making us wait. Not by std, whose lock somebody may
/// hold who does wait.
pub(crate) fn write_to_stderr(line: &[u8]) {
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one `pollfd` that lives through the call, which returns at once.
    let ready = unsafe { libc::poll(&raw mut stderr, 1, 0) };
    // No POLLERR: a pipe that has a reader.
    if ready == 1 && stderr.revents == libc::POLLOUT {
        // SAFETY: as many bytes as there are. One that cannot be written is lost: nobody is left to
        // tell.
        unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
    }
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
