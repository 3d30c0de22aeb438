//! What plug-ins say to the daemon and not of a client: lines for the log, secrets, counts, peers to be
//! judged.
#![allow(unsafe_code)] // C functions, on pointers that C hands over

use super::c_text::{bytes, word};
use super::error::ConfigureError;
use super::{exports, peer_check};
use crate::framing::Framer;
use crate::logging;
use libc::{c_char, c_int, size_t};
use log::Level;
use std::cell::RefCell;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use websocksy_abi::{WS_LOG_DEBUG, WS_LOG_ERROR, WS_LOG_WARNING, websocket};

/// The longest line that a plug-in logs, bytes.
const LONGEST_LINE: usize = 512;
/// How much of a longer one is looked at, for a secret that the cut would go through.
const LOOKED_AT: usize = 4 * LONGEST_LINE;
/// The longest secret, bytes.
const LONGEST_SECRET: usize = 1024;
/// The shortest that is concealed in all lines, bytes: a shorter one would conceal words.
const SHORTEST_SECRET: usize = 4;

/// The most counters that plug-ins have, all together.
const MOST_COUNTERS: usize = 64;
/// The longest name of one, bytes.
const LONGEST_NAME: usize = 64;

/// What plug-ins count.
static COUNTERS: Mutex<Vec<(String, u64)>> = Mutex::new(Vec::new());

/// What plug-ins have counted so far, by name, in the order in which they began to.
#[must_use]
pub fn counters() -> Vec<(String, u64)> {
    COUNTERS.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    // SAFETY: the caller's obligation.
    let line = String::from_utf8_lossy(unsafe { bytes(line, LOOKED_AT) });
    let line = logging::concealed(line.into_owned());
    let end = (0..=line.len().min(LONGEST_LINE)).rev().find(|at| line.is_char_boundary(*at));
    let line = format!("plug-in: {}", line.get(..end.unwrap_or_default()).unwrap_or_default());
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

/// For plug-ins, ours: `by` more of what is called `name`. Returns 0, or -1 for a name that can be none,
/// and where there are too many.
///
/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_count(name: *const c_char, by: u64) -> c_int {
    if name.is_null() {
        return -1;
    }
    // SAFETY: the caller's obligation.
    let name = unsafe { bytes(name, LONGEST_NAME + 1) };
    let is_good = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    if name.len() > LONGEST_NAME || !name.iter().all(is_good) {
        return -1;
    }
    if !name.first().is_some_and(u8::is_ascii_lowercase) {
        return -1;
    }
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, count)) = counters.iter_mut().find(|(own, _)| own.as_bytes() == name) {
        *count = count.wrapping_add(by);
        return 0;
    }
    if counters.len() >= MOST_COUNTERS {
        return -1;
    }
    counters.push((String::from_utf8_lossy(name).into_owned(), by));
    0
}

/// For plug-ins, ours: a text that the log is not to have: in no line from now on, or, with the `ws` that
/// `query` was handed, where the log tells of that client's request. Returns 0, or -1 for what cannot be.
///
/// # Safety
/// `secret` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_secret(ws: *mut websocket, secret: *const c_char) -> c_int {
    if secret.is_null() {
        return -1;
    }
    // SAFETY: the caller's obligation.
    let secret = unsafe { bytes(secret, LONGEST_SECRET + 1) };
    if secret.is_empty() || secret.len() > LONGEST_SECRET {
        return -1;
    }
    if !ws.is_null() {
        return exports::conceal(ws, secret);
    }
    let secret = String::from_utf8_lossy(secret);
    if secret.len() >= SHORTEST_SECRET && logging::conceal(&secret) { 0 } else { -1 }
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
