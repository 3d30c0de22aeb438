//! What is answered, and how, as tables.

use super::*;
use crate::config::Config;
use crate::proto::handshake::Status;
use crate::proto::http::{Head, HeadParser, Version};
use std::time::{Duration, UNIX_EPOCH};

fn head(text: &str) -> Head {
    let mut parser = HeadParser::of_any_request();
    let text = text.replace('|', "\r\n") + "\r\n\r\n";
    assert_eq!(parser.push(text.as_bytes()), Ok(Some(text.len())), "{text}");
    parser.finish()
}

#[test]
fn who_answers() {
    let config = Config { health: Some("/up".into()), ..Config::default() };
    let websocket = "|Upgrade: websocket|Connection: Upgrade";
    for (request, expected) in [
        ("GET /up HTTP/1.1|Host: h".to_owned(), Some(Route::Health)),
        ("HEAD /up HTTP/1.1|Host: h".into(), Some(Route::Health)),
        ("GET /up?from=here HTTP/1.1|Host: h".into(), Some(Route::Health)),
        ("GET http://h/up HTTP/1.1|Host: h".into(), Some(Route::Health)),
        ("GET /up HTTP/1.0".into(), Some(Route::Health)),
        ("GET /up HTTP/1.1|Host: h|Upgrade: h2c|Connection: Upgrade".into(), Some(Route::Health)),
        (format!("GET /up HTTP/1.0|Host: h{websocket}"), Some(Route::Health)),
        (format!("GET /up HTTP/1.1|Host: h{websocket}"), None),
        // A proxy took the Upgrade off: the handshake says so.
        ("GET /up HTTP/1.1|Host: h|Sec-WebSocket-Key: k".into(), None),
        ("POST /up HTTP/1.1|Host: h".into(), Some(Route::Method)),
        ("DELETE /up HTTP/1.1|Host: h".into(), Some(Route::Method)),
        ("GET /up/ HTTP/1.1|Host: h".into(), None),
        ("GET /UP HTTP/1.1|Host: h".into(), None),
        ("GET /%75p HTTP/1.1|Host: h".into(), None),
        ("GET / HTTP/1.1|Host: h".into(), None),
    ] {
        assert_eq!(routed(&request, &config), expected, "{request}");
        assert_eq!(routed(&request, &Config::default()), None, "{request}");
    }
}

/// Who answers; none for the bridge.
fn routed(request: &str, config: &Config) -> Option<Route> {
    match route(head(request), config) {
        Ok(Routed::Plain(route, _)) => Some(route),
        Ok(Routed::Upgrade(_)) => None,
        Err(refused) => panic!("{request}: {refused:?}"),
    }
}

#[test]
fn who_answers_beside_files() {
    let config = Config {
        health: Some("/up".into()),
        web: Some(std::path::Path::new("/srv").into()),
        web_redirect: Some("/a.html".into()),
        ..Config::default()
    };
    for (line, route) in [
        ("GET /up", Route::Health),
        ("GET /", Route::Redirect),
        ("HEAD /?a=b", Route::Redirect),
        ("GET //", Route::File),
        ("GET /a.html", Route::File),
        ("HEAD /up/", Route::File),
        ("POST /", Route::Method),
        ("PUT /a.html", Route::Method),
    ] {
        let request = format!("{line} HTTP/1.1|Host: h");
        assert_eq!(routed(&request, &config), Some(route), "{line}");
        let websocket = format!("{request}|Upgrade: websocket");
        assert_eq!(routed(&websocket, &config), None, "{line}");
        assert_eq!(route.asks_who(), route != Route::Health);
    }
    let only_redirect = Config { web: None, ..config };
    assert_eq!(routed("GET /a.html HTTP/1.1|Host: h", &only_redirect), None);
}

