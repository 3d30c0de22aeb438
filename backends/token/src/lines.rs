//! Lines of `token: peer [KEY=VALUE ...]`.

use std::collections::HashMap;
use std::path::PathBuf;
use websocksy_routes::{Options, Route};

/// The peers, by their tokens.
pub(crate) type Table = HashMap<Vec<u8>, Route>;

/// The most lines that are complained about in one reading.
const MOST_COMPLAINTS: usize = 10;

/// What the texts of some files say. Lines that cannot be used are given to `report`, in words that
/// hold no token, and passed over.
pub(crate) fn table(
    texts: Vec<(PathBuf, Vec<u8>)>,
    options: &Options,
    report: impl Fn(String),
) -> Table {
    let (mut table, mut complaints) = (Table::new(), 0_usize);
    for (path, text) in texts {
        for (line, number) in text.split(|&byte| byte == b'\n').zip(1..) {
            let reason = match entry(line, options) {
                None => continue,
                Some(Ok((token, route))) => match table.insert(token, route) {
                    None => continue,
                    Some(_) => "its token stands in a line before: this one counts".to_owned(),
                },
                Some(Err(reason)) => reason,
            };
            complaints += 1;
            if complaints <= MOST_COMPLAINTS {
                report(format!("token: {}:{number}: {reason}", path.display()));
            }
        }
    }
    if let Some(more @ 1..) = complaints.checked_sub(MOST_COMPLAINTS) {
        report(format!("token: {more} more lines are not as they should be"));
    }
    table
}

/// A line's token and what it stands for; none for an empty line and for a comment.
fn entry(line: &[u8], options: &Options) -> Option<Result<(Vec<u8>, Route), String>> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let Some((token, rest)) = split(line) else {
        return Some(Err("it has no colon behind a token: write TOKEN: HOST:PORT".into()));
    };
    if token.is_empty() {
        return Some(Err("it has no token: write TOKEN: HOST:PORT".into()));
    }
    let route = str::from_utf8(rest).map_err(|_| "it is not UTF-8".into());
    let route = route.and_then(|rest| Route::parse(rest, options));
    Some(route.map(|route| (token.to_vec(), route)))
}

/// The token and what stands behind it. A colon that ends the first word ends the token, so that one
/// may have colons in it; without such a blank it is the first colon.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end)?;
    if let Some(token) = word.strip_suffix(b":") {
        return Some((token, rest));
    }
    let colon = word.iter().position(|&byte| byte == b':')?;
    Some((line.get(..colon)?, line.get(colon + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use websocksy_plugin::{Client, Peer};

    /// What a text says, and what is complained of.
    fn read(text: &[u8]) -> (Table, Vec<String>) {
        let said = RefCell::new(Vec::new());
        let texts = vec![("/t".into(), text.to_vec())];
        let table = table(texts, &Options::default(), |line| said.borrow_mut().push(line));
        (table, said.into_inner())
    }

    #[test]
    fn lines_as_websockify_reads_them() {
        let cases: [(&[u8], &[u8], &str); 11] = [
            (b"a: h:1", b"a", "tcp://h:1"),
            (b"a:h:1", b"a", "tcp://h:1"),
            (b"  a: h:1  \r", b"a", "tcp://h:1"),
            (b"a:\th:1", b"a", "tcp://h:1"),
            (b"a:b: h:1", b"a:b", "tcp://h:1"),
            (b"a:unix:///run/x", b"a", "unix:///run/x"),
            (b"a: unix_socket:/run/x", b"a", "unix:///run/x"),
            (b"a:[::1]:1", b"a", "tcp://[::1]:1"),
            (b"a:h:1 protocol=none", b"a", "tcp://h:1"),
            (b"\xff: h:1", b"\xff", "tcp://h:1"),
            (b"#a: x\n\n \n\t# b: y\nc: h:1", b"c", "tcp://h:1"),
        ];
        for (text, token, address) in cases {
            let (table, said) = read(text);
            let peer = table.get(token).map(|route| route.peer(&Client::new(b"/", &[], &[])));
            assert_eq!(peer, Some(Peer::new(address)), "{}", text.escape_ascii());
            assert_eq!((table.len(), said.len()), (1, 0), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn lines_that_cannot_be_used_are_named_and_passed_over() {
        let cases: [(&[u8], &str); 7] = [
            (b"secret", "no colon"),
            (b"secret : h:1", "no colon"),
            (b": h:1", "no token"),
            (b"secret:", "no peer"),
            (b"secret: \xff", "UTF-8"),
            (b"secret: h:1 slow=yes", "none of the options"),
            (b"secret: h:1 protocol=a,b", "subprotocol"),
        ];
        for (line, reason) in cases {
            let (table, said) = read(&[b"good: h:1\n", line, b"\nbetter: h:2"].concat());
            assert_eq!(table.len(), 2, "{}", line.escape_ascii());
            let [said] = &said[..] else { panic!("{said:?}") };
            assert!(said.starts_with("token: /t:2: ") && said.contains(reason), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn the_last_line_of_a_token_counts() {
        let (table, said) = read(b"a: h:1\na: h:2\n");
        let peer = table.get(&b"a"[..]).map(|route| route.peer(&Client::new(b"/", &[], &[])));
        assert_eq!(peer, Some(Peer::new("tcp://h:2")));
        assert_eq!(said, ["token: /t:2: its token stands in a line before: this one counts"]);
    }

    #[test]
    fn complaints_have_an_end() {
        let (_, said) = read(&b"x\n".repeat(1000));
        assert_eq!(said.len(), MOST_COMPLAINTS + 1);
        assert_eq!(said.last().unwrap(), "token: 990 more lines are not as they should be");
    }

    proptest! {
        #[test]
        fn whatever_is_in_a_file(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let lines = text.split(|&byte| byte == b'\n').count();
            let (table, said) = read(&text);
            prop_assert!(table.len() + said.len() <= lines + 1);
        }
    }
}
