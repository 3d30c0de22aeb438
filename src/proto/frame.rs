//! Frames, RFC 6455 §5: headers, and which may follow which.
//!
//! Every error fails the connection (§7.1.7) and is final: nothing after it may be interpreted.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

use super::utf8;

/// Bytes of the longest header: two, a 64-bit length, a masking key.
pub const MAX_HEADER: usize = 14;

/// Bytes of the longest payload of a control frame, RFC 6455 §5.5.
pub const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
const RSV1: u8 = 0x40;
const OPCODE: u8 = 0x0f;
const MASK: u8 = 0x80;
/// In place of a length: the next two bytes hold it.
const LENGTH_16: u8 = 126;
/// In place of a length: the next eight bytes hold it.
const LENGTH_64: u8 = 127;

/// What a frame is, RFC 6455 §5.2; the other ten values are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message begun.
    Continuation = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The last frame in its direction.
    Close = 8,
    /// Asks for a pong with the same payload.
    Ping = 9,
    /// Answers a ping, or comes unasked.
    Pong = 10,
}

impl Opcode {
    /// Whether frames of it may stand between the fragments of a message, RFC 6455 §5.5.
    pub const fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// Whether the frames of a direction carry a masking key, RFC 6455 §5.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Masking {
    /// From a client: always.
    Required,
    /// From a server: never.
    Forbidden,
}

/// A frame's header, RFC 6455 §5.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whether the frame is the last of its message.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// Payload bytes, less than 2^63.
    pub length: u64,
    /// The masking key, if the payload is masked.
    pub mask: Option<[u8; 4]>,
}

/// A header as it goes over the wire.
pub type EncodedHeader = Inline<MAX_HEADER>;

/// What was read, and how many bytes it took; none if it is not complete.
pub type Decoded<T> = Result<Option<(T, usize)>, FrameError>;

/// Reads the header at the beginning of `bytes`, and says how many bytes it took.
///
/// `Ok(None)`: it is not complete. A wrong header is refused at the first byte that shows it,
/// before the rest has arrived.
#[inline]
pub fn decode(bytes: &[u8], masking: Masking) -> Decoded<Header> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let (fin, opcode) = decode_first(first)?;
    let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
    let (masked, short) = decode_second(second, opcode, masking)?;
    let Some((length, rest)) = decode_length(short, rest)? else { return Ok(None) };
    let (mask, rest) = if masked {
        let Some((&key, rest)) = rest.split_first_chunk() else { return Ok(None) };
        (Some(key), rest)
    } else {
        (None, rest)
    };
    Ok(Some((Header { fin, opcode, length, mask }, bytes.len() - rest.len())))
}

/// As [`decode`], where compression is agreed on: says also whether RSV1 is set, which it may be on
/// the first frame of a message (RFC 7692 §6).
pub fn decode_compressed(bytes: &[u8], masking: Masking) -> Decoded<(Header, bool)> {
    let decoded = match bytes.first() {
        Some(first) if first & RSV1 != 0 => {
            let (_, opcode) = decode_first(first & !RSV1)?;
            if opcode.is_control() || opcode == Opcode::Continuation {
                return Err(FrameError::ReservedBits);
            }
            let mut plain = [0; MAX_HEADER];
            let length = bytes.len().min(MAX_HEADER);
            plain[..length].copy_from_slice(&bytes[..length]);
            plain[0] &= !RSV1;
            decode(&plain[..length], masking)?.map(|(header, n)| ((header, true), n))
        }
        _ => decode(bytes, masking)?.map(|(header, n)| ((header, false), n)),
    };
    Ok(decoded)
}

fn decode_first(byte: u8) -> Result<(bool, Opcode), FrameError> {
    // §5.2: reserved bits need an extension (§9.1); for the one that may be agreed on see above.
    if byte & RSV != 0 {
        return Err(FrameError::ReservedBits);
    }
    let bits = byte & OPCODE;
    let opcode = Opcode::from_bits(bits).ok_or(FrameError::ReservedOpcode(bits))?;
    let fin = byte & FIN != 0;
    if opcode.is_control() && !fin {
        return Err(FrameError::FragmentedControl);
    }
    Ok((fin, opcode))
}

fn decode_second(byte: u8, opcode: Opcode, masking: Masking) -> Result<(bool, u8), FrameError> {
    let masked = byte & MASK != 0;
    match (masked, masking) {
        (false, Masking::Required) => return Err(FrameError::Unmasked),
        (true, Masking::Forbidden) => return Err(FrameError::Masked),
        _ => {}
    }
    let short = byte & !MASK;
    if opcode.is_control() && usize::from(short) > MAX_CONTROL {
        return Err(FrameError::LongControl);
    }
    Ok((masked, short))
}

/// The length that `short` says or announces, and what follows it; `Ok(None)`: not complete.
fn decode_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, FrameError> {
    // §5.2: "the minimal number of bytes MUST be used", "the most significant bit MUST be 0".
    match (short, rest) {
        (LENGTH_16, [0, 0..LENGTH_16, ..]) => Err(FrameError::LengthNotMinimal),
        (LENGTH_16, _) => Ok(rest
            .split_first_chunk()
            .map(|(bytes, rest)| (u64::from(u16::from_be_bytes(*bytes)), rest))),
        (LENGTH_64, [0x80..=0xff, ..]) => Err(FrameError::LengthTopBit),
        (LENGTH_64, [0, 0, 0, 0, 0, 0, ..]) => Err(FrameError::LengthNotMinimal),
        (LENGTH_64, _) => {
            Ok(rest.split_first_chunk().map(|(bytes, rest)| (u64::from_be_bytes(*bytes), rest)))
        }
        _ => Ok(Some((u64::from(short), rest))),
    }
}

