//! The opening handshake, server's side (RFC 6455 §4.2): a request head is judged, and answered
//! with the 101 that opens the WebSocket or with the response that refuses it.

mod acceptance;
mod refusal;
#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::mem;
use std::net::Ipv4Addr;
use std::ops::Range;

use super::extensions::{self, Agreed};
pub use super::http::Status;
use super::http::{Field, Head, Method, Version, authority, c_str, is_authority, is_token};
use super::origin::OriginPattern;
pub use acceptance::{accept, accept_key, open_at_once};
pub use refusal::{Refusal, refuse};

/// What the handshake itself is made of.
const OWN_FIELDS: [&[u8]; 5] = [
    b"upgrade",
    b"connection",
    b"sec-websocket-key",
    b"sec-websocket-version",
    b"sec-websocket-protocol",
];
/// What extensions are offered in (RFC 6455 §9.1).
const EXTENSIONS: &[u8] = b"sec-websocket-extensions";
/// Of a Sec-WebSocket-Key: 16 bytes in base64.
const KEY_LENGTH: usize = 24;
/// The most subprotocols a client may offer. Nobody offers ten; it bounds the search for
/// duplicates and what a back end is handed.
const MAX_PROTOCOLS: usize = 64;

/// A handshake that is not accepted, and why, in words without any byte of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the client is answered with.
    pub status: Status,
    /// What was wrong, for the log.
    pub why: &'static str,
}

const fn refused(status: Status, why: &'static str) -> Refused {
    Refused { status, why }
}

const fn malformed(why: &'static str) -> Refused {
    refused(Status::BadRequest, why)
}

/// An acceptable handshake: what a back end is asked with, and what the 101 answers to.
///
/// All strings lie in one buffer, each ending in NUL, so that a C caller can be pointed at them:
/// [`Upgrade::bytes`] with the offsets that the `_at` methods give.
#[derive(Debug)]
pub struct Upgrade {
    text: Vec<u8>,
    endpoint: usize,
    key: usize,
    protocols: Vec<usize>,
    fields: Vec<Field>,
    user: Option<String>,
    deflate: Option<Agreed>,
}

impl Upgrade {
    /// Who the client is, if it was asked for its password.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The client was asked for its password, and is `user`.
    pub fn set_user(&mut self, user: String) {
        self.user = Some(user);
    }

    /// Agrees on compression, if one of the client's offers can be had (RFC 7692 §7.1).
    ///
    /// # Errors
    /// The offers break the grammar, which fails the connection (RFC 6455 §9.1).
    pub fn negotiate_deflate(&mut self) -> Result<(), Refused> {
        let is_offer = |name: &CStr| name.to_bytes().eq_ignore_ascii_case(EXTENSIONS);
        let offers = self.fields().filter(|(name, _)| is_offer(name));
        let agreed = extensions::negotiate(offers.map(|(_, value)| value.to_bytes()));
        self.deflate = agreed.map_err(|_| malformed("Sec-WebSocket-Extensions is malformed"))?;
        Ok(())
    }

    /// Leaves the client's offer of compression unanswered.
    pub fn decline_deflate(&mut self) {
        self.deflate = None;
    }

    /// The compression that was agreed on.
    pub fn deflate(&self) -> Option<Agreed> {
        self.deflate
    }

    /// Path and query, as sent.
    pub fn endpoint(&self) -> &CStr {
        c_str(&self.text, self.endpoint)
    }

    /// The value of Sec-WebSocket-Key, as sent.
    pub fn key(&self) -> &CStr {
        c_str(&self.text, self.key)
    }

    /// The offered subprotocols, the client's favourite first, none twice.
    pub fn protocols(&self) -> impl ExactSizeIterator<Item = &CStr> {
        self.protocols.iter().map(|&at| c_str(&self.text, at))
    }

    /// Every field but the handshake's own (Upgrade, Connection, Sec-WebSocket-Key, -Version and
    /// -Protocol), as sent.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&CStr, &CStr)> {
        let text = &self.text;
        self.fields.iter().map(move |field| (c_str(text, field.name), c_str(text, field.value)))
    }

    /// The name of the host that the client asked for, in the target before Host (RFC 9112 §3.2.2), without
    /// the port; none if it is an address.
    pub fn host_name(&self) -> Option<&str> {
        let is_host = |name: &CStr| name.to_bytes().eq_ignore_ascii_case(b"host");
        let field =
            || self.fields().find(|(name, _)| is_host(name)).map(|(_, host)| host.to_bytes());
        let host = str::from_utf8(authority(&self.text, self.endpoint).or_else(field)?).ok()?;
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        let is_name =
            !name.is_empty() && !name.starts_with('[') && name.parse::<Ipv4Addr>().is_err();
        is_name.then_some(name)
    }

    /// The buffer behind all the strings.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// Where the endpoint starts in the buffer.
    pub fn endpoint_at(&self) -> usize {
        self.endpoint
    }

    /// Where the key starts in the buffer.
    pub fn key_at(&self) -> usize {
        self.key
    }

    /// Where each subprotocol starts in the buffer.
    pub fn protocols_at(&self) -> &[usize] {
        &self.protocols
    }

    /// Where each field's name and value start in the buffer.
    pub fn fields_at(&self) -> &[Field] {
        &self.fields
    }
}

