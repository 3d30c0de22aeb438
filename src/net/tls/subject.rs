//! Whom a certificate is of, as text (RFC 4514).

use super::der::{SEQUENCE, behind_issuer, element, value};
use crate::proto::client_tls::Subject;

const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const BMP_STRING: u8 = 0x1e;

/// The attributes that have names (RFC 4514 §3), in DER.
const NAMES: [(&[u8], &str); 9] = [
    (COMMON_NAME, "CN"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// The subject of a certificate; none if it cannot be read.
pub(super) fn of(der: &[u8]) -> Option<Subject> {
    let (_, _, rest) = element(behind_issuer(der)?)?; // behind the validity
    let (mut sets, _) = value(rest, SEQUENCE)?;
    let (mut names, mut common_name) = (Vec::new(), None);
    while !sets.is_empty() {
        let (mut set, behind) = value(sets, SET)?;
        let mut parts = Vec::new();
        while !set.is_empty() {
            let (attribute, behind) = value(set, SEQUENCE)?;
            let (kind, value) = value(attribute, OBJECT_IDENTIFIER)?;
            if kind == COMMON_NAME && common_name.is_none() {
                common_name = text(value).filter(|name| !name.contains(char::is_control));
            }
            parts.push(part(kind, value)?);
            set = behind;
        }
        names.push(parts.join("+"));
        sets = behind;
    }
    names.reverse(); // RFC 4514 §2.1: the last one first
    Some(Subject { name: names.join(","), common_name })
}

/// An attribute and its value (RFC 4514 §2.3, §2.4).
fn part(kind: &[u8], value: &[u8]) -> Option<String> {
    let known = NAMES.iter().find(|(own, _)| *own == kind);
    match (known, text(value)) {
        (Some((_, name)), Some(text)) => Some(format!("{name}={}", escaped(&text))),
        (Some((_, name)), None) => Some(format!("{name}=#{}", hexadecimal(value))),
        (None, _) => Some(format!("{}=#{}", dotted(kind)?, hexadecimal(value))),
    }
}

/// What a string of X.509 says (RFC 5280 §4.1.2.4); none of other values.
fn text(der: &[u8]) -> Option<String> {
    match element(der)? {
        (UTF8_STRING, bytes, _) => String::from_utf8(bytes.to_vec()).ok(),
        (PRINTABLE_STRING | IA5_STRING, bytes, _) if bytes.is_ascii() => {
            String::from_utf8(bytes.to_vec()).ok()
        }
        (BMP_STRING, bytes, _) => {
            let (pairs, []) = bytes.as_chunks() else { return None };
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// RFC 4514 §2.4; control characters as their bytes, which it allows.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate() {
        let is_special = match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => true,
            ' ' => at == 0 || at == last,
            '#' => at == 0,
            _ => false,
        };
        if c.is_control() {
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).bytes();
            bytes.for_each(|byte| out.push_str(&format!("\\{byte:02x}")));
            continue;
        }
        if is_special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An object identifier in numbers (X.690 §8.19).
fn dotted(bytes: &[u8]) -> Option<String> {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number = 0_u64;
    for byte in bytes {
        number = number.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            match numbers.is_empty() {
                true => {
                    let first = (number / 40).min(2);
                    numbers.extend([first, number - 40 * first]);
                }
                false => numbers.push(number),
            }
            number = 0;
        }
    }
    let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
    (!numbers.is_empty()).then(|| numbers.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attributes of one level of a name: kind, tag and value of each.
    type Set<'a> = &'a [(&'a [u8], u8, &'a [u8])];

    /// A certificate of nothing but a subject.
    fn certificate(attributes: &[Set<'_>]) -> Vec<u8> {
        let wrap = |tag: u8, content: Vec<u8>| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x82], &length[..], &content].concat()
        };
        let sets = attributes.iter().map(|set| {
            let parts = set.iter().map(|(kind, tag, value)| {
                let kind = wrap(OBJECT_IDENTIFIER, kind.to_vec());
                wrap(SEQUENCE, [kind, wrap(*tag, value.to_vec())].concat())
            });
            wrap(SET, parts.collect::<Vec<_>>().concat())
        });
        let subject = wrap(SEQUENCE, sets.collect::<Vec<_>>().concat());
        let before = [0x02, 1, 1, 0x30, 0, 0x30, 0, 0x30, 0].to_vec();
        wrap(SEQUENCE, wrap(SEQUENCE, [before, subject].concat()))
    }

    #[test]
    fn names_are_written_as_rfc_4514_says() {
        const O: &[u8] = &[0x55, 4, 10];
        const DC: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
        const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
        let of = |attributes: &[Set<'_>]| of(&certificate(attributes)).unwrap();
        assert_eq!(of(&[]), Subject::default());
        let subject = of(&[
            &[(DC, IA5_STRING, b"net")],
            &[(DC, IA5_STRING, b"example")],
            &[(O, UTF8_STRING, "B\u{fc}ro, K\u{f6}ln".as_bytes())],
            &[(COMMON_NAME, PRINTABLE_STRING, b"alice"), (O, PRINTABLE_STRING, b"x")],
            &[(COMMON_NAME, BMP_STRING, b"\0b\x20\xac")],
        ]);
        assert_eq!(
            subject.name,
            "CN=b\u{20ac},CN=alice+O=x,O=B\u{fc}ro\\, K\u{f6}ln,DC=example,DC=net"
        );
        assert_eq!(subject.common_name.as_deref(), Some("alice"));
        for (value, written) in [
            (&b" #a "[..], "CN=\\ #a\\ "),
            (b"#a", "CN=\\#a"),
            (b"a\n\0\x7f", "CN=a\\0a\\00\\7f"),
            (b"\"+,;<>\\=", "CN=\\\"\\+\\,\\;\\<\\>\\\\="),
            (b" ", "CN=\\ "),
            (b"", "CN="),
        ] {
            let subject = of(&[&[(COMMON_NAME, UTF8_STRING, value)]]);
            assert_eq!(subject.name, written);
            assert_eq!(subject.common_name.is_some(), !value.contains(&0), "{written}");
        }
        let other = of(&[&[(EMAIL, IA5_STRING, b"a@b")]]);
        assert_eq!(other.name, "1.2.840.113549.1.9.1=#1682000361".to_owned() + "4062");
        assert_eq!(other.common_name, None);
        let bad = of(&[&[(COMMON_NAME, UTF8_STRING, b"\xff")]]);
        assert_eq!((bad.name.as_str(), bad.common_name), ("CN=#0c820001ff", None));
    }

    #[test]
    fn what_is_cut_is_no_subject() {
        let whole = certificate(&[&[(COMMON_NAME, UTF8_STRING, b"a")]]);
        for cut in 0..whole.len() {
            assert_eq!(super::of(&whole[..cut]), None, "{cut}");
        }
    }
}
