//! Who may come: what operators and strangers write about it.

use std::net::IpAddr;
use std::path::Path;
use websocksy::access::Passwords;
use websocksy::config::from_file;
use websocksy::proto::basic::Credentials;

/// Input: networks and addresses, one a line. What is taken as a network is what a reading of the
/// standard library's says, and it admits what comparing bits says.
pub fn networks(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let lines: Vec<_> = text.lines().collect();
    for line in &lines {
        // What the file's reader takes away or refuses by itself.
        if line.trim_ascii() != *line
            || line.contains(['#', ';', '\'', '"', '\0'])
            || line.is_empty()
        {
            continue;
        }
        let read = from_file(Path::new("f"), format!("[core]\nallow={line}").as_bytes());
        let network = network(line);
        assert_eq!(read.is_ok(), network.is_some(), "{line}: {read:?}");
        let (Ok(config), Some((address, bits))) = (read, network) else { continue };
        for other in lines.iter().filter_map(|line| line.parse::<IpAddr>().ok()) {
            let within = holds(address, bits, other);
            assert_eq!(config.access.admits(other), within, "{line}: {other}");
        }
    }
}

/// An address and the bits of it that count; none if others are set.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) if bits.is_empty() || !bits.bytes().all(|byte| byte.is_ascii_digit()) => {
            return None;
        }
        // A zero in front is the habit of no notation.
        Some(bits) if bits.len() > 1 && bits.starts_with('0') => return None,
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= most)?,
        None => most,
    };
    let behind = wide(address) & !mask(bits + 128 - most);
    if behind != 0 {
        return None;
    }
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() && bits < 96 => None,
        _ => Some((address, bits + 128 - most)),
    }
}

fn holds(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    let (network, address) = (network.to_canonical(), address.to_canonical());
    network.is_ipv4() == address.is_ipv4() && (wide(network) ^ wide(address)) & mask(bits) == 0
}

/// An address's bits, IPv4's behind 96 others.
fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(bits: u32) -> u128 {
    if bits == 0 { 0 } else { u128::MAX << (128 - bits) }
}

/// Input: a file of users, or a request's Authorization. An error names a line that is there, and no
/// hash; credentials are what encoding them again says.
pub fn passwords(input: &[u8]) {
    if let Err((line, problem)) = Passwords::parse(input) {
        let lines = input.split(|byte| *byte == b'\n').count();
        assert!(line <= lines && !problem.chars().any(char::is_control), "{line}: {problem}");
    }
    if let Some(Credentials { user, password }) = Credentials::parse(input) {
        assert!(!user.contains(':') && input.len() >= "Basic ".len() + user.len() + password.len());
        assert!(input.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic")));
    }
}
