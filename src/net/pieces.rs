//! Writes into Unix sockets, in pieces of which a slow reader is seen to take one after the other.
//!
//! The kernel keeps what one write gave it, up to 32 KiB, as one piece, and makes room for more when
//! the last byte of it has been read: of a reader who has not come so far yet, nothing shows that it
//! reads at all (unix(7) knows no number of bytes that are left). So the pieces are small: at first,
//! and for those who turn out to be slow, very small.

use std::io::{ErrorKind, IoSlice, Result, Write};

/// What a write begins with, and goes back to when the reader is slow.
const SMALLEST: u16 = 1024;
/// The most: who takes one in `--write-timeout` lives, by default at 94 bytes a second. Larger ones
/// would cost a little less for each byte.
const LARGEST: u16 = 11 * 1024;
/// A reader who took less than this from one full buffer to the next is slow: the kernel says that
/// there is room only when a buffer of 208 KiB is three quarters empty, and this was less.
const SLOW: u32 = 32 * 1024;
/// A reader who took this much before the buffer was full is fast.
const FAST: u32 = 128 * 1024;
/// Slices of one piece; POSIX guarantees 16.
const SLICES: usize = 16;

/// How large the pieces for one reader are. Each session has one: in few bytes.
pub(crate) struct Pieces {
    size: u16,
    /// Bytes taken since the buffer was full, or the size last grew; at most [`FAST`] and a piece.
    taken: u32,
}

impl Pieces {
    pub(super) fn new() -> Self {
        Self { size: SMALLEST, taken: 0 }
    }

    /// Writes what the kernel takes of `parts`; `WouldBlock` if that is nothing.
    pub(super) fn write(
        &mut self,
        socket: &mut impl Write,
        parts: &[IoSlice<'_>],
    ) -> Result<usize> {
        let mut written = 0;
        loop {
            let (piece, count, length) = self.piece(parts, written);
            if length == 0 {
                return Ok(written);
            }
            let taken = match &piece[..count] {
                [part] => socket.write(part), // the shorter way
                parts => socket.write_vectored(parts),
            };
            match taken {
                Ok(n) => {
                    written += n;
                    self.took(n, n < length);
                    if n < length {
                        return Ok(written);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted && written > 0 => {}
                Err(error) => {
                    self.took(0, error.kind() == ErrorKind::WouldBlock);
                    return if written > 0 { Ok(written) } else { Err(error) };
                }
            }
        }
    }

    /// The next piece behind the first `gone` bytes: its slices, how many, and its length.
    fn piece<'a>(
        &self,
        parts: &'a [IoSlice<'_>],
        mut gone: usize,
    ) -> ([IoSlice<'a>; SLICES], usize, usize) {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (mut count, mut length) = (0, 0);
        for part in parts {
            let skipped = gone.min(part.len());
            gone -= skipped;
            let rest = &part[skipped..];
            let rest = &rest[..rest.len().min(usize::from(self.size) - length)];
            if rest.is_empty() {
                continue;
            }
            let Some(slot) = slices.get_mut(count) else { break };
            *slot = IoSlice::new(rest);
            count += 1;
            length += rest.len();
        }
        (slices, count, length)
    }

    /// The kernel took `n` bytes, and no more if it is `full`.
    fn took(&mut self, n: usize, full: bool) {
        self.taken += n as u32; // a piece at most
        if full && self.taken < SLOW {
            self.size = SMALLEST;
        } else if full || self.taken >= FAST {
            self.size = (self.size * 2).min(LARGEST);
        } else {
            return;
        }
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    /// Writes `bytes` as far as they are taken.
    fn fill(pieces: &mut Pieces, near: &mut UnixStream, bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Ok(n) = pieces.write(near, &[IoSlice::new(&bytes[written..])]) {
            written += n;
        }
        written
    }

    #[test]
    fn a_slow_reader_is_seen_to_read() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut pieces = Pieces::new();
        assert!(fill(&mut pieces, &mut near, &[7; 1 << 20]) > SLOW as usize);
        for _ in 0..100 {
            far.read_exact(&mut [0; 2 * SMALLEST as usize]).unwrap();
            assert!(pieces.write(&mut near, &[IoSlice::new(&[7; 65_536])]).is_ok());
        }
        assert_eq!(pieces.size, SMALLEST);
    }

    #[test]
    fn a_fast_reader_gets_large_pieces_and_all_bytes_in_order() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut pieces = Pieces::new();
        let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut sent, mut got) = (0, Vec::new());
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            let parts: Vec<IoSlice<'_>> = rest.chunks(333).take(64).map(IoSlice::new).collect();
            sent += pieces.write(&mut near, &parts).unwrap();
            let mut buffer = vec![0; sent - got.len()];
            far.read_exact(&mut buffer).unwrap();
            got.extend(buffer);
        }
        assert_eq!(pieces.size, LARGEST);
        assert!(got == bytes);
    }

    #[test]
    fn who_reads_nothing_takes_nothing() {
        let (mut near, _far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut pieces = Pieces::new();
        fill(&mut pieces, &mut near, &[7; 1 << 20]);
        let refused = pieces.write(&mut near, &[IoSlice::new(b"more")]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    }
}
