//! Origins (RFC 6454), as browsers send them and as an operator writes which ones may connect.

use std::fmt;
use std::net::Ipv6Addr;

/// Which pages may connect: one origin, or many that have something in common.
///
/// | written | pages |
/// |---|---|
/// | `https://desk.example.org` | of that origin, the scheme's default port written or not |
/// | `https://*.example.org` | of all hosts whose names end in `.example.org` |
/// | `http://localhost:*` | of that host on any port |
/// | `chrome-extension://*` | of any origin with that scheme |
/// | `file://`, `null` | whose browser says just that |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    written: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Exactly these bytes.
    Opaque(&'static str),
    /// Any origin of this scheme.
    Scheme(String),
    /// A scheme, hosts and ports.
    Tuple { scheme: String, host: Host, port: Port },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Exact(String),
    /// Names that end in this, which begins with a dot.
    Suffix(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    /// None where the scheme has no default port and none is written.
    Number(Option<u16>),
}

/// Why an origin can admit nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// No scheme and host.
    Form,
    /// There is more than one.
    Several,
    /// Something behind `file://`: browsers send no path.
    FilePath,
    /// An asterisk where it stands for nothing.
    Asterisk,
    /// A host that browsers send in Punycode (RFC 3492).
    NotAscii,
    /// Not a port.
    Port,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "is not an origin such as https://example.org, without a path, nor file:// or null"
            }
            Self::Several => "is more than one origin; give --origin once for each",
            Self::FilePath => "has a path, and browsers send file:// for all files",
            Self::Asterisk => {
                "has an asterisk that stands for nothing: `*.` may come before a name, `:*` behind \
                 it, and `*` in place of both"
            }
            Self::NotAscii => "is not as browsers send it: a name with other letters begins xn--",
            Self::Port => "has a port that is not a number from 1 to 65535",
        })
    }
}

impl OriginPattern {
    /// Reads what the operator wrote.
    ///
    /// # Errors
    /// It can match no origin that a browser sends.
    pub fn parse(written: &str) -> Result<Self, OriginError> {
        let kind = parse(&written.to_ascii_lowercase())?;
        Ok(Self { written: written.into(), kind })
    }

    /// Whether a client with this `Origin` may connect.
    #[must_use]
    pub fn admits(&self, origin: &[u8]) -> bool {
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        let origin = origin.to_ascii_lowercase();
        match &self.kind {
            Kind::Opaque(text) => origin == *text,
            Kind::Scheme(scheme) => origin
                .split_once("://")
                .is_some_and(|(own, host)| own == scheme && !host.is_empty()),
            Kind::Tuple { scheme, host, port } => {
                tuple(&origin).is_some_and(|(own, name, number)| {
                    own == scheme && host.admits(name) && port.admits(number)
                })
            }
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Host {
    fn admits(&self, name: &str) -> bool {
        match self {
            Self::Exact(host) => name == host,
            Self::Suffix(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
        }
    }
}

impl Port {
    fn admits(self, number: Option<u16>) -> bool {
        match self {
            Self::Any => true,
            Self::Number(own) => own == number,
        }
    }
}

/// A pattern in lower case.
fn parse(text: &str) -> Result<Kind, OriginError> {
    match text {
        "null" => return Ok(Kind::Opaque("null")),
        "file://" => return Ok(Kind::Opaque("file://")),
        _ => {}
    }
    let (scheme, rest) = text.split_once("://").ok_or(OriginError::Form)?;
    if text.contains([',', ' ', '\t']) && rest.contains("://") {
        return Err(OriginError::Several);
    }
    if !is_scheme(scheme) || rest.is_empty() {
        return Err(OriginError::Form);
    }
    if scheme == "file" {
        return Err(OriginError::FilePath);
    }
    if rest == "*" {
        return Ok(Kind::Scheme(scheme.into()));
    }
    if !rest.is_ascii() {
        return Err(OriginError::NotAscii);
    }
    let (host, port) = split_port(rest).ok_or(OriginError::Form)?;
    let port = match port {
        None => Port::Number(default_port(scheme)),
        Some("*") => Port::Any,
        Some(digits) => Port::Number(Some(number(digits).ok_or(OriginError::Port)?)),
    };
    let host = match host.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') && is_name(&suffix[1..]) => {
            Host::Suffix(suffix.into())
        }
        _ if host.contains('*') => return Err(OriginError::Asterisk),
        _ if is_name(host) || is_bracketed(host) => Host::Exact(host.into()),
        _ => return Err(OriginError::Form),
    };
    Ok(Kind::Tuple { scheme: scheme.into(), host, port })
}

/// Scheme, host and port of a browser's origin, in lower case (RFC 6454 §6.2).
fn tuple(origin: &str) -> Option<(&str, &str, Option<u16>)> {
    let (scheme, rest) = origin.split_once("://")?;
    let (host, port) = split_port(rest)?;
    let port = match port {
        None => default_port(scheme),
        Some(digits) => Some(number(digits)?),
    };
    Some((scheme, host, port))
}

/// A host and what is behind its colon; an IPv6 address has colons of its own, in brackets.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    let end = match (text.starts_with('['), text.find(':')) {
        (true, _) => text.find(']')? + 1,
        (false, colon) => colon.unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end);
    if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

fn number(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port != 0)
}

