//! The last bytes that went one way, as many as the window has.

/// The end of what was compressed before, which the next message may refer to (RFC 7692 §7.2.3.2).
pub(super) struct History {
    bytes: Vec<u8>,
    window: usize,
}

impl History {
    /// An empty one, for a window of so many bits.
    pub(super) fn new(bits: u8) -> Self {
        Self { bytes: Vec::new(), window: 1 << bits }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The last `most` bytes of it, or all.
    pub(super) fn end(&self, most: usize) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(most)..]
    }

    /// Adds what was compressed or decompressed.
    pub(super) fn push(&mut self, fresh: &[u8]) {
        let fresh = &fresh[fresh.len().saturating_sub(self.window)..];
        let length = self.bytes.len() + fresh.len();
        if length > self.window {
            let left = self.window - fresh.len();
            self.bytes.drain(..self.bytes.len() - left);
        } else if length > self.bytes.capacity() {
            // It doubles up to the window, which a `Vec` would go beyond.
            let capacity = length.next_power_of_two().min(self.window);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(fresh);
    }

    /// Forgets all, and gives its memory back.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_bytes_and_no_more() {
        for size in [1, 7, 100, 255, 256, 257, 1000] {
            let (mut history, mut all) = (History::new(8), Vec::new());
            for round in 0..20 {
                let fresh: Vec<u8> = (0..size).map(|at| (at * 7 + round) as u8).collect();
                history.push(&fresh);
                all.extend_from_slice(&fresh);
                assert_eq!(history.bytes(), &all[all.len().saturating_sub(256)..]);
                assert!(history.bytes.capacity() <= 256);
                assert_eq!(history.end(20), &all[all.len().saturating_sub(20)..]);
            }
            history.clear();
            assert_eq!((history.bytes().len(), history.bytes.capacity()), (0, 0));
        }
    }
}
