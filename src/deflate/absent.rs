//! What stands for zlib in a binary without the feature `deflate`: nothing, and nobody agrees on it.

/// How far a call came.
pub(super) struct Moved {
    pub(super) read: usize,
    pub(super) written: usize,
    pub(super) ended: bool,
}

/// The input is not DEFLATE.
#[derive(Debug)]
pub(super) struct Invalid;

/// There is none.
pub(super) enum Deflater {}

impl Deflater {
    pub(super) fn new(_: u8, _: u8) -> Option<Self> {
        None
    }

    pub(super) fn begin(&mut self, _: &[u8]) -> bool {
        match *self {}
    }

    pub(super) fn flush(&mut self, _: &[u8], _: &mut [u8]) -> Result<Moved, Invalid> {
        match *self {}
    }
}

/// There is none.
pub(super) enum Inflater {}

impl Inflater {
    pub(super) fn new() -> Option<Self> {
        None
    }

    pub(super) fn begin(&mut self, _: &[u8]) -> bool {
        match *self {}
    }

    pub(super) fn inflate(&mut self, _: &[u8], _: &mut [u8]) -> Result<Moved, Invalid> {
        match *self {}
    }
}
