//! Paths, conditions, ranges and codings, as tables.

use super::*;
use crate::http::request::Request;
use crate::proto::http::HeadParser;
use std::time::Duration;

fn request(line: &str, fields: &str) -> Request {
    let mut parser = HeadParser::of_any_request();
    let fields =
        if fields.is_empty() { String::new() } else { fields.replace('|', "\r\n") + "\r\n" };
    let text = format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    assert_eq!(parser.push(text.as_bytes()), Ok(Some(text.len())), "{text}");
    Request::new(parser.finish()).unwrap()
}

#[test]
fn names_of_paths() {
    for (path, name) in [
        ("/", "index.html"),
        ("//", "index.html"),
        ("/vnc.html", "vnc.html"),
        ("//vnc.html", "vnc.html"),
        ("/a//b.js", "a/b.js"),
        ("/a/b/", "a/b/index.html"),
        ("/a%20b/%C3%A9.txt", "a b/é.txt"),
        ("/100%25", "100%"),
        // Decoded once.
        ("/%252e%252e", "%2e%2e"),
        ("/%252F", "%2F"),
        ("/a..b/c.", "a..b/c."),
        ("/a:b|c*d~", "a:b|c*d~"),
        ("/é", "é"),
    ] {
        let found = name_of(path.as_bytes()).map(|name| name.relative());
        assert_eq!(found, Some(name.as_bytes().to_vec()), "{path}");
    }
    for path in [
        "",
        "a",
        "*",
        "/..",
        "/../",
        "/../etc/passwd",
        "/a/../b",
        "/a/..",
        "/.",
        "/./a",
        "/a/.",
        "/%2e%2e/etc/passwd",
        "/%2E%2E/",
        "/.%2e/",
        "/%2e./",
        "/%2e",
        "/a/%2e%2e/%2e%2e/b",
        "/..%2fetc",
        "/a%2fb",
        "/a%2Fb",
        "/%2f",
        "/..\\",
        "/..\\..\\etc",
        "/a\\b",
        "/a%5cb",
        "/%5C..",
        "/%",
        "/%2",
        "/%g0",
        "/%0g",
        "/a%",
        "/% 2",
        "/%+2",
        "/%u002e",
        "/a%00.html",
        "/%00",
        "/%0a",
        "/%0d%0a",
        "/%1f",
        "/%7f",
        "/.git/config",
        "/.htpasswd",
        "/a/.hidden",
        "/%2egit/config",
        "/...",
        "/..;/",
        "/.well-known/a",
    ] {
        assert_eq!(name_of(path.as_bytes()), None, "{path}");
    }
}

#[test]
fn a_directory_gets_its_slash_and_no_other_host() {
    for (target, place) in [
        ("/app", "/app/"),
        ("//evil.example", "/evil.example/"),
        ("///a//b", "/a/b/"),
        ("/a%20b?c=d%20e", "/a%20b/?c=d%20e"),
        ("/100%25", "/100%25/"),
        ("/%3fa%23", "/%3Fa%23/"),
        ("/é?\"<é", "/%C3%A9/?%22%3C%C3%A9"),
    ] {
        let request = request(&format!("GET {target}"), "");
        let response = add_slash(&request, &name_of(request.path()).unwrap());
        let places: Vec<_> =
            response.fields.iter().filter(|(name, _)| *name == "Location").collect();
        assert_eq!(places, [&("Location", place.into())], "{target}");
    }
}

const TAG: &str = "\"b1a2bc30a1d6600-3e8\"";
/// Half a second behind `DATE`.
const MODIFIED: Duration = Duration::from_nanos(800_000_000_500_000_256);
const DATE: &str = "Tue, 09 May 1995 06:13:20 GMT";
const BEFORE: &str = "Tue, 09 May 1995 06:13:19 GMT";
const AFTER: &str = "Tue, 09 May 1995 06:13:21 GMT";

