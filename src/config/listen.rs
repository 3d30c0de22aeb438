//! Where to listen: an address or a name, perhaps with a port.

use std::net::Ipv6Addr;

use crate::logging::Escaped;

/// A host without brackets, and the port that stands behind it.
pub(super) type Listen = (String, Option<u16>);

/// Reads `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT`, or an IPv6 address without brackets.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn parse(text: &str) -> Result<Listen, String> {
    let wrong = |right: &str| format!("'{}' {right}", Escaped(text));
    if text.is_empty() {
        return Err("needs a value".into());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) =
            rest.split_once(']').ok_or_else(|| wrong("lacks the bracket that closes"))?;
        if !is_ipv6(address) {
            return Err(wrong("has no IPv6 address in its brackets"));
        }
        let port = match after.strip_prefix(':') {
            Some(port) => Some(number(port).ok_or_else(|| wrong(PORT))?),
            None if after.is_empty() => None,
            None => return Err(wrong("has something else than a port behind the brackets")),
        };
        return Ok((address.into(), port));
    }
    match text.split_once(':') {
        None if is_host(text) => Ok((text.into(), None)),
        Some(_) if is_ipv6(text) => Ok((text.into(), None)),
        Some((host, port)) if is_host(host) => {
            Ok((host.into(), Some(number(port).ok_or_else(|| wrong(PORT))?)))
        }
        _ => Err(wrong("is not an address or a host name, nor one with a port: [::1]:8001")),
    }
}

/// A port that is written in two places is the same in both.
///
/// # Errors
/// What is wrong with the other place.
pub(super) fn one_port(in_listen: u16, port: u16) -> Result<(), String> {
    if in_listen == port {
        return Ok(());
    }
    Err(format!("is {port}, and listen says {in_listen}; one of them is enough"))
}

const PORT: &str = "has a port that is not a number from 0 to 65535";

fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// With or without a zone (RFC 4007 §11).
fn is_ipv6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<Ipv6Addr>().is_ok()
}

/// What may be a name or an IPv4 address; whether it is one, the resolver says.
fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o05_addresses_and_names_with_and_without_a_port() {
        for (text, host, port) in [
            ("::", "::", None),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::]:8055", "::", Some(8055)),
            ("[fe80::1%eth0]:0", "fe80::1%eth0", Some(0)),
            ("127.0.0.1", "127.0.0.1", None),
            ("127.0.0.1:8055", "127.0.0.1", Some(8055)),
            ("localhost:65535", "localhost", Some(65_535)),
            ("desk_1.example.org", "desk_1.example.org", None),
        ] {
            assert_eq!(parse(text), Ok((host.into(), port)), "{text}");
        }
    }

    #[test]
    fn o05_what_is_no_place_to_listen() {
        for (text, says) in [
            ("", "value"),
            ("[::1", "bracket"),
            ("[::1]8055", "behind the brackets"),
            ("[localhost]:1", "IPv6"),
            ("127.0.0.1:65536", "0 to 65535"),
            ("127.0.0.1:", "0 to 65535"),
            ("localhost:+1", "0 to 65535"),
            (":8055", "[::1]:8001"),
            ("*", "[::1]:8001"),
            ("a b", "[::1]:8001"),
            ("tcp://localhost:1", "0 to 65535"),
            ("1::2::3", "0 to 65535"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }
}
