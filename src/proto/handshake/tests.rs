use proptest::prelude::*;

use super::super::http::HeadParser;
use super::*;

const BASE: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

/// `BASE` with one piece replaced.
fn edited(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(BASE.matches(from).count(), 1, "{from:?} stands once in BASE");
    BASE.replace(from, to).into_bytes()
}

/// `BASE` with lines after its last field.
fn with(lines: impl AsRef<[u8]>) -> Vec<u8> {
    let fields = &BASE.as_bytes()[..BASE.len() - 2];
    [fields, lines.as_ref(), b"\r\n"].concat()
}

/// The whole way of a request that came in these pieces: parsed, judged, and answered. An
/// accepted one is answered with the first protocol it offers.
fn answer<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    origins: &[OriginPattern],
) -> (u16, Vec<u8>) {
    let mut out = Vec::new();
    match open(pieces, origins) {
        Ok(upgrade) => {
            accept(&upgrade, Some(0), &mut out);
            (101, out)
        }
        Err(status) => {
            refuse(&status.into(), None, &mut out);
            (status.code(), out)
        }
    }
}

fn open<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    origins: &[OriginPattern],
) -> Result<Upgrade, Status> {
    let mut parser = HeadParser::new();
    for piece in pieces {
        if parser.push(piece).map_err(|error| error.status())?.is_some() {
            return judge(parser.finish(), origins).map_err(|refused| refused.status);
        }
    }
    panic!("the head is incomplete");
}

fn opened(request: &[u8]) -> Upgrade {
    open([request], &[]).expect("accepted")
}

/// The status, which must be the same whole, byte by byte, and cut in two at every position (of
/// long requests, at some hundreds of positions).
fn status(request: &[u8], origins: &[OriginPattern]) -> u16 {
    let whole = answer([request], origins);
    assert_eq!(answer(request.chunks(1), origins), whole, "{}", request.escape_ascii());
    for cut in (0..=request.len()).step_by(1 + request.len() / 500) {
        let (a, b) = request.split_at(cut);
        assert_eq!(answer([a, b], origins), whole, "cut at {cut}: {}", request.escape_ascii());
    }
    whole.0
}

/// One row a rule: the case, the answer, and the requests that must get it.
fn check(id: &str, expected: u16, requests: impl IntoIterator<Item = Vec<u8>>) {
    for request in requests {
        assert_eq!(status(&request, &[]), expected, "{id}: {}", request.escape_ascii());
    }
}

/// Requests that differ from `BASE` in one piece.
fn edits<const N: usize>(from: &str, to: [&str; N]) -> [Vec<u8>; N] {
    to.map(|to| edited(from, to))
}

/// RFC 6455 §1.3.
#[test]
fn the_example_of_the_rfc() {
    let request = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\r\n";
    let origins = [OriginPattern::parse("http://example.com").unwrap()];
    assert_eq!(answer([&request[..]], &origins), (101, expected.into()));
    assert_eq!(status(request, &origins), 101);
}

#[test]
fn request_lines() {
    let line = "GET / HTTP/1.1\r\n";
    check("H01", 405, edits("GET /", ["POST /", "PUT /", "HEAD /", "OPTIONS *", "DELETE /"]));
    check("H01", 405, [[&edited("GET", "POST")[..], BASE.as_bytes()].concat()]);
    check("H02 H03", 405, edits("GET /", ["get /", "TRACE /", "CONNECT h:443"]));
    check("H04", 400, edits("GET", ["G=\":<>(e),[T];?\"", "\x16\x03\x01\x02\0\x01", "\0\0\0"]));
    check("H06", 505, [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()]);
    check("H08 H09", 400, edits(line, ["GET /\r\n", "GET / HTTP/1.0\r\n"]));
    check("H10", 505, edits("HTTP/1.1", ["HTTP/2.0", "HTTP/0.9"]));
    check("H10", 101, edits("HTTP/1.1", ["HTTP/1.2", "HTTP/1.9"]));
    check("H12 to H15", 400, edits(line, ["GET  / HTTP/1.1\r\n", "GET\t/\tHTTP/1.1\r\n"]));
    check("H12 to H15", 400, edits(line, ["GET / HTTP/1.1 \r\n", "GET /\nHTTP/1.1\r\n"]));
    check("H16 H18", 400, edits(line, ["Extra lineGET / HTTP/1.1\r\n", "GET  HTTP/1.1\r\n"]));
    check("H17", 101, edits(line, ["\r\nGET / HTTP/1.1\r\n"]));
    check(
        "H17",
        400,
        edits(line, ["\r\n\r\nGET / HTTP/1.1\r\n", "\r\n\r\n\r\nGET / HTTP/1.1\r\n"]),
    );
    check("H20", 101, edits("GET /", ["GET http://h/chat", "GET ws://other?a"]));
    check("H21", 400, edits("GET /", ["GET *", "GET h:443", "GET chat"]));
    check("H63 H68", 400, edits("GET", ["X\r\nfoo\r\nGET", "PROXY TCP4 1 2 3 4\r\nGET"]));
}

