//! Places to listen, in variables of the environment whose words end at blanks and colons.

/// A place as digits.
pub fn written(place: &str) -> String {
    place.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// What was written so.
pub fn read(digits: &str) -> Option<String> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    String::from_utf8(pairs.map(byte).collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for place in ["", "[::]:8001", "unix:/run/a b:\\x0aö", "systemd:web"] {
            assert_eq!(read(&written(place)).as_deref(), Some(place));
        }
        for wrong in ["x", "6g", "ff", "6"] {
            assert_eq!(read(wrong), (wrong == "6").then(|| "\x06".into()), "{wrong}");
        }
    }
}
