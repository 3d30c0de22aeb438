//! The bytes that cross the bridge: an endless, known stream, so that both ends can tell what is
//! right from what is merely fast.

use std::sync::Arc;

/// Length in bytes of one repetition; every frame size of the benchmark divides it.
pub(crate) const PERIOD: usize = 256 * 1024;

/// A place in the endless repetition of some bytes.
#[derive(Clone)]
pub(crate) struct Pattern {
    bytes: Arc<[u8]>,
    at: usize,
}

impl Pattern {
    /// A pattern at its beginning.
    pub(crate) fn new(bytes: Arc<[u8]>) -> Self {
        Self { bytes, at: 0 }
    }

    /// What comes next, up to the end of the repetition; never empty.
    pub(crate) fn next(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Moves on by `count` bytes.
    pub(crate) fn advance(&mut self, count: usize) {
        self.at = (self.at + count) % self.bytes.len();
    }

    /// Moves on by what was heard, and says whether it was what the pattern holds.
    pub(crate) fn follows(&mut self, mut heard: &[u8]) -> bool {
        while !heard.is_empty() {
            let run = heard.len().min(self.next().len());
            if heard[..run] != self.next()[..run] {
                return false;
            }
            heard = &heard[run..];
            self.advance(run);
        }
        true
    }

    /// Whether a UTF-8 character begins here, which is where a text message may begin or end.
    pub(crate) fn at_char_boundary(&self) -> bool {
        self.bytes[self.at] & 0xC0 != 0x80
    }
}

/// One period of noise: bytes that are no valid text, nor compressible, and always the same.
pub(crate) fn noise() -> Arc<[u8]> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..PERIOD / 8).flat_map(step).collect()
}

/// One period of prose in UTF-8, about one character in fifteen of it longer than one byte.
pub(crate) fn text() -> Arc<[u8]> {
    let line =
        "Der Fluß fließt, the river runs, 川は流れる → η θάλασσα; and so on, line by line. 🌊\n";
    let mut text = line.repeat(PERIOD / line.len());
    text.extend(std::iter::repeat_n('.', PERIOD - text.len()));
    text.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_whole() {
        assert_eq!(noise().len(), PERIOD);
        assert_eq!(text().len(), PERIOD);
        assert!(std::str::from_utf8(&text()).is_ok());
        assert!(std::str::from_utf8(&noise()).is_err());
    }

    #[test]
    fn a_wrong_byte_is_noticed_across_the_seam() {
        let mut pattern = Pattern::new(Arc::from(*b"abcd"));
        assert!(pattern.follows(b"abcdabcdab"));
        assert!(pattern.follows(b"cda"));
        assert!(!pattern.follows(b"bcdx"));
    }
}
