//! Messages that are compressed (RFC 7692 §7.2), sans-I/O: payload in, payload out.
//!
//! A state of DEFLATE takes some 50 KB to decompress with and 200 KB to compress with, too much for
//! every session. So the loop has one of each ([`Engines`]), and a session keeps only the last bytes
//! of what went either way, as much as the window that was agreed on ([`history`]): before each
//! message they are the dictionary, and the other side cannot tell the difference. Only a session
//! that is inside a compressed message has a state of its own, from a [`pool`] with a bound.

mod decoder;
mod encoder;
#[cfg(feature = "deflate")]
mod engine;
#[cfg(not(feature = "deflate"))]
#[path = "absent.rs"]
mod engine;
mod history;
mod pool;
#[cfg(all(test, feature = "deflate"))]
mod tests;

use std::rc::Rc;

pub use decoder::{BEGINNING, Corrupt, Decoder, Progress, Step};
pub use encoder::{Deflaters, Encoder};
pub use pool::Pool;

/// How much is decompressed in one piece. A message that is no longer goes on in one frame.
const PIECE: usize = 64 * 1024;

/// What all sessions of a loop compress and decompress with, one after the other.
#[derive(Default)]
pub struct Engines {
    /// What compresses.
    pub deflaters: Deflaters,
    /// What decompresses.
    pub inflaters: Rc<Pool>,
    /// Where decompressed bytes go; empty until some do.
    output: Vec<u8>,
}

impl Engines {
    /// Where decompressed bytes go.
    pub fn output(&mut self) -> &mut [u8] {
        if self.output.is_empty() {
            self.output = vec![0; PIECE];
        }
        &mut self.output
    }
}
