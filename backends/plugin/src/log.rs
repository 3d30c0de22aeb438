//! Lines that neither block nor fail: framing functions run on the core's loop.
#![allow(unsafe_code)]

use crate::host;
use core::ffi::c_int;
use std::ffi::CString;
use std::panic::PanicHookInfo;
use std::sync::Once;
use websocksy_abi::{WS_LOG_ERROR, WS_LOG_INFO, WS_LOG_WARNING};

/// The longest line, bytes. A pipe that takes anything takes this much at once (POSIX `PIPE_BUF`
/// is 512 or more), so that a reader who fell asleep cannot stop the daemon.
const LINE_LIMIT: usize = 512;
/// The longest escape of one character, `\u{10ffff}`.
const ESCAPE_LIMIT: usize = 10;

/// Puts one line into the daemon's log, control characters escaped and cut at 512 bytes.
///
/// Where there is no such log, as in tests, it goes to stderr, and is dropped when that is closed or
/// takes nothing now.
pub fn log(line: &str) {
    write(WS_LOG_INFO, line);
}

/// As [`log`], of what is wrong.
pub fn warn(line: &str) {
    write(WS_LOG_WARNING, line);
}

/// From now on no line of the daemon's log has this text, which shows *** there; for what an operator has
/// written and nobody else is to know. Texts of fewer than four bytes are in no log's way.
pub fn secret(text: &str) {
    if let Ok(text) = CString::new(text) {
        // SAFETY: null, for no client's.
        unsafe { host::secret(core::ptr::null(), &text) };
    }
}

/// Counts so many more of what is called `name`, for the operator's metrics: lower-case letters, digits and
/// `_`, a letter first, 64 bytes at most. With 0 the count is there from the start.
pub fn count(name: &str, by: u64) {
    if let Ok(name) = CString::new(name) {
        host::count(&name, by);
    }
}

/// What is wrong, under the name of the author's type: all that shows who speaks.
pub(crate) fn log_for<T>(line: &str) {
    write(WS_LOG_WARNING, &format!("{}: {line}", std::any::type_name::<T>()));
}

/// From now on panics are lines of the daemon's log, if it has one: std's own report is written to
/// stderr, and waits until somebody reads it.
pub(crate) fn take_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if host::has_log() {
            std::panic::set_hook(Box::new(|info| write(WS_LOG_ERROR, &report(info))));
        }
    });
}

fn report(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = info.location().map_or_else(String::new, |at| format!(" at {at}"));
    format!("panic{place}: {}", text.unwrap_or("without a message"))
}

fn write(level: c_int, line: &str) {
    let line = printable(line);
    let in_log = CString::new(line.as_str()).is_ok_and(|line| host::log(level, &line));
    if !in_log {
        host::write_to_stderr((line + "\n").as_bytes());
    }
}

/// The line as it is written: escaped, and bounded with its line end.
fn printable(line: &str) -> String {
    let mut out = String::new();
    for character in line.chars() {
        if out.len() > LINE_LIMIT - 1 - ESCAPE_LIMIT {
            break;
        }
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_one_line_and_bounded() {
        assert_eq!(printable("a\nb\x1b[0m é\0"), "a\\nb\\u{1b}[0m é\\u{0}");
        for filler in ["x", "é", "\u{1b}", "\u{10ffff}"] {
            let line = printable(&filler.repeat(LINE_LIMIT));
            assert!(line.len() < LINE_LIMIT && line.len() > LINE_LIMIT / 2, "{filler:?}");
        }
    }
}
