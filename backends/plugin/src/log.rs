//! One line on stderr that neither blocks nor fails: framing functions run on the core's loop.

use crate::host;
use std::io::Write;

/// The longest line, bytes. A pipe that takes anything takes this much at once (POSIX `PIPE_BUF`
/// is 512 or more), so that a reader who fell asleep cannot stop the daemon.
const LINE_LIMIT: usize = 512;
/// The longest escape of one character, `\u{10ffff}`.
const ESCAPE_LIMIT: usize = 10;

/// Writes one line to stderr, control characters escaped and cut at 512 bytes; drops it when
/// stderr is closed or takes nothing now.
pub fn log(line: &str) {
    if host::stderr_is_ready() {
        // A line that cannot be written is lost: nobody is left to tell.
        let _ = std::io::stderr().write_all(printable(line).as_bytes());
    }
}

/// The same, under the name of the author's type: all that stderr shows of who speaks.
pub(crate) fn log_for<T>(line: &str) {
    log(&format!("{}: {line}", std::any::type_name::<T>()));
}

/// The line as it is written: escaped, bounded, with its line end.
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
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_one_line_and_bounded() {
        assert_eq!(printable("a\nb\x1b[0m é"), "a\\nb\\u{1b}[0m é\n");
        for filler in ["x", "é", "\u{1b}", "\u{10ffff}"] {
            let line = printable(&filler.repeat(LINE_LIMIT));
            assert!(line.len() <= LINE_LIMIT && line.len() > LINE_LIMIT / 2, "{filler:?}");
        }
    }
}
