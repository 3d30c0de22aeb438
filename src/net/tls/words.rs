//! What went wrong, in words for the log.

use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use crate::logging::Escaped;

/// The first bytes of a text that are shown.
const SHOWN: usize = 32;
/// The types that a record begins with (RFC 8446 §5.1).
const RECORD_TYPES: std::ops::RangeInclusive<u8> = 20..=23;

/// What the other end says in place of TLS, if that is so.
pub(super) fn not_tls(input: &[u8]) -> Option<String> {
    let first = input.first()?;
    if RECORD_TYPES.contains(first) {
        return None;
    }
    // A method has capital letters (RFC 9110 §9.1), and no record of TLS begins with one.
    if first.is_ascii_uppercase() && input.windows(8).any(|part| part.starts_with(b" HTTP/")) {
        return Some("it speaks plain HTTP, on a port for TLS".into());
    }
    let shown = input.get(..SHOWN).unwrap_or(input);
    Some(format!("it does not speak TLS: it begins with '{}'", Escaped(shown)))
}

/// An error of TLS.
pub(super) fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => format!("its certificate {}", certificate(error)),
        Error::AlertReceived(alert) => format!("it refused with the TLS alert {}", name(*alert)),
        Error::NoCertificatesPresented => "it has no certificate to show".into(),
        Error::NoApplicationProtocol => "it offers other protocols than http/1.1 (ALPN)".into(),
        Error::PeerIncompatible(why) => format!("it speaks another TLS than we do: {why:?}"),
        error => format!("TLS: {error}"),
    }
}

/// What is wrong with a certificate.
pub(super) fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("expired on {}", date(*not_after))
        }
        CertificateError::Expired => "has expired".into(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}", date(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            match presented.is_empty() {
                true => format!("is not for the name {expected}, nor for any"),
                false => format!("is not for the name {expected} but for {}", presented.join(", ")),
            }
        }
        CertificateError::NotValidForName => "is for another name".into(),
        CertificateError::UnknownIssuer => "is from an unknown issuer".into(),
        error => format!("is not good: {error}"),
    }
}

/// Whether it is for its time alone that a certificate is not good.
pub(super) fn is_of_time(error: &CertificateError) -> bool {
    matches!(
        error,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(|| "a day far off".into(), httpdate::fmt_http_date)
}

/// As RFC 8446 §6 spells it.
fn name(alert: AlertDescription) -> String {
    let mut name = String::new();
    let mut before = 'A';
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
        before = c;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_spelled_as_the_rfc_does() {
        assert_eq!(name(AlertDescription::UnknownCA), "unknown_ca");
        assert_eq!(name(AlertDescription::HandshakeFailure), "handshake_failure");
    }

    #[test]
    fn what_is_no_tls() {
        assert_eq!(not_tls(b""), None);
        assert_eq!(not_tls(b"\x16\x03\x01"), None);
        let http = not_tls(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(http, "it speaks plain HTTP, on a port for TLS");
        assert!(not_tls(b"SSH-2.0-OpenSSH\r\n").unwrap().contains("'SSH-2.0-OpenSSH"));
    }
}
