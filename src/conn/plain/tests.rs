//! Requests in, answers out, however either is cut.

use super::*;
use crate::conn::pump::Pump;
use crate::conn::socket::{Endpoint, Ready, Socket};
use crate::http::Body;
use crate::proto::handshake::Status;
use crate::slab::Slab;
use std::io::{ErrorKind, IoSlice, Result as IoResult};
use std::rc::Rc;

/// A client: what it sends and when, and what it was told.
struct Client {
    sends: Vec<Vec<u8>>,
    ends: bool,
    /// The most bytes that one write takes.
    takes: usize,
    got: Vec<u8>,
    shut: bool,
    closed: bool,
}

impl Socket for Client {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let Some(piece) = self.sends.first_mut() else {
            return if self.ends { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        };
        let n = piece.len().min(buffer.len());
        buffer[..n].copy_from_slice(&piece[..n]);
        piece.drain(..n);
        if piece.is_empty() {
            self.sends.remove(0);
        }
        Ok(n)
    }

    fn write(&mut self, parts: &[IoSlice<'_>], _last: bool) -> IoResult<usize> {
        assert!(!self.shut, "written behind the end");
        let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let n = all.len().min(self.takes);
        self.got.extend_from_slice(&all[..n]);
        Ok(n)
    }

    fn send(&mut self, _datagram: &[u8]) -> IoResult<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn shutdown(&mut self) -> IoResult<()> {
        self.shut = true;
        Ok(())
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn unacknowledged(&self) -> usize {
        0
    }

    fn reads_unasked(&self) -> bool {
        true
    }
}

/// A connection and its client, turned until nothing moves.
struct World {
    connection: Connection,
    client: Client,
    ready: Ready,
    scratch: Scratch,
    slab: Slab,
    /// The longest that waited for the client.
    waited: usize,
    requests: Vec<String>,
}

/// What is stored, of which the path `/file` gives a part.
fn stored() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n / 7) as u8).collect()
}

impl World {
    fn new(sends: &[&[u8]]) -> Self {
        let now = Instant::now();
        let config = Config { health: Some("/".into()), ..Config::default() };
        let slab = Slab::new(1).unwrap();
        let slot = slab.claim(0).unwrap();
        let sends = sends.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec());
        Self {
            connection: Connection::new(Rc::new(config), slot, now),
            client: Client {
                sends: sends.collect(),
                ends: true,
                takes: usize::MAX,
                got: Vec::new(),
                shut: false,
                closed: false,
            },
            ready: Ready::default(),
            scratch: Scratch::new(now),
            slab,
            waited: 0,
            requests: Vec::new(),
        }
    }

    fn turn(&mut self) -> bool {
        // An edge for each piece, and one for the end.
        self.ready.readable |= !self.client.sends.is_empty() || self.client.ends;
        self.ready.writable = true;
        let client = Endpoint { socket: &mut self.client, ready: &mut self.ready };
        let scratch = &mut self.scratch;
        Pump { connection: &mut self.connection, client, peer: None, scratch }.turn()
    }

    /// Runs until nothing more happens; returns what the client got.
    fn run(&mut self) -> String {
        for _ in 0..100_000 {
            let again = self.turn();
            let waits = self.connection.waiting(crate::conn::Side::Client).map_or(0, <[u8]>::len);
            self.waited = self.waited.max(waits);
            let action = self.connection.take_action();
            let acted = action.is_some();
            if let Some(action) = action {
                self.act(action);
            }
            let asks = self.requests.last().is_some_and(|last| last == "websocket");
            let idle = !again && !acted && waits == 0 && (asks || self.client.sends.is_empty());
            if self.connection.finished() || idle && !self.client.ends {
                return String::from_utf8_lossy(&self.client.got).into();
            }
        }
        panic!("it never ends: {:?}", self.requests);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Respond(Route::Method, _) => {
                self.connection.respond(Response::read_only(), &mut self.scratch);
            }
            Action::Respond(route, request) => {
                assert_eq!(route, Route::Health);
                let target = String::from_utf8_lossy(request.target()).into_owned();
                let body = match target.as_str() {
                    "/?file" => Body::Stored { at: 10, length: 250_000 },
                    "/?short" => Body::Stored { at: 299_000, length: 250_000 },
                    _ => Body::Bytes(target.clone().into_bytes().into()),
                };
                self.requests.push(target);
                let response = Response { body, ..Response::empty(Status::Ok) };
                self.connection.respond(response, &mut self.scratch);
            }
            Action::Fetch { at, length } => {
                let all = stored();
                let end = (at as usize + length).min(all.len());
                self.connection.fetched(Ok(&all[at as usize..end]), &mut self.scratch);
            }
            Action::Ask(..) => self.requests.push("websocket".into()),
            Action::Dial(_) | Action::Verify(_) | Action::Admit(_) => {
                panic!("nobody is dialled, asked who they are or sent by a proxy")
            }
        }
    }
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: ";

