//! What operators write behind an option, read and judged.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{BackendStep, Config, Origin, PlacedStep};
use crate::logging::{Escaped, Format};
use crate::proto::origin::OriginPattern;

/// What zero seconds mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    Off,
    /// No time at all.
    AtOnce,
    Refused,
}

/// A year: longer is as good as never, and `Instant + Duration` stays far from its end.
const MAX_SECONDS: u64 = 365 * 24 * 60 * 60;

/// The poll's resolution: a shorter deadline would have passed before it began.
const MIN_SECONDS: Duration = Duration::from_millis(1);

pub(super) fn seconds_text(zero: Zero, value: Duration) -> String {
    let never = match zero {
        Zero::Off if value.is_zero() => ", never",
        Zero::Off => "; 0 for never",
        Zero::AtOnce | Zero::Refused => "",
    };
    format!("{}{never}", value.as_secs_f64())
}

pub(super) fn switch(value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(format!("'{}' is neither yes nor no", Escaped(value))),
    }
}

/// A level of compression; none for `off`.
pub(super) fn deflate(value: &str) -> Result<Option<u8>, String> {
    if value == "off" {
        return Ok(None);
    }
    if !cfg!(feature = "deflate") {
        return Err("is not possible: this binary was built without compression".into());
    }
    number(value, &(1..=9)).map(Some).map_err(|why| format!("{why}, nor off"))
}

pub(super) fn filled(value: &str) -> Result<&str, String> {
    if value.is_empty() { Err("needs a value".into()) } else { Ok(value) }
}

pub(super) fn number<N>(value: &str, range: &RangeInclusive<N>) -> Result<N, String>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let digits = value.bytes().all(|b| b.is_ascii_digit()); // `parse` would take a sign
    let number = value.parse().ok().filter(|n| digits && range.contains(n));
    if let Some(number) = number.as_ref().filter(|_| value.len() > 1 && value.starts_with('0')) {
        // Elsewhere that means eight for ten.
        return Err(format!("'{}' begins with a zero: write {number}", Escaped(value)));
    }
    number.ok_or_else(|| {
        format!("'{}' is not a number from {} to {}", Escaped(value), range.start(), range.end())
    })
}

pub(super) fn seconds(value: &str, zero: Zero) -> Result<Duration, String> {
    let range = MIN_SECONDS..=Duration::from_secs(MAX_SECONDS);
    let fits = |d: &Duration| range.contains(d) || (d.is_zero() && zero != Zero::Refused);
    decimal(value).filter(fits).ok_or_else(|| {
        let is_not = if zero == Zero::Refused { "is not" } else { "is neither 0 nor" };
        let shortest = MIN_SECONDS.as_secs_f64();
        let number = format!("a number of seconds from {shortest} to {MAX_SECONDS}");
        format!("'{}' {is_not} {number}", Escaped(value))
    })
}

/// Digits, and perhaps a point and digits: `parse` alone would take `1e3`, `inf` and signs.
fn decimal(value: &str) -> Option<Duration> {
    let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = (plain(whole) && plain(part)).then(|| value.parse().ok())??;
    Duration::try_from_secs_f64(seconds).ok()
}

pub(super) fn log_format(value: &str) -> Result<Format, String> {
    let known = Format::NAMES.iter().find(|(name, _)| *name == value);
    let known = known.map(|(_, format)| *format);
    known.ok_or_else(|| format!("'{}' is neither text nor json", Escaped(value)))
}

/// A path as a request line has it (RFC 9112 §3.2.1).
pub(super) fn path(value: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    if value.starts_with('/') && value.bytes().all(fits) {
        return percent(value).map(|()| value.into());
    }
    let right = "is not a path: it starts with / and has neither a query nor blanks: /healthz";
    Err(format!("'{}' {right}", Escaped(value)))
}

/// RFC 3986 §2.1.
fn percent(value: &str) -> Result<(), String> {
    let is_coded = |part: &str| {
        part.as_bytes()
            .first_chunk()
            .is_some_and(|[a, b]| a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    };
    if value.split('%').skip(1).all(is_coded) {
        return Ok(());
    }
    Err(format!("'{value}' has a % without two hexadecimal digits; a % itself is %25"))
}

/// A path on this server, perhaps with a query and a fragment (RFC 9110 §10.2.2).
pub(super) fn place(value: &str) -> Result<String, String> {
    // Browsers take // and /\ for the beginning of another host.
    let here = value.starts_with('/') && !value.starts_with("//");
    if here && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        if value.split(['?', '#']).next() == Some("/") {
            let right = "leads to where it begins: name a page, such as /vnc.html";
            return Err(format!("'{value}' {right}"));
        }
        return percent(value).map(|()| value.into());
    }
    let right = "is not a path of this server, in characters of a URI: /vnc.html?autoconnect=true";
    Err(format!("'{}' {right}", Escaped(value)))
}

/// Takes in the path of a page. What is said at `/` is one thing.
pub(super) fn put_page(
    config: &mut Config,
    field: fn(&mut Config) -> &mut Option<String>,
    path: String,
) -> Result<(), String> {
    *field(config) = Some(path);
    match (&config.health, &config.web_redirect) {
        (Some(health), Some(_)) if health == "/" => {
            Err("is not for / beside the other of --health and \
             --web-redirect: give --health a path of its own, such as /healthz"
                .into())
        }
        _ => Ok(()),
    }
}

pub(super) fn web_origin(value: &str) -> Result<OriginPattern, String> {
    OriginPattern::parse(value).map_err(|error| format!("'{}' {error}", Escaped(value)))
}

pub(super) fn pair(value: &str, origin: &Origin) -> Result<PlacedStep, String> {
    let (key, value) = value
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| format!("'{}' is not KEY=VALUE", Escaped(value)))?;
    let step = BackendStep::Configure(key.into(), value.into());
    Ok(PlacedStep { step, origin: format!("{origin}: {}", Escaped(key)).into() })
}