/// Decides whether a head opens a WebSocket (RFC 6455 §4.2.1).
///
/// `origins` lists the origins whose pages may connect; if it is empty, all may.
///
/// # Errors
/// The first of the handshake's rules that the head breaks.
pub fn judge(mut head: Head, origins: &[OriginPattern]) -> Result<Upgrade, Refused> {
    check_request_line(&head)?;
    check_host(&head)?;
    check_no_content(&head)?;
    check_upgrade(&head)?;
    check_version(&head)?;
    let key = find_key(&head)?;
    check_origin(&head, origins)?;
    let names = find_protocols(&head)?;
    let mut fields = mem::take(&mut head.fields);
    fields.retain(|&field| !is_own(&head, field));
    let protocols = cut_out(&mut head.text, names);
    let (text, endpoint) = (head.text, head.target);
    Ok(Upgrade { text, endpoint, key, protocols, fields, user: None, deflate: None })
}

/// A field that may stand once at most; `twice` says what is wrong if it stands again.
fn single(head: &Head, name: &'static str, twice: &'static str) -> Result<Option<Field>, Refused> {
    let mut named = head.named(name);
    let first = named.next();
    match named.next() {
        Some(_) => Err(malformed(twice)),
        None => Ok(first),
    }
}

/// RFC 6455 §4.2.1, item 1.
fn check_request_line(head: &Head) -> Result<(), Refused> {
    match (head.version(), head.method()) {
        // RFC 9110 §7.8: an Upgrade in HTTP/1.0 is ignored.
        (Version::Http10, _) => Err(malformed("HTTP/1.0 cannot upgrade")),
        (Version::Http11, Method::Get) => Ok(()),
        (Version::Http11, Method::Head | Method::Post | Method::Other) => {
            Err(refused(Status::MethodNotAllowed, "the method is not GET"))
        }
    }
}

/// RFC 9112 §3.2: exactly one Host, and a valid one, or 400. Before HTTP/1.1 there was none.
///
/// # Errors
/// It is not so.
pub fn check_host(head: &Head) -> Result<(), Refused> {
    match single(head, "host", "there are two Hosts")?.map(|field| head.value(field)) {
        Some(host) if is_authority(host) => Ok(()),
        Some(_) => Err(malformed("Host is malformed")),
        None if head.version() == Version::Http10 => Ok(()),
        None => Err(malformed("there is no Host")),
    }
}

/// Whether a request announces content (RFC 9112 §6.3).
///
/// # Errors
/// A coding that is not known, a length that is none, or two ways to tell it: whoever stands in
/// between may disagree about where the request ends (RFC 9112 §11.2).
pub fn has_content(head: &Head) -> Result<bool, Refused> {
    let coded = is_chunked(head)?;
    let length = single(head, "content-length", "there are two Content-Lengths")?;
    match length.map(|field| head.value(field)) {
        Some(_) if coded => Err(malformed("there are Transfer-Encoding and Content-Length")),
        Some(length) if length.is_empty() || !length.iter().all(u8::is_ascii_digit) => {
            Err(malformed("Content-Length is malformed"))
        }
        Some(length) => Ok(length.iter().any(|&digit| digit != b'0')),
        None => Ok(coded),
    }
}

/// Whether content comes in chunks, RFC 9112 §6.1.
fn is_chunked(head: &Head) -> Result<bool, Refused> {
    let fields = head.named("transfer-encoding");
    let names = fields.flat_map(|field| elements(head.value(field), field.value));
    let mut names = names.map(|range| head.text.get(range).unwrap_or_default());
    match names.next() {
        None if head.named("transfer-encoding").next().is_none() => Ok(false),
        None => Err(malformed("Transfer-Encoding is empty")),
        Some(name) if !name.eq_ignore_ascii_case(b"chunked") => {
            Err(refused(Status::NotImplemented, "another transfer coding than chunked"))
        }
        Some(_) if names.next().is_some() => Err(malformed("there are codings behind chunked")),
        Some(_) => Ok(true),
    }
}

/// A body would stand where the frames start, and a front end that saw one would disagree with us
/// about where the request ends (RFC 9112 §11.2).
fn check_no_content(head: &Head) -> Result<(), Refused> {
    if head.values("transfer-encoding").next().is_some() {
        return Err(malformed("a handshake has no Transfer-Encoding"));
    }
    let length = single(head, "content-length", "there are two Content-Lengths")?;
    match length.map(|field| head.value(field)) {
        None | Some(b"0") => Ok(()),
        Some(_) => Err(malformed("a handshake has no content")),
    }
}

