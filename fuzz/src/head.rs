//! The request head: how it is cut makes no difference, and what it says is what was sent.

use super::script::Script;
use websocksy::proto::http::{Head, HeadParser, HttpError, Limits};

/// How far a head was read: it ends, it goes on, or it is refused.
type Progress = Result<Option<usize>, HttpError>;

/// What a head says: its target, and names and values.
type Content = (Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

/// Input: a cut as a word, and a head.
pub fn head(input: &[u8]) {
    let mut script = Script::new(input);
    let cut = usize::from(script.word());
    let bytes = script.rest();
    let (first, second) = bytes.split_at(cut % (bytes.len() + 1));

    let whole = parse(HeadParser::new(), &[bytes]);
    let halves = parse(HeadParser::new(), &[first, second]);
    assert_eq!(whole, halves, "cut at {}", first.len());
    if let (Ok(Some(end)), Some(content)) = whole {
        check_lines(&bytes[..end], &content);
        check_written_again(&content);
    }
}

/// Gives the pieces to a parser; what came of it, and the head if there is one.
fn parse(mut parser: HeadParser, pieces: &[&[u8]]) -> (Progress, Option<Content>) {
    let mut before = 0;
    for piece in pieces {
        let progress = parser.push(piece);
        match progress {
            Ok(None) => before += piece.len(),
            Ok(Some(end)) => {
                assert!(end <= piece.len(), "took more than it was given");
                return (Ok(Some(before + end)), Some(content(&parser.finish())));
            }
            Err(error) => {
                assert_eq!(parser.push(b"GET"), Err(error), "an error is final");
                return (Err(error), None);
            }
        }
    }
    (Ok(None), None)
}

fn content(head: &Head) -> Content {
    let fields = head.fields().map(|(name, value)| (name.to_vec(), value.to_vec()));
    (head.target().to_vec(), fields.collect())
}

/// What was accepted, read again the simple way: by lines (RFC 9112 §2.1).
fn check_lines(head: &[u8], (target, fields): &Content) {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let lines = head.strip_suffix(b"\r\n\r\n").expect("an end");
    assert!(!lines.iter().any(|byte| matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 127)));
    let mut lines = text(lines).split("\r\n").map(str::to_owned).collect::<Vec<_>>().into_iter();

    let request = lines.next().expect("a request line");
    let asked = request.strip_prefix("GET ").and_then(|rest| rest.rsplit_once(" HTTP/1."));
    let (asked, minor) = asked.expect("a request for HTTP/1");
    assert!(matches!(minor.as_bytes(), [b'1'..=b'9']), "{minor}");
    assert!(!asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_graphic()));
    let path = text(target);
    assert!(
        path.starts_with('/') && (asked.ends_with(&path) || path == "/" || asked.contains('?'))
    );

    assert_eq!(lines.len(), fields.len());
    for (line, (name, value)) in lines.zip(fields) {
        assert!(!line.contains(['\r', '\n']));
        let (before, after) = line.split_once(':').expect("a colon");
        assert_eq!(before, text(name));
        assert!(!name.is_empty() && name.iter().all(u8::is_ascii_graphic));
        assert_eq!(after.trim_matches([' ', '\t']), text(value));
    }
}

/// Bytes as text, each a character of its own.
fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// What was understood, written plainly, is understood alike.
fn check_written_again(content: &Content) {
    let (target, fields) = content;
    let mut plain = [b"GET ", target.as_slice(), b" HTTP/1.1\r\n"].concat();
    for (name, value) in fields {
        plain.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
    }
    plain.extend(b"\r\n");
    // A space after each colon may be more than the client spent.
    let limits = Limits { line: plain.len(), head: plain.len(), ..Limits::default() };
    let again = parse(HeadParser::with_limits(limits), &[&plain]);
    assert_eq!(again, (Ok(Some(plain.len())), Some(content.clone())));
}
