//! Functions that back ends call, beside those of the registry of framings.
#![allow(unsafe_code)] // C functions, on pointers that C hands over

use super::error::{ConfigureError, Refusal, RefusalStatus};
use super::peer::SendProxy;
use super::peer_check;
use crate::framing::Framer;
use crate::proto::proxy::Version;
use libc::{c_char, c_int, c_uint, size_t};
use log::Level;
use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use websocksy_abi::{WS_LOG_DEBUG, WS_LOG_ERROR, WS_LOG_WARNING, websocket, ws_http_header};

/// The longest line that a plug-in logs, bytes.
const LONGEST_LINE: usize = 512;

/// The longest reason of a refusal, bytes: that of a close frame (RFC 6455 §5.5).
const LONGEST_REASON: usize = 123;

/// All header fields of a request whose query runs.
struct Entry {
    /// Where the struct is that the query was handed.
    ws: usize,
    first: *mut ws_http_header,
    count: usize,
    /// What is known of the client, by its name.
    properties: Vec<(&'static str, CString)>,
    /// What the plug-in refuses the client with, once it does.
    refusal: Option<Refusal>,
    /// What it says of the PROXY header.
    send_proxy: SendProxy,
}

// SAFETY: fields are read under the lock of `SHOWN`, from any thread, and the query's own removes
// them under it before they go.
unsafe impl Send for Entry {}

/// One entry for each query that runs: as many as there are query threads.
static SHOWN: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

fn shown() -> MutexGuard<'static, Vec<Entry>> {
    // No code that can panic runs under the lock; if any did, the list is still whole.
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As long as this lives, plug-ins find these fields by their `websocket`.
pub(super) struct Shown(usize);

impl Shown {
    /// `fields` stay where they are until this is dropped.
    pub(super) fn new(
        ws: &mut websocket,
        fields: &mut [ws_http_header],
        properties: Vec<(&'static str, String)>,
    ) -> Self {
        let ws = ptr::from_mut(ws) as usize;
        let (first, count) = (fields.as_mut_ptr(), fields.len());
        // None of them has a zero byte.
        let c_string = |(name, value)| Some((name, CString::new::<String>(value).ok()?));
        let properties = properties.into_iter().filter_map(c_string).collect();
        let send_proxy = SendProxy::AsConfigured;
        shown().push(Entry { ws, first, count, properties, refusal: None, send_proxy });
        Self(ws)
    }

    /// What the plug-in refused the client with, if it did.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        shown().iter_mut().find(|entry| entry.ws == self.0)?.refusal.take()
    }
}

impl Shown {
    /// What the plug-in said of the PROXY header.
    pub(super) fn send_proxy(&self) -> SendProxy {
        let shown = shown();
        let entry = shown.iter().find(|entry| entry.ws == self.0);
        entry.map(|entry| entry.send_proxy).unwrap_or_default()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        shown().retain(|entry| entry.ws != self.0);
    }
}

/// What `look` makes of the fields that belong to `ws`; of none when no query was handed it.
fn with_fields<T>(ws: *mut websocket, look: impl FnOnce(&mut [ws_http_header]) -> T) -> T {
    let shown = shown();
    match shown.iter().find(|entry| entry.ws == ws as usize) {
        // SAFETY: an array of the query's, which stays until its entry is removed, under the lock
        // that is held here.
        Some(entry) => look(unsafe { std::slice::from_raw_parts_mut(entry.first, entry.count) }),
        None => look(&mut []),
    }
}

/// For back ends, ours: how many header fields the request has, while `query` runs with this `ws`.
#[unsafe(no_mangle)]
pub extern "C" fn core_header_count(ws: *mut websocket) -> size_t {
    with_fields(ws, |fields| fields.len())
}

/// For back ends, ours: the header field of this index; null beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn core_header_at(ws: *mut websocket, index: size_t) -> *mut ws_http_header {
    with_fields(ws, |fields| fields.get_mut(index).map_or(ptr::null_mut(), ptr::from_mut))
}

