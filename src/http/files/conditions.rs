//! Conditional requests (RFC 9110 §13).

use std::time::{Duration, SystemTime};

use httpdate::parse_http_date;

use crate::http::request::Request;

/// What the conditions of a request come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Answer as if there were none.
    Go,
    /// The client has it.
    NotModified,
    /// What the client holds is of another version.
    Failed,
}

/// RFC 9110 §13.2.2: in this order.
pub(super) fn verdict(request: &Request, etag: &str, modified: SystemTime) -> Verdict {
    let has = |name| request.values(name).next().is_some();
    let changed_since = |name| {
        let date = request.value(name).and_then(date);
        date.map(|date| to_seconds(modified) > date)
    };
    if has("if-match") {
        if !names(request, "if-match", etag, false) {
            return Verdict::Failed;
        }
    } else if changed_since("if-unmodified-since") == Some(true) {
        return Verdict::Failed;
    }
    if has("if-none-match") {
        if names(request, "if-none-match", etag, true) {
            return Verdict::NotModified;
        }
    } else if changed_since("if-modified-since") == Some(false) {
        return Verdict::NotModified;
    }
    Verdict::Go
}

/// Whether a list of entity tags holds ours (RFC 9110 §8.8.3.2); a weak one counts for a weak
/// comparison only.
fn names(request: &Request, field: &'static str, etag: &str, weak: bool) -> bool {
    let mut elements = request.values(field).flat_map(|value| value.split(|&byte| byte == b','));
    elements.any(|element| {
        let element = element.trim_ascii();
        let tag = element.strip_prefix(b"W/").filter(|_| weak).unwrap_or(element);
        element == b"*" || tag == etag.as_bytes()
    })
}

/// Whether what the client holds a part of is still the same (RFC 9110 §13.1.5): the tag has to be
/// strong, and a date exactly that of the file.
pub(super) fn is_same(request: &Request, etag: &str, modified: SystemTime) -> bool {
    let mut values = request.values("if-range");
    let Some(value) = values.next() else { return true };
    value == etag.as_bytes() || date(value) == Some(to_seconds(modified))
}

fn date(value: &[u8]) -> Option<SystemTime> {
    parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

/// HTTP's dates have no parts of seconds.
fn to_seconds(time: SystemTime) -> SystemTime {
    let age = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(age.as_secs())
}
