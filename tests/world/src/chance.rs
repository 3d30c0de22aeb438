//! Chance, the same on every machine.

/// A small generator of numbers (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring numbers, and zero gives only zeros.
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    /// The next number, of 48 bits.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A generator of its own, for one part of what is made up.
    pub fn fork(&mut self) -> Self {
        Self::new(self.number())
    }

    /// A number less than `bound`, or 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// A number from 1 to `bound`.
    pub fn up_to(&mut self, bound: usize) -> usize {
        1 + self.below(bound as u64) as usize
    }

    /// True once in `n` times, and never for 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }

    /// So many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for chunk in bytes.chunks_mut(6) {
            chunk.copy_from_slice(&self.number().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }

    /// So many bytes of UTF-8, or a few more: characters of every width.
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        let mut text = String::with_capacity(length + 24);
        while text.len() < length {
            let bytes = self.number().to_le_bytes();
            let widths = bytes[..6].iter().map(|byte| usize::from(byte % 5));
            text.extend(
                widths.map(|width| ['a', '\u{1}', '\u{e4}', '\u{20ac}', '\u{1f600}'][width]),
            );
        }
        text.into_bytes()
    }

    /// A length: mostly small, seldom past every buffer of the bridge.
    pub fn length(&mut self) -> usize {
        let bound = [1, 8, 126, 200, 2_000, 20_000, 70_000, 300_000][self.skewed(8)];
        self.below(bound) as usize
    }

    fn skewed(&mut self, bound: u64) -> usize {
        self.below(bound).min(self.below(bound)) as usize
    }
}