/// H20: back ends see path and query only.
#[test]
fn the_endpoint_of_an_absolute_target() {
    assert_eq!(opened(&edited("GET /", "GET http://h/chat?a")).endpoint(), c"/chat?a");
    assert_eq!(opened(&edited("GET /", "GET http://h?a")).endpoint(), c"/?a");
}

/// RFC 9112 §3.2.2: the host in the target is the one that counts.
#[test]
fn the_host_that_is_asked_for() {
    for (target, host) in [
        ("/", Some("h")),
        ("/http://x/", Some("h")),
        ("http://desk.example/a", Some("desk.example")),
        ("WSS://desk.example:443", Some("desk.example")),
        ("ws://desk.example?a//b", Some("desk.example")),
        ("http://192.0.2.1:80/", None),
        ("http://[::1]/", None),
    ] {
        let upgrade = opened(&edited("GET /", &format!("GET {target}")));
        assert_eq!(upgrade.host_name(), host, "{target}");
    }
}

#[test]
fn line_ends_and_field_lines() {
    let host = "Host: h\r\n";
    check("H24", 400, [BASE.replace("\r\n", "\n").into_bytes()]);
    check("H25", 400, edits(host, ["Host: h\n"]));
    check("H30", 400, edits(host, [" Host: h\r\n"]));
    check("H31", 400, edits(host, ["badline\r\nHost: h\r\n"]));
    check("H32", 400, edits(host, ["Host: h\r\n a\r\n", "Host: h\r\n\ta\r\n"]));
    check("H33 H34", 400, edits("Upgrade: w", ["Upgrade : w", "Upgrade\t: w", ": w"]));
    check("H36 H37 H71", 101, [with(b"X:\xa0v\x85\r\n"), with("X:\r\nY:\t v \t\r\n")]);
    check("H71", 101, [with([b"X: ", &[0xff; 8_100][..], b"\r\n"].concat())]);
    check("H39 H73", 431, [with("a:\r\n".repeat(96)), with("a:\r\n".repeat(10_000))]);
    check("H39", 101, [with("a:\r\n".repeat(95))]);
}

/// RFC 9112 §3.2.
#[test]
fn host() {
    let host = "Host: h\r\n";
    check("H38", 400, edits(host, ["", "Host: h\r\nHost: h\r\n", "Host: h\r\nhost: i\r\n"]));
    check(
        "H38",
        400,
        edits(host, ["Host: a b\r\n", "Host: a,b\r\n", "Host:\r\n", "Host: :80\r\n"]),
    );
    check("H75", 400, edits(host, ["Host: h:99999\r\n", "Host: [::1\r\n", "Host: h:x\r\n"]));
    check("H75", 101, edits(host, ["Host: [::1]:80\r\n", "Host: example.com:8001\r\n"]));
}

