//! Where an answer ends (RESP, versions 2 and 3): what it means is read by others.

use std::io::{self, ErrorKind};

/// How long the first answer in these bytes is; none if it is not whole.
///
/// # Errors
/// It is no answer.
pub(crate) fn length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let (mut at, mut values) = (0, 1_usize);
    while values > 0 {
        values -= 1;
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let (kind, word) = rest.split_first().unwrap_or((&0, &[]));
        // Minus one stands for nothing at all.
        let number = || -> io::Result<usize> {
            let word = word.get(..end - 1).and_then(|word| str::from_utf8(word).ok());
            match word.and_then(|word| word.parse::<i64>().ok()) {
                Some(-1) => Ok(0),
                Some(number @ 0..=0xffff_ffff) => Ok(usize::try_from(number).unwrap_or(0)),
                _ => Err(ErrorKind::InvalidData.into()),
            }
        };
        at += end + 2;
        match kind {
            b'$' | b'=' | b'!' if word.starts_with(b"-") => _ = number()?,
            b'$' | b'=' | b'!' => at += number()? + 2,
            b'*' | b'~' | b'>' => values += number()?,
            b'%' => values += 2 * number()?,
            b'|' => values += 2 * number()? + 1,
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {}
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
    Ok((at <= bytes.len()).then_some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_answers_end() {
        for whole in [
            "+OK\r\n",
            "-ERR x\r\n",
            ":7\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "$4\r\na\r\nb\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
            "%1\r\n+a\r\n*2\r\n_\r\n#t\r\n",
            "|1\r\n+a\r\n+b\r\n+OK\r\n",
        ] {
            for cut in 0..whole.len() {
                assert_eq!(length(&whole.as_bytes()[..cut]).unwrap(), None, "{whole:?} at {cut}");
            }
            let two = format!("{whole}+more\r\n");
            assert_eq!(length(two.as_bytes()).unwrap(), Some(whole.len()), "{whole:?}");
        }
        for none in ["HTTP/1.1 400 Bad\r\n", "\r\n", "$x\r\n", "$-2\r\n", "*99999999999\r\n"] {
            assert!(length(none.as_bytes()).is_err(), "{none:?}");
        }
    }
}