fn answers(paths: &[&str]) -> String {
    paths.iter().map(|path| format!("{ANSWER}{}\r\n\r\n{path}", path.len())).collect()
}

#[test]
fn requests_on_one_connection_whole_in_bytes_and_cut_anywhere() {
    let requests = "GET /?a HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /?bc HTTP/1.1\r\nHost: h\r\n\r\n\
        GET /?d HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /?e HTTP/1.1\r\nHost: h\r\n\r\n";
    let expected = answers(&["/?a", "/?bc"])
        + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n/?d"
        + &answers(&["/?e"]);
    let bytes = requests.as_bytes();
    let by_byte: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(World::new(&by_byte).run(), expected);
    for at in 0..bytes.len() {
        for takes in [usize::MAX, 7] {
            let mut world = World::new(&[&bytes[..at], &bytes[at..]]);
            world.client.takes = takes;
            assert_eq!(world.run(), expected, "cut at {at}");
            assert_eq!(world.connection.answers(), 4);
            assert!(matches!(world.connection.ending(), Some(Ending::Answered)));
        }
    }
}

#[test]
fn a_websocket_after_plain_requests() {
    let websocket = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nframes";
    let requests = format!("GET /?a HTTP/1.1\r\nHost: h\r\n\r\n{websocket}");
    for at in 0..requests.len() {
        let mut world = World::new(&[&requests.as_bytes()[..at], &requests.as_bytes()[at..]]);
        world.client.ends = false;
        assert_eq!(world.run(), answers(&["/?a"]), "cut at {at}");
        assert_eq!(world.requests, ["/?a", "websocket"]);
    }
}

