//! The grammar below the lines: characters, tokens, authorities, request targets.

use std::net::Ipv6Addr;
use std::ops::Range;

pub(super) const CR: u8 = b'\r';
pub(super) const LF: u8 = b'\n';
pub(super) const SP: u8 = b' ';
pub(super) const HTAB: u8 = b'\t';

/// The schemes whose requests end here; `ws` and `wss` because some clients write what they dial.
const SCHEMES: [&[u8]; 4] = [b"http://", b"https://", b"ws://", b"wss://"];

/// The shape of a version (RFC 9112 §2.3); `0` stands for any digit.
const VERSION: &[u8] = b"HTTP/0.0";
pub(super) const VERSION_LENGTH: usize = VERSION.len();

/// The kinds of characters that a head is made of, each a bit in [`CLASSES`].
#[derive(Clone, Copy)]
pub(super) enum Class {
    /// `tchar` (RFC 9110 §5.6.2): methods and field names.
    Token = 1,
    /// Anything but controls and blank: browsers and libraries send far more than path and query of
    /// a URI may hold (RFC 3986 §3.3, §3.4), and servers take it.
    Target = 2,
    /// HTAB, SP, visible ASCII and the bytes above it (RFC 9110 §5.5).
    Value = 4,
}

impl Class {
    fn holds(self, byte: u8) -> bool {
        CLASSES[usize::from(byte)] & self as u8 != 0
    }

    /// How many of the first bytes are of this class.
    #[inline]
    pub(super) fn run(self, bytes: &[u8]) -> usize {
        match self {
            Self::Token => self.run_by(no_letter_or_dash, bytes),
            Self::Target => self.run_by(|word| below_or_del(word, 0x21), bytes),
            Self::Value => self.run_by(|word| below_or_del(word, 0x20), bytes),
        }
    }

    /// The same, a word at a time: `unsure` marks the first byte that might not be of the class.
    #[inline(always)]
    fn run_by(self, unsure: impl Fn(u64) -> u64, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let Some((word, behind)) = rest.split_first_chunk() {
            let marks = unsure(u64::from_le_bytes(*word));
            if marks == 0 {
                rest = behind;
                continue;
            }
            let sure = marks.trailing_zeros() as usize / 8;
            match rest.split_at_checked(sure) {
                Some((_, [byte, behind @ ..])) if self.holds(*byte) => rest = behind,
                _ => return bytes.len() - rest.len() + sure,
            }
        }
        let last = rest.iter().position(|&byte| !self.holds(byte)).unwrap_or(rest.len());
        bytes.len() - rest.len() + last
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = ONES << 7;

/// The high bits of those of eight bytes that are below `least`, or DEL. The lowest that is set is
/// right; above it, a borrow may set more.
fn below_or_del(word: u64, least: u8) -> u64 {
    let below = word.wrapping_sub(ONES * u64::from(least)) & !word;
    let differs = word ^ (ONES * 0x7f);
    (below | differs.wrapping_sub(ONES) & !differs) & HIGH_BITS
}

/// The high bits of those of eight bytes that are neither ASCII letters nor `-`.
fn no_letter_or_dash(word: u64) -> u64 {
    let small = (word | (ONES * 0x20)) & !HIGH_BITS;
    let letter = (small + ONES * (0x80 - 0x61)) & !(small + ONES * (0x7f - 0x7a));
    let differs = word ^ (ONES * 0x2d);
    let no_dash = ((differs & !HIGH_BITS) + ONES * 0x7f) | differs;
    (!letter | word) & no_dash & HIGH_BITS
}

/// One look a byte, whatever the class.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = classes_of(byte as u8);
        byte += 1;
    }
    table
}

const fn classes_of(byte: u8) -> u8 {
    let token = byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~');
    let target = byte.is_ascii_graphic() || byte >= 0x80;
    let value = byte.is_ascii_graphic() || matches!(byte, HTAB | SP | 0x80..);
    (if token { Class::Token as u8 } else { 0 })
        | (if target { Class::Target as u8 } else { 0 })
        | (if value { Class::Value as u8 } else { 0 })
}

