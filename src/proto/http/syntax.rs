//! The grammar below the lines: characters, tokens, authorities, request targets.

use std::net::Ipv6Addr;

pub(super) const CR: u8 = b'\r';
pub(super) const LF: u8 = b'\n';
pub(super) const SP: u8 = b' ';
pub(super) const HTAB: u8 = b'\t';

/// The schemes whose requests end here; `ws` and `wss` because some clients write what they dial.
const SCHEMES: [&[u8]; 4] = [b"http://", b"https://", b"ws://", b"wss://"];

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
    pub(super) fn run(self, bytes: &[u8]) -> usize {
        bytes.iter().position(|&byte| !self.holds(byte)).unwrap_or(bytes.len())
    }
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

/// Whether these bytes are a token (RFC 9110 §5.6.2).
pub(in crate::proto) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| Class::Token.holds(byte))
}

/// Whether `bytes` start with `prefix`, in any case.
fn has_prefix(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The offset of path and query in a GET's target, in origin-form or absolute-form
/// (RFC 9112 §3.2.1, §3.2.2).
pub(super) fn path_of(target: &mut [u8]) -> Option<usize> {
    if target.starts_with(b"/") {
        return Some(0);
    }
    let authority = SCHEMES.iter().find(|scheme| has_prefix(target, scheme))?.len();
    let rest = target.get(authority..)?;
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    if !is_authority(rest.get(..length)?) {
        return None;
    }
    let path = authority + length;
    if target.get(path) == Some(&b'/') {
        return Some(path);
    }
    // RFC 9112 §3.2.1: an empty path is sent as "/". It takes the place of the authority's last
    // byte, which nobody reads any more.
    *target.get_mut(path - 1)? = b'/';
    Some(path - 1)
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
