//! Where the daemon shows what it does: `ADDRESS [public] [NAME...]`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{Listen, ListenAddress, ListenWords, Origin};
use crate::logging::Escaped;

/// The address of the operator's own pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub address: AdminAddress,
    /// Names that requests may give as `Host`, beside the address and `localhost`; lower case.
    pub names: Vec<String>,
    /// Where that was written.
    pub origin: Origin,
}

/// Where the operator's own pages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A TCP port of one address, or of all.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", Escaped(path.as_os_str().as_encoded_bytes())),
        }
    }
}

impl Admin {
    /// The listener. Its socket file is for the daemon's user alone.
    #[must_use]
    pub fn listen(&self) -> Listen {
        let (address, mode) = match &self.address {
            AdminAddress::Tcp(own) => {
                let (host, port) = (own.ip().to_string(), Some(own.port()));
                (ListenAddress::Tcp { host, port }, None)
            }
            AdminAddress::Unix(path) => (ListenAddress::Unix(path.clone()), Some(0o600)),
        };
        let words = ListenWords { mode, ..ListenWords::default() };
        Listen { address, words, origin: Some(self.origin.clone()) }
    }

    /// Whether a request may call us `host`: an address that we listen on, `localhost`, or a name
    /// of the operator's. Any other name may be somebody's that resolves to our address, so that
    /// pages of theirs could read ours (DNS rebinding).
    #[must_use]
    pub fn answers_to(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host) else { return false };
        let name = without_port(host);
        let named = |known: &str| known.eq_ignore_ascii_case(name);
        if named("localhost") || self.names.iter().any(|known| named(known)) {
            return true;
        }
        let literal = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match (&self.address, literal) {
            // Who listens everywhere has many addresses, and none of them is a name.
            (AdminAddress::Tcp(own), Ok(ip)) => own.ip().is_unspecified() || own.ip() == ip,
            (AdminAddress::Unix(_), _) | (_, Err(_)) => false,
        }
    }
}

/// The host of `HOST[:PORT]`; an IPv6 address keeps its brackets.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Reads what the operator wrote.
pub(super) fn read(value: &str, origin: &Origin) -> Result<Admin, String> {
    let mut words = value.split_ascii_whitespace();
    let address = address(words.next().unwrap_or_default())?;
    let (public, names): (Vec<_>, Vec<_>) = words.partition(|word| *word == "public");
    if let Some(odd) = names.iter().find(|name| !is_name(name)) {
        return Err(format!("'{}' is neither public nor a host name", Escaped(odd)));
    }
    match &address {
        AdminAddress::Tcp(own) if public.is_empty() && !own.ip().is_loopback() => Err(format!(
            "'{own}' is for more than this machine; write '{own} public' to show sessions to \
             everybody who reaches it and let them be closed"
        )),
        _ => {
            let names = names.into_iter().map(str::to_ascii_lowercase).collect();
            Ok(Admin { address, names, origin: origin.clone() })
        }
    }
}

fn address(word: &str) -> Result<AdminAddress, String> {
    if let Some(path) = word.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !Path::new(path).is_absolute() {
            return Err(format!("'{}' needs an absolute path", Escaped(word)));
        }
        return Ok(AdminAddress::Unix(path.into()));
    }
    let localhost = word.strip_prefix("localhost:").map(str::parse::<u16>);
    let address = match localhost {
        Some(Ok(port)) => Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        _ => word.parse().ok(),
    };
    address.map(AdminAddress::Tcp).ok_or_else(|| {
        format!("'{}' is not ADDRESS:PORT, as in 127.0.0.1:9101, or unix:/PATH", Escaped(word))
    })
}

fn is_name(word: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !word.is_empty() && word.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Admin, String> {
        read(value, &Origin::from("--admin"))
    }

    #[test]
    fn loopback_and_unix_are_for_this_machine_and_others_are_public() {
        let cases = [
            ("127.0.0.1:9101", "127.0.0.1:9101"),
            ("127.7.7.7:0", "127.7.7.7:0"),
            ("[::1]:9101", "[::1]:9101"),
            ("localhost:9101", "127.0.0.1:9101"),
            ("0.0.0.0:9101 public", "0.0.0.0:9101"),
            ("[2001:db8::1]:9101 Admin.example public", "[2001:db8::1]:9101"),
            ("unix:/run/ws.sock", "unix:/run/ws.sock"),
            ("unix:///run/ws.sock admin.example", "unix:/run/ws.sock"),
        ];
        for (written, shown) in cases {
            assert_eq!(parse(written).unwrap().address.to_string(), shown, "{written}");
        }
        assert_eq!(parse("127.0.0.1:1 A.b").unwrap().names, ["a.b"]);
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        let cases = [
            ("", "'' is not ADDRESS:PORT"),
            ("9101", "'9101' is not ADDRESS:PORT, as in 127.0.0.1:9101, or unix:/PATH"),
            ("example.org:9101 public", "'example.org:9101' is not ADDRESS:PORT"),
            ("localhost:x", "'localhost:x' is not ADDRESS:PORT"),
            ("unix:run/ws.sock", "'unix:run/ws.sock' needs an absolute path"),
            ("0.0.0.0:9101", "write '0.0.0.0:9101 public' to show sessions to everybody"),
            ("192.0.2.1:9101 admin.example", "is for more than this machine"),
            ("127.0.0.1:9101 http://x", "'http://x' is neither public nor a host name"),
        ];
        for (written, complaint) in cases {
            let error = parse(written).unwrap_err();
            assert!(error.contains(complaint), "{written}: {error}");
        }
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let hosts = |value: &str, hosts: &[&str]| {
            let admin = parse(value).unwrap();
            hosts.iter().map(|host| admin.answers_to(host.as_bytes())).collect::<Vec<_>>()
        };
        let names = ["127.0.0.1:9", "LOCALHOST", "localhost:1", "a.b:80", "evil.test", "192.0.2.1"];
        let here = [true, true, true, false, false, false];
        assert_eq!(hosts("127.0.0.1:9101", &names), here);
        let named = [true, true, true, true, false, false];
        assert_eq!(hosts("127.0.0.1:9101 a.b", &names), named);
        let everywhere = [true, true, true, false, false, true];
        assert_eq!(hosts("0.0.0.0:9101 public", &names), everywhere);
        assert_eq!(
            hosts("[::1]:9101", &["[::1]:9101", "[::1]", "[::2]", "127.0.0.1"])[..2],
            [true; 2]
        );
        assert_eq!(hosts("[::1]:9101", &["[::2]", "127.0.0.1", ""]), [false; 3]);
        assert_eq!(hosts("unix:/x", &["localhost", "127.0.0.1"]), [true, false]);
    }
}
