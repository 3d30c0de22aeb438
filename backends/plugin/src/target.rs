//! Request targets: a path, and a query behind it (RFC 9112 §3.2.1).

/// The path of a target, without its query.
pub(crate) fn path(target: &[u8]) -> &[u8] {
    target.split(|&byte| byte == b'?').next().unwrap_or_default()
}

/// The value of the first parameter of that name in a target's query, as browsers write it
/// (application/x-www-form-urlencoded).
pub(crate) fn parameter(target: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let at = target.iter().position(|&byte| byte == b'?')?;
    let pairs = target.get(at + 1..)?.split(|&byte| byte == b'&');
    let pairs = pairs.map(|pair| match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (pair.get(..at), pair.get(at + 1..)),
        None => (Some(pair), None),
    });
    let mut named = pairs.filter(|(own, _)| own.is_some_and(|own| of_form(own) == name));
    named.next().map(|(_, value)| of_form(value.unwrap_or_default()))
}

/// The last part of a target's path, with `%41` as what it stands for; none if the path ends in a slash.
pub(crate) fn last_segment(target: &[u8]) -> Option<Vec<u8>> {
    let last = path(target).rsplit(|&byte| byte == b'/').next()?;
    Some(decoded(last, false)).filter(|last| !last.is_empty())
}

fn of_form(text: &[u8]) -> Vec<u8> {
    decoded(text, true)
}

/// `%41`, and in a form `+`, as what they stand for; what stands for nothing as it is.
fn decoded(text: &[u8], is_form: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| byte == b'%').and_then(|digits| {
            let digits = str::from_utf8(digits).ok()?;
            // `from_str_radix` alone would take a sign.
            let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            if plain { u8::from_str_radix(digits, 16).ok() } else { None }
        });
        rest = if escaped.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
        bytes.push(match escaped {
            Some(escaped) => escaped,
            None if byte == b'+' && is_form => b' ',
            None => byte,
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_query() {
        let cases: [(&[u8], Option<&str>); 16] = [
            (b"/", None),
            (b"/?", None),
            (b"/?token", Some("")),
            (b"/?token=", Some("")),
            (b"/?token=a", Some("a")),
            (b"/x/y?a=1&token=b&token=c", Some("b")),
            (b"/?a=token=1&to%6ben=%41+b%2Bc", Some("A b+c")),
            (b"/?token=a=b?c", Some("a=b?c")),
            (b"/?token=%2e%2e", Some("..")),
            (b"/?token=%2e%2e%2fetc%2Fpasswd", Some("../etc/passwd")),
            (b"/?token=a%00b", Some("a\0b")),
            (b"/?token=%", Some("%")),
            (b"/?token=%4", Some("%4")),
            (b"/?token=%+1%zz%41", Some("% 1%zzA")),
            (b"/?Token=a", None),
            (b"/token=a", None),
        ];
        for (target, expected) in cases {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(parameter(target, b"token"), expected, "{}", target.escape_ascii());
        }
    }

    #[test]
    fn the_last_part_of_the_path() {
        let cases: [(&[u8], Option<&str>); 9] = [
            (b"", None),
            (b"/", None),
            (b"/a/", None),
            (b"/a", Some("a")),
            (b"/a/b", Some("b")),
            (b"/a/b?c/d", Some("b")),
            (b"/a+b%2fc", Some("a+b/c")),
            (b"/%", Some("%")),
            (b"*", Some("*")),
        ];
        for (target, expected) in cases {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(last_segment(target), expected, "{}", target.escape_ascii());
        }
    }
}
