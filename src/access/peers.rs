//! Which addresses a peer may have, after its name is looked up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Metadata services of clouds that are not on a link-local address: who reaches one as the machine
/// itself is told its secrets.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), // Amazon
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),  // Google
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),                  // Alibaba
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),                      // Oracle
];

/// The networks of `--peer-allow`; without any, every address but those that are never meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerList {
    networks: Vec<IpNet>,
}

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// It is in none of the operator's networks.
    Unlisted(IpAddr),
    /// It is link-local (RFC 3927, RFC 4291 §2.5.6) or a metadata service's, where those of AWS,
    /// Azure, Google and others are.
    Guarded(IpAddr),
}

impl Barred {
    /// Its name for logs and metrics: lower case, stable over versions, one for each kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unlisted(_) => "peer-not-allowed",
            Self::Guarded(_) => "peer-link-local",
        }
    }
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlisted(address) => write!(f, "{address} is in no network of --peer-allow"),
            Self::Guarded(address) => write!(
                f,
                "{address} is a link-local or metadata address; --peer-allow {address} would \
                 allow it"
            ),
        }
    }
}

impl PeerList {
    /// Allows one more network.
    pub fn push(&mut self, network: IpNet) {
        self.networks.push(network);
    }

    /// Forgets all networks.
    pub fn clear(&mut self) {
        self.networks.clear();
    }

    /// Whether a peer may have this address.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, address: IpAddr) -> Result<(), Barred> {
        let address = embedded(address);
        if self.networks.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        if is_guarded(address) {
            return Err(Barred::Guarded(address));
        }
        if self.networks.is_empty() { Ok(()) } else { Err(Barred::Unlisted(address)) }
    }
}

/// The IPv4 address that is reached by an IPv6 one: in IPv6 form (RFC 4291 §2.5.5.2), or behind the
/// well-known prefix of translators (RFC 6052 §2.1).
fn embedded(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => v6.into(),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn is_guarded(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    is_link_local || METADATA.contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(networks: &str, address: &str) -> &'static str {
        let mut list = PeerList::default();
        networks.split_whitespace().for_each(|network| list.push(network.parse().unwrap()));
        list.check(address.parse().unwrap()).map_or_else(Barred::name, |()| "")
    }

    #[test]
    fn without_a_list_all_but_what_is_never_meant() {
        for address in ["127.0.0.1", "::1", "10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert_eq!(check("", address), "", "{address}");
        }
        for address in [
            "169.254.169.254",
            "169.254.0.0",
            "169.254.255.255",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "febf:ffff::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "::ffff:192.0.0.192",
        ] {
            assert_eq!(check("", address), "peer-link-local", "{address}");
        }
    }

    #[test]
    fn with_a_list_what_is_in_it() {
        for (networks, address, barred) in [
            ("10.0.0.0/8", "10.1.2.3", ""),
            ("10.0.0.0/8", "::ffff:10.1.2.3", ""),
            ("10.0.0.0/8", "64:ff9b::a01:203", ""),
            ("10.0.0.0/8", "127.0.0.1", "peer-not-allowed"),
            ("10.0.0.0/8", "::1", "peer-not-allowed"),
            ("10.0.0.0/8", "0.0.0.0", "peer-not-allowed"),
            ("10.0.0.0/8 ::1/128", "::1", ""),
            ("10.0.0.0/8", "169.254.169.254", "peer-link-local"),
            ("169.254.169.254/32", "169.254.169.254", ""),
            ("fe80::/10", "fe80::1", ""),
            ("0.0.0.0/0", "169.254.169.254", ""),
        ] {
            assert_eq!(check(networks, address), barred, "{networks}: {address}");
        }
    }
}
