//! Functions that back ends call about the client whose query runs.
#![allow(unsafe_code)] // C functions, on pointers that C hands over

use super::c_text::word;
use super::error::{Refusal, RefusalStatus};
use super::peer::{Request, SendProxy};
use super::scheme::Scheme;
use super::target::Target;
use crate::proto::close::CloseCode;
use crate::proto::proxy::Version;
use libc::{c_char, c_int, c_uint, size_t};
use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use websocksy_abi::{websocket, ws_http_header};

/// The most peers that a plug-in names beside the one that it returns.
const MOST_FURTHER: usize = 15;

/// The most parts of a request that a plug-in wants concealed.
const MOST_SECRETS: usize = 8;

/// The longest reason of a refusal, bytes: that of a close frame (RFC 6455 §5.5).
const LONGEST_REASON: usize = 123;

/// What a plug-in says of a client by functions, beside what it returns.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What it refuses the client with, if it does.
    pub(super) refusal: Option<Refusal>,
    /// What it says of the PROXY header.
    pub(super) send_proxy: SendProxy,
    /// The peers that are tried after the one that it returns.
    pub(super) further: VecDeque<Target>,
    /// How long the session may last, and the close code at its end.
    pub(super) lasts: Option<(Duration, CloseCode)>,
    /// Parts of the request that the log is not to have.
    pub(super) secrets: Vec<Vec<u8>>,
}

/// A request whose query runs.
struct Entry {
    /// Where the struct is that the query was handed.
    ws: usize,
    session: u64,
    /// All header fields.
    first: *mut ws_http_header,
    count: usize,
    /// What is known of the client, by its name.
    properties: Vec<(&'static str, CString)>,
    said: Said,
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

/// What `say` makes of the entry of `ws`; none when no query runs that was handed it.
fn with_entry<T>(ws: *mut websocket, say: impl FnOnce(&mut Entry) -> T) -> Option<T> {
    shown().iter_mut().find(|entry| entry.ws == ws as usize).map(say)
}

/// What is known of a client beside its handshake.
pub(super) struct Known {
    session: u64,
    properties: Vec<(&'static str, String)>,
}

impl Known {
    pub(super) fn of(request: &Request) -> Self {
        Self { session: request.session, properties: request.properties() }
    }
}

/// As long as this lives, plug-ins find these fields by their `websocket`.
pub(super) struct Shown(usize);

impl Shown {
    /// `fields` stay where they are until this is dropped.
    pub(super) fn new(ws: &mut websocket, fields: &mut [ws_http_header], known: Known) -> Self {
        let ws = ptr::from_mut(ws) as usize;
        let (first, count) = (fields.as_mut_ptr(), fields.len());
        let Known { session, properties } = known;
        // None of them has a zero byte.
        let c_string = |(name, value)| Some((name, CString::new::<String>(value).ok()?));
        let properties = properties.into_iter().filter_map(c_string).collect();
        let said = Said::default();
        shown().push(Entry { ws, session, first, count, properties, said });
        Self(ws)
    }

    /// What the plug-in said by functions.
    pub(super) fn said(&self) -> Said {
        let mut shown = shown();
        let entry = shown.iter_mut().find(|entry| entry.ws == self.0);
        entry.map(|entry| std::mem::take(&mut entry.said)).unwrap_or_default()
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
    let named = |entry: &mut Entry| {
        let mut properties = entry.properties.iter();
        properties.find(|(own, _)| own.as_bytes() == name).map(|(_, value)| value.as_ptr())
    };
    with_entry(ws, named).flatten().unwrap_or(ptr::null())
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
    answered(with_entry(ws, |entry| entry.said.send_proxy = SendProxy::Chosen(version)))
}

/// What a function returns that says something of a client whose query runs, or of nobody.
fn answered(said: Option<()>) -> c_int {
    if said.is_some() { 0 } else { -1 }
}

/// For back ends, ours: the number of the session whose `query` runs with this `ws`; 0 for another.
#[unsafe(no_mangle)]
pub extern "C" fn core_session(ws: *mut websocket) -> u64 {
    with_entry(ws, |entry| entry.session).unwrap_or_default()
}

/// For back ends, ours: one more peer for the client whose `query` runs with this `ws`. Returns 0, or
/// -1 for what can be none.
///
/// # Safety
/// `host` and `port` are null or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_add_peer(
    ws: *mut websocket,
    host: *const c_char,
    port: *const c_char,
) -> c_int {
    // SAFETY: the caller's obligation.
    let texts = unsafe { (word(host), word(port)) };
    let (Ok(Some(host)), Ok(port)) = texts else {
        log::warn!("a plug-in names a further peer without a host, or one that is not UTF-8");
        return -1;
    };
    let target = match Target::parse(Scheme::Detect, host, port) {
        Ok(target) if !host.contains(char::is_control) => target,
        Ok(_) => return -1,
        Err(error) => {
            log::warn!("a plug-in names a further peer that can be none: {error}");
            return -1;
        }
    };
    let added = with_entry(ws, |entry| {
        let has_room = entry.said.further.len() < MOST_FURTHER;
        has_room.then(|| entry.said.further.push_back(target))
    });
    answered(added.flatten())
}

/// For back ends, ours: the session whose `query` runs with this `ws` is ended after so many seconds,
/// with this close code. Returns 0, or -1 for what cannot be.
#[unsafe(no_mangle)]
pub extern "C" fn core_max_session(ws: *mut websocket, seconds: c_uint, code: c_int) -> c_int {
    let code = match u16::try_from(code).ok().and_then(CloseCode::new) {
        Some(code) if seconds > 0 => code,
        _ => {
            log::warn!(
                "a plug-in wants a session of {seconds} seconds, ended with {code}: not a second or \
                 more, and a code that may be sent"
            );
            return -1;
        }
    };
    let lasts = Some((Duration::from_secs(seconds.into()), code));
    answered(with_entry(ws, |entry| entry.said.lasts = lasts))
}

/// A part of the request of the client whose `query` runs with this `ws` that the log is not to have.
pub(super) fn conceal(ws: *mut websocket, part: &[u8]) -> c_int {
    let kept = with_entry(ws, |entry| {
        let has_room = entry.said.secrets.len() < MOST_SECRETS;
        has_room.then(|| entry.said.secrets.push(part.to_vec()))
    });
    answered(kept.flatten())
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
    let refusal = Refusal { status, reason, retry_after };
    let refused = answered(with_entry(ws, |entry| entry.said.refusal = Some(refusal)));
    if refused != 0 {
        log::warn!("a plug-in refuses a client outside of its query: ignored");
    }
    refused
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
