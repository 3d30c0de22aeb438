//! Where to listen: an address, a name, a path or what was inherited, and words behind it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use super::error::{ConfigError, Origin};
use super::words::{self, ListenWords};
use crate::logging::Escaped;

/// A place to listen, and how its clients are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where that is.
    pub address: ListenAddress,
    /// What the words behind it say.
    pub words: ListenWords,
    /// Where it was written; none for the default.
    pub origin: Option<Origin>,
}

/// Where clients come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// All addresses of a host.
    Tcp {
        /// An address, without brackets, or a host name.
        host: String,
        /// The port, if one is written here; 0 lets the kernel choose.
        port: Option<u16>,
    },
    /// A Unix stream socket.
    Unix(PathBuf),
    /// Sockets that a service manager hands over (sd_listen_fds(3)): those of this name, or all.
    Systemd(Option<String>),
}

impl Default for Listen {
    /// Everywhere.
    fn default() -> Self {
        let address = ListenAddress::Tcp { host: "::".into(), port: None };
        Self { address, words: ListenWords::default(), origin: None }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => {
                let brackets = if is_ipv6(host) { ("[", "]") } else { ("", "") };
                write!(f, "{}{}{}", brackets.0, Escaped(host), brackets.1)?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Unix(path) => {
                write!(f, "{UNIX}{}", Escaped(path.as_os_str().as_encoded_bytes()))
            }
            Self::Systemd(None) => f.write_str(SYSTEMD),
            Self::Systemd(Some(name)) => write!(f, "{SYSTEMD}:{}", Escaped(name)),
        }
    }
}

impl Listen {
    /// Where that is, in one way of writing it, with this port where none is written.
    #[must_use]
    pub fn place(&self, default_port: u16) -> String {
        match &self.address {
            ListenAddress::Tcp { host, port } => {
                let port = Some(port.unwrap_or(default_port));
                // One address can be written in many ways.
                let ip = host.parse::<IpAddr>();
                let host = ip.map_or_else(|_| host.clone(), |ip| ip.to_string());
                ListenAddress::Tcp { host, port }.to_string()
            }
            address @ (ListenAddress::Unix(_) | ListenAddress::Systemd(_)) => address.to_string(),
        }
    }
}

const UNIX: &str = "unix:";
const SYSTEMD: &str = "systemd";

/// Reads an address and the words behind it.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn read(text: &str, origin: &Origin) -> Result<Listen, String> {
    let mut parts = text.split_ascii_whitespace();
    let address = address(parts.next().unwrap_or_default())?;
    let words = words::read(parts, matches!(address, ListenAddress::Unix(_)))?;
    Ok(Listen { address, words, origin: Some(origin.clone()) })
}

fn address(text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix(UNIX) {
        if !path.starts_with('/') {
            return Err(format!("'{}' has no absolute path: unix:/run/name.sock", Escaped(text)));
        }
        return Ok(ListenAddress::Unix(path.into()));
    }
    match text.strip_prefix(SYSTEMD) {
        Some("") => return Ok(ListenAddress::Systemd(None)),
        Some(":") => return Err(format!("'{text}' lacks the name behind the colon")),
        Some(name) if name.starts_with(':') => {
            return Ok(ListenAddress::Systemd(Some(name[1..].into())));
        }
        Some(_) | None => {}
    }
    parse(text).map(|(host, port)| ListenAddress::Tcp { host, port })
}

/// Looks at all that was written: no place twice, and a port that somebody needs.
///
/// # Errors
/// What stands against it, and where.
pub(super) fn check(listens: &[Listen], default_port: u16) -> Result<(), ConfigError> {
    for (index, listen) in listens.iter().enumerate() {
        let same = |other: &&Listen| place(other, default_port) == place(listen, default_port);
        let Some(first) = listens[..index].iter().find(same) else { continue };
        if let (Some(place), Some(origin)) = (place(first, default_port), &listen.origin) {
            let other = first.origin.as_ref().map_or_else(String::new, Origin::to_string);
            let problem = format!("is {place}, which {other} is already");
            return Err(ConfigError::new(origin.clone(), problem));
        }
    }
    Ok(())
}

/// Whether some listener has the port of `--port`.
///
/// # Errors
/// None has: what was written there is for nobody.
pub(super) fn check_port(listens: &[Listen], port: u16, origin: Origin) -> Result<(), ConfigError> {
    let own = |listen: &Listen| match listen.address {
        ListenAddress::Tcp { port: own_port, .. } => Some(own_port.unwrap_or(port)),
        ListenAddress::Unix(_) | ListenAddress::Systemd(_) => None,
    };
    let ports: Vec<_> = listens.iter().map(own).collect();
    if ports.contains(&Some(port)) {
        return Ok(());
    }
    let problem = match ports[..] {
        [Some(own)] => format!("is {port}, and listen says {own}; one of them is enough"),
        _ => format!("is {port}, and no listen needs it; leave it out"),
    };
    Err(ConfigError::new(origin, problem))
}

/// A place that can be had only once; none for a port that the kernel chooses.
fn place(listen: &Listen, default_port: u16) -> Option<String> {
    match &listen.address {
        ListenAddress::Tcp { port, .. } if port.unwrap_or(default_port) == 0 => None,
        _ => Some(listen.place(default_port)),
    }
}

/// A host without brackets, and the port that stands behind it.
type HostPort = (String, Option<u16>);

/// Reads `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT`, or an IPv6 address without brackets.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn parse(text: &str) -> Result<HostPort, String> {
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
        Some(_) if is_ipv6(text) => match text.rsplit_once(':') {
            // Nobody knows where the address ends (RFC 3986 §3.2.2).
            Some((address, port)) if is_ipv6(address) && number(port).is_some() => Err(wrong(
                &format!("wants brackets: [{address}]:{port}, or [{text}] if that is the address"),
            )),
            _ => Ok((text.into(), None)),
        },
        Some((host, port)) if is_host(host) => {
            Ok((host.into(), Some(number(port).ok_or_else(|| wrong(PORT))?)))
        }
        _ => Err(wrong("is not an address or a host name, nor one with a port: [::1]:8001")),
    }
}

const PORT: &str = "has a port that is not a number from 0 to 65535, without zeros in front";

fn number(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with('0');
    (plain && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
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
            ("localhost:010", "zeros"),
            ("::1:8055", "[::1]:8055"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }
}
