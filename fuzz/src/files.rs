//! From a request to the file that it means, and what is said of that: whatever is asked for lies
//! below the directory, and an answer keeps to the file's length.

use super::script::Script;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::time::{Duration, SystemTime};
use websocksy::http::files::{Coding, Facts, Name, add_slash, answer, name_of};
use websocksy::http::{Body, Request, Response};
use websocksy::proto::http::{HeadParser, Method, Status};

/// Input: the file's length and coding, and a request.
pub fn files(input: &[u8]) {
    let mut script = Script::new(input);
    let length = match script.byte() {
        b'0' => 0,
        b'm' => u64::MAX,
        _ => 1000,
    };
    let coding = match script.byte() {
        b'g' => Coding::Gzip,
        b'b' => Coding::Brotli,
        _ => Coding::Identity,
    };
    let mut parser = HeadParser::of_any_request();
    let Ok(Some(_)) = parser.push(script.rest()) else { return };
    let Ok(request) = Request::new(parser.finish()) else { return };
    let name = name_of(request.path());
    assert_eq!(name.as_ref().map(Name::relative), expected(request.path()));
    let Some(name) = name else { return };
    check_name(&name);
    check_slash(&add_slash(&request, &name), &name);
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(800_000_000);
    let facts = Facts { length, modified, coding, varies: coding != Coding::Identity };
    check_answer(&request, &answer(&request, &name, &facts, modified), length);
}

/// The name by another way: the path is decoded whole, and refused if anything in it has no place
/// in a name.
fn expected(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts = path.strip_prefix(b"/")?.split(|&byte| byte == b'%');
    let mut bytes = parts.next()?.to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|two| two.iter().all(u8::is_ascii_hexdigit))?;
        let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if byte == b'/' {
            return None;
        }
        bytes.push(byte);
        bytes.extend_from_slice(&part[2..]);
    }
    if bytes.iter().any(|&byte| byte < b' ' || byte == 0x7f || byte == b'\\') {
        return None;
    }
    let segments: Vec<&[u8]> = bytes.split(|&byte| byte == b'/').collect();
    let mut names: Vec<&[u8]> = segments.iter().copied().filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| name[0] == b'.') {
        return None;
    }
    if segments.last().is_none_or(|last| last.is_empty()) {
        names.push(b"index.html");
    }
    Some(names.join(&b'/'))
}

fn check_name(name: &Name) {
    let relative = name.relative();
    assert!(!relative.is_empty() && !relative.contains(&0));
    let path = Path::new(OsStr::from_bytes(&relative));
    assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
    assert_eq!(path.file_name().map(OsStr::as_bytes), Some(name.last()));
}

/// Where a directory is: on this server, in characters of a URI, and the same directory.
fn check_slash(response: &Response, name: &Name) {
    let mut places = response.fields.iter().filter(|(name, _)| *name == "Location");
    let place = places.next().expect("a place").1.as_bytes();
    assert!(place.starts_with(b"/") && !place.starts_with(b"//"));
    assert!(place.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\'));
    let path = place.split(|&byte| byte == b'?').next().expect("a path");
    let there = name_of(path).expect("a name");
    assert!(there.is_index());
    let index = if name.is_index() { &b""[..] } else { b"/index.html" };
    assert_eq!(there.relative(), [&name.relative(), index].concat());
}

fn check_answer(request: &Request, response: &Response, length: u64) {
    let ranges = response.fields.iter().filter(|(name, _)| *name == "Content-Range").count();
    match (response.status, &response.body) {
        (Status::Ok, Body::Stored { at: 0, length: whole }) => {
            assert_eq!((*whole, ranges), (length, 0));
        }
        (Status::PartialContent, Body::Stored { at, length: part }) => {
            assert_eq!((request.method(), ranges), (Method::Get, 1));
            assert!(*part > 0 && at.checked_add(*part).is_some_and(|end| end <= length));
        }
        (status, Body::Bytes(bytes)) => {
            let without = [Status::NotModified, Status::PreconditionFailed];
            assert!(
                without.contains(&status) || (status, ranges) == (Status::RangeNotSatisfiable, 1)
            );
            assert!(bytes.is_empty());
        }
        (status, body) => panic!("{status:?} with {body:?}"),
    }
    for (name, value) in &response.fields {
        assert!(name.bytes().chain(value.bytes()).all(|byte| matches!(byte, b' '..=b'~')));
    }
}
