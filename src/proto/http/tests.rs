use proptest::prelude::*;

use super::*;

/// What a head says, as far as a later reader can see.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    length: usize,
    target: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

type Outcome = Result<Option<Seen>, HttpError>;

/// Parses the pieces as if each had come in a read of its own.
fn parse<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut parser = HeadParser::with_limits(limits);
    let mut before = 0;
    for piece in pieces {
        if let Some(taken) = parser.push(piece)? {
            return Ok(Some(seen(before + taken, parser.finish())));
        }
        before += piece.len();
    }
    Ok(None)
}

fn seen(length: usize, head: Head) -> Seen {
    let fields = head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    Seen { length, target: head.target().to_vec(), fields }
}

/// The outcome, which must be the same whole, byte by byte, and cut in two at every position
/// (of long heads, at some hundreds of positions).
fn every_way(limits: Limits, bytes: &[u8]) -> Outcome {
    let whole = parse(limits, [bytes]);
    assert_eq!(parse(limits, bytes.chunks(1)), whole, "byte by byte: {}", bytes.escape_ascii());
    for cut in (0..=bytes.len()).step_by(1 + bytes.len() / 500) {
        let (a, b) = bytes.split_at(cut);
        assert_eq!(parse(limits, [a, b]), whole, "cut at {cut}: {}", bytes.escape_ascii());
    }
    whole
}

fn accepted(request: &[u8]) -> Seen {
    let outcome = every_way(Limits::default(), request);
    outcome.expect("accepted").expect("complete")
}

/// A request line that is accepted, for the tables of fields.
const LINE: &[u8] = b"GET / HTTP/1.1\r\n";

/// Each row stops with the first byte that cannot be accepted: before it the parser waits, with it
/// and whatever follows it refuses.
#[test]
fn refuses_at_the_first_wrong_byte() {
    use HttpError::*;
    let rows: &[(&str, &[u8], HttpError)] = &[
        ("H01", b"POST / HTTP/1.1\r\n", NotGet),
        ("H01", b"OPTIONS * HTTP/1.1\r\n", NotGet),
        ("H01", b"HEAD /a?b HTTP/1.1\r\n", NotGet),
        ("H02", b"get / HTTP/1.1\r\n", NotGet),
        ("H02", b"GETS / HTTP/1.1\r\n", NotGet),
        ("H03", b"CONNECT h:443 HTTP/1.1\r\n", NotGet),
        ("H04", b"G=", BadMethod),
        ("H04", b"G\"", BadMethod),
        ("H05", b"\x16", Tls),
        ("H06", b"PRI * HTTP/2.0\r\n", OtherVersion),
        ("H07", b"\0", BadMethod),
        ("H08", b"GET /\r", BadTarget),
        ("H09", b"GET / HTTP/1.0\r\n", OldVersion),
        ("H09", b"POST / HTTP/1.0\r\n", OldVersion),
        ("H10", b"GET / HTTP/2.0\r\n", OtherVersion),
        ("H10", b"GET / HTTP/0.9\r\n", OtherVersion),
        ("H10", b"GET / HTTP/3.1\r\n", OtherVersion),
        ("H10", b"HEAD / HTTP/1.2\r\n", NotGet),
        ("H11", b"GET / HTTP/1.32", BadVersion),
        ("H11", b"GET / HTTP/01", BadVersion),
        ("H11", b"GET / HTTP/1.\r", BadVersion),
        ("H11", b"GET / HTTP/1.1x", BadVersion),
        ("H11", b"GET / HTTP/+", BadVersion),
        ("H11", b"GET / h", BadVersion),
        ("H11", b"GET / HTTP/25", BadVersion),
        ("H11", b"GET / HTTPS", BadVersion),
        ("H11", b"GET / \r", BadVersion),
        ("H12 H18", b"GET  ", BadTarget),
        ("H12 H18", b"POST  ", BadTarget),
        ("H13", b"GET\t", BadMethod),
        ("H14", b"GET / HTTP/1.1 ", BadVersion),
        ("H14", b"GET / HTTP/1.1\t", BadVersion),
        ("H14", b"GET /  ", BadVersion),
        ("H15", b"GET /\n", BadLineEnd),
        ("H15", b"GET\n", BadLineEnd),
        ("H15", b"GET / HTTP/1.1\r\r", BadLineEnd),
        ("H16", b"Extra lineGET /", BadVersion),
        ("H17", b"\r\n\r\n\r", BadMethod),
        ("H17", b"\r\n\r\nG", BadMethod),
        ("H17", b"\r\n\r\n\n", BadLineEnd),
        ("H17", b"\r\n\rG", BadLineEnd),
        ("H17", b"\r\r", BadLineEnd),
        ("H17", b"\n", BadLineEnd),
        ("H17", b" ", BadMethod),
        ("H17", b"\r\n ", BadMethod),
        ("H19", b"GET /\0", BadTarget),
        ("H19", b"GET /\x01", BadTarget),
        ("H19", b"GET /\x1f", BadTarget),
        ("H19", b"GET /\x7f", BadTarget),
        ("H19", b"GET /\t", BadTarget),
        ("H21", b"GET * ", BadTarget),
        ("H20", b"GET h:443 ", BadTarget),
        ("H20", b"GET chat ", BadTarget),
        ("H20", b"GET ?a ", BadTarget),
        ("H20", b"GET ftp://h/ ", BadTarget),
        ("H20", b"GET http:/h/ ", BadTarget),
        ("H20", b"GET http:///chat ", BadTarget),
        ("H20", b"GET http://?a ", BadTarget),
        ("H20", b"GET http://u@h/ ", BadTarget),
        ("H20", b"GET http://h:99999/ ", BadTarget),
        ("H20", b"GET http:// ", BadTarget),
        ("H20", b"GET http ", BadTarget),
        ("H63", b"X\r", BadMethod),
        ("H68", b"PROXY ", ProxyHeader),
        ("H68", b"\r\nPROXY ", ProxyHeader),
        ("H68", b"PROXYS / HTTP/1.1\r\n", NotGet),
        ("H68", b"\r\n\r\n\0", ProxyHeader),
    ];
    for &(id, prefix, error) in rows {
        refuses_exactly_at_the_end(id, prefix, error);
    }
}