/// For back ends, ours: the value of the first header field of this name, in any case; null if
/// there is none.
///
/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_header(ws: *mut websocket, name: *const c_char) -> *mut c_char {
    if name.is_null() {
        return ptr::null_mut();
    }
    with_fields(ws, |fields| {
        let named = |field: &&mut ws_http_header| {
            // SAFETY: a C string, as the caller says; and one of the request's, unless the plug-in
            // itself wrote something else there.
            !field.tag.is_null() && unsafe { libc::strcasecmp(field.tag, name) } == 0
        };
        fields.iter_mut().find(named).map_or(ptr::null_mut(), |field| field.value)
    })
}

/// For back ends, ours: what is known of the client whose `query` runs with this `ws`, by one of the
/// names that the header lists; null if it is not known. The string stays until `query` returns.
///
/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_client(ws: *mut websocket, name: *const c_char) -> *const c_char {
    if name.is_null() {
        return ptr::null();
    }
    // SAFETY: a C string, as the caller says.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let shown = shown();
    let entry = shown.iter().find(|entry| entry.ws == ws as usize);
    let named = |entry: &Entry| {
        let mut properties = entry.properties.iter();
        properties.find(|(own, _)| own.as_bytes() == name).map(|(_, value)| value.as_ptr())
    };
    entry.and_then(named).unwrap_or(ptr::null())
}

/// For back ends, ours: the peer that `query`, which runs with this `ws`, returns is sent a PROXY
/// header of this version first, or with 0 none. Returns 0, or -1 for what cannot be.
#[unsafe(no_mangle)]
pub extern "C" fn core_send_proxy(ws: *mut websocket, version: c_int) -> c_int {
    let version = match version {
        0 => None,
        1 => Some(Version::V1),
        2 => Some(Version::V2),
        _ => {
            log::warn!("a plug-in wants a PROXY header of version {version}: not one of 0, 1, 2");
            return -1;
        }
    };
    let mut shown = shown();
    let Some(entry) = shown.iter_mut().find(|entry| entry.ws == ws as usize) else { return -1 };
    entry.send_proxy = SendProxy::Chosen(version);
    0
}

/// For back ends, ours: refuses the client whose `query` runs with this `ws`. Returns 0, or -1 for
/// what cannot be.
///
/// # Safety
/// `reason` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_refuse(
    ws: *mut websocket,
    status: c_int,
    reason: *const c_char,
    retry_after: c_uint,
) -> c_int {
    let Some(status) = RefusalStatus::from_code(status) else {
        log::warn!("a plug-in refuses a client with {status}: not one of 401, 403, 404, 429, 503");
        return -1;
    };
    // SAFETY: the caller's obligation.
    let reason = unsafe { reason_text(reason) };
    let retry_after = Some(retry_after).filter(|seconds| *seconds > 0);
    let mut shown = shown();
    let Some(entry) = shown.iter_mut().find(|entry| entry.ws == ws as usize) else {
        drop(shown);
        log::warn!("a plug-in refuses a client outside of its query: ignored");
        return -1;
    };
    entry.refusal = Some(Refusal { status, reason, retry_after });
    0
}

/// A reason as it may stand in a response, a close frame and a log.
///
/// # Safety
/// `reason` is null or a C string.
unsafe fn reason_text(reason: *const c_char) -> String {
    if reason.is_null() {
        return String::new();
    }
    // SAFETY: the caller's obligation; what lies beyond the limit is not looked at.
    let bytes = unsafe {
        let length = libc::strnlen(reason, LONGEST_REASON);
        std::slice::from_raw_parts(reason.cast::<u8>(), length)
    };
    let text = String::from_utf8_lossy(bytes);
    let mut reason: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // What was not UTF-8 became longer, and a character may have been cut.
    while reason.len() > LONGEST_REASON || reason.ends_with(char::REPLACEMENT_CHARACTER) {
        reason.pop();
    }
    reason
}

