//! Frames made and read the simple way, by the figure of RFC 6455 §5.2: what the daemon's own
//! reader and writer are held against. Nothing here comes from the daemon.

use std::borrow::Cow;
use std::ops::Range;

/// The bit of a first byte that says that the frame is the last of its message.
pub const FIN: u8 = 0x80;
/// The opcode of a further fragment.
pub const CONTINUATION: u8 = 0;
/// The opcode of text.
pub const TEXT: u8 = 1;
/// The opcode of bytes.
pub const BINARY: u8 = 2;
/// The opcode of the last frame in its direction.
pub const CLOSE: u8 = 8;
/// The opcode of what asks for a pong.
pub const PING: u8 = 9;
/// The opcode of what answers a ping.
pub const PONG: u8 = 10;
/// A first byte with reserved bits: a fault of whoever sends it.
pub const WRONG: u8 = 0xf2;

/// A header without a masking key; `masked`: whether it announces one.
#[must_use]
pub fn header(first: u8, length: usize, masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let bytes = |range: Range<usize>| length.to_be_bytes()[range].to_vec();
    match length {
        0..=125 => vec![first, bit | length as u8],
        126..=0xffff => [vec![first, bit | 0x7e], bytes(6..8)].concat(),
        _ => [vec![first, bit | 0x7f], bytes(0..8)].concat(),
    }
}

/// The frame with this first byte, masked with `key` if it is a client's.
#[must_use]
pub fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = header(first, payload.len(), key.is_some());
    let key = key.inspect(|key| out.extend(key)).unwrap_or_default();
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// Whether a close frame may hold this (RFC 6455 §5.5.1, §7.4).
#[must_use]
pub fn may_close_with(payload: &[u8]) -> bool {
    let Some((&code, reason)) = payload.split_first_chunk() else { return payload.is_empty() };
    let code = u16::from_be_bytes(code);
    let registered = (1000..=1014).contains(&code) && ![1004, 1005, 1006].contains(&code);
    (registered || (3000..=4999).contains(&code)) && str::from_utf8(reason).is_ok()
}

/// What an endpoint did that RFC 6455 forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// FIN, and the opcode.
    pub first: u8,
    /// The length of the payload.
    pub length: u64,
    /// The masking key; zeros when there is none.
    key: [u8; 4],
}

impl Head {
    /// Whether it is the last frame of its message.
    #[must_use]
    pub fn fin(&self) -> bool {
        self.first & FIN != 0
    }

    /// What the frame is.
    #[must_use]
    pub fn opcode(&self) -> u8 {
        self.first & 15
    }

    /// Whether it may stand between the fragments of a message (RFC 6455 §5.5).
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.first & 8 != 0
    }

    /// The header as it is without a mask.
    #[must_use]
    pub fn unmasked(&self) -> Vec<u8> {
        header(self.first, self.length as usize, false)
    }
}

/// What a reader comes upon.
#[derive(Debug)]
pub enum Part<'a> {
    /// The header of a frame.
    Begin(Head),
    /// The next bytes of its payload, unmasked; `last`, perhaps without bytes, ends it.
    Payload {
        /// Its header.
        head: Head,
        /// The bytes.
        bytes: Cow<'a, [u8]>,
        /// Whether they are the last ones.
        last: bool,
    },
}

/// A frame, as far as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub head: Head,
    /// What there is of the payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether all of the payload is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.head.length == self.payload.len() as u64
    }

    /// The code of a close frame, if it has one.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        self.payload.first_chunk().map(|&code| u16::from_be_bytes(code))
    }
}

/// Reads the frames of one direction strictly, as they come.
#[derive(Clone, Debug)]
pub struct Reader {
    masked: bool,
    /// What there is of the next header.
    header: Vec<u8>,
    /// The frame whose payload is under way, and how many bytes of that are left.
    frame: Option<(Head, u64)>,
    /// A message has begun and not ended.
    open: bool,
    broken: bool,
}

impl Reader {
    /// `masked`: whether a client sends the frames.
    #[must_use]
    pub fn new(masked: bool) -> Self {
        Self { masked, header: Vec::new(), frame: None, open: false, broken: false }
    }

