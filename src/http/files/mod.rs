//! A file as an answer: which name a path means, and what is said of the file that has it.
//!
//! All of it is pure. Who opens and reads files is [`crate::offload`].

mod conditions;
mod name;
mod range;
#[cfg(test)]
mod tests;
mod types;

use std::borrow::Cow;
use std::time::SystemTime;

use httpdate::fmt_http_date;

use super::request::Request;
use super::response::{Body, Response};
use crate::proto::http::{Method, Status};
use conditions::{Verdict, verdict};
pub use name::{Name, name_of};
use range::{Range, range_of};
use types::type_of;

/// How a file's bytes are coded (RFC 9110 §8.4.1), and how the file beside the plain one is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
    /// Brotli (RFC 7932).
    Brotli,
}

impl Coding {
    /// What follows the plain file's name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => ".gz",
            Self::Brotli => ".br",
        }
    }

    fn token(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }
}

/// Whether the client takes this coding (RFC 9110 §12.5.3).
#[must_use]
pub fn takes(request: &Request, coding: Coding) -> bool {
    let weight = |name: &str| {
        let values = request.values("accept-encoding");
        let mut elements = values.flat_map(|value| value.split(|&byte| byte == b','));
        elements.find_map(|element| {
            let (token, weight) = weighed(element);
            token.eq_ignore_ascii_case(name.as_bytes()).then_some(weight)
        })
    };
    weight(coding.token()).or_else(|| weight("*")).unwrap_or(false)
}

/// An element of a list with weights, and whether its weight is more than zero (RFC 9110 §12.4.2). One
/// that is no weight says nothing.
fn weighed(element: &[u8]) -> (&[u8], bool) {
    let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let token = parts.next().unwrap_or_default();
    let is_zero = |part: &[u8]| {
        let value = part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="));
        value.is_some_and(|value| matches!(value, b"0" | b"0." | b"0.0" | b"0.00" | b"0.000"))
    };
    (token, !parts.any(is_zero))
}

/// What the system says of a regular file.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Bytes.
    pub length: u64,
    /// When it was last changed.
    pub modified: SystemTime,
    /// How its bytes are coded.
    pub coding: Coding,
    /// Whether there is one with another coding.
    pub varies: bool,
}

/// The answer to a request for the file `name`.
#[must_use]
pub fn answer(request: &Request, name: &Name, facts: &Facts, now: SystemTime) -> Response {
    let etag = etag(facts);
    let date = last_modified(facts, now);
    let body = Body::Stored { at: 0, length: facts.length };
    let described = |status, body| {
        let mut response = Response { status, fields: Vec::new(), body }
            .with("Last-Modified", fmt_http_date(date))
            .with("ETag", etag.clone())
            // The files of a page belong together: each is asked for again, and mostly not sent.
            .with("Cache-Control", "no-cache")
            .with("X-Content-Type-Options", "nosniff");
        if facts.varies {
            response = response.with("Vary", "Accept-Encoding");
        }
        response
    };
    let content = |status, body| {
        let response = described(status, body).with("Content-Type", type_of(name.last()));
        let response = response.with("Accept-Ranges", "bytes");
        match facts.coding {
            Coding::Identity => response,
            coding => response.with("Content-Encoding", coding.token()),
        }
    };
    let nothing = Body::Bytes(Cow::Borrowed(&[]));
    match verdict(request, &etag, date) {
        Verdict::Failed => return described(Status::PreconditionFailed, nothing),
        Verdict::NotModified => return described(Status::NotModified, nothing),
        Verdict::Go => {}
    }
    // RFC 9110 §14.2: Range is for GET.
    let range = if request.method() == Method::Get {
        range_of(request, facts.length, &etag, date)
    } else {
        Range::Whole
    };
    match range {
        Range::Whole => content(Status::Ok, body),
        Range::Part { first, last } => {
            let body = Body::Stored { at: first, length: last - first + 1 };
            let range = format!("bytes {first}-{last}/{}", facts.length);
            content(Status::PartialContent, body).with("Content-Range", range)
        }
        Range::Unsatisfiable => described(Status::RangeNotSatisfiable, nothing)
            .with("Content-Range", format!("bytes */{}", facts.length)),
    }
}

/// A strong validator (RFC 9110 §8.8.3): the file system's clock is fine enough to tell two versions
/// of a file apart.
fn etag(facts: &Facts) -> String {
    let age = facts.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!(
        "\"{:x}-{:x}{}\"",
        age.as_nanos(),
        facts.length,
        facts.coding.suffix().replace('.', "-")
    )
}

/// RFC 9110 §8.8.2.1: never later than the answer. Dates before those that HTTP can write are the
/// first of them.
fn last_modified(facts: &Facts, now: SystemTime) -> SystemTime {
    facts.modified.min(now).max(SystemTime::UNIX_EPOCH)
}

/// The answer to a request for something that is not there, or is no file of ours to give.
#[must_use]
pub fn not_found() -> Response {
    Response::text(Status::NotFound, "There is nothing here.\n")
}

/// The answer to a request for a directory without the `/` that its relative links need.
#[must_use]
pub fn add_slash(request: &Request, name: &Name) -> Response {
    let mut place = name.as_path();
    place.push('/');
    let query = request.target().iter().position(|&byte| byte == b'?');
    if let Some(query) = query.and_then(|at| request.target().get(at..)) {
        name::escape(query, b"/?%", &mut place);
    }
    Response::text(Status::MovedPermanently, "It is a directory.\n").with("Location", place)
}