#[test]
fn refuses_a_field_at_its_first_wrong_byte() {
    use HttpError::*;
    let rows: &[(&str, &[u8], HttpError)] = &[
        ("H24", b"\n", BadLineEnd),
        ("H25", b"Host: h\n", BadLineEnd),
        ("H25", b"Host: \n", BadLineEnd),
        ("H26", b"X: a\rb", BadLineEnd),
        ("H26", b"X\r", BadFieldName),
        ("H26", b"X: a\r ", BadLineEnd),
        ("H26", b"X: a\r\r", BadLineEnd),
        ("H26", b"X: \rb", BadLineEnd),
        ("H27", b"X: a\r\n\rX", BadLineEnd),
        ("H27", b"X: a\r\n\r\r", BadLineEnd),
        ("H28", b"X: a\0", BadFieldValue),
        ("H28", b"X: \0", BadFieldValue),
        ("H28", b"X\0", BadFieldName),
        ("H29", b"X: a\x07", BadFieldValue),
        ("H29", b"X: \x0c", BadFieldValue),
        ("H29", b"X: a\x0b", BadFieldValue),
        ("H29", b"X: a\x7f", BadFieldValue),
        ("H30", b" ", FoldedLine),
        ("H30", b"\t", FoldedLine),
        ("H31", b"badline\r", BadFieldName),
        ("H31", b"badline\n", BadLineEnd),
        ("H32", b"X: a\r\n ", FoldedLine),
        ("H32", b"X: a\r\n\t", FoldedLine),
        ("H33", b"Upgrade ", BadFieldName),
        ("H33", b"Upgrade\t", BadFieldName),
        ("H34", b":", BadFieldName),
    ];
    for &(id, prefix, error) in rows {
        refuses_exactly_at_the_end(id, &[LINE, prefix].concat(), error);
    }
}

/// H35: 17 delimiters, and bytes above ASCII.
#[test]
fn refuses_a_delimiter_in_a_field_name() {
    for &byte in b"\"(),/;<=>?@[\\]{}\x80\xa0\xff" {
        let bytes = [LINE, b"X", &[byte]].concat();
        refuses_exactly_at_the_end("H35", &bytes, HttpError::BadFieldName);
    }
}

