//! Who a client is, as far as its connection says.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// An IP address, never IPv4 in IPv6 form, and a TCP port; zero where nobody said one.
    Tcp(SocketAddr),
    /// A Unix socket, which has no name.
    Unix,
}

/// A client's address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientAddr {
    client: Address,
}

impl Address {
    /// The IP address, if it has one.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }

    /// The port, if it is known.
    #[must_use]
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()).filter(|port| *port != 0),
            Self::Unix => None,
        }
    }
}

impl From<SocketAddr> for Address {
    /// IPv4 in IPv6 form (RFC 4291 §2.5.5.2) is IPv4: one address for every list.
    fn from(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        Self::Tcp(if ip == address.ip() { address } else { SocketAddr::new(ip, address.port()) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) if address.port() == 0 => address.ip().fmt(f),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl ClientAddr {
    /// A client that is connected from `address`.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { client: address }
    }

    /// Where the client is.
    #[must_use]
    pub fn address(&self) -> Address {
        self.client
    }
}

impl From<SocketAddr> for ClientAddr {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.into())
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_in_ipv6_form_is_ipv4() {
        for (text, shown) in [
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("[2001:db8::1]:0", "2001:db8::1"),
            ("192.0.2.1:0", "192.0.2.1"),
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(ClientAddr::from(address).to_string(), shown);
        }
        assert_eq!(ClientAddr::new(Address::Unix).to_string(), "unix");
    }

    #[test]
    fn a_port_of_zero_is_not_known() {
        let address = |port| Address::from(SocketAddr::from(([192, 0, 2, 1], port)));
        assert_eq!((address(443).port(), address(0).port()), (Some(443), None));
        assert_eq!(Address::Unix.port(), None);
    }
}
