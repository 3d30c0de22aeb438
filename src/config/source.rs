//! The addresses that peers are dialled from, as an operator writes them.

use std::net::IpAddr;

use super::{Origin, SourceAddress};
use crate::logging::Escaped;

/// Reads an address; IPv4 in IPv6 form is IPv4.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn read(text: &str, origin: &Origin) -> Result<SourceAddress, String> {
    if text.is_empty() {
        return Err("needs a value".into());
    }
    let address: Option<IpAddr> = text.parse().ok();
    let address = address.map(|address| address.to_canonical()).ok_or_else(|| {
        format!("'{}' is not an address such as 192.0.2.1 or 2001:db8::1", Escaped(text))
    })?;
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || is_broadcast {
        return Err(format!("'{text}' is not an address of one machine, such as 192.0.2.1"));
    }
    Ok(SourceAddress { address, origin: origin.clone() })
}

#[cfg(test)]
mod tests {
    #[test]
    fn sources_are_addresses_of_one_machine() {
        let read = |text| super::read(text, &"--source".into()).map(|source| source.address);
        for (text, is) in [
            ("127.0.0.2", "127.0.0.2"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), is);
        }
        for (text, says) in [
            ("", "value"),
            ("localhost", "'localhost' is not an address such as"),
            ("192.0.2.1:80", "such as 192.0.2.1"),
            ("192.0.2.0/24", "such as 192.0.2.1"),
            ("[::1]", "such as"),
            ("0.0.0.0", "one machine"),
            ("::", "one machine"),
            ("ff02::1", "one machine"),
            ("255.255.255.255", "one machine"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }
}
