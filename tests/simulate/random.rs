//! Chance, the same on every machine.

/// A small generator of numbers (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring numbers, and zero gives only zeros.
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A number from 1 to `bound`.
    pub(crate) fn up_to(&mut self, bound: usize) -> usize {
        1 + self.below(bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// ASCII: however it is cut, every piece of it is UTF-8.
    pub(crate) fn text(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8 & 0x7f).collect()
    }

    /// A length: mostly small, seldom past every buffer of the bridge.
    pub(crate) fn length(&mut self) -> usize {
        let bound = [1, 8, 126, 200, 2_000, 20_000, 70_000, 300_000][self.skewed(8)];
        self.below(bound) as usize
    }

    fn skewed(&mut self, bound: u64) -> usize {
        self.below(bound).min(self.below(bound)) as usize
    }
}