fn refuses_exactly_at_the_end(id: &str, prefix: &[u8], error: HttpError) {
    let shown = prefix.escape_ascii();
    let (_, before) = prefix.split_last().expect("a row is not empty");
    assert_eq!(every_way(Limits::default(), before), Ok(None), "{id}: early at {shown}");
    assert_eq!(every_way(Limits::default(), prefix), Err(error), "{id}: at {shown}");
    let more = [prefix, b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"].concat();
    assert_eq!(every_way(Limits::default(), &more), Err(error), "{id}: after {shown}");
}

#[test]
fn an_error_is_final() {
    let mut parser = HeadParser::new();
    assert_eq!(parser.push(b"GET / HTTP/1.0\r\n"), Err(HttpError::OldVersion));
    assert_eq!(parser.push(b"GET / HTTP/1.1\r\n\r\n"), Err(HttpError::OldVersion));
}

#[test]
fn f05_targets() {
    let rows: &[(&str, &str, &str)] = &[
        ("H17", "/", "/"),
        ("H20", "http://h/chat", "/chat"),
        ("H20", "http://h/chat?a=/b", "/chat?a=/b"),
        ("H20", "HTTP://h", "/"),
        ("H20", "http://h?a/b", "/?a/b"),
        ("H20", "ws://h:80/chat", "/chat"),
        ("H20", "wss://[::1]:443/chat", "/chat"),
        ("H20", "https://h/", "/"),
        ("H20", "https://h//", "//"),
        ("H23", "/../../etc/passwd", "/../../etc/passwd"),
        ("H23", "/a%00b", "/a%00b"),
        ("H23", "//x", "//x"),
        ("H23", "/http://h/", "/http://h/"),
        ("H19", "/!$&'()*+,-.0:;=@[]_az~%2F?/??", "/!$&'()*+,-.0:;=@[]_az~%2F?/??"),
        ("H19", "/?f={a|b}^`", "/?f={a|b}^`"),
        ("F5", "/?u=DOM\\alice", "/?u=DOM\\alice"),
        ("F5", "/<a>?\"b\"#c", "/<a>?\"b\"#c"),
        ("F5", "/b\u{fc}ro", "/b\u{fc}ro"),
    ];
    for &(id, sent, target) in rows {
        let request = format!("GET {sent} HTTP/1.1\r\n\r\n");
        assert_eq!(accepted(request.as_bytes()).target, target.as_bytes(), "{id}: {sent}");
    }
}

#[test]
fn fields() {
    type Expected<'a> = &'a [(&'a [u8], &'a [u8])];
    let rows: &[(&str, &[u8], Expected)] = &[
        ("H17", b"", &[]),
        ("H36", b"X:\xa0v\x85\r\n", &[(b"X", b"\xa0v\x85")]),
        ("H37", b"X:\r\n", &[(b"X", b"")]),
        ("H37", b"X: \t \r\n", &[(b"X", b"")]),
        ("H37", b"X:\t v \t\r\n", &[(b"X", b"v")]),
        ("H37", b"X: a \t b\r\n", &[(b"X", b"a \t b")]),
        ("H37", b"X: :a:\r\n", &[(b"X", b":a:")]),
        ("H45", b"hOsT:a\r\nHOST:b\r\nx:c\r\n", &[(b"hOsT", b"a"), (b"HOST", b"b"), (b"x", b"c")]),
        ("H35", b"!#$%&'*+-.09AZ^_`az|~: v\r\n", &[(b"!#$%&'*+-.09AZ^_`az|~", b"v")]),
    ];
    for &(id, lines, expected) in rows {
        let head = accepted(&[LINE, lines, b"\r\n"].concat());
        let fields: Vec<_> = head.fields.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        assert_eq!(fields, expected, "{id}: {}", lines.escape_ascii());
    }
}

/// H17, H58, H65: one empty line before the head; what follows it is not looked at.
#[test]
fn the_head_ends_where_it_ends() {
    let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(accepted(head).length, head.len());
    assert_eq!(accepted(&[b"\r\n", &head[..]].concat()).length, head.len() + 2);
    assert_eq!(accepted(&[&head[..], b"\r\n\r\n"].concat()).length, head.len());
    assert_eq!(accepted(&[&head[..], head].concat()).length, head.len());
    assert_eq!(accepted(&[&head[..], b"\x82\0\n\xff"].concat()).length, head.len());
}

fn line_of(start: &str, length: usize, end: &str) -> String {
    let filler = "a".repeat(length - start.len() - end.len());
    [start, &filler, end].concat()
}

/// H22, H40: the limit of a line is the last length that is accepted.
#[test]
fn line_limit() {
    let request_line = |length| line_of("GET /", length, " HTTP/1.1");
    let field_line = |length| line_of("X: ", length, "");
    let trailing_space = |length| line_of("X: ", length, " ");
    let bare_name = |length| line_of("", length, ":");
    for (length, outcome) in [(16_384, Ok(())), (16_385, Err(HttpError::LineTooLong))] {
        let head = format!("{}\r\n\r\n", request_line(length));
        assert_eq!(every_way(Limits::default(), head.as_bytes()).map(|_| ()), outcome);
        for line in [field_line(length), trailing_space(length), bare_name(length)] {
            let head = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n");
            assert_eq!(every_way(Limits::default(), head.as_bytes()).map(|_| ()), outcome);
        }
    }
}

/// H42: a line that never ends is refused with its first byte too many, in every part of a head.
#[test]
fn endless_lines() {
    let limits = Limits { line: 20, ..Limits::default() };
    let rows: &[(&str, u8)] = &[
        ("", b'A'),
        ("GET /", b'a'),
        ("GET / HTTP/1.1\r\n", b'a'),
        ("GET / HTTP/1.1\r\nX:", b' '),
        ("GET / HTTP/1.1\r\nX: ", b'v'),
        ("GET / HTTP/1.1\r\nX: v", b' '),
        ("GET / HTTP/1.1\r\nX: v\r\nY: ", b'v'),
    ];
    for &(start, byte) in rows {
        let line = start.rsplit('\n').next().map_or(0, str::len);
        let full = [start.as_bytes(), &vec![byte; 20 - line]].concat();
        assert_eq!(every_way(limits, &full), Ok(None), "{start:?}");
        let over = [&full[..], &[byte]].concat();
        assert_eq!(every_way(limits, &over), Err(HttpError::LineTooLong), "{start:?}");
        let far_over = [&full[..], &[byte; 100]].concat();
        assert_eq!(every_way(limits, &far_over), Err(HttpError::LineTooLong), "{start:?}");
    }
}

/// H39, H73.
#[test]
fn field_limit() {
    let head = |fields: usize| [LINE, &b"a:\r\n".repeat(fields), b"\r\n"].concat();
    assert_eq!(accepted(&head(100)).fields.len(), 100);
    assert_eq!(every_way(Limits::default(), &head(101)), Err(HttpError::TooManyFields));
    assert_eq!(parse(Limits::default(), [&head(10_000)[..]]), Err(HttpError::TooManyFields));
}

/// H41, H42: the limit of the head counts every byte, the line ends included.
#[test]
fn head_limit() {
    let head = |length: usize| {
        let fields = format!("X: {}\r\n", "v".repeat(16_000)).repeat(4);
        let rest = length - "GET / HTTP/1.1\r\n".len() - fields.len() - "Y: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\n{fields}Y: {}\r\n\r\n", "v".repeat(rest))
    };
    assert_eq!(accepted(head(65_536).as_bytes()).length, 65_536);
    let over = every_way(Limits::default(), head(65_537).as_bytes());
    assert_eq!(over, Err(HttpError::HeadTooLarge));
    let frames = [head(65_536).as_bytes(), &[0x82; 100_000]].concat();
    assert_eq!(accepted(&frames).length, 65_536);
}

