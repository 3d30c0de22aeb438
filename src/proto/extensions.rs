//! Sec-WebSocket-Extensions (RFC 6455 §9.1), and what of it we speak: permessage-deflate (RFC 7692).
//!
//! An offer that asks for what is not known, or for one thing twice, is declined, and the next one is
//! looked at (RFC 7692 §5.1): the first that can be had is agreed on.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::http::is_token;

/// The one extension that is spoken.
const DEFLATE: &[u8] = b"permessage-deflate";

/// The largest window that what we send is compressed over, as a power of two. A session keeps that
/// much of what it sent last, and with 4 KiB short messages take 2 % more than with 32 KiB.
pub const SERVER_BITS: u8 = 12;

/// The largest window that clients may compress over, where they let us say so. They send less than
/// they get, so half as much is kept for them.
pub const CLIENT_BITS: u8 = 11;

/// The window of who says nothing (RFC 7692 §7.1.2).
const MAX_BITS: u8 = 15;
/// The smallest there is.
const MIN_BITS: u8 = 8;

/// How one side compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How far back a reference may lie, as a power of two of bytes.
    pub bits: u8,
    /// Whether it may lie in messages before (RFC 7692 §7.1.1).
    pub takeover: bool,
}

/// What both sides agreed on (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// How we compress.
    pub server: Window,
    /// How the client does.
    pub client: Window,
}

/// The field breaks the grammar of RFC 6455 §9.1, and then the connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Agreed {
    /// Appends the value of the field that answers the offer.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(DEFLATE);
        if !self.server.takeover {
            out.extend_from_slice(b"; server_no_context_takeover");
        }
        if !self.client.takeover {
            out.extend_from_slice(b"; client_no_context_takeover");
        }
        out.extend_from_slice(b"; server_max_window_bits=");
        out.extend_from_slice(self.server.bits.to_string().as_bytes());
        // Only who offered it may be told (RFC 7692 §7.1.2.2), and only such a client keeps a context.
        if self.client.takeover {
            out.extend_from_slice(b"; client_max_window_bits=");
            out.extend_from_slice(self.client.bits.to_string().as_bytes());
        }
    }
}

/// Finds what can be agreed on in the values of all the fields, in their order.
///
/// # Errors
/// One of them breaks the grammar, wherever.
pub fn negotiate<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Result<Option<Agreed>, Malformed> {
    let mut agreed = None;
    for rest in fields {
        let mut reader = Reader { rest };
        loop {
            reader.blanks();
            // RFC 9110 §5.6.1.2: empty elements of a list are skipped.
            while reader.takes(b',') {
                reader.blanks();
            }
            if reader.rest.is_empty() {
                break;
            }
            let offer = reader.extension()?;
            agreed = agreed.or(offer.and_then(Offer::answer));
            if !reader.rest.is_empty() && !reader.takes(b',') {
                return Err(Malformed);
            }
        }
    }
    Ok(agreed)
}

/// What a client offers, and that nothing is wrong with it so far.
#[derive(Default)]
struct Offer {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// What follows the name counts as 15.
    client_bits: Option<u8>,
    /// Something of it is not as RFC 7692 §7.1 has it.
    declined: bool,
}

impl Offer {
    /// Takes one parameter of it.
    fn take(&mut self, name: &[u8], value: Option<&[u8]>) {
        let fresh = match (name, value) {
            (b"server_no_context_takeover", None) => {
                !std::mem::replace(&mut self.server_no_takeover, true)
            }
            (b"client_no_context_takeover", None) => {
                !std::mem::replace(&mut self.client_no_takeover, true)
            }
            (b"server_max_window_bits", Some(value)) => set(&mut self.server_bits, bits(value)),
            (b"client_max_window_bits", None) => set(&mut self.client_bits, Some(MAX_BITS)),
            (b"client_max_window_bits", Some(value)) => set(&mut self.client_bits, bits(value)),
            _ => false,
        };
        self.declined |= !fresh;
    }

    fn answer(self) -> Option<Agreed> {
        if self.declined {
            return None;
        }
        // A client that cannot be told a window uses all 32 KiB: too much to keep for each.
        let takeover = self.client_bits.is_some() && !self.client_no_takeover;
        let most = if takeover { CLIENT_BITS } else { MAX_BITS };
        Some(Agreed {
            server: Window {
                bits: self.server_bits.unwrap_or(MAX_BITS).min(SERVER_BITS),
                takeover: !self.server_no_takeover,
            },
            client: Window { bits: self.client_bits.unwrap_or(MAX_BITS).min(most), takeover },
        })
    }
}

/// Sets what was not set before; returns whether it was not, and there is something to set.
fn set(field: &mut Option<u8>, value: Option<u8>) -> bool {
    value.is_some() && std::mem::replace(field, value).is_none()
}

/// RFC 7692 §7.1.2: 8 to 15, without leading zeros.
fn bits(value: &[u8]) -> Option<u8> {
    let bits = match value {
        [one @ b'8'..=b'9'] => one - b'0',
        [b'1', two @ b'0'..=b'5'] => 10 + two - b'0',
        _ => return None,
    };
    (MIN_BITS..=MAX_BITS).contains(&bits).then_some(bits)
}

/// What of a field is not read yet.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        let rest = self.rest.strip_prefix(&[byte]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// A token and the blanks behind it.
    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.rest.iter().position(|byte| !is_token(std::slice::from_ref(byte)));
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        self.blanks();
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// An extension with its parameters; nothing if it is not ours.
    fn extension(&mut self) -> Result<Option<Offer>, Malformed> {
        let mut offer = (self.token()? == DEFLATE).then(Offer::default);
        while self.takes(b';') {
            self.blanks();
            let name = self.token()?;
            let value = if self.takes(b'=') { Some(self.value()?) } else { None };
            if let Some(offer) = &mut offer {
                offer.take(name, value.as_deref());
            }
        }
        Ok(offer)
    }

    /// RFC 6455 §9.1: a token, or a quoted string that is one when it is unquoted.
    fn value(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        self.blanks();
        if !self.takes(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = Vec::new();
        loop {
            match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    self.blanks();
                    break;
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                    value.push(*byte);
                    self.rest = rest;
                }
                [] => return Err(Malformed),
            }
        }
        if is_token(&value) { Ok(Cow::Owned(value)) } else { Err(Malformed) }
    }
}
