//! What the log says of a request: path, Origin, subprotocols. It is kept as long as the session,
//! so each part is cut, and all lie in one piece.

use super::http::Head;

/// The most bytes kept of a part: one more than a log line shows, which then says that there was
/// more.
const MOST: usize = 257;
/// What stands in the log for a value of the query.
const MASK: &[u8] = b"***";

/// Path, Origin, the subprotocols that were offered, the one that was agreed on, the framing.
const PARTS: usize = 5;
/// Before the text stand the ends of its parts, each a number of two bytes.
const ENDS: usize = 2 * PARTS;

/// Parts of a request and of its answer, as sent, but for what is masked or cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary(Box<[u8]>);

impl Summary {
    /// That of a head; with the values of its query if these may be shown.
    #[must_use]
    pub fn of(head: &Head, query_values: bool) -> Self {
        let origin = head.values("origin").next().unwrap_or_default();
        let mut offered = Vec::new();
        for value in head.values("sec-websocket-protocol") {
            for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                let comma: &[u8] = if offered.is_empty() { b"" } else { b"," };
                offered.extend([comma, name].concat());
            }
            if offered.len() > MOST {
                break;
            }
        }
        Self::new([&target(head.target(), query_values), origin, &offered, b"", b""])
    }

    /// That of a head which is not complete, or not well-formed, but has a path.
    #[must_use]
    pub fn of_target(path: &[u8], query_values: bool) -> Self {
        Self::new([&target(path, query_values), b"", b"", b"", b""])
    }

    fn new(parts: [&[u8]; PARTS]) -> Self {
        let cut = parts.map(|part| part.get(..MOST).unwrap_or(part));
        let mut end = ENDS;
        let mut bytes = Vec::with_capacity(ENDS + cut.iter().map(|part| part.len()).sum::<usize>());
        for part in cut {
            end += part.len();
            bytes.extend_from_slice(&(end as u16).to_le_bytes()); // five parts of at most `MOST`
        }
        cut.iter().for_each(|part| bytes.extend_from_slice(part));
        Self(bytes.into_boxed_slice())
    }

    /// The client is let in: with this subprotocol, or an empty one, and this framing.
    pub fn agree(&mut self, subprotocol: &[u8], framing: &[u8]) {
        *self = Self::new([self.part(0), self.part(1), self.part(2), subprotocol, framing]);
    }

    /// What the client sent is not to have these bytes in it: they are masked.
    pub fn conceal(&mut self, secret: &[u8]) {
        let request = [0, 1, 2].map(|index| masked(self.part(index), secret));
        let [path, origin, offered] = &request;
        *self = Self::new([path, origin, offered, self.part(3), self.part(4)]);
    }

    fn part(&self, index: usize) -> &[u8] {
        let Self(bytes) = self;
        let end = |index: usize| {
            let at = bytes.get(2 * index..)?.first_chunk()?;
            Some(usize::from(u16::from_le_bytes(*at)))
        };
        let start = index.checked_sub(1).map_or(Some(ENDS), end);
        let range = start.zip(end(index)).map(|(start, end)| start..end);
        range.and_then(|range| bytes.get(range)).unwrap_or_default()
    }

    /// Path and query; empty if there was none.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.part(0)
    }

    /// The Origin; empty for none.
    #[must_use]
    pub fn origin(&self) -> &[u8] {
        self.part(1)
    }

    /// The subprotocols that the client offered, with commas between them; empty for none.
    #[must_use]
    pub fn offered(&self) -> &[u8] {
        self.part(2)
    }

    /// The one that was agreed on; empty for none.
    #[must_use]
    pub fn agreed(&self) -> &[u8] {
        self.part(3)
    }

    /// The framing of the session; empty for none.
    #[must_use]
    pub fn framing(&self) -> &[u8] {
        self.part(4)
    }
}

/// A text with a mask for each secret in it, and for the beginning of one where the text was cut.
fn masked(text: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let cut = text.len() == MOST && secret.starts_with(rest);
        match rest.strip_prefix(secret).filter(|_| !secret.is_empty()) {
            Some(behind) => {
                shown.extend_from_slice(MASK);
                rest = behind;
            }
            None if cut => {
                shown.extend_from_slice(MASK);
                break;
            }
            None => {
                shown.push(byte);
                rest = behind;
            }
        }
    }
    shown
}