/// Every error is answered with exactly one status (H01 to H42).
#[test]
fn statuses() {
    use HttpError::*;
    let rows: &[(u16, &[HttpError])] = &[
        (400, &[BadMethod, Tls, BadTarget, BadVersion, OldVersion, BadLineEnd, FoldedLine]),
        (400, &[BadFieldName, BadFieldValue]),
        (405, &[NotGet]),
        (431, &[LineTooLong, TooManyFields, HeadTooLarge]),
        (505, &[OtherVersion]),
    ];
    for &(code, errors) in rows {
        for error in errors {
            assert_eq!(error.status().code(), code, "{error}");
        }
    }
}

/// H38, H75.
#[test]
fn authorities() {
    let valid = [
        "h",
        "h:",
        "h:0",
        "h:80",
        "h:65535",
        "h:00080",
        "example.com",
        "127.0.0.1:8001",
        "a_b~c-d",
        "[::1]",
        "[::1]:80",
        "[2001:db8::1]:",
        "[::ffff:192.0.2.1]:1",
        "a%20b",
        "a%2Cb%ff:1",
        "!$&'()*+;=",
    ];
    let invalid = [
        "", ":80", "h:99999", "h:65536", "h:+80", "h:-1", "h:8 0", "h:80:80", "a b", "a,b", "a/b",
        "u@h", "h?", "h#", "[::1", "::1", "[::1]80", "[::1]:x", "[]", "[::g]", "[h]:80", "[::1]]",
        "a%2", "a%", "a%g0", "%", "a%20,b", "a%2%20", "h\\", "h\"", "é",
    ];
    for authority in valid {
        assert!(is_authority(authority.as_bytes()), "{authority:?}");
    }
    for authority in invalid {
        assert!(!is_authority(authority.as_bytes()), "{authority:?}");
    }
    assert!(!is_authority(b"\xff"));
}