/// RFC 3986 §3.1
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// What may be a host, or the name of an extension.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn is_bracketed(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f06_who_is_admitted() {
        let table: [(&str, &[&str], &[&str]); 9] = [
            (
                "https://desk.example.org",
                &[
                    "https://desk.example.org",
                    "HTTPS://Desk.Example.Org",
                    "https://desk.example.org:443",
                ],
                &[
                    "http://desk.example.org",
                    "https://desk.example.org:444",
                    "https://example.org",
                    "null",
                ],
            ),
            (
                "https://desk.example.org:443",
                &["https://desk.example.org"],
                &["https://desk.example.org:80"],
            ),
            (
                "https://*.example.org",
                &["https://a.example.org", "https://a.b.example.org", "https://a.example.org:443"],
                &[
                    "https://example.org",
                    "https://.example.org",
                    "https://evilexample.org",
                    "https://a.example.org:1",
                ],
            ),
            (
                "http://localhost:*",
                &["http://localhost", "http://localhost:3000"],
                &["https://localhost:3000", "http://localhost.example:3000", "http://localhost:x"],
            ),
            (
                "chrome-extension://*",
                &["chrome-extension://abcdef"],
                &["chrome-extension://", "https://a"],
            ),
            ("moz-extension://0e-1", &["moz-extension://0e-1"], &["moz-extension://0e-2"]),
            ("file://", &["file://"], &["file:///a", "null"]),
            ("null", &["null", "NULL"], &["", "nul", "null null"]),
            ("http://[::1]:8080", &["http://[::1]:8080"], &["http://[::1]", "http://::1:8080"]),
        ];
        for (pattern, admitted, others) in table {
            let pattern = OriginPattern::parse(pattern).unwrap();
            for origin in admitted {
                assert!(pattern.admits(origin.as_bytes()), "{pattern} admits {origin}");
            }
            for origin in others {
                assert!(!pattern.admits(origin.as_bytes()), "{pattern} does not admit {origin}");
            }
        }
        assert!(!OriginPattern::parse("https://*.org").unwrap().admits(b"https://\xff.org"));
    }

    #[test]
    fn f06_what_admits_nobody() {
        let table = [
            ("", OriginError::Form),
            ("*", OriginError::Form),
            ("a.org", OriginError::Form),
            ("https://", OriginError::Form),
            ("://a.org", OriginError::Form),
            ("https://a.org/", OriginError::Form),
            ("https://a.org?q", OriginError::Form),
            ("https://u@a.org", OriginError::Form),
            ("*://a.org", OriginError::Form),
            ("https://[::1", OriginError::Form),
            ("https://a.org,https://b.org", OriginError::Several),
            ("file:///usr", OriginError::FilePath),
            ("https://a.*.org", OriginError::Asterisk),
            ("https://*a.org", OriginError::Asterisk),
            ("https://bücher.org", OriginError::NotAscii),
            ("https://a.org:0", OriginError::Port),
            ("https://a.org:65536", OriginError::Port),
            ("https://a.org:", OriginError::Port),
        ];
        for (written, error) in table {
            assert_eq!(OriginPattern::parse(written), Err(error), "{written}");
        }
    }
}