/// A path with its query, whose values are masked unless they may be shown: a browser cannot send
/// header fields with a WebSocket, so tokens and passwords come in the query.
fn target(target: &[u8], query_values: bool) -> Vec<u8> {
    let query = target.iter().position(|byte| *byte == b'?').map(|at| target.split_at(at + 1));
    let Some((path, query)) = query.filter(|_| !query_values) else { return target.to_vec() };
    let mut shown = path.to_vec();
    for (n, pair) in query.split(|byte| *byte == b'&').enumerate() {
        if shown.len() > MOST {
            break;
        }
        if n > 0 {
            shown.push(b'&');
        }
        let name = pair.iter().position(|byte| *byte == b'=').map_or(0, |at| at + 1);
        let (name, value) = pair.split_at(name);
        shown.extend_from_slice(name);
        shown.extend_from_slice(if value.is_empty() { b"" } else { MASK });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::http::HeadParser;
    use super::*;

    fn head(text: &str) -> Head {
        let mut parser = HeadParser::new();
        assert_eq!(parser.push(text.as_bytes()), Ok(Some(text.len())));
        parser.finish()
    }

    #[test]
    fn values_of_the_query_are_masked() {
        let cases = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/?", "/?"),
            ("/?secret", "/?***"),
            ("/?token=secret", "/?token=***"),
            ("/a?token=se?cr=et&room=&b", "/a?token=***&room=&***"),
            ("/a?&=x", "/a?&=***"),
        ];
        for (sent, shown) in cases {
            assert_eq!(target(sent.as_bytes(), false), shown.as_bytes(), "{sent}");
            assert_eq!(target(sent.as_bytes(), true), sent.as_bytes());
        }
    }

    #[test]
    fn secrets_are_masked() {
        let long = format!("/{}secret", "x".repeat(MOST - 4));
        let cases = [
            ("/", "/"),
            ("/secret", "/***"),
            ("/a/secret/secretsecret/secre", "/a/***/******/secre"),
            (&long[..], &format!("/{}***", "x".repeat(MOST - 4))),
        ];
        for (path, shown) in cases {
            let mut summary = Summary::of_target(path.as_bytes(), false);
            summary.conceal(b"secret");
            let shown = shown.as_bytes().get(..MOST).unwrap_or(shown.as_bytes());
            assert_eq!(summary.path(), shown, "{path}");
            summary.conceal(b"");
            assert_eq!(summary.path(), shown, "nothing is no secret");
        }
    }

    #[test]
    fn parts_are_kept_apart() {
        let text = "GET /x?a=b HTTP/1.1\r\nOrigin: http://o\r\nSec-WebSocket-Protocol: p , q\r\n\
                    Sec-WebSocket-Protocol: r\r\n\r\n";
        let mut summary = Summary::of(&head(text), false);
        assert_eq!(summary.agreed(), b"");
        summary.agree(b"q", b"auto");
        assert_eq!(summary.framing(), b"auto");
        let parts = [summary.path(), summary.origin(), summary.offered(), summary.agreed()];
        assert_eq!(parts, [&b"/x?a=***"[..], b"http://o", b"p,q,r", b"q"]);
        let bare = Summary::of(&head("GET / HTTP/1.1\r\n\r\n"), false);
        let parts = [bare.path(), bare.origin(), bare.offered(), bare.agreed()];
        assert_eq!(parts, [&b"/"[..], b"", b"", b""]);
        assert_eq!(Summary::of_target(b"/?a=b", false).path(), b"/?a=***");
    }

    #[test]
    fn long_parts_are_cut() {
        let long = "x".repeat(9000);
        let text = format!(
            "GET /{long} HTTP/1.1\r\nOrigin: {long}\r\nSec-WebSocket-Protocol: {long}\r\n\r\n"
        );
        let mut summary = Summary::of(&head(&text), false);
        summary.agree(long.as_bytes(), b"");
        for part in [summary.path(), summary.origin(), summary.offered(), summary.agreed()] {
            assert_eq!(part.len(), MOST);
        }
        let query = format!("/?{}", "a=b&".repeat(9000));
        assert_eq!(Summary::of_target(query.as_bytes(), false).path().len(), MOST);
    }
}
