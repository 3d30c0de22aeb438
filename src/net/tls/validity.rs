//! Until when a certificate is good (RFC 5280 §4.1.2.5), of files that `rustls` has read before.

use super::der::{SEQUENCE, behind_issuer, element, value};

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last second of a certificate's time, from 1970; none if it cannot be read.
pub(super) fn end(der: &[u8]) -> Option<u64> {
    let (validity, _) = value(behind_issuer(der)?, SEQUENCE)?;
    let (_, _, not_after) = element(validity)?;
    match element(not_after)? {
        (UTC_TIME, text, _) => {
            let year = two(text, 0)?;
            // RFC 5280 §4.1.2.5.1: from 1950 to 2049.
            seconds(if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        (GENERALIZED_TIME, text, _) => seconds(two(text, 0)? * 100 + two(text, 2)?, text.get(4..)?),
        _ => None,
    }
}

/// Two digits.
fn two(text: &[u8], at: usize) -> Option<u64> {
    let &[tens, ones] = text.get(at..)?.first_chunk()?;
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// `MMDDhhmmssZ` of a year, as seconds from 1970.
fn seconds(year: u64, text: &[u8]) -> Option<u64> {
    let part = |n: usize| two(text, 2 * n);
    let (month, day, hour) = (part(0)?, part(1)?, part(2)?);
    let (minute, second) = (part(3)?, part(4)?);
    if text.get(10..) != Some(b"Z") || !(1..=12).contains(&month) || day == 0 || year < 1970 {
        return None;
    }
    // Days from 1970 in a year that begins in March, so that the leap day is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_from_1970() {
        for (year, text, expected) in [
            (1970, "0101000000Z", Some(0)),
            (2000, "0229120000Z", Some(951_825_600)),
            (2026, "1127000000Z", Some(1_795_737_600)),
            (2049, "1231235959Z", Some(2_524_607_999)),
            (9999, "1231235959Z", Some(253_402_300_799)),
            (2026, "1327000000Z", None),
            (2026, "1127000000", None),
            (2026, "112700000xZ", None),
            (1969, "1231235959Z", None),
        ] {
            assert_eq!(seconds(year, text.as_bytes()), expected, "{year} {text}");
        }
    }

    #[test]
    fn the_end_of_made_certificates() {
        for (year, expected) in [(2030, 1_893_456_000), (2060, 2_840_140_800)] {
            let mut params = rcgen::CertificateParams::new(vec!["a.test".into()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let der = params.self_signed(&key).unwrap().der().to_vec();
            assert_eq!(end(&der), Some(expected), "{year}");
            // Cut anywhere it is no certificate, and no panic either.
            assert!((0..der.len()).all(|length| end(&der[..length]).is_none()));
        }
    }
}
