//! The elements of a certificate (X.690 §8) that `rustls` has read before, and does not hand out.

/// Tags.
pub(super) const SEQUENCE: u8 = 0x30;
/// The version, which may be left out (RFC 5280 §4.1).
const VERSION: u8 = 0xa0;

/// What of a certificate is behind its issuer: validity, subject, and so on.
pub(super) fn behind_issuer(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut rest, _) = value(certificate, SEQUENCE)?;
    if let Some((_, behind)) = value(rest, VERSION) {
        rest = behind;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    Some(rest)
}

/// The content of an element with this tag, and what is behind it.
pub(super) fn value(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

/// Tag, content, and what is behind it.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        // X.690 §8.1.3.5: so many bytes have the length.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        0..=0x7f => (usize::from(first), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