#[test]
fn what_may_follow_a_request() {
    for (request, persistent) in [
        ("GET / HTTP/1.1|Host: h", true),
        ("GET / HTTP/1.1|Host: h|Connection: keep-alive", true),
        ("GET / HTTP/1.1|Host: h|Connection: Close", false),
        ("GET / HTTP/1.1|Host: h|Connection: x, close", false),
        ("GET / HTTP/1.1|Host: h|Connection: x|Connection: close", false),
        ("GET / HTTP/1.2|Host: h", true),
        ("GET / HTTP/1.0", false),
        ("GET / HTTP/1.0|Connection: Keep-Alive", true),
        ("GET / HTTP/1.0|Connection: keep-alive, close", false),
        // What was announced is not read: nobody knows where the next request starts.
        ("GET / HTTP/1.1|Host: h|Content-Length: 0", true),
        ("GET / HTTP/1.1|Host: h|Content-Length: 000", true),
        ("GET / HTTP/1.1|Host: h|Content-Length: 1", false),
        ("GET / HTTP/1.1|Host: h|Content-Length: 99999999999999999999999", false),
        ("GET / HTTP/1.1|Host: h|Transfer-Encoding: chunked", false),
        ("GET / HTTP/1.0|Connection: keep-alive|Content-Length: 1", false),
    ] {
        assert_eq!(
            Request::new(head(request)).unwrap().asked().persistent,
            persistent,
            "{request}"
        );
    }
}

#[test]
fn what_no_request_may_be() {
    for request in [
        "GET / HTTP/1.1",
        "GET / HTTP/1.1|Host: h|Host: h",
        "GET / HTTP/1.1|Host: a b",
        "GET / HTTP/1.0|Host: h|Host: h",
        "GET / HTTP/1.1|Host: h|Content-Length: 1|Content-Length: 1",
        "GET / HTTP/1.1|Host: h|Content-Length: -1",
        "GET / HTTP/1.1|Host: h|Content-Length: +1",
        "GET / HTTP/1.1|Host: h|Content-Length:",
        "GET / HTTP/1.1|Host: h|Content-Length: 1, 1",
        "GET / HTTP/1.1|Host: h|Content-Length: 0x1",
        "GET / HTTP/1.1|Host: h|Transfer-Encoding: chunked|Content-Length: 5",
        "GET / HTTP/1.1|Host: h|Transfer-Encoding: chunked, chunked",
        "GET / HTTP/1.1|Host: h|Transfer-Encoding: chunked|Transfer-Encoding: gzip",
        "GET / HTTP/1.1|Host: h|Transfer-Encoding: ,",
    ] {
        let refused = Request::new(head(request)).unwrap_err();
        assert_eq!(refused.status, Status::BadRequest, "{request}");
    }
}

/// RFC 9112 §6.1.
#[test]
fn codings_that_are_not_known() {
    for (codings, known) in [
        ("chunked", true),
        (", Chunked", true),
        ("gzip, chunked", false),
        ("identity", false),
        ("chunkedx", false),
    ] {
        let outcome =
            Request::new(head(&format!("GET / HTTP/1.1|Host: h|Transfer-Encoding: {codings}")));
        let status = outcome.map_or_else(|refused| refused.status, |_| Status::Ok);
        assert_eq!(status, if known { Status::Ok } else { Status::NotImplemented }, "{codings}");
    }
}

