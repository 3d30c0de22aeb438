//! Proxies whose word is taken for who a client is.

use std::net::IpAddr;

use ipnet::IpNet;

/// The proxies in front of this daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl TrustedProxies {
    /// Trusts the addresses of one more network.
    pub fn push(&mut self, network: IpNet) {
        self.networks.push(network);
    }

    /// Trusts who connects over Unix sockets, whose permissions say who may.
    pub fn push_unix(&mut self) {
        self.unix = true;
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.unix && self.networks.is_empty()
    }

    /// Whether there is any with an IP address.
    #[must_use]
    pub fn has_networks(&self) -> bool {
        !self.networks.is_empty()
    }

    /// Whether this is one, by its address, or on a Unix socket where it has none; IPv4 in IPv6 form is
    /// IPv4.
    #[must_use]
    pub fn trusts(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address.map(|address| address.to_canonical()) else { return self.unix };
        self.networks.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_are_named_are_trusted() {
        let mut proxies = TrustedProxies::default();
        assert!(proxies.is_empty() && !proxies.has_networks());
        assert!(!proxies.trusts(None) && !proxies.trusts(Some([192, 0, 2, 1].into())));
        proxies.push("192.0.2.0/24".parse().unwrap());
        assert!(!proxies.is_empty() && proxies.has_networks());
        for (address, is_trusted) in [
            ("192.0.2.255", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.3.1", false),
            ("::1", false),
            ("::192.0.2.1", false),
        ] {
            assert_eq!(proxies.trusts(Some(address.parse().unwrap())), is_trusted, "{address}");
        }
        assert!(!proxies.trusts(None));
        proxies.push_unix();
        assert!(proxies.trusts(None));
        proxies.clear();
        assert!(proxies.is_empty());
    }
}