/// For back ends, ours: judges a peer that an operator wrote, its framing by name. Returns 0 if it
/// will do; otherwise writes the reason, cut to `size` bytes with its NUL, and returns non-zero.
///
/// # Safety
/// `host`, `port`, `framing` and `framing_config` are null or C strings; `reason` has `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_check_peer(
    host: *const c_char,
    port: *const c_char,
    framing: *const c_char,
    framing_config: *const c_char,
    reason: *mut c_char,
    size: size_t,
) -> c_int {
    // SAFETY: the caller's obligation.
    let texts = unsafe { [host, port, framing, framing_config].map(|at| word(at)) };
    let judged = match texts {
        [Ok(host), Ok(port), Ok(framing), Ok(framing_config)] => {
            let host = host.unwrap_or_default();
            let peer = peer_check::Written { host, port, framing, framing_config };
            peer_check::check(&peer).map_err(|error| error.to_string()).and_then(|selection| {
                let asked = heard(|| Framer::new(&selection).envelope_mode());
                asked.map(drop).map_err(|(_, reason)| {
                    ConfigureError::Framed(framing.unwrap_or("auto").into(), reason).to_string()
                })
            })
        }
        _ => Err("it is not UTF-8".into()),
    };
    let Err(why) = judged else { return 0 };
    let Some(room) = size.checked_sub(1).filter(|_| !reason.is_null()) else { return -1 };
    let length = (0..=why.len().min(room)).rev().find(|at| why.is_char_boundary(*at));
    let length = length.unwrap_or_default();
    // SAFETY: `length` bytes and one more fit, as the caller says.
    unsafe {
        ptr::copy_nonoverlapping(why.as_ptr().cast(), reason, length);
        reason.add(length).write(0);
    }
    -1
}

/// A C string as text; none for null.
///
/// # Safety
/// `at` is null or a C string that lives as long as the result is used.
unsafe fn word<'a>(at: *const c_char) -> Result<Option<&'a str>, std::str::Utf8Error> {
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's obligation.
    unsafe { CStr::from_ptr(at) }.to_str().map(Some)
}

thread_local! {
    /// What plug-ins say on this thread while somebody else than the log listens.
    static SAID: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) };
}

/// The most lines that are listened to; a plug-in has one reason, as a rule.
const MOST_SAID: usize = 16;

/// Calls a plug-in, which may say why it refuses something: then its last warning is the reason. All
/// else that it says goes to the log, when it did not refuse.
pub(super) fn heard<T, E>(call: impl FnOnce() -> Result<T, E>) -> Result<T, (E, Option<String>)> {
    let before = SAID.replace(Some(Vec::new())); // a plug-in that is heard may have another asked
    let outcome = call();
    let said = SAID.replace(before).unwrap_or_default();
    match outcome {
        Ok(value) => {
            said.iter().for_each(|(level, line)| log::log!(*level, "{line}"));
            Ok(value)
        }
        Err(error) => {
            let reason = said.into_iter().rev().find(|(level, _)| *level <= Level::Warn);
            Err((error, reason.map(|(_, line)| line)))
        }
    }
}

/// For plug-ins, ours: a line for the log, without waiting for who reads it.
///
/// # Safety
/// `line` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_log(level: c_int, line: *const c_char) {
    if line.is_null() {
        return;
    }
    let level = match level {
        WS_LOG_ERROR => Level::Error,
        WS_LOG_WARNING => Level::Warn,
        WS_LOG_DEBUG => Level::Debug,
        _ => Level::Info,
    };
    // SAFETY: the caller's obligation; what lies beyond the limit is not looked at.
    let line = unsafe {
        let length = libc::strnlen(line, LONGEST_LINE);
        std::slice::from_raw_parts(line.cast::<u8>(), length)
    };
    let line = format!("plug-in: {}", String::from_utf8_lossy(line));
    let kept = SAID.with_borrow_mut(|said| match said {
        Some(said) if said.len() < MOST_SAID => {
            said.push((level, line.clone()));
            true
        }
        _ => false,
    });
    if !kept {
        log::log!(level, "{line}");
    }
}

/// Of the first websocksy, for itself: its plug-ins may name it, and then are refused.
#[unsafe(no_mangle)]
pub extern "C" fn client_register(_ws: *mut websocket) -> c_int {
    static SAID: AtomicBool = AtomicBool::new(false);
    refuse("client_register", &SAID)
}

/// Of the first websocksy, for itself: its plug-ins may name it, and then are refused.
#[unsafe(no_mangle)]
pub extern "C" fn client_connect(_ws: *mut websocket) -> c_int {
    static SAID: AtomicBool = AtomicBool::new(false);
    refuse("client_connect", &SAID)
}

/// Says so once: a plug-in may try it for each client.
fn refuse(name: &str, said: &AtomicBool) -> c_int {
    if !said.swap(true, Ordering::Relaxed) {
        log::warn!("a plug-in called {name}, which is the core's own: refused");
    }
    -1
}
