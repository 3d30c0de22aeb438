//! Frames read and written the simple way, by the figure of RFC 6455 §5.2: what the daemon's own
//! reader and writer are held against.

use std::ops::Range;

/// What an endpoint did that RFC 6455 forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A frame, as far as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) fin: bool,
    pub(super) opcode: u8,
    /// What the header announces.
    pub(super) length: u64,
    /// What there is of the payload, unmasked.
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn is_control(&self) -> bool {
        self.opcode >= 8
    }

    pub(super) fn is_whole(&self) -> bool {
        self.length == self.payload.len() as u64
    }

    /// The code of a close frame, if it has one.
    pub(super) fn close_code(&self) -> Option<u16> {
        self.payload.first_chunk().map(|&code| u16::from_be_bytes(code))
    }
}

/// Reads the frames of one direction.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    masked: bool,
    /// A message has begun and not ended.
    pub(super) open: bool,
    broken: bool,
}

impl<'a> Reader<'a> {
    /// `masked`: whether a client sent `bytes`.
    pub(super) fn new(bytes: &'a [u8], masked: bool) -> Self {
        Self { rest: bytes, masked, open: false, broken: false }
    }

    /// What no frame was made of: part of a header.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next frame, of which the last may be partial; `None` for no or half a header.
    fn read(&mut self) -> Option<Result<Frame, Broken>> {
        let (first, second) = match *self.rest {
            [] => return None,
            [first, second, ..] => (first, second),
            // A wrong first byte need not wait for the second.
            [first] => return known(first).err().map(Err),
        };
        match known(first).and_then(|()| self.second(first, second)) {
            Err(broken) => Some(Err(broken)),
            Ok(0x7e) => self.long(first, 2),
            Ok(0x7f) => self.long(first, 8),
            Ok(short) => self.payload(first, 2, u64::from(short)),
        }
    }

    fn second(&self, first: u8, byte: u8) -> Result<u8, Broken> {
        let short = byte & 0x7f;
        let long_control = first & 8 != 0 && short > 125;
        if (byte >= 0x80) != self.masked || long_control { Err(Broken) } else { Ok(short) }
    }

    /// A length of `size` bytes.
    fn long(&mut self, first: u8, size: usize) -> Option<Result<Frame, Broken>> {
        let have = &self.rest[2..self.rest.len().min(2 + size)];
        let (least, most) = if size == 2 { (126, 0xffff) } else { (0x1_0000, u64::MAX >> 1) };
        // The largest and the smallest that can still come: broken when neither is allowed.
        let bound = |fill: u8| {
            let bytes = have.iter().copied().chain(std::iter::repeat(fill)).take(size);
            bytes.fold(0_u64, |value, byte| value << 8 | u64::from(byte))
        };
        if bound(0xff) < least || bound(0) > most {
            return Some(Err(Broken));
        }
        (have.len() == size).then(|| self.payload(first, 2 + size, bound(0)))?
    }

    /// What stands behind the length, if the frame may stand here (RFC 6455 §5.4).
    fn payload(&mut self, first: u8, header: usize, length: u64) -> Option<Result<Frame, Broken>> {
        let mask = if self.masked { 4 } else { 0 };
        let start = header + mask;
        let key = self.rest.get(header..start)?;
        let end = self.rest.len().min(start.saturating_add(usize::try_from(length).ok()?));
        let continues = first & 15 == 0;
        if first & 8 == 0 && continues != self.open {
            return Some(Err(Broken));
        }
        let bytes = self.rest[start..end].iter().enumerate();
        let payload = bytes.map(|(i, byte)| if mask == 0 { *byte } else { byte ^ key[i % 4] });
        let frame =
            Frame { fin: first >= 0x80, opcode: first & 15, length, payload: payload.collect() };
        if !frame.is_control() {
            self.open = !frame.fin;
        }
        self.rest = &self.rest[end..];
        Some(Ok(frame))
    }
}

/// Whether a frame may begin with this byte.
fn known(first: u8) -> Result<(), Broken> {
    let (reserved, opcode) = (first >> 4 & 7, first & 15);
    let fits = matches!(opcode, 0..=2) || matches!(opcode, 8..=10) && first >= 0x80;
    if reserved == 0 && fits { Ok(()) } else { Err(Broken) }
}

impl Iterator for Reader<'_> {
    type Item = Result<Frame, Broken>;

    /// Frame by frame; nothing after one that is broken.
    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let read = self.read();
        self.broken = matches!(read, Some(Err(_)));
        read
    }
}

/// The frame with this first byte, masked with `key` if it is a client's.
pub(super) fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = header(first, payload.len(), key.is_some());
    let key = key.inspect(|key| out.extend(key)).unwrap_or_default();
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A header without a masking key.
pub(super) fn header(first: u8, length: usize, masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let bytes = |range: Range<usize>| length.to_be_bytes()[range].to_vec();
    match length {
        0..=125 => vec![first, bit | length as u8],
        126..=0xffff => [vec![first, bit | 0x7e], bytes(6..8)].concat(),
        _ => [vec![first, bit | 0x7f], bytes(0..8)].concat(),
    }
}

/// Whether a close frame may hold this (RFC 6455 §5.5.1, §7.4).
pub(super) fn may_close_with(payload: &[u8]) -> bool {
    let Some((&code, reason)) = payload.split_first_chunk() else { return payload.is_empty() };
    let code = u16::from_be_bytes(code);
    let registered = (1000..=1014).contains(&code) && ![1004, 1005, 1006].contains(&code);
    (registered || (3000..=4999).contains(&code)) && str::from_utf8(reason).is_ok()
}
