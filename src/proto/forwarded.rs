//! Who the client is, as the proxies in front say it in a field of the request: `X-Forwarded-For`,
//! `Forwarded` (RFC 7239) or `X-Real-IP`.
//!
//! A proxy writes behind what it was sent, so only the right end is its own word, and what a client
//! wrote stands on the left. These fields are therefore read from the right, up to the first
//! address that is no trusted proxy's: nothing on its left is looked at.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::client_addr::Address;

/// The field that is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses, the nearest last.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239): elements with a parameter `for`, the nearest last.
    Forwarded,
    /// `X-Real-IP`: one address.
    XRealIp,
}

impl ForwardedHeader {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::XForwardedFor, Self::Forwarded, Self::XRealIp];

    /// The field's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "X-Forwarded-For",
            Self::Forwarded => "Forwarded",
            Self::XRealIp => "X-Real-IP",
        }
    }
}

/// Who the client is, as far as can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The first address from the right that is no trusted proxy's, or the last that could be read.
    pub address: Address,
    /// What stood where the next address should have, and is none: an identifier that hides one,
    /// `unknown`, or garbage. Its first [`SHOWN`] bytes.
    pub unreadable: Option<Box<[u8]>>,
}

/// How much of what is no address is kept for the log, bytes.
pub const SHOWN: usize = 64;

/// Goes from the proxy at `address`, which is trusted, through the field lines of `header`, as long
/// as `trusts` says that the address it has come to is a proxy's too.
pub fn locate<'a>(
    header: ForwardedHeader,
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    address: Address,
    trusts: impl Fn(Address) -> bool,
) -> Located {
    let mut located = Located { address, unreadable: None };
    for line in lines.rev() {
        let mut rest = Some(line);
        while let Some(list) = rest {
            let (before, element) = match header {
                ForwardedHeader::XForwardedFor => split_last(list, |byte| byte == b','),
                ForwardedHeader::Forwarded => split_last_unquoted(list),
                ForwardedHeader::XRealIp => (None, list),
            };
            rest = before;
            let element = trim(element);
            if element.is_empty() && header != ForwardedHeader::XRealIp {
                continue; // RFC 9110 §5.6.1.2
            }
            let named = match header {
                ForwardedHeader::XForwardedFor | ForwardedHeader::XRealIp => node(element),
                ForwardedHeader::Forwarded => element_address(element),
            };
            let Some(named) = named else {
                let shown = element.get(..SHOWN).unwrap_or(element);
                located.unreadable = Some(shown.into());
                return located;
            };
            located.address = named;
            if !trusts(named) {
                return located;
            }
        }
        if header == ForwardedHeader::XRealIp {
            break;
        }
    }
    located
}

/// SP and HTAB around it are no part of a list's element (RFC 9110 §5.6.1).
fn trim(element: &[u8]) -> &[u8] {
    element.trim_ascii()
}

/// A list without its last element, if there is more, and that element.
fn split_last(list: &[u8], is_comma: impl FnMut(u8) -> bool) -> (Option<&[u8]>, &[u8]) {
    let mut is_comma = is_comma;
    match list.iter().rposition(|byte| is_comma(*byte)) {
        Some(at) => (list.get(..at), list.get(at + 1..).unwrap_or_default()),
        None => (None, list),
    }
}

/// The same, where commas in quoted strings are no commas. It goes from the right as well: a quote
/// that a client left open does not swallow what the proxy wrote behind it.
fn split_last_unquoted(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut is_quoted = false;
    let mut at = list.len();
    while let Some(before) = at.checked_sub(1) {
        match list.get(before) {
            Some(b'"') if !is_escaped(list, before) || !is_quoted => is_quoted = !is_quoted,
            Some(b',') if !is_quoted => {
                return (list.get(..before), list.get(at..).unwrap_or_default());
            }
            _ => {}
        }
        at = before;
    }
    (None, list)
}

/// Whether the byte at `at` has an odd number of backslashes before it.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The address in the `for` of one element (RFC 7239 §4): none if there is none, or two, or the
/// element is malformed.
fn element_address(element: &[u8]) -> Option<Address> {
    let (mut rest, mut found) = (element, None);
    loop {
        // Pairs may be empty, too.
        let is_none = |byte: &u8| *byte == b';' || byte.is_ascii_whitespace();
        rest = rest.get(rest.iter().take_while(|byte| is_none(byte)).count()..)?;
        if rest.is_empty() {
            return found;
        }
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (rest.get(..equals)?, rest.get(equals + 1..)?);
        let (value, behind) = pair_value(value)?;
        if name.trim_ascii().eq_ignore_ascii_case(b"for") {
            if found.is_some() {
                return None;
            }
            found = Some(node(&value)?);
        }
        match behind {
            Some(behind) => rest = behind,
            None => return found,
        }
    }
}

/// The value at the beginning of `text`, a token or a quoted string (RFC 9110 §5.6.4), and what
/// follows its semicolon, if one does.
fn pair_value(text: &[u8]) -> Option<(Vec<u8>, Option<&[u8]>)> {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let (value, behind) = match text.iter().position(|byte| *byte == b';') {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        return (!value.contains(&b'"')).then(|| (value.trim_ascii().to_vec(), behind));
    };
    let mut value = Vec::new();
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b'"' => break,
            b'\\' => {
                let (&escaped, behind) = rest.split_first()?;
                value.push(escaped);
                rest = behind;
            }
            byte => value.push(byte),
        }
    }
    match rest.trim_ascii_start().split_first() {
        None => Some((value, None)),
        Some((b';', behind)) => Some((value, Some(behind))),
        Some(_) => None,
    }
}

/// An address, with or without a port: `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`. The port
/// may be an identifier that hides it (RFC 7239 §6.3).
fn node(text: &[u8]) -> Option<Address> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 0).into());
    }
    let (ip, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, behind) = rest.split_once(']')?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) };
            (ip.parse::<Ipv6Addr>().ok()?.into(), port)
        }
        None => {
            let (ip, port) = text.split_once(':')?;
            (IpAddr::from(ip.parse::<Ipv4Addr>().ok()?), Some(port))
        }
    };
    let port = match port {
        Some(text) => port_number(text)?,
        None => 0,
    };
    Some(SocketAddr::new(ip, port).into())
}

/// A port; 0 for one that is hidden.
fn port_number(text: &str) -> Option<u16> {
    if let Some(hidden) = text.strip_prefix('_') {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        return (!hidden.is_empty() && hidden.bytes().all(fits)).then_some(0);
    }
    let is_plain = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}