/// The answer to a request for a file of 1,000 bytes: its status, and field values.
fn ask(method: &str, fields: &str) -> (u16, impl Fn(&str) -> String + use<>) {
    let request = request(&format!("{method} /a.js"), fields);
    let modified = SystemTime::UNIX_EPOCH + MODIFIED;
    let facts = Facts { length: 1000, modified, coding: Coding::Identity, varies: false };
    let name = name_of(request.path()).unwrap();
    let response = answer(&request, &name, &facts, modified + Duration::from_secs(60));
    let body = match response.body {
        Body::Stored { at, length } => format!("{at}+{length}"),
        Body::Bytes(bytes) => format!("{}", bytes.len()),
        Body::Pieces(_) => panic!("a file has a length"),
    };
    let fields = response.fields;
    let value = move |name: &str| match name {
        "body" => body.clone(),
        name => fields.iter().filter(|(known, _)| *known == name).map(|(_, v)| &**v).collect(),
    };
    (response.status.code(), value)
}

#[test]
fn what_is_said_of_a_file() {
    let (status, value) = ask("GET", "");
    assert_eq!((status, value("body").as_str()), (200, "0+1000"));
    for (name, expected) in [
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("ETag", TAG),
        ("Last-Modified", DATE),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", "no-cache"),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", ""),
        ("Content-Encoding", ""),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
}

#[test]
fn conditions() {
    for (fields, status) in [
        (format!("If-None-Match: {TAG}"), 304),
        (format!("If-None-Match: W/{TAG}"), 304),
        (format!("If-None-Match: \"a\", {TAG}"), 304),
        (format!("If-None-Match: \"a\"|If-None-Match: {TAG}"), 304),
        ("If-None-Match: *".into(), 304),
        ("If-None-Match: \"a\"".into(), 200),
        (format!("If-None-Match: {}", TAG.trim_matches('"')), 200),
        (format!("If-Modified-Since: {DATE}"), 304),
        (format!("If-Modified-Since: {AFTER}"), 304),
        (format!("If-Modified-Since: {BEFORE}"), 200),
        ("If-Modified-Since: yesterday".into(), 200),
        // RFC 9110 §13.1.3: the tag is what counts.
        (format!("If-None-Match: \"a\"|If-Modified-Since: {DATE}"), 200),
        (format!("If-None-Match: {TAG}|If-Modified-Since: {BEFORE}"), 304),
        (format!("If-Match: {TAG}"), 200),
        ("If-Match: *".into(), 200),
        ("If-Match: \"a\"".into(), 412),
        (format!("If-Match: W/{TAG}"), 412),
        (format!("If-Unmodified-Since: {DATE}"), 200),
        (format!("If-Unmodified-Since: {BEFORE}"), 412),
        (format!("If-Match: {TAG}|If-Unmodified-Since: {BEFORE}"), 200),
        (format!("If-Match: \"a\"|If-None-Match: {TAG}"), 412),
        // RFC 9110 §13.2.2: a condition that is not met comes before a range.
        (format!("If-None-Match: {TAG}|Range: bytes=0-1"), 304),
    ] {
        for method in ["GET", "HEAD"] {
            let (found, value) = ask(method, &fields);
            assert_eq!(found, status, "{method} {fields}");
            assert_eq!(value("ETag"), TAG, "{fields}");
            assert_eq!(value("body"), if status == 200 { "0+1000" } else { "0" }, "{fields}");
        }
    }
}

