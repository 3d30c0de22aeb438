//! What went wrong, in words for the log.

use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved,
};

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
    if input.starts_with(b"PROXY ") || input.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
        return Some("it is a PROXY header, which listeners with proxy-protocol take, once".into());
    }
    // A method has capital letters (RFC 9110 §9.1), and no record of TLS begins with one.
    if first.is_ascii_uppercase() && input.windows(8).any(|part| part.starts_with(b" HTTP/")) {
        return Some("it speaks plain HTTP, on a port for TLS".into());
    }
    let shown = input.get(..SHOWN).unwrap_or(input);
    Some(format!("it does not speak TLS: it begins with '{}'", Escaped(shown)))
}

/// Whether the other end says before any keys that it leaves: a `close_notify` of nobody in particular,
/// which `rustls` passes over. Behind it nothing comes (RFC 8446 §6.1).
pub(super) fn is_goodbye(mut records: &[u8]) -> bool {
    const ALERT: u8 = 21;
    const CLOSE_NOTIFY: u8 = 0;
    while let Some((&[kind, _, _, high, low], rest)) = records.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((content, behind)) = rest.split_at_checked(length) else { return false };
        if kind == ALERT && matches!(content, [_, CLOSE_NOTIFY]) {
            return true;
        }
        records = behind;
    }
    false
}

/// Whether a hello is of TLS 1.1 or before (RFC 5246 §7.4.1.2), which `rustls` refuses for what it lacks.
pub(super) fn is_old_hello(input: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    let (Some(&HANDSHAKE), Some(&CLIENT_HELLO)) = (input.first(), input.get(5)) else {
        return false;
    };
    matches!(input.get(9..11), Some([3, 0..=2]))
}

/// Makes the alert about such a hello, which is the last in `out`, one about its version; says why.
pub(super) fn blame_version(out: &mut [u8]) -> String {
    const FATAL: u8 = 2;
    const PROTOCOL_VERSION: u8 = 70; // RFC 8446 §6.2
    if let [.., 21, _, _, 0, 2, FATAL, alert] = out {
        *alert = PROTOCOL_VERSION;
    }
    "it speaks TLS 1.1 at most".into()
}

/// An error of TLS.
pub(super) fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => format!("its certificate {}", certificate(error)),
        Error::AlertReceived(alert) => format!("it refused with the TLS alert {}", name(*alert)),
        Error::NoCertificatesPresented => "it has no certificate to show".into(),
        Error::NoApplicationProtocol => "it offers other protocols than http/1.1 (ALPN)".into(),
        Error::PeerIncompatible(why) => incompatible(why),
        Error::DecryptError => "a record was changed on its way, or is not of this session".into(),
        Error::PeerSentOversizedRecord => "a record is too long".into(),
        Error::InvalidMessage(InvalidMessage::InvalidServerName)
        | Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName) => {
            "it asks for a server by a malformed name (SNI)".into()
        }
        Error::InvalidMessage(why) => format!("it sends malformed TLS ({why:?})"),
        Error::PeerMisbehaved(why) => format!("it breaks the rules of TLS ({why:?})"),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "it breaks the rules of TLS: a message is out of its place".into()
        }
        error => format!("TLS: {error}"),
    }
}

/// What keeps the two ends from speaking.
fn incompatible(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::Tls12NotOffered | PeerIncompatible::ServerDoesNotSupportTls12Or13 => {
            "it speaks TLS 1.1 at most"
        }
        PeerIncompatible::SupportedVersionsExtensionRequired => "it speaks TLS 1.2 at most",
        PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "it speaks no version of TLS that is taken here"
        }
        PeerIncompatible::NoCipherSuitesInCommon => "it has no cipher suite that is taken here",
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::UncompressedEcPointsRequired => {
            "it has no way of key exchange that is taken here (X25519, P-256, P-384)"
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "it takes no signature that a key here can make"
        }
        why => return format!("it speaks another TLS than is spoken here ({why:?})"),
    }
    .into()
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
        CertificateError::BadEncoding => "cannot be read: it is no X.509 in DER".into(),
        CertificateError::BadSignature => "was not signed by who it says".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is for another purpose (its extended key usage)".into()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "is signed in a way that is not taken here, as with SHA-1 or a short key".into()
        }
        CertificateError::Other(error) => match format!("{:?}", error.0).as_str() {
            AUTHORITY => "is an authority's (CA:TRUE), and not one's own".into(),
            "UnsupportedCertVersion" => "is not of X.509 version 3, but older".into(),
            "EndEntityUsedAsCa" => "is signed by one that is no authority".into(),
            other => format!("is not good ({other})"),
        },
        error => format!("is not good: {error}"),
    }
}

/// What the verifier says of an authority's certificate that is shown as somebody's own.
const AUTHORITY: &str = "CaUsedAsEndEntity";

/// Whether it is an authority's.
pub(super) fn is_of_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(error) if format!("{:?}", error.0) == AUTHORITY)
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
    fn faults_are_said_in_plain_words() {
        for (error, says) in [
            (PeerIncompatible::Tls12NotOffered.into(), "it speaks TLS 1.1 at most"),
            (PeerIncompatible::SupportedVersionsExtensionRequired.into(), "it speaks TLS 1.2 at"),
            (PeerIncompatible::NoCipherSuitesInCommon.into(), "it has no cipher suite that is"),
            (PeerMisbehaved::ServerNameMustContainOneHostName.into(), "it asks for a server by a"),
            (Error::DecryptError, "a record was changed on its way"),
            (
                CertificateError::BadEncoding.into(),
                "its certificate cannot be read: it is no X.509",
            ),
            (CertificateError::InvalidPurpose.into(), "its certificate is for another purpose"),
        ] {
            assert!(of(&error).starts_with(says), "{error:?}: {}", of(&error));
        }
    }

    #[test]
    fn who_leaves_before_there_are_keys() {
        let goodbye = b"\x15\x03\x01\0\x02\x01\0";
        let other = b"\x15\x03\x03\0\x02\x01\x5a"; // user_canceled, which a close_notify follows
        assert!(is_goodbye(goodbye) && is_goodbye(&[&other[..], goodbye].concat()));
        assert!(!is_goodbye(other) && !is_goodbye(b"") && !is_goodbye(b"\x16\x03\x01\0\x02\x01\0"));
        for cut in 0..goodbye.len() {
            assert!(!is_goodbye(&goodbye[..cut]), "{cut}");
        }
    }

    #[test]
    fn what_is_no_tls() {
        assert_eq!(not_tls(b""), None);
        assert_eq!(not_tls(b"\x16\x03\x01"), None);
        let http = not_tls(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(http, "it speaks plain HTTP, on a port for TLS");
        for header in [&b"PROXY TCP4 192.0.2.1"[..], b"\r\n\r\n\0\r\nQUIT\n\x21"] {
            assert!(not_tls(header).unwrap().starts_with("it is a PROXY header, which"));
        }
        assert!(not_tls(b"SSH-2.0-OpenSSH\r\n").unwrap().contains("'SSH-2.0-OpenSSH"));
    }
}