impl Header {
    /// A whole message, or a control frame, from a server: FIN set, no mask.
    pub const fn whole(opcode: Opcode, length: u64) -> Self {
        Self { fin: true, opcode, length, mask: None }
    }

    /// Writes the header with the shortest length that holds, RFC 6455 §5.2.
    ///
    /// It writes what it is told: whether the frame may be sent is the caller's to know.
    pub fn encode(&self) -> EncodedHeader {
        let fin = if self.fin { FIN } else { 0 };
        let first = fin | self.opcode as u8;
        let masked = if self.mask.is_some() { MASK } else { 0 };
        let mut out = if self.length < u64::from(LENGTH_16) {
            EncodedHeader::of([first, masked | self.length as u8])
        } else if let Ok(length) = u16::try_from(self.length) {
            let [high, low] = length.to_be_bytes();
            EncodedHeader::of([first, masked | LENGTH_16, high, low])
        } else {
            let [a, b, c, d, e, f, g, h] = self.length.to_be_bytes();
            EncodedHeader::of([first, masked | LENGTH_64, a, b, c, d, e, f, g, h])
        };
        if let Some(key) = self.mask {
            out.push(&key);
        }
        out
    }

    /// As [`encode`](Self::encode), with RSV1: the first frame of a compressed message (RFC 7692 §6).
    pub fn encode_compressed(&self) -> EncodedHeader {
        let mut out = self.encode();
        out.bytes[0] |= RSV1;
        out
    }
}

/// Which frame may follow which in one direction, RFC 6455 §5.4.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Sequence {
    /// Text or binary: the message of which the last fragment is still to come.
    open: Option<Opcode>,
}

impl Sequence {
    /// Before the first frame.
    pub const fn new() -> Self {
        Self { open: None }
    }

    /// Whether a message has begun and its last fragment is still to come.
    pub const fn in_message(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next header, and says what its frame is part of: [`Opcode::Text`] or
    /// [`Opcode::Binary`] also for a continuation, a control frame's own opcode for itself.
    pub fn accept(&mut self, header: &Header) -> Result<Opcode, FrameError> {
        // §5.4: control frames may stand in the middle of a fragmented message.
        if header.opcode.is_control() {
            return Ok(header.opcode);
        }
        let message = match (header.opcode, self.open) {
            (Opcode::Continuation, None) => return Err(FrameError::NothingToContinue),
            (Opcode::Continuation, Some(open)) => open,
            (_, Some(_)) => return Err(FrameError::MessageUnfinished),
            (begun, None) => begun,
        };
        self.open = (!header.fin).then_some(message);
        Ok(message)
    }
}

/// At most `N` bytes, held in place; reads as a slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inline<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Inline<N> {
    /// A beginning whose length the compiler knows, so that it is stored without a call.
    pub(super) fn of<const M: usize>(beginning: [u8; M]) -> Self {
        const { assert!(M <= N) };
        let mut bytes = [0; N];
        bytes[..M].copy_from_slice(&beginning);
        Self { bytes, len: M as u8 }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Appends; the callers never exceed `N`, which every length of theirs has a test for.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let free = self.bytes.split_at_mut(usize::from(self.len)).1;
        free.split_at_mut(bytes.len()).0.copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }
}

impl<const N: usize> Deref for Inline<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// How the other side broke the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// RSV1, RSV2 or RSV3 is set.
    ReservedBits,
    /// An opcode without a meaning.
    ReservedOpcode(u8),
    /// A control frame without FIN.
    FragmentedControl,
    /// A control frame announces more than [`MAX_CONTROL`] bytes.
    LongControl,
    /// A frame from a client without a mask.
    Unmasked,
    /// A frame from a server with a mask.
    Masked,
    /// A length in more bytes than it needs.
    LengthNotMinimal,
    /// A length of 2^63 or more.
    LengthTopBit,
    /// A continuation without a message.
    NothingToContinue,
    /// A new message before the last one ended.
    MessageUnfinished,
    /// A close frame with half a code.
    CloseOfOneByte,
    /// A code that may not stand in a close frame.
    BadCloseCode(u16),
    /// Text, or the reason of a close frame, is not UTF-8.
    NotUtf8,
    /// What a compressed message holds cannot be decompressed.
    NotDeflate,
}

impl From<utf8::Invalid> for FrameError {
    fn from(_: utf8::Invalid) -> Self {
        Self::NotUtf8
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, section) = match self {
            Self::ReservedBits => ("reserved bit set", "5.2"),
            Self::ReservedOpcode(bits) => {
                return write!(f, "reserved opcode {bits} (RFC 6455 §5.2)");
            }
            Self::FragmentedControl => ("fragmented control frame", "5.5"),
            Self::LongControl => ("control frame longer than 125 bytes", "5.5"),
            Self::Unmasked => ("frame from a client not masked", "5.1"),
            Self::Masked => ("frame from a server masked", "5.1"),
            Self::LengthNotMinimal => ("payload length not minimal", "5.2"),
            Self::LengthTopBit => ("payload length over 63 bits", "5.2"),
            Self::NothingToContinue => ("continuation without a message", "5.4"),
            Self::MessageUnfinished => ("new message inside a fragmented one", "5.4"),
            Self::CloseOfOneByte => ("close frame of one byte", "5.5.1"),
            Self::BadCloseCode(code) => {
                return write!(f, "close code {code} may not be sent (RFC 6455 §7.4)");
            }
            Self::NotUtf8 => ("text not UTF-8", "8.1"),
            Self::NotDeflate => {
                return f.write_str("compressed message not valid (RFC 7692 §7.2.2)");
            }
        };
        write!(f, "{what} (RFC 6455 §{section})")
    }
}

impl Error for FrameError {}

#[cfg(test)]
mod tests;
