//! Numbers in a configuration.

/// An integer as an operator writes it: decimal, or hexadecimal behind `0x`, with a `-` before it if
/// it is negative.
///
/// A leading zero is refused: C reads such a number as octal, nobody else does, and which of them was
/// meant cannot be told.
pub fn number<T: TryFrom<i128>>(text: &str) -> Option<T> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = hexadecimal.map_or((10, digits), |digits| (16, digits));
    let leading_zero = radix == 10 && digits.len() > 1 && digits.starts_with('0');
    // The standard library takes a sign of its own.
    if leading_zero || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let value = i64::from_str_radix(digits, radix).ok()?;
    T::try_from(sign * i128::from(value)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_hexadecimal_works_and_a_leading_zero_is_an_error() {
        let cases: [(&str, Option<i32>); 24] = [
            ("0", Some(0)),
            ("16", Some(16)),
            ("0x10", Some(16)),
            ("0X1f", Some(31)),
            ("0xFF", Some(255)),
            ("0x0010", Some(16)),
            ("-3", Some(-3)),
            ("-0x10", Some(-16)),
            ("-0", Some(0)),
            ("2147483647", Some(i32::MAX)),
            ("-2147483648", Some(i32::MIN)),
            ("2147483648", None),
            ("99999999999999999999", None),
            ("010", None),
            ("00", None),
            ("-010", None),
            ("0x", None),
            ("x10", None),
            ("", None),
            ("-", None),
            ("+1", None),
            ("--1", None),
            ("0x-1", None),
            (" 1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text), expected, "{text:?}");
        }
        assert_eq!(number::<usize>("-1"), None);
    }
}
