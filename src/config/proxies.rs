//! Which proxies are believed, and in what.

use super::access;
use super::words::PROXY_PROTOCOL;
use super::{Config, ConfigError, Listen, ListenAddress, Origin};
use crate::logging::Escaped;
use crate::proto::forwarded::ForwardedHeader;
use crate::proto::proxy::Version;

pub(super) const TRUSTED_PROXY: &str = "trusted-proxy";
pub(super) const FORWARDED_HEADER: &str = "forwarded-header";
pub(super) const SEND_PROXY: &str = "send-proxy";

/// Proxies that connect over Unix sockets, as nginx calls them `unix:`.
const UNIX: &str = "unix";

/// Takes in a network of proxies, or those on Unix sockets.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn trust(config: &mut Config, value: &str) -> Result<(), String> {
    if value.trim_end_matches(':') == UNIX {
        config.proxies.push_unix();
        return Ok(());
    }
    config.proxies.push(access::network_or(&format!(", nor {UNIX}"), value)?);
    Ok(())
}

/// Takes in the field that they write.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn read_header(config: &mut Config, value: &str, origin: &Origin) -> Result<(), String> {
    let is_named = |header: &ForwardedHeader| header.name().eq_ignore_ascii_case(value);
    config.forwarded_header = ForwardedHeader::ALL.into_iter().find(is_named).ok_or_else(|| {
        let [first, second, third] = ForwardedHeader::ALL.map(ForwardedHeader::name);
        format!("'{}' is not {first}, {second} or {third}", Escaped(value))
    })?;
    config.forwarded_header_origin = Some(origin.clone());
    Ok(())
}

/// Takes in what peers are sent.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn send(config: &mut Config, value: &str, origin: &Origin) -> Result<(), String> {
    let known = Version::NAMES.iter().find(|(name, _)| *name == value);
    let (_, version) = known.ok_or_else(|| format!("'{}' is not v1 or v2", Escaped(value)))?;
    config.send_proxy = Some(*version);
    config.send_proxy_origin = Some(origin.clone());
    Ok(())
}

/// Whoever is to be believed is trusted.
///
/// # Errors
/// A setting that would mean nothing, or a listener that nobody could use, without a trusted proxy.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let proxies = &config.proxies;
    if let Some(origin) = config.forwarded_header_origin.as_ref().filter(|_| proxies.is_empty()) {
        let problem =
            format!("is read behind trusted proxies only: say who they are, --{TRUSTED_PROXY}");
        return Err(ConfigError::new(origin.clone(), problem));
    }
    for Listen { address, words, origin } in &config.listen {
        let (Some(origin), true) = (origin, words.proxy_protocol) else { continue };
        let example = match address {
            ListenAddress::Unix(_) if !proxies.trusts(None) => UNIX,
            ListenAddress::Tcp { .. } if !proxies.has_networks() => "CIDR",
            ListenAddress::Systemd(_) if proxies.is_empty() => "CIDR",
            ListenAddress::Unix(_) | ListenAddress::Tcp { .. } | ListenAddress::Systemd(_) => {
                continue;
            }
        };
        let problem = format!(
            "'{PROXY_PROTOCOL}' takes a header from trusted proxies only: say who they are, \
             --{TRUSTED_PROXY} {example}"
        );
        return Err(ConfigError::new(origin.clone(), problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_networks_or_unix() {
        let mut config = Config::default();
        for value in ["192.0.2.0/24", "2001:db8::1", "unix", "unix:"] {
            assert_eq!(trust(&mut config, value), Ok(()), "{value}");
        }
        assert!(config.proxies.trusts(None) && config.proxies.has_networks());
        for (value, says) in [
            ("", "needs a value"),
            (
                "all",
                "'all' is not an address or a network such as 192.0.2.0/24 or 2001:db8::/32, nor unix",
            ),
            ("192.0.2.1/24", "the network is 192.0.2.0/24"),
        ] {
            let problem = trust(&mut config, value).unwrap_err();
            assert!(problem.contains(says), "{value}: {problem}");
        }
    }

    #[test]
    fn the_fields_are_three() {
        let mut config = Config::default();
        let origin = Origin::from(format!("--{FORWARDED_HEADER}"));
        for (value, header) in [
            ("forwarded", ForwardedHeader::Forwarded),
            ("x-real-ip", ForwardedHeader::XRealIp),
            ("X-Forwarded-For", ForwardedHeader::XForwardedFor),
        ] {
            assert_eq!(read_header(&mut config, value, &origin), Ok(()));
            assert_eq!(config.forwarded_header, header);
        }
        let problem = read_header(&mut config, "X-Forwaded-For", &origin).unwrap_err();
        assert_eq!(problem, "'X-Forwaded-For' is not X-Forwarded-For, Forwarded or X-Real-IP");
        let problem = check(&config).unwrap_err().to_string();
        assert!(problem.starts_with("--forwarded-header: ") && problem.contains("--trusted-proxy"));
    }
}