#[test]
fn ranges() {
    for (range, part) in [
        ("bytes=0-0", Some("0+1 bytes 0-0/1000")),
        ("bytes=0-999", Some("0+1000 bytes 0-999/1000")),
        ("bytes=500-", Some("500+500 bytes 500-999/1000")),
        ("bytes=990-2000", Some("990+10 bytes 990-999/1000")),
        ("bytes=-10", Some("990+10 bytes 990-999/1000")),
        ("bytes=-5000", Some("0+1000 bytes 0-999/1000")),
        ("BYTES=1-2", Some("1+2 bytes 1-2/1000")),
        ("bytes=0-99999999999999999999999999", Some("0+1000 bytes 0-999/1000")),
        ("bytes=1000-", Some("0 bytes */1000")),
        ("bytes=99999999999999999999999999-", Some("0 bytes */1000")),
        ("bytes=-0", Some("0 bytes */1000")),
        ("bytes=2-1", None),
        ("bytes=0-1,3-4", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=+1-2", None),
        ("bytes=1--2", None),
        ("lines=1-2", None),
        ("1-2", None),
    ] {
        let (status, value) = ask("GET", &format!("Range: {range}"));
        let expected = match part {
            Some(part) if part.contains('*') => (416, part),
            Some(part) => (206, part),
            None => (200, "0+1000 "),
        };
        let found = format!("{} {}", value("body"), value("Content-Range"));
        assert_eq!((status, found.as_str()), expected, "{range}");
        let (to_head, value) = ask("HEAD", &format!("Range: {range}"));
        assert_eq!((to_head, value("Content-Range").as_str()), (200, ""), "{range}");
    }
    let part = 206;
    for (condition, status) in [
        (TAG, part),
        (DATE, part),
        ("\"a\"", 200),
        (BEFORE, 200),
        (AFTER, 200),
        ("W/\"b1a2bc30a1d6600-3e8\"", 200),
        ("now", 200),
    ] {
        let (found, _) = ask("GET", &format!("Range: bytes=0-1|If-Range: {condition}"));
        assert_eq!(found, status, "{condition}");
    }
    assert_eq!(ask("GET", "Range: bytes=0-1|Range: bytes=0-1").0, 200);
}

#[test]
fn empty_files_have_no_part() {
    let request = request("GET /a", "Range: bytes=0-");
    let now = SystemTime::UNIX_EPOCH;
    let facts = Facts { length: 0, modified: now, coding: Coding::Identity, varies: false };
    let response = answer(&request, &name_of(b"/a").unwrap(), &facts, now);
    assert_eq!(response.status, Status::RangeNotSatisfiable);
}

#[test]
fn codings_that_are_taken() {
    for (accepts, gzip, brotli) in [
        ("", false, false),
        ("Accept-Encoding: gzip, deflate, br", true, true),
        ("Accept-Encoding: gzip, deflate", true, false),
        ("Accept-Encoding: GZIP", true, false),
        ("Accept-Encoding: br;q=0.5", false, true),
        ("Accept-Encoding: gzip;q=0, br;q=0.0", false, false),
        ("Accept-Encoding: gzip ; q=0.000", false, false),
        ("Accept-Encoding: gzip;q=0., br;Q=0.00", false, false),
        ("Accept-Encoding: gzip;q=, br;q=.", true, true),
        ("Accept-Encoding: gzip;q=0.0000, br;q=00", true, true),
        ("Accept-Encoding: *", true, true),
        ("Accept-Encoding: *;q=0", false, false),
        ("Accept-Encoding: gzip;q=0, *", false, true),
        ("Accept-Encoding: identity", false, false),
        ("Accept-Encoding: xgzip", false, false),
        ("Accept-Encoding: br|Accept-Encoding: gzip", true, true),
    ] {
        let request = request("GET /", accepts);
        let found = (takes(&request, Coding::Gzip), takes(&request, Coding::Brotli));
        assert_eq!(found, (gzip, brotli), "{accepts}");
    }
}

#[test]
fn a_coded_file_keeps_its_type_and_has_its_own_tag() {
    let request = request("GET /a.wasm", "");
    let now = SystemTime::UNIX_EPOCH + MODIFIED;
    let facts = Facts { length: 5, modified: now, coding: Coding::Brotli, varies: true };
    let response = answer(&request, &name_of(b"/a.wasm").unwrap(), &facts, now);
    for field in [
        ("Content-Type", "application/wasm"),
        ("Content-Encoding", "br"),
        ("Vary", "Accept-Encoding"),
        ("ETag", "\"b1a2bc30a1d6600-5-br\""),
    ] {
        assert!(response.fields.contains(&(field.0, field.1.into())), "{field:?}");
    }
}

#[test]
fn types_of_names() {
    for (name, kind) in [
        ("vnc.html", "text/html; charset=utf-8"),
        ("RFB.JS", "text/javascript; charset=utf-8"),
        ("a.min.mjs", "text/javascript; charset=utf-8"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("README", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("a.exe", "application/octet-stream"),
    ] {
        assert_eq!(types::type_of(name.as_bytes()), kind, "{name}");
    }
}

#[test]
fn dates_are_no_later_than_now() {
    let (past, now) =
        (SystemTime::UNIX_EPOCH - Duration::from_secs(1), SystemTime::UNIX_EPOCH + MODIFIED);
    let of = |modified| {
        last_modified(&Facts { length: 0, modified, coding: Coding::Identity, varies: false }, now)
    };
    assert_eq!(of(now + Duration::from_secs(1)), now);
    assert_eq!(of(past), SystemTime::UNIX_EPOCH);
}
