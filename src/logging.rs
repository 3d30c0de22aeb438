//! Log lines that never wait for whoever reads them, and text from strangers made safe to print.

use std::fmt;

/// How many bytes of a stranger's text a log line shows: enough to recognise it by.
const SHOWN: usize = 256;

/// Bytes from outside, for a log line: printable ASCII but the backslash as it is, all else as
/// `\xNN`, and after 256 bytes an ellipsis. No line can be forged with it (CR, LF, ESC).
#[derive(Clone, Copy, Debug)]
pub struct Escaped<B>(pub B);

impl<B: AsRef<[u8]>> fmt::Display for Escaped<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_ref();
        for &byte in bytes.iter().take(SHOWN) {
            match byte {
                b'\\' => f.write_str("\\x5c")?,
                b' '..=b'~' => fmt::Write::write_char(f, char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        if bytes.len() > SHOWN { f.write_str("…") } else { Ok(()) }
    }
}
