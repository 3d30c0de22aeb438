//! Equal bytes, told by a digest that does not care how they were cut.

use std::hash::{DefaultHasher, Hasher};

/// A running count and hash of a byte stream.
#[derive(Default)]
pub(crate) struct Digest {
    hash: DefaultHasher,
    bytes: u64,
}

impl Digest {
    /// The digest of `bytes` alone.
    pub(crate) fn of(bytes: &[u8]) -> (u64, u64) {
        let mut digest = Self::default();
        digest.add(bytes);
        digest.value()
    }

    /// Adds the next bytes of the stream.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.hash.write(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// How many bytes came so far, and their hash.
    pub(crate) fn value(&self) -> (u64, u64) {
        (self.bytes, self.hash.finish())
    }
}

/// `len` bytes without a pattern, the same for the same `seed` (xorshift64*).
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
