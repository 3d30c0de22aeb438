//! What of zlib is used, as the crate `zlib-rs` has it.

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

/// The smallest window that zlib compresses over. It leaves 262 bytes of it unused, so that no
/// reference lies further back than 250: what it makes is right for a window of 8 bits, too.
const MIN_BITS: u8 = 9;
/// Above this level `zlib-rs` 0.6.8 searches along positions that it never entered, of which a reset leaves
/// what an earlier session put there, until an assertion of its own fails.
const MAX_LEVEL: u8 = 8;
/// A decompressor takes every window.
const MAX_BITS: u8 = 15;

/// How far a call came.
pub(super) struct Moved {
    pub(super) read: usize,
    pub(super) written: usize,
    /// A block that says it is the last was read.
    pub(super) ended: bool,
}

/// The input is not DEFLATE.
#[derive(Debug)]
pub(super) struct Invalid;

/// A state to compress with.
pub(super) struct Deflater(Deflate);

impl Deflater {
    pub(super) fn new(level: u8, bits: u8) -> Option<Self> {
        Some(Self(Deflate::new(i32::from(level.min(MAX_LEVEL)), false, bits.max(MIN_BITS))))
    }

    /// Begins anew, behind `history`; returns whether it can.
    pub(super) fn begin(&mut self, history: &[u8]) -> bool {
        self.0.reset();
        history.is_empty() || self.0.set_dictionary(history).is_ok()
    }

    /// Compresses, up to the end of a block that is complete with the input.
    pub(super) fn flush(&mut self, input: &[u8], output: &mut [u8]) -> Result<Moved, Invalid> {
        let before = (self.0.total_in(), self.0.total_out());
        let status = self.0.compress(input, output, DeflateFlush::SyncFlush);
        moved(before, (self.0.total_in(), self.0.total_out()), status.ok())
    }
}

/// A state to decompress with.
pub(super) struct Inflater(Inflate);

impl Inflater {
    pub(super) fn new() -> Option<Self> {
        Some(Self(Inflate::new(false, MAX_BITS)))
    }

    /// Begins anew, behind `history`; returns whether it can.
    pub(super) fn begin(&mut self, history: &[u8]) -> bool {
        self.0.reset(false);
        history.is_empty() || self.0.set_dictionary(history).is_ok()
    }

    pub(super) fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Moved, Invalid> {
        let before = (self.0.total_in(), self.0.total_out());
        let status = self.0.decompress(input, output, InflateFlush::SyncFlush);
        moved(before, (self.0.total_in(), self.0.total_out()), status.ok())
    }
}

fn moved(before: (u64, u64), after: (u64, u64), status: Option<Status>) -> Result<Moved, Invalid> {
    let ended = status.ok_or(Invalid)? == Status::StreamEnd;
    // No more than the lengths of two slices.
    let (read, written) = ((after.0 - before.0) as usize, (after.1 - before.1) as usize);
    Ok(Moved { read, written, ended })
}
