//! The response that opens a WebSocket.

use std::ffi::CStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::extensions::Agreed;
use super::super::http::{Head, c_str};
use super::{
    KEY_LENGTH, Upgrade, check_host, check_no_content, check_upgrade, check_version, find_key,
    find_protocols,
};

/// What the client's key is hashed with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Appends the response that opens the WebSocket (RFC 6455 §4.2.2, item 5).
///
/// `protocol` is the index of the subprotocol to speak; none, or an index past the last, leaves
/// the field out.
pub fn accept(upgrade: &Upgrade, protocol: Option<usize>, out: &mut Vec<u8>) {
    let protocol = protocol.and_then(|index| upgrade.protocols().nth(index));
    switch(upgrade.key().to_bytes(), protocol.map(CStr::to_bytes), upgrade.deflate, out);
}

/// The response that opens the WebSocket of a good handshake, whatever its Origin: one that is to be
/// closed at once. The subprotocol is the first that is offered, since a browser that offered some
/// and gets none does not say what it was closed with.
#[must_use]
pub fn open_at_once(head: &Head) -> Option<Vec<u8>> {
    check_host(head).and_then(|()| check_no_content(head)).ok()?;
    check_upgrade(head).and_then(|()| check_version(head)).ok()?;
    let key = c_str(&head.text, find_key(head).ok()?).to_bytes();
    let protocol = find_protocols(head).ok()?.into_iter().next();
    let mut response = Vec::with_capacity(256);
    switch(key, protocol.and_then(|range| head.text.get(range)), None, &mut response);
    Some(response)
}

fn switch(key: &[u8], protocol: Option<&[u8]>, deflate: Option<Agreed>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\n\
          Upgrade: websocket\r\n\
          Connection: Upgrade\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept_key(key));
    if let Some(name) = protocol {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(name);
    }
    if let Some(agreed) = deflate {
        out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        agreed.write(out);
    }
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(feature = "sha-ni")]
fn sha1(text: &[u8]) -> [u8; 20] {
    use sha1::Digest as _;
    sha1::Sha1::digest(text).into()
}

#[cfg(not(feature = "sha-ni"))]
fn sha1(text: &[u8]) -> [u8; 20] {
    sha1_smol::Sha1::from(text).digest().bytes()
}

/// The proof that the key was read and understood: base64 of SHA-1 of key and GUID. The key has 24
/// characters.
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let mut text = [0; KEY_LENGTH + GUID.len()];
    let (own, guid) = text.split_at_mut(KEY_LENGTH);
    own.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    guid.copy_from_slice(GUID);
    let hash = sha1(&text);
    let mut out = [0; 28];
    let written = STANDARD.encode_slice(hash, &mut out);
    debug_assert_eq!(written, Ok(28));
    out
}
