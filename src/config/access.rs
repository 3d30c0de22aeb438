//! Networks and rates as an operator writes them.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::access::Rate;
use crate::logging::Escaped;

/// More than the loop can accept.
const MAX_COUNT: u32 = 1_000_000;
/// A day: for less than that, `--max-per-address` and a password are better means.
const MAX_SECONDS: u32 = 86_400;

/// Reads `ADDRESS` or `ADDRESS/BITS`; IPv4 in IPv6 form is IPv4.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    network_or("", text)
}

/// The same where something else may stand, which `other` says.
pub(super) fn network_or(other: &str, text: &str) -> Result<IpNet, String> {
    if text.is_empty() {
        return Err("needs a value".into());
    }
    let network = parse(text).ok_or_else(|| {
        let form = "is not an address or a network such as 192.0.2.0/24 or 2001:db8::/32";
        format!("'{}' {form}{other}", Escaped(text))
    })?;
    if network.trunc() != network {
        let right = network.trunc();
        return Err(format!("'{text}' has bits set behind its prefix; the network is {right}"));
    }
    Ok(canonical(network))
}

fn parse(text: &str) -> Option<IpNet> {
    let Some((address, bits)) = text.split_once('/') else {
        return text.parse::<IpAddr>().map(IpNet::from).ok();
    };
    // A zero in front, or a sign, is no notation that another program would read as we do.
    let plain = bits == "0" || bits.starts_with(|first: char| matches!(first, '1'..='9'));
    let bits = bits.parse().ok().filter(|_| plain)?;
    IpNet::new(address.parse().ok()?, bits).ok()
}

/// The network of IPv4 addresses that one of IPv6 stands for (RFC 4291 §2.5.5.2).
fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    // A wider one would have bits set behind its prefix: those that say that it is mapped.
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(MAPPED_BITS)) {
        (Some(v4), Some(bits)) => IpNet::new(v4.into(), bits).unwrap_or(network),
        (Some(_), None) | (None, _) => network,
    }
}

/// Reads `COUNT` or `COUNT/SECONDS`.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let (count, seconds) = text.split_once('/').unwrap_or((text, "1"));
    let within = |text: &str, most: u32| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok())?;
        number.filter(|number| (1..=most).contains(number))
    };
    match (within(count, MAX_COUNT), within(seconds, MAX_SECONDS)) {
        (Some(count), Some(seconds)) => {
            Ok(Rate { count, per: Duration::from_secs(seconds.into()) })
        }
        _ => Err(format!(
            "'{}' is not COUNT or COUNT/SECONDS, such as 10 or 30/60; up to {MAX_COUNT} in up to \
             {MAX_SECONDS} seconds",
            Escaped(text)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_networks_of_one() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("fe80::/10", "fe80::/10"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_network() {
        for (text, says) in [
            ("", "value"),
            ("10.0.0.1/8", "the network is 10.0.0.0/8"),
            ("2001:db8::1/32", "the network is 2001:db8::/32"),
            ("::ffff:10.0.0.1/104", "behind its prefix"),
            ("10.0.0.0/33", "192.0.2.0/24"),
            ("::ffff:0:0/95", "behind its prefix"),
            ("10.0.0.0/08", "192.0.2.0/24"),
            ("10.0.0.0/+8", "192.0.2.0/24"),
            ("10.0.0.0/", "192.0.2.0/24"),
            ("10.0.0.0/255.0.0.0", "192.0.2.0/24"),
            ("10/8", "192.0.2.0/24"),
            ("localhost", "192.0.2.0/24"),
            ("[::1]", "192.0.2.0/24"),
            ("fe80::1%eth0", "192.0.2.0/24"),
            ("10.0.0.0/8,192.168.0.0/16", "192.0.2.0/24"),
            ("all", "192.0.2.0/24"),
        ] {
            let problem = network(text).unwrap_err();
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }

    #[test]
    fn rates_are_counts_in_a_time() {
        let rate_of = |count, seconds| Rate { count, per: Duration::from_secs(seconds) };
        assert_eq!(rate("1"), Ok(rate_of(1, 1)));
        assert_eq!(rate("30/60"), Ok(rate_of(30, 60)));
        assert_eq!(rate("1000000/86400"), Ok(rate_of(1_000_000, 86_400)));
        for text in
            ["", "0", "-1", "+1", "1/0", "1/", "/1", "1/s", "1r/s", "1.5", "1000001", "1/86401"]
        {
            assert!(rate(text).unwrap_err().contains("COUNT/SECONDS"), "{text}");
        }
    }
}