/// A half-received head costs about what was received, however it came (E15).
#[test]
fn memory_follows_what_was_received() {
    let head = [LINE, &b"Cookie: 0123456789\r\n".repeat(90)].concat();
    for pieces in [1, 7, 100, head.len()] {
        let mut parser = HeadParser::new();
        let mut received = 0;
        for piece in head.chunks(pieces) {
            assert_eq!(parser.push(piece), Ok(None));
            received += piece.len();
            assert!(parser.text.capacity() <= 2 * received + 8, "{received} in {pieces}s");
            assert!(parser.text.len() <= received);
        }
    }
    assert_eq!(HeadParser::new().text.capacity(), 0);
    let mut parser = HeadParser::new();
    let end = LINE.len() + 2;
    assert_eq!(parser.push(&[LINE, b"\r\n", &[0x82; 10_000]].concat()), Ok(Some(end)));
    assert!(parser.finish().text.capacity() <= end);
}

/// The same grammar, written as if the whole head were always there.
fn oracle(bytes: &[u8]) -> Option<Seen> {
    let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let end = start + bytes[start..].windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = bytes[start..end].iter().map(|&b| char::from(b)).collect::<String>();
    let mut lines = head.split("\r\n");
    let (rest, minor) = lines.next()?.strip_prefix("GET ")?.rsplit_once(" HTTP/1.")?;
    let target = matches!(minor.as_bytes(), [b'1'..=b'9']).then_some(rest)?;
    let in_target = |c: char| c > ' ' && c != '\x7f';
    target.starts_with('/').then_some(())?;
    target.chars().all(in_target).then_some(())?;
    let fields = lines.map(oracle_field).collect::<Option<Vec<_>>>()?;
    Some(Seen { length: end + 4, target: latin1(target), fields })
}

fn oracle_field(line: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, value) = line.split_once(':')?;
    let in_name = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(c);
    let in_value = |c: char| c == '\t' || (c >= ' ' && c != '\x7f');
    let good = !name.is_empty() && name.chars().all(in_name) && value.chars().all(in_value);
    good.then(|| (latin1(name), latin1(value.trim_matches([' ', '\t']))))
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u8).collect()
}

const SAMPLE: &[u8] = b"GET /chat?a=b HTTP/1.1\r\nHost: example.com:80\r\nX-Empty:\r\n\
    Cookie: \t a=1; b=\xe9 \r\nUser-Agent: x y\t\r\n\r\n\x82\x80";

/// Bytes that mean something in a head, more often than chance would give them.
fn telling_byte() -> impl Strategy<Value = u8> {
    prop_oneof![prop::sample::select(&b"\r\n \t:/.1G,#\0\x7f\x80"[..]), any::<u8>()]
}

/// A sample with up to three bytes replaced, inserted or removed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0..3, telling_byte());
    prop::collection::vec(edit, 0..4).prop_map(|edits| {
        let mut bytes = SAMPLE.to_vec();
        for (index, kind, byte) in edits {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => _ = bytes.remove(at),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// H57: any damage in any pieces is accepted, and read, as the oracle does.
    #[test]
    fn agrees_with_the_oracle(bytes in damaged(), sizes in prop::collection::vec(1..40_usize, 30)) {
        let mut rest = &bytes[..];
        let pieces = sizes.iter().cycle().map_while(|&size| {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let outcome = parse(Limits::default(), pieces);
        prop_assert_eq!(&outcome, &parse(Limits::default(), [&bytes[..]]));
        prop_assert_eq!(outcome.ok().flatten(), oracle(&bytes));
    }
}

#[test]
fn a_head_that_is_not_complete_has_a_path_once_there_is_one() {
    for (head, target) in [
        ("GET /a", None),
        ("GET /a?b HTTP/1.1\r\nHost:", Some("/a?b")),
        ("POST /a HTTP/1.1\r\nHost:", None),
    ] {
        let mut parser = HeadParser::new();
        let _ = parser.push(head.as_bytes());
        assert_eq!(parser.target(), target.map(str::as_bytes), "{head}");
    }
}

/// Runs are looked for a word at a time: each byte at each place, among bytes that are of the class.
#[test]
fn runs_end_where_their_class_does() {
    for class in [Class::Token, Class::Target, Class::Value] {
        for byte in 0..=255 {
            for (at, filler) in (0..20).flat_map(|at| [(at, b'a'), (at, b'-'), (at, b'0')]) {
                let mut bytes = [filler; 24];
                bytes[at] = byte;
                bytes[21] = b'\r';
                let expected = bytes.iter().position(|&byte| class.run(&[byte]) == 0);
                assert_eq!(Some(class.run(&bytes)), expected, "{byte:#x} at {at}");
            }
        }
    }
}