/// A field line (RFC 9112 §5): offsets from its beginning, and its length without the CRLF.
pub(super) struct FieldLine {
    /// Where the name ends.
    pub(super) name: usize,
    pub(super) value: Range<usize>,
    pub(super) length: usize,
}

impl FieldLine {
    /// The line that `bytes` begin with, if all of it is there and as it should be.
    #[inline]
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let name = Class::Token.run(bytes);
        let behind = bytes.get(name..)?.strip_prefix(b":").filter(|_| name > 0)?;
        let (value, end) = behind.split_at_checked(Class::Value.run(behind))?;
        end.strip_prefix(b"\r\n")?;
        let length = name + 1 + value.len();
        let Range { start, end } = trimmed(value);
        Some(Self { name, value: name + 1 + start..name + 1 + end, length })
    }
}

/// Where a value lies in what is between colon and CRLF: SP and HTAB around it are not part of it
/// (RFC 9110 §5.5).
#[inline]
pub(super) fn trimmed(value: &[u8]) -> Range<usize> {
    let mut trimmed = value;
    while let [SP | HTAB, rest @ ..] = trimmed {
        trimmed = rest;
    }
    let start = value.len() - trimmed.len();
    while let [rest @ .., SP | HTAB] = trimmed {
        trimmed = rest;
    }
    start..start + trimmed.len()
}

/// How many of the first bytes go on with a version of which `seen` bytes came before.
pub(super) fn version_run(seen: usize, bytes: &[u8]) -> usize {
    let fits =
        |(byte, shape): &(&u8, &u8)| byte == shape || **shape == b'0' && byte.is_ascii_digit();
    let shape = VERSION.get(seen..).unwrap_or_default();
    bytes.iter().zip(shape).take_while(fits).count()
}

/// Whether these bytes are a token (RFC 9110 §5.6.2).
pub(in crate::proto) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| Class::Token.holds(byte))
}

/// Whether `bytes` start with `prefix`, in any case.
pub(super) fn has_prefix(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The offset of path and query in a GET's target, in origin-form or absolute-form
/// (RFC 9112 §3.2.1, §3.2.2). If no `/` stands there, the path is empty.
pub(super) fn path_of(target: &[u8]) -> Option<usize> {
    if target.starts_with(b"/") {
        return Some(0);
    }
    let authority = SCHEMES.iter().find(|scheme| has_prefix(target, scheme))?.len();
    let rest = target.get(authority..)?;
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    is_authority(rest.get(..length)?).then_some(authority + length)
}

/// Whether these bytes are `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2) with a host
/// that is not empty (RFC 9110 §4.2.1).
pub(in crate::proto) fn is_authority(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let (is_host, rest) = match text.strip_prefix('[').and_then(|ip| ip.split_once(']')) {
        Some((address, rest)) => (address.parse::<Ipv6Addr>().is_ok(), rest),
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_reg_name(name), rest)
        }
    };
    is_host && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// RFC 3986 §3.2.3 lets the digits be absent.
fn is_port(port: &str) -> bool {
    port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// A name or an IPv4 address. RFC 3986 §3.2.2 lets a name hold a comma; in a Host it means that
/// two fields were joined to one (RFC 9110 §5.3), which must not pass.
fn is_reg_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&b);
    let mut pieces = name.split('%');
    let starts_well = pieces.next().is_some_and(|first| first.bytes().all(is_plain));
    let are_escapes = pieces.all(|piece| {
        let mut bytes = piece.bytes();
        let digits = bytes.by_ref().take(2).filter(u8::is_ascii_hexdigit).count();
        digits == 2 && bytes.all(is_plain)
    });
    !name.is_empty() && starts_well && are_escapes
}