    /// Takes the next part off the front of `bytes`, if there is one; nothing after a fault.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Result<Part<'a>, Broken>> {
        if self.broken {
            return None;
        }
        if let Some((head, left)) = self.frame {
            return self.payload(head, left, bytes).map(Ok);
        }
        loop {
            if let Some(head) = read(&self.header, self.masked) {
                return Some(self.begin(head));
            }
            self.header.push(*bytes.split_off_first()?);
        }
    }

    /// Takes the next frame off the front of `bytes`; the last one may be partial.
    pub fn next_frame(&mut self, bytes: &mut &[u8]) -> Option<Result<Frame, Broken>> {
        let mut frame = None;
        while let Some(part) = self.next(bytes) {
            match part {
                Err(broken) => return Some(Err(broken)),
                Ok(Part::Begin(head)) => frame = Some(Frame { head, payload: Vec::new() }),
                Ok(Part::Payload { head, bytes, last }) => {
                    let frame = frame.get_or_insert(Frame { head, payload: Vec::new() });
                    frame.payload.extend_from_slice(&bytes);
                    if last {
                        break;
                    }
                }
            }
        }
        frame.map(Ok)
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn in_message(&self) -> bool {
        self.open
    }

    /// Whether nothing of a frame is under way.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.header.is_empty() && self.frame.is_none()
    }

    /// Whether a frame of data has begun, and its payload is not all there.
    #[must_use]
    pub fn in_data(&self) -> bool {
        self.frame.is_some_and(|(head, left)| !head.is_control() && left > 0)
    }

    /// A header was read: does its frame belong here (RFC 6455 §5.4)?
    fn begin(&mut self, head: Result<Head, Broken>) -> Result<Part<'static>, Broken> {
        let fits = |head: &Head| head.is_control() || (head.opcode() == CONTINUATION) == self.open;
        let Some(head) = head.ok().filter(fits) else {
            self.broken = true;
            return Err(Broken);
        };
        if !head.is_control() {
            self.open = !head.fin();
        }
        self.header.clear();
        self.frame = Some((head, head.length));
        Ok(Part::Begin(head))
    }

    fn payload<'a>(&mut self, head: Head, left: u64, bytes: &mut &'a [u8]) -> Option<Part<'a>> {
        if left > 0 && bytes.is_empty() {
            return None;
        }
        let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let piece = bytes.split_off(..n)?;
        let seen = head.length - left;
        let left = left - n as u64;
        self.frame = (left > 0).then_some((head, left));
        let unmask = |(i, byte): (usize, &u8)| byte ^ head.key[(seen + i as u64) as usize % 4];
        let bytes = match self.masked {
            true => Cow::Owned(piece.iter().enumerate().map(unmask).collect()),
            false => Cow::Borrowed(piece),
        };
        Some(Part::Payload { head, bytes, last: left == 0 })
    }
}

/// Reads a header that is all of `bytes`, if it is complete or can be no header any more.
fn read(bytes: &[u8], masked: bool) -> Option<Result<Head, Broken>> {
    let (first, second) = match *bytes {
        [] => return None,
        [first, second, ..] => (first, second),
        // A wrong first byte need not wait for the second.
        [first] => return (!is_known(first)).then_some(Err(Broken)),
    };
    let short = second & 0x7f;
    let long_control = first & 8 != 0 && short > 125;
    if !is_known(first) || (second >= 0x80) != masked || long_control {
        return Some(Err(Broken));
    }
    match short {
        0x7e => long(first, &bytes[2..], 2, masked),
        0x7f => long(first, &bytes[2..], 8, masked),
        short => complete(first, &bytes[2..], short.into(), masked),
    }
}

/// Whether a frame may begin with this byte.
fn is_known(first: u8) -> bool {
    let (reserved, opcode) = (first >> 4 & 7, first & 15);
    let fits = matches!(opcode, 0..=2) || matches!(opcode, 8..=10) && first & FIN != 0;
    reserved == 0 && fits
}

/// A length of `size` bytes in front of `bytes`.
fn long(first: u8, bytes: &[u8], size: usize, masked: bool) -> Option<Result<Head, Broken>> {
    let have = &bytes[..bytes.len().min(size)];
    let (least, most) = if size == 2 { (126, 0xffff) } else { (0x1_0000, u64::MAX >> 1) };
    // The largest and the smallest that can still come: broken when neither is allowed.
    let bound = |fill: u8| {
        let bytes = have.iter().copied().chain(std::iter::repeat(fill)).take(size);
        bytes.fold(0_u64, |value, byte| value << 8 | u64::from(byte))
    };
    if bound(0xff) < least || bound(0) > most {
        return Some(Err(Broken));
    }
    (have.len() == size).then(|| complete(first, &bytes[size..], bound(0), masked))?
}

/// A header whose length is known; the rest is its key.
fn complete(first: u8, rest: &[u8], length: u64, masked: bool) -> Option<Result<Head, Broken>> {
    let key = if masked { *rest.first_chunk()? } else { [0; 4] };
    Some(Ok(Head { first, length, key }))
}
