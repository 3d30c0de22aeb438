//! An answer, and the bytes of it (RFC 9112 §4 to §7).

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use httpdate::fmt_http_date;

use super::request::Asked;
use crate::proto::http::{Status, Version};

/// The most bytes of content that are made or fetched at once: as much waits for a client that
/// takes its time.
const PIECE: usize = 64 * 1024;

/// Content that is made as the client takes it.
pub trait Pieces: Send {
    /// Appends the next piece to `out`, about `most` bytes; returns whether there is more.
    fn next(&mut self, most: usize, out: &mut Vec<u8>) -> bool;
}

/// The content of an answer.
pub enum Body {
    /// All of it.
    Bytes(Cow<'static, [u8]>),
    /// It is made piece by piece, and nobody knows how long it will be.
    Pieces(Box<dyn Pieces>),
    /// It is fetched piece by piece from something that whoever answers has open.
    Stored {
        /// Where it starts.
        at: u64,
        /// How many bytes it has.
        length: u64,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Pieces(_) => f.write_str("Pieces"),
            Self::Stored { at, length } => write!(f, "Stored({at}, {length})"),
        }
    }
}

/// An answer to one request.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// The fields beside those that say how it is sent: Date, Content-Length, Transfer-Encoding,
    /// Connection. A value holds no control character.
    pub fields: Vec<(&'static str, Cow<'static, str>)>,
    /// The content.
    pub body: Body,
}

impl Response {
    /// An answer without content.
    #[must_use]
    pub fn empty(status: Status) -> Self {
        Self { status, fields: Vec::new(), body: Body::Bytes(Cow::Borrowed(&[])) }
    }

    /// An answer in words, which nobody keeps.
    #[must_use]
    pub fn text(status: Status, text: &'static str) -> Self {
        let body = Body::Bytes(Cow::Borrowed(text.as_bytes()));
        let response = Self { status, fields: Vec::new(), body };
        response.with("Content-Type", "text/plain").with("Cache-Control", "no-store")
    }

    /// An answer that sends the client to another place, which may be another one tomorrow.
    #[must_use]
    pub fn redirect(place: String) -> Self {
        Self::text(Status::Found, "It is somewhere else.\n").with("Location", place)
    }

    /// The answer to a method that reads nothing (RFC 9110 §15.5.6).
    #[must_use]
    pub fn read_only() -> Self {
        Self::text(Status::MethodNotAllowed, "This can only be read.\n").with("Allow", "GET, HEAD")
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// An answer on its way out.
pub(crate) struct Sending {
    body: Body,
    /// How much of [`Body::Bytes`] is out.
    sent: usize,
    chunked: bool,
    done: bool,
}

/// What an answer needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: all of it is out.
    Done,
    /// The next piece can be made at once, with [`Sending::make`].
    Make,
    /// So many bytes from there are to be fetched, for [`Sending::fetched`].
    Fetch { at: u64, length: usize },
}

impl Sending {
    /// Begins to answer what was `asked`: appends the head to `out`. Says too whether the client
    /// may ask again behind it.
    pub(crate) fn begin(
        response: Response,
        asked: Asked,
        date: Option<SystemTime>,
        out: &mut Vec<u8>,
    ) -> (Self, bool) {
        let Response { status, fields, body } = response;
        let length = match &body {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Stored { length, .. } => Some(*length),
            Body::Pieces(_) => None,
        };
        // RFC 9112 §6.1: no Transfer-Encoding to a client of HTTP/1.0, for whom the end of the
        // connection is the end of the content (§6.3).
        let chunked = length.is_none() && asked.version == Version::Http11;
        let persistent = asked.persistent && (chunked || length.is_some());
        let mut head = format!("HTTP/1.1 {} {}\r\n", status.code(), status.reason());
        let mut field = |name: &str, value: &str| {
            [name, ": ", value, "\r\n"].into_iter().for_each(|part| head.push_str(part));
        };
        if let Some(now) = date {
            field("Date", &fmt_http_date(now));
        }
        fields.iter().for_each(|(name, value)| field(name, value));
        match length {
            // RFC 9110 §8.6, §15.4.5: it would be that of the answer that was not given.
            _ if status == Status::NotModified => {}
            Some(length) => field("Content-Length", &length.to_string()),
            None if chunked => field("Transfer-Encoding", "chunked"),
            None => {}
        }
        match (persistent, asked.version) {
            (false, _) => field("Connection", "close"),
            (true, Version::Http10) => field("Connection", "keep-alive"),
            (true, Version::Http11) => {}
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n");
        let done = asked.head_only || status == Status::NotModified || length == Some(0);
        (Self { body, sent: 0, chunked, done }, persistent)
    }

    /// What it needs to go on.
    pub(crate) fn need(&self) -> Need {
        match self.body {
            _ if self.done => Need::Done,
            Body::Bytes(_) | Body::Pieces(_) => Need::Make,
            Body::Stored { at, length } => {
                Need::Fetch { at, length: length.min(PIECE as u64) as usize }
            }
        }
    }

    /// Appends the next piece of what is at hand to `out`.
    pub(crate) fn make(&mut self, out: &mut Vec<u8>) {
        match &mut self.body {
            Body::Bytes(bytes) => {
                let rest = bytes.get(self.sent..).unwrap_or_default();
                let piece = rest.get(..PIECE).unwrap_or(rest);
                out.extend_from_slice(piece);
                self.sent += piece.len();
                self.done = piece.len() == rest.len();
            }
            Body::Pieces(pieces) => {
                let mut piece = Vec::new();
                self.done = !pieces.next(PIECE, &mut piece);
                if self.chunked {
                    chunk(&piece, self.done, out);
                } else {
                    out.append(&mut piece);
                }
            }
            Body::Stored { .. } => {}
        }
    }

    /// Takes note of a piece that was fetched and goes out now; false if it is not what was asked
    /// for, so that what was promised cannot be kept.
    pub(crate) fn fetched(&mut self, piece: &[u8]) -> bool {
        let Need::Fetch { length: asked, .. } = self.need() else { return false };
        let Body::Stored { at, length } = &mut self.body else { return false };
        let got = piece.len() as u64;
        if piece.is_empty() || piece.len() > asked {
            return false;
        }
        *at += got;
        *length -= got;
        self.done = *length == 0;
        true
    }
}

/// RFC 9112 §7.1. A chunk of no bytes is the last.
fn chunk(piece: &[u8], last: bool, out: &mut Vec<u8>) {
    if !piece.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    if last {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}