/// RFC 6455 §4.2.1, items 3 and 4.
fn check_upgrade(head: &Head) -> Result<(), Refused> {
    if !head.lists("upgrade", b"websocket") {
        // RFC 9110 §15.5.22: the answer names the protocol that this resource needs.
        return Err(refused(Status::UpgradeRequired, "not an upgrade to websocket"));
    }
    if !head.lists("connection", b"upgrade") {
        return Err(malformed("Connection does not say upgrade"));
    }
    Ok(())
}

/// RFC 6455 §4.2.1, item 6, and §4.4: the answer to another version names ours.
fn check_version(head: &Head) -> Result<(), Refused> {
    const OTHER: Refused = refused(Status::UpgradeRequired, "another version of the protocol");
    let version = single(head, "sec-websocket-version", "there are two Sec-WebSocket-Versions")?;
    match version.map(|field| head.value(field)) {
        Some(b"13") => Ok(()),
        Some(version) if !is_version(version) => Err(malformed("the version is malformed")),
        _ => Err(OTHER),
    }
}

/// RFC 6455 §4.3: 0 to 255, without leading zeros.
fn is_version(value: &[u8]) -> bool {
    let no_zeros = value == b"0" || !value.starts_with(b"0");
    let digits = no_zeros && value.iter().all(u8::is_ascii_digit);
    digits && str::from_utf8(value).is_ok_and(|value| value.parse::<u8>().is_ok())
}

/// RFC 6455 §4.2.1, item 5: the offset of a key that encodes 16 bytes.
fn find_key(head: &Head) -> Result<usize, Refused> {
    match single(head, "sec-websocket-key", "there are two Sec-WebSocket-Keys")? {
        Some(field) if is_key(head.value(field)) => Ok(field.value),
        Some(_) => Err(malformed("Sec-WebSocket-Key does not encode 16 bytes")),
        None => Err(malformed("there is no Sec-WebSocket-Key")),
    }
}

/// 16 bytes are 22 characters and two of padding (RFC 4648 §4). That the last character's spare
/// bits are zero is the encoder's duty; a decoder need not insist (§3.5).
fn is_key(value: &[u8]) -> bool {
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    value.len() == KEY_LENGTH
        && value.strip_suffix(b"==").is_some_and(|digits| digits.iter().all(is_digit))
}

/// RFC 6455 §4.2.2, item 4, and §10.2: pages of other origins are turned away here or nowhere.
fn check_origin(head: &Head, origins: &[OriginPattern]) -> Result<(), Refused> {
    let origin = single(head, "origin", "there are two Origins")?.map(|field| head.value(field));
    let allowed = |origin: &[u8]| origins.iter().any(|pattern| pattern.admits(origin));
    if origins.is_empty() || origin.is_some_and(allowed) {
        Ok(())
    } else {
        Err(refused(Status::Forbidden, "the origin is not allowed"))
    }
}

/// RFC 6455 §4.1, item 10 of the client's requirements: tokens, all different. Empty elements
/// of a list are skipped (RFC 9110 §5.6.1.2).
fn find_protocols(head: &Head) -> Result<Vec<Range<usize>>, Refused> {
    let name_of = |range: &Range<usize>| head.text.get(range.clone()).unwrap_or_default();
    let mut names: Vec<Range<usize>> = Vec::new();
    for field in head.named("sec-websocket-protocol") {
        for range in elements(head.value(field), field.value) {
            let name = name_of(&range);
            if names.len() == MAX_PROTOCOLS {
                return Err(refused(Status::FieldsTooLarge, "too many subprotocols"));
            }
            if !is_token(name) {
                return Err(malformed("a subprotocol is not a token"));
            }
            if names.iter().any(|earlier| name_of(earlier) == name) {
                return Err(malformed("a subprotocol is offered twice"));
            }
            names.push(range);
        }
    }
    Ok(names)
}

/// Where the elements of a comma-separated list lie, when the list itself starts at `at`.
fn elements(list: &[u8], at: usize) -> impl Iterator<Item = Range<usize>> {
    let elements = list.split(|&byte| byte == b',').scan(at, |at, element| {
        let start = *at + (element.len() - element.trim_ascii_start().len());
        *at += element.len() + 1;
        Some(start..start + element.trim_ascii().len())
    });
    elements.filter(|range| !range.is_empty())
}

/// Makes each name a string of its own, where it lies: what follows it is a comma, white space or
/// the NUL of the value.
fn cut_out(text: &mut [u8], names: Vec<Range<usize>>) -> Vec<usize> {
    for name in &names {
        if let Some(end) = text.get_mut(name.end) {
            *end = 0;
        }
    }
    names.into_iter().map(|name| name.start).collect()
}

/// Whether a field belongs to the handshake itself: a back end is told of it otherwise, or knows.
fn is_own(head: &Head, field: Field) -> bool {
    OWN_FIELDS.iter().any(|own| head.is_named(field, own))
}

/// Whether a client can offer this subprotocol: a token (RFC 6455 §4.1).
pub fn is_subprotocol(name: &str) -> bool {
    is_token(name.as_bytes())
}
