//! The fuzzer's bytes as choices.

/// Lengths of pieces: small ones for what is cut inside, large ones for what fills buffers.
const LENGTHS: [usize; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 31, 64, 255, 1_024, 5_000, 20_000];

/// Lengths around the limits of headers and buffers, and the lowest of the bytes that stand for
/// them: few, since long payloads take time.
const BULK: [usize; 12] =
    [126, 127, 1_023, 1_024, 4_000, 16_369, 16_370, 16_384, 65_507, 65_535, 65_536, 262_144];
const BULK_FROM: u8 = 240;

/// What is left of an input. Behind its end there are zeros, so that every input means something.
pub(super) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// Two bytes, the low one first.
    pub(super) fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A length, and whether it is one of the long ones.
    pub(super) fn length(&mut self) -> (usize, bool) {
        let byte = self.byte();
        let long = byte.checked_sub(BULK_FROM).map(|n| BULK[usize::from(n) % BULK.len()]);
        (long.unwrap_or(usize::from(byte % 128)), long.is_some())
    }

    /// The next `n` bytes, or what there is of them.
    pub(super) fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The bytes up to the next line feed, which is passed over.
    pub(super) fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == b'\n').unwrap_or(self.0.len());
        let line = self.take(end);
        self.take(1);
        line
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Cuts `bytes` into pieces of two lengths in turn, each chosen by half of `pattern`.
pub(super) fn pieces(bytes: &[u8], pattern: u8) -> impl Iterator<Item = &[u8]> {
    let lengths = [pattern >> 4, pattern & 15].map(|nibble| LENGTHS[usize::from(nibble)]);
    let mut rest = bytes;
    lengths.into_iter().cycle().map_while(move |length| {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
