//! Who may come, whose word is taken for it, and what may be reached: address lists, rates and
//! passwords. Pure: addresses and the time in, verdicts out.

mod lists;
mod passwords;
mod peers;
mod proxies;
mod rate;
mod users;

pub use lists::{AccessList, Verdict};
pub use passwords::{LONGEST_PASSWORD, NotVerified, Passwords, Proof, Verified};
pub use peers::{Barred, PeerList};
pub use proxies::TrustedProxies;
pub use rate::{Rate, Rates};
pub use users::Users;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Why a client is not let in before anything is done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The lists of `--allow` and `--deny` keep its address out.
    Denied,
    /// Its address begins sessions faster than `--rate` allows.
    TooFast {
        /// Seconds until it may begin another one.
        retry_after: u32,
    },
    /// There are as many clients as `--max-connections` allows.
    Full,
    /// There are as many clients from its address as `--max-per-address` allows.
    FullForAddress,
    /// The system watches no further socket.
    Unwatched,
    /// Others came while it took its time with the handshake, and there was no place left.
    Displaced,
}

impl NotAdmitted {
    /// Its name for logs and metrics: lower case, stable over versions, one for each kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::TooFast { .. } => "rate-limited",
            Self::Full => "limit-reached",
            Self::FullForAddress => "address-limit-reached",
            Self::Unwatched => "out-of-watches",
            Self::Displaced => "displaced",
        }
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "the address is denied",
            Self::TooFast { .. } => "too many new sessions from this address",
            Self::Full => "too many clients",
            Self::FullForAddress => "too many clients from this address",
            Self::Unwatched => "no room to watch one more",
            Self::Displaced => "too many clients, and its handshake was the oldest unfinished one",
        })
    }
}

/// What an address counts as. An IPv6 host has a /64 to itself, as a rule (RFC 6177 §2), and may
/// take a new address from it for each connection; IPv4 in IPv6 form is IPv4.
#[must_use]
pub fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_its_network_and_ipv4_by_itself() {
        for (address, counted) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("2001:db8:1:3::", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            let [address, counted] = [address, counted].map(|text| text.parse().unwrap());
            assert_eq!(counted_as(address), counted);
        }
    }
}
