//! The HTTP half of a conversation: the opening handshake, and what a refusal must look like.

use super::PATIENCE;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// The smallest good handshake (RFC 6455 §1.3's key).
pub(crate) const BASE: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
/// What a 101 answers to [`BASE`]'s key.
const BASE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How the other side ended its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order, all bytes delivered.
    Fin,
    /// Torn down: bytes may be missing.
    Reset,
}

/// A response, and what followed it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    /// All bytes after the head.
    pub(crate) rest: Vec<u8>,
}

impl Answer {
    /// The values of every field `name`, which is given in lower case.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
        named.map(|field| field.1.as_str()).collect()
    }

    fn parse(bytes: &[u8]) -> Self {
        let shown = String::from_utf8_lossy(bytes);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no complete response head in {shown:?}"));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).unwrap();
        assert_eq!(status.as_bytes()[3], b' ', "status line of {shown:?}");
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?}"));
            assert!(!name.is_empty() && !name.contains(' '), "{line:?}");
            (name.to_owned(), value.trim().to_owned())
        });
        let fields = fields.collect();
        Self { status: status[..3].parse().unwrap(), fields, rest: bytes[end + 4..].to_vec() }
    }

    /// Holds a refusal to its promise: one whole response that says how long it is and that the
    /// connection ends, and nothing behind it (RFC 9112 §6.3, §9.6).
    #[track_caller]
    fn assert_refusal(&self, to_head: bool) {
        assert_ne!(self.status, 101);
        assert_eq!(self.values("connection").join(",").to_lowercase().matches("close").count(), 1);
        let length = self.values("content-length");
        let [length] = length[..] else { panic!("one Content-Length, not {length:?}") };
        // RFC 9110 §9.3.2: the answer to HEAD has the length but not the content.
        let length = if to_head { 0 } else { length.parse::<usize>().unwrap() };
        assert_eq!(self.rest.len(), length, "body {:?}", String::from_utf8_lossy(&self.rest));
        assert!(self.values("transfer-encoding").is_empty());
    }
}

/// A TCP connection to the daemon that never waits for ever and never for Nagle.
pub(crate) fn open(port: u16) -> TcpStream {
    open_at(&format!("127.0.0.1:{port}"))
}

/// The same to another host.
pub(crate) fn open_at(place: &str) -> TcpStream {
    let stream = TcpStream::connect(place).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Everything until the other side ends.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let end = match stream.read_to_end(&mut bytes) {
        Ok(_) => fin_or_reset(stream),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
    };
    (bytes, end)
}

/// Linux delivers what came before a FIN even when an RST follows it, and reads end in 0 as if
/// nothing had happened; other systems throw it away. Only the socket's error tells.
pub(crate) fn fin_or_reset(stream: &TcpStream) -> End {
    if stream.take_error().unwrap().is_some() { End::Reset } else { End::Fin }
}

/// Reads the answer to a request that must be refused, to the end of the connection.
#[track_caller]
pub(crate) fn answer(stream: &mut TcpStream, request: &[u8]) -> Answer {
    let (bytes, end) = read_to_end(stream);
    assert_eq!(end, End::Fin, "reset over {:?}", String::from_utf8_lossy(&bytes));
    let answer = Answer::parse(&bytes);
    answer.assert_refusal(request.starts_with(b"HEAD "));
    answer
}

/// Sends `request` and reads the 101 that must follow, and not one byte more.
#[track_caller]
pub(crate) fn upgrade(stream: &mut TcpStream, request: &[u8]) -> Answer {
    stream.write_all(request).unwrap();
    read_upgrade(stream)
}

/// Reads a 101 that agrees on no extension, and not one byte more.
#[track_caller]
pub(crate) fn read_upgrade(stream: &mut TcpStream) -> Answer {
    let answer = read_101(stream);
    assert!(answer.values("sec-websocket-extensions").is_empty(), "{answer:?}");
    answer
}

/// Reads a 101 and not one byte more.
#[track_caller]
pub(crate) fn read_101(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut byte);
        assert!(matches!(read, Ok(1)), "{read:?} after {:?}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
    }
    let answer = Answer::parse(&bytes);
    assert_eq!(answer.status, 101, "{:?}", String::from_utf8_lossy(&bytes));
    assert_upgrade(&answer);
    answer
}

/// Reads one answer of a connection that goes on, and not one byte more: as much content as its
/// Content-Length says, none of an answer to HEAD or a 304.
#[track_caller]
pub(crate) fn read_answer(stream: &mut TcpStream, to_head: bool) -> Answer {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut byte);
        assert!(matches!(read, Ok(1)), "{read:?} after {:?}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
    }
    let mut answer = Answer::parse(&bytes);
    let length =
        answer.values("content-length").first().map_or(0, |length| length.parse().unwrap());
    if !to_head && answer.status != 304 {
        answer.rest.resize(length, 0);
        stream.read_exact(&mut answer.rest).unwrap();
    }
    answer
}

/// RFC 6455 §4.2.2 (5): what a 101 must say and, RFC 9110 §8.6, must not.
#[track_caller]
fn assert_upgrade(answer: &Answer) {
    assert!(answer.values("upgrade")[..] == ["websocket"], "{answer:?}");
    assert!(answer.values("connection")[0].eq_ignore_ascii_case("upgrade"), "{answer:?}");
    assert_eq!(answer.values("sec-websocket-accept").len(), 1, "{answer:?}");
    for absent in ["content-length", "transfer-encoding"] {
        assert!(answer.values(absent).is_empty(), "{answer:?}");
    }
}

/// A 101 to [`BASE`] must carry its key's answer.
#[track_caller]
pub(crate) fn assert_base_accept(answer: &Answer) {
    assert_eq!(answer.values("sec-websocket-accept"), [BASE_ACCEPT]);
}