#[test]
fn what_ends_the_connection() {
    let next = "GET /?next HTTP/1.1\r\nHost: h\r\n\r\n";
    let close = "\r\nConnection: close\r\n\r\n/?a";
    for (request, status, rest) in [
        ("GET /?a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "200", close),
        ("GET /?a HTTP/1.0\r\n\r\n", "200", close),
        // The content is not read: what follows it might be taken for a request.
        ("GET /?a HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\n\r\n", "200", close),
        ("GET /?a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "200", close),
        ("GET /?a HTTP/1.1\r\n\r\n", "400", ""),
        ("POST /?a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "405", ""),
        ("PUT http://h/?a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "405", ""),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "405", ""),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", "405", ""),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", "400", ""),
        ("GET /else HTTP/1.1\r\nHost: h\r\n\r\n", "426", ""),
        ("GET /else HTTP/1.0\r\n\r\n", "400", ""),
        ("GET /?a HTTP/2.0\r\n\r\n", "505", ""),
    ] {
        let mut world = World::new(&[request.as_bytes(), next.as_bytes()]);
        let got = world.run();
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {got}");
        assert!(got.ends_with(rest), "{request}: {got}");
        assert_eq!(got.matches("HTTP/1.1").count() - got.matches("HTTP/1.1 only").count(), 1);
        assert_eq!(got.matches("Connection: ").count(), 1, "{got}");
        assert!(world.client.shut || world.client.closed);
        assert!(!world.requests.contains(&"/?next".to_owned()));
    }
}

#[test]
fn the_answer_to_head_is_bare() {
    for (request, status) in [
        ("HEAD /?a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "200"),
        ("HEAD /?file HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "200"),
        ("HEAD /?a HTTP/1.1\r\n\r\n", "400"),
        ("HEAD /?a HTTP/3.1\r\n\r\n", "505"),
        ("HEAD /?a HTTP/1.1\r\n x", "400"),
        ("HEAD /else HTTP/1.1\r\nHost: h\r\n\r\n", "405"),
    ] {
        let got = World::new(&[request.as_bytes()]).run();
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {got}");
        assert!(got.ends_with("\r\n\r\n"), "{request}: {got}");
        assert!(got.contains("Content-Length: "), "{request}: {got}");
    }
}

#[test]
fn stored_bytes_come_at_the_clients_speed() {
    let requests = "GET /?file HTTP/1.1\r\nHost: h\r\n\r\nGET /?b HTTP/1.1\r\nHost: h\r\n\r\n";
    for takes in [usize::MAX, 999] {
        let mut world = World::new(&[requests.as_bytes()]);
        world.client.takes = takes;
        world.run();
        let body = &stored()[10..250_010];
        let expected =
            [format!("{ANSWER}250000\r\n\r\n").as_bytes(), body, answers(&["/?b"]).as_bytes()]
                .concat();
        assert!(world.client.got == expected, "{takes}");
        assert!(world.waited <= 64 * 1024 + 200, "{} bytes waited", world.waited);
        assert_eq!(world.connection.ending().unwrap().name(), "answered");
        drop(world.connection);
        assert!(!world.slab.is_taken(0));
    }
}

#[test]
fn what_cannot_be_given_to_its_end_is_cut_off() {
    let mut world = World::new(&[b"GET /?short HTTP/1.1\r\nHost: h\r\n\r\n"]);
    world.client.ends = false;
    let got = world.run();
    assert!(got.len() < 2000, "{} bytes", got.len());
    assert!(world.connection.finished());
    assert_eq!(world.connection.ending().unwrap().name(), "answer-failed");
}

/// A world that has come to where nothing more happens before a deadline.
fn waiting(sends: &[u8]) -> World {
    let mut world = World::new(&[sends]);
    world.client.ends = false;
    world.run();
    world
}

fn expire(world: &mut World) -> Duration {
    let deadline = world.connection.deadline().unwrap();
    let waited = deadline - world.scratch.now;
    world.scratch.now = deadline;
    world.connection.expired(&mut world.scratch);
    world.run();
    waited
}

#[test]
fn a_silent_client_is_left_in_silence_and_half_a_request_is_answered() {
    let mut silent = waiting(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(expire(&mut silent), SILENCE);
    assert!(silent.connection.finished());
    assert_eq!(silent.connection.ending().unwrap().name(), "answered");

    let mut half = waiting(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HT");
    assert_eq!(expire(&mut half), Config::default().deadlines.handshake);
    assert_eq!(half.connection.ending().unwrap().name(), "request-timeout");

    let mut second = waiting(b"GET /?first HTTP/1.1\r\nHost: h\r\n\r\nGET /?sec");
    expire(&mut second);
    assert_eq!(second.connection.summary(), None, "its path is not that of the first request");

    let mut never = waiting(b"");
    expire(&mut never);
    assert_eq!(never.connection.ending().unwrap().name(), "request-timeout");
}

#[test]
fn an_answer_that_does_not_come() {
    let mut world = World::new(&[b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"]);
    world.client.ends = false;
    world.turn();
    assert!(world.connection.take_action().is_some());
    assert_eq!(expire(&mut world), ANSWER_TIME);
    assert!(world.client.got.starts_with(b"HTTP/1.1 503 "));
    let late = Response::empty(Status::Ok);
    world.connection.respond(late, &mut world.scratch);
    assert!(!String::from_utf8_lossy(&world.client.got).contains("200"));
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let mut world = World::new(&[b"GET /?file HTTP/1.1\r\nHost: h\r\n\r\n"]);
    world.client.ends = false;
    world.client.takes = 0;
    for _ in 0..20 {
        (world.ready.writable, world.ready.readable) = (false, true);
        let client = Endpoint { socket: &mut world.client, ready: &mut world.ready };
        let scratch = &mut world.scratch;
        Pump { connection: &mut world.connection, client, peer: None, scratch }.turn();
        if let Some(action) = world.connection.take_action() {
            world.act(action);
        }
    }
    let deadline = world.connection.deadline().unwrap();
    assert_eq!(deadline - world.scratch.now, Config::default().deadlines.write);
    world.scratch.now = deadline;
    world.connection.expired(&mut world.scratch);
    world.turn();
    assert!(world.connection.finished());
    assert_eq!(world.connection.ending().unwrap().name(), "client-stalled");
}

#[test]
fn the_daemon_ends() {
    let mut silent = waiting(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    silent.connection.shut_down(&mut silent.scratch);
    assert!(silent.connection.finished());

    let mut busy = World::new(&[b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"]);
    busy.turn();
    busy.connection.shut_down(&mut busy.scratch);
    let got = busy.run();
    assert!(got.contains("200 OK") && got.contains("Connection: close"), "{got}");
}