#[test]
fn path_and_fields() {
    let request = Request::new(head("GET /a%20b?c=d?e HTTP/1.1|host: h|X: 1|x: 2|Y: 3")).unwrap();
    assert_eq!((request.target(), request.path()), (&b"/a%20b?c=d?e"[..], &b"/a%20b"[..]));
    assert_eq!(request.values("x").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(request.value("y"), Some(&b"3"[..]));
    assert_eq!((request.value("x"), request.value("z")), (None, None));
}

/// Counts down, one digit a piece; the last is empty.
struct Count(u8);

impl Pieces for Count {
    fn next(&mut self, _most: usize, out: &mut Vec<u8>) -> bool {
        if self.0 > 0 {
            out.push(b'0' + self.0);
            self.0 -= 1;
            return true;
        }
        false
    }
}

const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// All the bytes of an answer to `request`, and whether the next one may follow.
fn sent(response: Response, request: &str) -> (String, bool) {
    let request = Request::new(head(request)).unwrap();
    let date = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let mut out = Vec::new();
    let (mut sending, persistent) = Sending::begin(response, request.asked(), Some(date), &mut out);
    while sending.need() == Need::Make {
        sending.make(&mut out);
    }
    (String::from_utf8(out).unwrap().replace(DATE, "DATE\r\n").replace("\r\n", "|"), persistent)
}

#[test]
fn how_an_answer_is_sent() {
    let (get, old) = ("GET / HTTP/1.1|Host: h", "GET / HTTP/1.0");
    let hello = || Response::empty(Status::Ok).with("X", "y");
    let with = |body| Response { body, ..hello() };
    let bytes = || with(Body::Bytes(b"hi"[..].into()));
    let pieces = || with(Body::Pieces(Box::new(Count(2))));
    for (response, request, expected, persistent) in [
        (bytes(), get, "200 OK|DATE|X: y|Content-Length: 2||hi", true),
        (bytes(), old, "200 OK|DATE|X: y|Content-Length: 2|Connection: close||hi", false),
        (
            bytes(),
            "GET / HTTP/1.0|Connection: keep-alive",
            "200 OK|DATE|X: y|Content-Length: 2|Connection: keep-alive||hi",
            true,
        ),
        (
            bytes(),
            "GET / HTTP/1.1|Host: h|Connection: close",
            "200 OK|DATE|X: y|Content-Length: 2|Connection: close||hi",
            false,
        ),
        (bytes(), "HEAD / HTTP/1.1|Host: h", "200 OK|DATE|X: y|Content-Length: 2||", true),
        (hello(), get, "200 OK|DATE|X: y|Content-Length: 0||", true),
        (pieces(), get, "200 OK|DATE|X: y|Transfer-Encoding: chunked||1|2|1|1|0||", true),
        // RFC 9112 §6.3: the end of the connection is the end of the content.
        (pieces(), old, "200 OK|DATE|X: y|Connection: close||21", false),
        (
            pieces(),
            "GET / HTTP/1.0|Connection: keep-alive",
            "200 OK|DATE|X: y|Connection: close||21",
            false,
        ),
        (
            pieces(),
            "HEAD / HTTP/1.1|Host: h",
            "200 OK|DATE|X: y|Transfer-Encoding: chunked||",
            true,
        ),
        (Response::empty(Status::NotModified), get, "304 Not Modified|DATE||", true),
    ] {
        let what = format!("{response:?} to {request}");
        let (text, next) = sent(response, request);
        assert_eq!((text, next), (format!("HTTP/1.1 {expected}"), persistent), "{what}");
    }
}

#[test]
fn long_content_goes_in_pieces() {
    let text: Vec<u8> = (0..200_000).map(|n| n as u8).collect();
    let request = Request::new(head("GET / HTTP/1.1|Host: h")).unwrap();
    let response =
        Response { body: Body::Bytes(text.clone().into()), ..Response::empty(Status::Ok) };
    let (mut sending, _) = Sending::begin(response, request.asked(), None, &mut Vec::new());
    let (mut got, mut pieces) = (Vec::new(), 0);
    while sending.need() == Need::Make {
        let mut piece = Vec::new();
        sending.make(&mut piece);
        assert!(piece.len() <= 64 * 1024);
        got.append(&mut piece);
        pieces += 1;
    }
    assert_eq!((got == text, pieces), (true, 4));
}

#[test]
fn stored_content_is_fetched() {
    let asked = Asked { head_only: false, persistent: true, version: Version::Http11 };
    let body = Body::Stored { at: 5, length: 70_000 };
    let response = Response { body, ..Response::empty(Status::Ok) };
    let (mut sending, _) = Sending::begin(response, asked, None, &mut Vec::new());
    assert_eq!(sending.need(), Need::Fetch { at: 5, length: 65_536 });
    assert!(!sending.fetched(&[0; 65_537]), "more than was asked for");
    assert!(!sending.fetched(&[]), "it has become shorter");
    assert!(sending.fetched(&[0; 1000]));
    assert_eq!(sending.need(), Need::Fetch { at: 1005, length: 65_536 });
    assert!(sending.fetched(&[0; 65_536]));
    assert_eq!(sending.need(), Need::Fetch { at: 66_541, length: 3464 });
    assert!(sending.fetched(&[0; 3464]));
    assert_eq!(sending.need(), Need::Done);
}