/// RFC 6455 §4.2.1, items 3 and 4.
#[test]
fn upgrade_and_connection() {
    let upgrade = "Upgrade: websocket\r\n";
    check("H43", 426, edits(upgrade, ["", "Upgrade:\r\n", "Upgrade: h2c\r\n"]));
    check("H43", 426, edits(upgrade, ["Upgrade: websocketx\r\n", "Upgrade: websocket/13\r\n"]));
    check("H43", 426, [b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n".to_vec()]);
    check("H44", 101, edits(upgrade, ["Upgrade: WebSocket\r\n", "Upgrade: websocket \r\n"]));
    check("H44", 101, edits(upgrade, ["Upgrade: foo, websocket\r\n", "Upgrade: ,websocket,\r\n"]));
    check("H44", 101, edits(upgrade, ["Upgrade: h2c\r\nUpgrade: websocket\r\n"]));
    let connection = "Connection: Upgrade\r\n";
    check("H47", 400, edits(connection, ["", "Connection: keep-alive\r\n"]));
    check(
        "H47",
        400,
        edits(connection, ["Connection: no-upgrade\r\n", "Connection: upgraded\r\n"]),
    );
    check("H47", 400, edits(connection, ["Connection: Upgrade;x\r\n", "Connection:\r\n"]));
    check("H47", 101, edits(connection, ["Connection: keep-alive, Upgrade\r\n"]));
    check("H47", 101, edits(connection, ["Connection: upgrade\r\n"]));
    check("H47", 101, edits(connection, ["Connection: keep-alive\r\nConnection: Upgrade\r\n"]));
    check("H74", 101, edits(connection, ["Connection: close, Upgrade\r\n"]));
}

/// H45: HAProxy writes all names in lower case.
#[test]
fn names_in_any_case() {
    let (line, fields) = BASE.split_once("\r\n").unwrap();
    let recased = |case: fn(&str) -> String| {
        let fields = fields.split("\r\n").map(|field| match field.split_once(':') {
            Some((name, value)) => format!("{}:{value}", case(name)),
            None => field.to_owned(),
        });
        format!("{line}\r\n{}", fields.collect::<Vec<_>>().join("\r\n")).into_bytes()
    };
    let mixed = |name: &str| name[..1].to_lowercase() + &name[1..].to_uppercase();
    check("H45", 101, [recased(str::to_lowercase), recased(str::to_uppercase), recased(mixed)]);
}

/// RFC 6455 §4.2.1, item 5, and §11.3.1.
#[test]
fn key() {
    let keys = |values: &[&str]| -> Vec<_> {
        let line = |value: &&str| edited(KEY, &format!("Sec-WebSocket-Key: {value}\r\n"));
        values.iter().map(line).collect()
    };
    check("H48", 400, edits(KEY, ["", &format!("{KEY}{KEY}"), &KEY.replace("dG", "xx").repeat(2)]));
    check("H48", 400, keys(&["", "x", "=", "==", "dGhlIHNhbXBsZSBub25jZQ", &"a".repeat(8_192)]));
    check("H48", 400, keys(&["dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZQA="])); // 15, 17
    check("H48", 400, keys(&["dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZ==="]));
    check("H48", 400, keys(&["dGhlIHNhb*BsZSBub25jZQ==", "dGhlIHNhb BsZSBub25jZQ=="]));
    check("H48", 400, keys(&["dGhlIHNhb-BsZSBub25jZQ==", "dGhlIHNhb_BsZSBub25jZQ=="]));
    check("H48", 101, keys(&[" \tdGhlIHNhbXBsZSBub25jZQ== \t", "AAAAAAAAAAAAAAAAAAAA+/=="]));
    check("H48", 101, keys(&["dGhlIHNhbXBsZSBub25jZR=="])); // spare bits that are not zero
}

/// RFC 6455 §4.2.1, item 6, and §4.3.
#[test]
fn version() {
    let versions = |values: &[&str]| -> Vec<_> {
        let line = |value: &&str| edited(VERSION, &format!("Sec-WebSocket-Version: {value}\r\n"));
        values.iter().map(line).collect()
    };
    check("H50 H51", 426, [edited(VERSION, "")]);
    check("H50", 426, versions(&["0", "7", "8", "12", "14", "100", "255"]));
    check("H50", 400, versions(&["13abc", "+13", "0013", "13.0", "4294967309", "-4294967283"]));
    check("H50", 400, versions(&["13, 8", "13,", "", "00", "013", "256", "x", "1 3", "-1"]));
    check("H50", 400, edits(VERSION, [&VERSION.repeat(2)]));
    check("H50", 101, versions(&[" 13 "]));
    check(
        "H69",
        101,
        [with("Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Accept: x\r\n")],
    );
}

/// H52: a front end and we must agree that the frames start where the head ends.
#[test]
fn content() {
    let lengths = |values: &[&str]| -> Vec<_> {
        values.iter().map(|value| with(format!("Content-Length: {value}\r\n"))).collect()
    };
    check("H52", 101, lengths(&["0", " 0 "]));
    check("H52", 400, lengths(&["5", "+0", "-1", "0x0", "", "0,0", "00", "0 0"]));
    check("H52", 400, [with("Content-Length: 0\r\nContent-Length: 0\r\n")]);
    check("H52", 400, [with("Content-Length: 0\r\nContent-Length: 5\r\n")]);
    check("H52", 400, [with("Transfer-Encoding: chunked\r\n"), with("transfer-encoding:\r\n")]);
    check("H52", 400, [with("Transfer-Encoding: identity\r\n")]);
    check("H52", 400, [with("Transfer-Encoding: ,chunked\r\n")]);
    check("H53", 101, [with("Expect: 100-continue\r\n")]);
}

/// RFC 6455 §10.2.
#[test]
fn origin() {
    let allowed =
        ["https://good", "https://other:8443"].map(|origin| OriginPattern::parse(origin).unwrap());
    let rows: &[(&str, u16, u16)] = &[
        // with the list, and without one
        ("Origin: https://good\r\n", 101, 101),
        ("origin: HTTPS://Good\r\n", 101, 101),
        ("Origin: https://other:8443\r\n", 101, 101),
        ("", 403, 101),
        ("Origin:\r\n", 403, 101),
        ("Origin: null\r\n", 403, 101),
        ("Origin: http://good\r\n", 403, 101),
        ("Origin: https://good.evil.tld\r\n", 403, 101),
        ("Origin: https://good:444\r\n", 403, 101),
        ("Origin: https://good/\r\n", 403, 101),
        ("Origin: https://127.0.0.1\r\n", 403, 101),
        ("Origin: https://good https://evil\r\n", 403, 101),
        ("Origin: https://good\r\nOrigin: https://good\r\n", 400, 400),
    ];
    for &(lines, listed, unlisted) in rows {
        assert_eq!(status(&with(lines), &allowed), listed, "H54: {lines:?}");
        assert_eq!(status(&with(lines), &[]), unlisted, "H54: {lines:?}");
    }
}

#[test]
fn protocols() {
    let rows: &[(&str, &[&CStr])] = &[
        ("", &[]),
        ("Sec-WebSocket-Protocol:\r\n", &[]),
        ("Sec-WebSocket-Protocol: ,, ,\r\n", &[]),
        ("Sec-WebSocket-Protocol: a, b\r\n", &[c"a", c"b"]),
        ("Sec-WebSocket-Protocol: a,,b,\r\n", &[c"a", c"b"]),
        (
            "Sec-WebSocket-Protocol: ,a\t ,\t b \r\nsec-websocket-protocol:c\r\n",
            &[c"a", c"b", c"c"],
        ),
        ("Sec-WebSocket-Protocol: a, A, aa\r\n", &[c"a", c"A", c"aa"]),
        ("Sec-WebSocket-Protocol: v1.x!#$%&'*+-.^_`|~\r\n", &[c"v1.x!#$%&'*+-.^_`|~"]),
    ];
    for &(lines, expected) in rows {
        let upgrade = opened(&with(lines));
        assert_eq!(upgrade.protocols().collect::<Vec<_>>(), expected, "H55: {lines:?}");
        assert_eq!(status(&with(lines), &[]), 101, "H55: {lines:?}");
    }
}

#[test]
fn bad_protocols() {
    let offer = |list: &str| with(format!("Sec-WebSocket-Protocol: {list}\r\n"));
    let names = |count: usize| (0..count).map(|i| format!("p{i}")).collect::<Vec<_>>().join(",");
    check("H55", 400, ["a, a", "b,a,b", "a b", "a/b", "a;q=1", "\"a\"", "\u{e9}"].map(offer));
    check("H55", 400, [with("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n")]);
    check("H55", 400, [offer("a\x01")]);
    check("H55", 101, [offer(&names(64)), offer(&format!("{},{}", names(64), ",".repeat(8_192)))]);
    check("H55", 431, [offer(&names(65)), offer(&names(2_000))]);
    check("H55", 101, [offer(&format!("a,{}b", " ".repeat(8_192)))]);
    check("H55", 400, [offer(&format!("a{}b", " ".repeat(8_192)))]);
}

/// H55, H70: the bytes of the 101 and their order; only an offered protocol is ever named.
#[test]
fn the_answer_to_a_protocol() {
    let upgrade = opened(&with("Sec-WebSocket-Protocol: a, b\r\n"));
    let rows = [
        (None, ""),
        (Some(0), "Sec-WebSocket-Protocol: a\r\n"),
        (Some(1), "Sec-WebSocket-Protocol: b\r\n"),
        (Some(2), ""),
        (Some(usize::MAX), ""),
    ];
    for (index, line) in rows {
        let mut out = b"before".to_vec();
        accept(&upgrade, index, &mut out);
        let expected = format!(
            "beforeHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             {line}\r\n"
        );
        assert_eq!(out.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
    }
}

#[test]
fn a_subprotocol_is_a_token() {
    assert!(is_subprotocol("mqtt") && is_subprotocol("v12.stomp"));
    assert!(!is_subprotocol("") && !is_subprotocol("a b") && !is_subprotocol("a,b"));
}

/// H56: nothing is negotiated, whatever is offered (RFC 6455 §9.1).
#[test]
fn extensions() {
    let offers = ["permessage-deflate", "permessage-deflate; client_max_window_bits", ";=\"\\"];
    for offer in offers.map(str::to_owned).into_iter().chain(["x;=\"".repeat(2_000)]) {
        let request = with(format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        assert_eq!(answer([&request[..]], &[]), answer([BASE.as_bytes()], &[]));
        assert_eq!(status(&request, &[]), 101);
    }
}

/// H46: all fields reach the back end, in order and as sent, but for the handshake's own.
#[test]
fn the_view_of_a_back_end() {
    let others: Vec<_> = (0..40).map(|i| (format!("X-{i}"), format!("v{i}"))).collect();
    let lines: String = others.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let more = "Sec-WebSocket-Protocol: p\r\nsec-websocket-extensions: x\r\nCookie: a=1\r\ncookie:\r\n\
         Sec-WebSocket-Key1: 2\r\n";
    let upgrade = opened(&with(format!("{lines}{more}")));
    let shown = |text: &CStr| text.to_str().unwrap().to_owned();
    let fields: Vec<_> =
        upgrade.fields().map(|(name, value)| (shown(name), shown(value))).collect();
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let host = [own("Host", "h")];
    let last = [
        own("sec-websocket-extensions", "x"),
        own("Cookie", "a=1"),
        own("cookie", ""),
        own("Sec-WebSocket-Key1", "2"),
    ];
    assert_eq!(fields, [&host[..], &others, &last].concat());
    assert_eq!(upgrade.endpoint(), c"/");
    assert_eq!(upgrade.key(), c"dGhlIHNhbXBsZSBub25jZQ==");
}

/// The offsets for C lead to the same strings as the accessors for Rust.
#[test]
fn the_view_from_c() {
    let upgrade = opened(&with(b"Sec-WebSocket-Protocol: a ,b\r\nX: \xe9\r\nY:\r\n"));
    let strings: Vec<_> = [upgrade.endpoint(), upgrade.key()]
        .into_iter()
        .chain(upgrade.protocols())
        .chain(upgrade.fields().flat_map(|(name, value)| [name, value]))
        .map(CStr::to_owned)
        .collect();
    let offsets: Vec<_> = [upgrade.endpoint_at(), upgrade.key_at()]
        .into_iter()
        .chain(upgrade.protocols_at().iter().copied())
        .chain(upgrade.fields_at().iter().flat_map(|field| [field.name, field.value]))
        .collect();
    let bytes = upgrade.bytes();
    let from_c = |at: usize| CStr::from_bytes_until_nul(&bytes[at..]).unwrap().to_owned();
    assert_eq!(offsets.into_iter().map(from_c).collect::<Vec<_>>(), strings);
}

/// Every refusal is one complete response that ends the connection (RFC 9112 §9.6).
#[test]
fn refusals() {
    let rows: &[(Status, &str, &str, &str)] = &[
        (Status::BadRequest, "400 Bad Request", "close", ""),
        (Status::Unauthorized, "401 Unauthorized", "close", ""),
        (Status::Forbidden, "403 Forbidden", "close", ""),
        (Status::NotFound, "404 Not Found", "close", ""),
        (Status::MethodNotAllowed, "405 Method Not Allowed", "close", "Allow: GET\r\n"),
        (Status::RequestTimeout, "408 Request Timeout", "close", ""),
        (
            Status::UpgradeRequired,
            "426 Upgrade Required",
            "Upgrade, close",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        ),
        (Status::TooManyRequests, "429 Too Many Requests", "close", ""),
        (Status::FieldsTooLarge, "431 Request Header Fields Too Large", "close", ""),
        (Status::Internal, "500 Internal Server Error", "close", ""),
        (Status::NotImplemented, "501 Not Implemented", "close", ""),
        (Status::BadGateway, "502 Bad Gateway", "close", ""),
        (Status::Unavailable, "503 Service Unavailable", "close", "Retry-After: 5\r\n"),
        (Status::GatewayTimeout, "504 Gateway Timeout", "close", ""),
        (Status::VersionNotSupported, "505 HTTP Version Not Supported", "close", ""),
    ];
    for &(status, line, connection, fields) in rows {
        let mut out = Vec::new();
        refuse(&status.into(), None, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let expected = format!(
            "HTTP/1.1 {line}\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\
             Connection: {connection}\r\n{fields}",
            body.len()
        );
        assert_eq!(format!("{head}\r\n"), expected);
        // H01: the answer to HEAD has no content (RFC 9110 §9.3.2).
        assert_eq!(body.is_empty(), status == Status::MethodNotAllowed, "{line}");
    }
}

/// What is known beyond the status is said, and a reason takes the place of the status's own.
#[test]
fn refusals_that_say_more() {
    let refusal = Refusal {
        status: Status::Unauthorized,
        retry_after: Some(7),
        challenge: Some("Bearer"),
        reason: Some("qui \u{ea}tes-vous?"),
    };
    let mut out = Vec::new();
    refuse(&refusal, None, &mut out);
    let expected = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 16\r\n\
                    Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
                    Retry-After: 7\r\nWWW-Authenticate: Bearer\r\n\r\nqui \u{ea}tes-vous?\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

/// SHA-1 as FIPS 180-4 §6.1 writes it down.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = [message, &[0x80]].concat();
    padded.resize((message.len() + 9).next_multiple_of(64) - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    let mut hash = [0x67452301_u32, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
    for block in padded.chunks_exact(64) {
        let mut w: Vec<u32> =
            block.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect();
        for t in 16..80 {
            w.push((w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = hash;
        for (t, w) in w.into_iter().enumerate() {
            let (f, k) = match t / 20 {
                0 => ((b & c) | (!b & d), 0x5a827999),
                1 => (b ^ c ^ d, 0x6ed9eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1bbcdc),
                _ => (b ^ c ^ d, 0xca62c1d6_u32),
            };
            let sum = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k);
            (a, b, c, d, e) = (sum.wrapping_add(w), a, b.rotate_left(30), c, d);
        }
        for (hash, word) in hash.iter_mut().zip([a, b, c, d, e]) {
            *hash = hash.wrapping_add(word);
        }
    }
    hash.map(u32::to_be_bytes).concat().try_into().unwrap()
}

/// Base64 bit by bit (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    let alphabet = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']);
    let alphabet: Vec<char> = alphabet.collect();
    let bits: Vec<u8> = bytes.iter().flat_map(|b| (0..8).rev().map(move |i| b >> i & 1)).collect();
    let digit =
        |six: &[u8]| six.iter().fold(0, |sum, bit| sum << 1 | usize::from(*bit)) << (6 - six.len());
    let mut text: String = bits.chunks(6).map(|six| alphabet[digit(six)]).collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// H49: any nonce is accepted and answered with what the RFC computes.
    #[test]
    fn accept_keys(nonce in any::<[u8; 16]>()) {
        let key = base64(&nonce);
        let proof = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let expected = base64(&sha1(proof.as_bytes()));
        let request = edited(KEY, &format!("Sec-WebSocket-Key: {key}\r\n"));
        let upgrade = opened(&request);
        prop_assert_eq!(accept_key(upgrade.key().to_bytes()), expected.as_bytes());
    }

    /// H57: three reads of any length.
    #[test]
    fn three_pieces(a in 0..BASE.len(), b in 0..BASE.len()) {
        let (first, rest) = BASE.as_bytes().split_at(a.min(b));
        let (second, third) = rest.split_at(a.max(b) - a.min(b));
        prop_assert_eq!(answer([first, second, third], &[]), answer([BASE.as_bytes()], &[]));
    }
}
