//! A part of a file (RFC 9110 §14).

use std::time::SystemTime;

use super::conditions::is_same;
use crate::http::request::Request;

/// What part of a file is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Range {
    /// All of it.
    Whole,
    /// These bytes, both included.
    Part { first: u64, last: u64 },
    /// None of the bytes that are asked for is there.
    Unsatisfiable,
}

/// The part that the request asks for. What is malformed, in another unit or several ranges is passed
/// over, as RFC 9110 §14.2 lets us.
pub(super) fn range_of(request: &Request, length: u64, etag: &str, modified: SystemTime) -> Range {
    let range = request.value("range").filter(|_| is_same(request, etag, modified));
    range.and_then(|range| parse(range, length)).unwrap_or(Range::Whole)
}

/// RFC 9110 §14.1.1, §14.1.2.
fn parse(value: &[u8], length: u64) -> Option<Range> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, set) = text.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(match length.min(suffix) {
            0 => Range::Unsatisfiable,
            part => Range::Part { first: length - part, last: length - 1 },
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    let end = length.saturating_sub(1).min(last);
    if first >= length {
        Some(Range::Unsatisfiable)
    } else {
        Some(Range::Part { first, last: end })
    }
}

/// Digits and nothing else; more than a number can hold are as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}
