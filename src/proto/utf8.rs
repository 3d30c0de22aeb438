//! UTF-8 of a message that arrives in pieces, RFC 3629 and RFC 6455 §8.1.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;

/// What every byte of a code point after the second lies in, RFC 3629 §4.
const CONTINUATION: RangeInclusive<u8> = 0x80..=0xbf;

/// Bytes that no continuation makes valid UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not UTF-8 (RFC 3629 §4)")
    }
}

impl Error for Invalid {}

/// Validates text piece by piece; pieces may end inside a code point.
///
/// It fails in the piece that holds the first byte which can no longer be valid, not at the end:
/// `ed a0` is refused without its third byte. After a failure only a new validator makes sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validator {
    /// Continuation bytes that the code point begun still lacks, 0 to 3.
    missing: u8,
    /// What the next of them may be.
    low: u8,
    high: u8,
}

impl Validator {
    /// At the beginning of a message.
    pub const fn new() -> Self {
        Self::expecting(0, CONTINUATION)
    }

    /// Takes the next piece of the message, of any length.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Invalid> {
        let mut rest = piece;
        while !self.is_complete() {
            let Some((&byte, after)) = rest.split_first() else { return Ok(()) };
            self.step(byte)?;
            rest = after;
        }
        let (body, tail) = split_unfinished(rest);
        simdutf8::basic::from_utf8(body).map_err(|_| Invalid)?;
        tail.iter().try_for_each(|&byte| self.step(byte))
    }

    /// Whether the message may end here: it must not inside a code point.
    pub const fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// One byte, by the table of RFC 3629 §4.
    fn step(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.is_complete() {
            *self = Self::after_lead(byte).ok_or(Invalid)?;
        } else if (self.low..=self.high).contains(&byte) {
            *self = Self::expecting(self.missing - 1, CONTINUATION);
        } else {
            return Err(Invalid);
        }
        Ok(())
    }

    /// What a code point's first byte asks for; the narrowed ranges keep out overlong forms,
    /// surrogates and what lies above U+10FFFF.
    fn after_lead(byte: u8) -> Option<Self> {
        Some(match byte {
            0x00..=0x7f => Self::new(),
            0xc2..=0xdf => Self::expecting(1, CONTINUATION),
            0xe0 => Self::expecting(2, 0xa0..=0xbf),
            0xed => Self::expecting(2, 0x80..=0x9f),
            0xe1..=0xef => Self::expecting(2, CONTINUATION),
            0xf0 => Self::expecting(3, 0x90..=0xbf),
            0xf1..=0xf3 => Self::expecting(3, CONTINUATION),
            0xf4 => Self::expecting(3, 0x80..=0x8f),
            _ => return None,
        })
    }

    const fn expecting(missing: u8, next: RangeInclusive<u8>) -> Self {
        Self { missing, low: *next.start(), high: *next.end() }
    }
}

impl Default for Validator {
    fn default() -> Self {
        Self::new()
    }
}

/// How many bytes at the end of `text`, 0 to 3, begin a code point that more bytes could complete;
/// `None` if no more bytes can make it valid.
pub fn incomplete_tail(text: &[u8]) -> Option<usize> {
    Validator::new().feed(text).ok()?;
    Some(split_unfinished(text).1.len())
}

/// How many bytes at the end of `text`, 0 to 3, look like the beginning of a code point, whatever is
/// before them.
pub fn unfinished(text: &[u8]) -> usize {
    split_unfinished(text).1.len()
}

/// Cuts off a last code point that lacks bytes by what its first byte says, so that the rest can
/// be validated as a whole.
fn split_unfinished(text: &[u8]) -> (&[u8], &[u8]) {
    let is_continuation = |byte: &u8| CONTINUATION.contains(byte);
    let after_lead = text.iter().rev().take(3).position(|byte| !is_continuation(byte));
    let unfinished = after_lead.map_or(0, |after| {
        let lead = text.len() - after - 1;
        let expected = match text.get(lead) {
            Some(0xf0..) => 3,
            Some(0xe0..) => 2,
            Some(0xc0..) => 1,
            _ => 0,
        };
        if after < expected { after + 1 } else { 0 }
    });
    text.split_at(text.len() - unfinished)
}

#[cfg(test)]
mod tests;
