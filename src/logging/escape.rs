//! Text from strangers made safe to print.

use std::fmt::{self, Write as _};
use std::str;

/// How many bytes of a stranger's text a log line shows: enough to recognise it by.
pub const SHOWN: usize = 256;

/// Bytes from outside, for a log line: printable ASCII but the backslash as it is, all else as
/// `\xNN`, and after 256 bytes an ellipsis. No line can be forged with it (CR, LF, ESC).
#[derive(Clone, Copy, Debug)]
pub struct Escaped<B>(pub B);

impl<B: AsRef<[u8]>> fmt::Display for Escaped<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_ref();
        let shown = bytes.get(..SHOWN).unwrap_or(bytes);
        let shows = |byte: &u8| is_printable(*byte) && *byte != b'\\';
        match str::from_utf8(shown) {
            Ok(text) if shown.iter().all(shows) => f.write_str(text)?,
            _ => shown.iter().try_for_each(|byte| match shows(byte) {
                true => f.write_char(char::from(*byte)),
                false => write!(f, "\\x{byte:02x}"),
            })?,
        }
        if bytes.len() > SHOWN { f.write_str("…") } else { Ok(()) }
    }
}

/// A message without control characters, so that it is one line, and reads as it was written, whoever
/// wrote its parts.
#[derive(Clone, Copy, Debug)]
pub struct OneLine<D>(pub D);

impl<D: fmt::Display> fmt::Display for OneLine<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(WithoutControls(f), "{}", self.0)
    }
}

/// What is written to it, as [`OneLine`] shows it.
pub(super) struct WithoutControls<W>(pub(super) W);

impl<W: fmt::Write> fmt::Write for WithoutControls<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(is_printable) {
            return self.0.write_str(text); // as nearly all is
        }
        let mut rest = text;
        while let Some((at, moves)) = rest.char_indices().find(|(_, c)| moves_text(*c)) {
            let (before, from) = rest.split_at(at);
            match u8::try_from(moves) {
                Ok(byte) => write!(self.0, "{before}\\x{byte:02x}")?,
                Err(_) => write!(self.0, "{before}{}", moves.escape_unicode())?,
            }
            rest = from.strip_prefix(moves).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// Whether it is printable ASCII.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Whether a terminal may move, hide or turn round other text for this character: controls, line
/// separators, marks of direction (UAX #9).
pub(super) fn moves_text(c: char) -> bool {
    let is_format = matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || is_format
}

/// The inside of a JSON string (RFC 8259 §7); what a terminal would obey is escaped, too.
pub(crate) struct Json<'a>(pub(crate) &'a mut String);

impl fmt::Write for Json<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                _ if moves_text(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                _ => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_text_is_printable_ascii() {
        let long = [b'a'; SHOWN + 1];
        let fits = "a".repeat(SHOWN);
        let cases: [(&[u8], &str); 9] = [
            (b"", ""),
            (b"/chat?room=1", "/chat?room=1"),
            (b" ~", " ~"),
            (b"a\\b", "a\\x5cb"),
            (b"a\r\nINFO forged", "a\\x0d\\x0aINFO forged"),
            (b"\x1b[2J\x00\x7f", "\\x1b[2J\\x00\\x7f"),
            ("é".as_bytes(), "\\xc3\\xa9"),
            (&long[1..], &fits),
            (&long, &format!("{fits}…")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Escaped(bytes).to_string(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_record_is_one_line() {
        let cases = [
            ("", ""),
            ("plain é €", "plain é €"),
            ("a\nb\r\n\n", "a\\x0ab\\x0d\\x0a\\x0a"),
            ("\u{1b}[31m\u{9b}m\u{7f}", "\\x1b[31m\\x9bm\\x7f"),
            ("a\u{202e}b\u{2028}", "a\\u{202e}b\\u{2028}"),
        ];
        for (text, expected) in cases {
            assert_eq!(OneLine(text).to_string(), expected);
        }
    }
}
