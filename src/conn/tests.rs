use std::io::{ErrorKind, IoSlice, Result};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::pump::Pump;
use super::socket::{Endpoint, Ready, Socket};
use super::*;
use crate::access::NotAdmitted;
use crate::backend::{Answer, Target};
use crate::config::Deadlines;
use crate::framing;
use crate::http::Response;
use crate::proto::http::Status;
use crate::slab::Slab;

const SECOND: Duration = Duration::from_secs(1);
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The next bytes of `side`, in one read.
pub(super) fn gives(connection: &mut Connection, side: Side, bytes: &[u8], scratch: &mut Scratch) {
    let room = connection.room(side);
    let (kept, space) = connection.space(side, room, &mut scratch.buffer);
    space[..bytes.len()].copy_from_slice(bytes);
    connection.received(side, kept + bytes.len(), bytes.len(), scratch);
}

/// What there is to be written to the client.
fn to_client(scratch: &Scratch) -> Vec<u8> {
    scratch.to_client.parts(&scratch.buffer).flatten().copied().collect()
}

fn accepted(config: Config, slab: &Slab, scratch: &Scratch) -> Connection {
    Connection::new(Rc::new(config), slab.claim(0).unwrap(), scratch.now)
}

/// A session of a client and a TCP peer.
pub(super) fn opened(
    config: Config,
    framing: &str,
    slab: &Slab,
    scratch: &mut Scratch,
) -> Connection {
    opened_by(HEAD, config, framing, slab, scratch)
}

fn opened_by(
    head: &[u8],
    config: Config,
    framing: &str,
    slab: &Slab,
    scratch: &mut Scratch,
) -> Connection {
    let mut connection = accepted(config, slab, scratch);
    gives(&mut connection, Side::Client, head, scratch);
    let Some(Action::Ask(upgrade, slot)) = connection.take_action() else { panic!("no query") };
    let target = Target::Tcp { host: "peer.test".into(), port: 1 };
    let answer = Answer::new(target, framing::by_name(framing).unwrap(), None);
    connection.answered(upgrade, slot, Ok(answer), scratch);
    connection.connected(scratch);
    assert!(connection.is_open());
    connection
}

fn pinging(ping: Duration) -> Config {
    Config { deadlines: Deadlines { ping, ..Deadlines::default() }, ..Config::default() }
}

/// One that is pinged once a second.
pub(super) fn bridged(slab: &Slab, scratch: &mut Scratch) -> Connection {
    opened(pinging(SECOND), "binary", slab, scratch)
}

#[test]
fn only_open_sessions_are_probed_and_only_if_pings_are_wanted() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let connection = accepted(pinging(SECOND), &slab, &scratch);
    assert_eq!(connection.probe_interval(), None, "it has no peer");
    drop(connection);
    let connection = bridged(&slab, &mut scratch);
    assert_eq!(connection.probe_interval(), Some(SECOND));
    drop(connection);
    let connection = opened(pinging(Duration::ZERO), "binary", &slab, &mut scratch);
    assert_eq!(connection.probe_interval(), None, "no pings are wanted");
}

#[test]
fn a_session_begins_to_be_silent_when_it_is_bridged() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let mut connection = accepted(pinging(SECOND), &slab, &scratch);
    gives(&mut connection, Side::Client, HEAD, &mut scratch);
    let Some(Action::Ask(upgrade, slot)) = connection.take_action() else { panic!("no query") };
    scratch.now += SECOND * 5; // the back end takes its time
    let target = Target::Tcp { host: "peer.test".into(), port: 1 };
    let answer = Answer::new(target, framing::by_name("binary").unwrap(), None);
    connection.answered(upgrade, slot, Ok(answer), &mut scratch);
    connection.connected(&mut scratch);
    assert_eq!(connection.deadline(), Some(scratch.now + SECOND));
}

#[test]
fn half_a_character_goes_out_when_the_peer_is_found_empty() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let mut connection = opened(Config::default(), "auto", &slab, &mut scratch);
    scratch.to_client.clear();
    let full = connection.room(Side::Peer);
    let text = [vec![b'a'; full - 1], b"\xc3".to_vec()].concat();
    gives(&mut connection, Side::Peer, &text, &mut scratch);
    scratch.to_client.clear();
    connection.found_empty(Side::Client, &mut scratch);
    assert!(to_client(&scratch).is_empty(), "the peer may have more");
    connection.found_empty(Side::Peer, &mut scratch);
    assert_eq!(to_client(&scratch), b"\x82\x01\xc3");
}

#[test]
fn a_client_without_a_place_is_told_after_its_handshake() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let config = Config { explain_refusals: true, ..Config::default() };
    let mut connection = accepted(config, &slab, &scratch);
    connection.reject(NotAdmitted::Full, &mut scratch);
    assert!(to_client(&scratch).is_empty() && connection.ending().is_none());
    gives(&mut connection, Side::Client, HEAD, &mut scratch);
    assert!(connection.take_action().is_none(), "nobody is asked for it");
    assert!(matches!(connection.ending(), Some(Ending::NotAdmitted(NotAdmitted::Full))));
    assert!(to_client(&scratch).starts_with(b"HTTP/1.1 101 "));
}

/// A socket on which nothing happens, with ten bytes that nobody acknowledges.
#[derive(Default)]
pub(super) struct Stuck {
    pub(super) unflushed: usize,
    pub(super) reads: usize,
    /// Why it is not shut down.
    pub(super) shut: Option<ErrorKind>,
    /// What there is to read.
    pub(super) says: Vec<u8>,
}

impl Socket for Stuck {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.reads += 1;
        let said = std::mem::take(&mut self.says);
        buffer[..said.len()].copy_from_slice(&said);
        if said.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(said.len()) }
    }
    fn write(&mut self, _parts: &[IoSlice<'_>], _last: bool) -> Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
    fn send(&mut self, _datagram: &[u8]) -> Result<()> {
        Err(ErrorKind::WouldBlock.into())
    }
    fn shutdown(&mut self) -> Result<()> {
        self.shut.map_or(Ok(()), |kind| Err(kind.into()))
    }
    fn close(&mut self) {}
    fn unflushed(&self) -> usize {
        self.unflushed
    }
    fn unacknowledged(&self) -> usize {
        10
    }
    fn reads_unasked(&self) -> bool {
        true
    }
}

#[test]
fn what_the_kernel_says_of_a_socket_that_was_reset_counts_for_nothing() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    for failed in [false, true] {
        let mut connection = bridged(&slab, &mut scratch);
        scratch.to_client.clear();
        connection.wrote(Side::Peer, 10, scratch.now);
        scratch.now += SECOND / 2;
        let (mut ready, mut reset) = (Ready::default(), Ready { failed, ..Ready::default() });
        let client = Endpoint { socket: &mut Stuck::default(), ready: &mut ready };
        let peer = Some(Endpoint { socket: &mut Stuck::default(), ready: &mut reset });
        Pump { connection: &mut connection, client, peer, scratch: &mut scratch }.deadline();
        assert_eq!(connection.look_at(Side::Peer).is_none(), failed);
    }
}

#[test]
fn who_is_pinged_is_not_looked_at_first_and_who_is_given_up_is() {
    let start = Instant::now();
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
    let mut connection = bridged(&slab, &mut scratch);
    connection.wrote(Side::Client, scratch.to_client.len(), start);
    scratch.to_client.clear();
    let (mut socket, mut ready) = (Stuck::default(), Ready::default());
    let mut deadline = |second, scratch: &mut Scratch| {
        scratch.now = start + SECOND * second;
        let client = Endpoint { socket: &mut socket, ready: &mut ready };
        Pump { connection: &mut connection, client, peer: None, scratch }.deadline();
        (socket.reads, connection.is_open())
    };
    assert_eq!(deadline(1, &mut scratch), (0, true));
    assert_eq!(to_client(&scratch), [0x89, 0]);
    scratch.to_client.clear();
    assert_eq!(deadline(3, &mut scratch), (1, false));
}

#[test]
fn the_kernel_is_asked_when_a_pong_comes_and_not_at_a_time_of_its_own() {
    let start = Instant::now();
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
    let mut connection = bridged(&slab, &mut scratch);
    connection.wrote(Side::Client, scratch.to_client.len(), start);
    scratch.to_client.clear();
    scratch.now = start + SECOND / 4;
    let mut asked_after = |opcode, scratch: &mut Scratch| {
        let mut socket = Stuck { says: frame(opcode, b""), ..Stuck::default() };
        let mut ready = Ready { readable: true, ..Ready::default() };
        let client = Endpoint { socket: &mut socket, ready: &mut ready };
        Pump { connection: &mut connection, client, peer: None, scratch }.turn();
        connection.look_at(Side::Client)
    };
    assert_eq!(asked_after(2, &mut scratch), Some(start + SECOND / 2), "a message says nothing");
    assert_eq!(asked_after(10, &mut scratch), Some(scratch.now + SECOND / 2));
}

/// A frame of a client, masked with zeros.
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat()
}

#[test]
fn whole_messages_are_counted() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let mut connection = bridged(&slab, &mut scratch);
    for message in [&b"one"[..], b"two"] {
        gives(&mut connection, Side::Client, &frame(2, message), &mut scratch);
    }
    gives(&mut connection, Side::Client, &frame(2, b"half")[..8], &mut scratch);
    assert_eq!((connection.messages(Side::Client), connection.messages(Side::Peer)), (2, 0));
}

#[test]
fn the_request_is_summed_up() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    assert!(accepted(Config::default(), &slab, &scratch).summary().is_none());
    let connection = bridged(&slab, &mut scratch);
    assert!(connection.summary().is_some());
}

#[test]
fn one_that_others_wait_for_gives_way() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let mut connection = bridged(&slab, &mut scratch);
    scratch.to_client.clear();
    connection.give_way(&mut scratch);
    assert!(matches!(connection.ending(), Some(Ending::Dawdled)));
    assert_eq!(to_client(&scratch)[0], 0x88, "a close frame");
}

#[test]
fn a_session_outlives_what_served_its_request() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let mut connection = bridged(&slab, &mut scratch);
    assert!(!connection.outdated() && connection.is_open());
    drop(connection);
    let mut connection = accepted(Config::default(), &slab, &scratch);
    gives(&mut connection, Side::Client, &HEAD[..20], &mut scratch);
    assert!(!connection.outdated() && connection.ending().is_none(), "its request has begun");
}

#[test]
fn between_two_requests_it_ends_with_what_served_them() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let config = Config { health: Some("/up".into()), ..Config::default() };
    let mut connection = accepted(config, &slab, &scratch);
    gives(&mut connection, Side::Client, b"GET /up HTTP/1.1\r\nHost: h\r\n\r\n", &mut scratch);
    let Some(Action::Respond(..)) = connection.take_action() else { panic!("no answer") };
    connection.respond(Response::text(Status::Ok, "fine\n"), &mut scratch);
    while connection.can_go_on() {
        connection.go_on(&mut scratch);
    }
    assert!(connection.is_between_requests());
    assert!(connection.outdated());
    assert!(matches!(connection.ending(), Some(Ending::Answered)));
}

#[test]
fn what_the_peer_is_yet_to_take_is_counted() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let mut connection = bridged(&slab, &mut scratch);
    assert_eq!(connection.queued(), 0);
    connection.queue(Side::Peer, [&b"late"[..]].into_iter(), scratch.now);
    connection.queue(Side::Client, [&b"too"[..]].into_iter(), scratch.now);
    assert_eq!(connection.queued(), 7);
}

#[test]
fn only_data_keeps_a_session_from_being_idle() {
    let start = Instant::now();
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
    let deadlines = Deadlines { ping: Duration::ZERO, idle: SECOND * 9, ..Deadlines::default() };
    let config = Config { deadlines, ..Config::default() };
    let mut connection = opened(config, "binary", &slab, &mut scratch);
    for (opcode, due) in [(10, start + SECOND * 9), (2, start + SECOND * 10)] {
        scratch.now = start + SECOND;
        gives(&mut connection, Side::Client, &frame(opcode, b""), &mut scratch);
        scratch.to_peer.clear();
        gives(&mut connection, Side::Client, &frame(opcode, b"x"), &mut scratch);
        assert_eq!(connection.deadline(), Some(due), "{opcode}");
    }
}

#[test]
fn a_transport_that_hands_on_what_it_kept_is_not_stuck() {
    let start = Instant::now();
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
    let deadlines = Deadlines { write: SECOND, ..Deadlines::default() };
    let config = Config { deadlines, ..Config::default() };
    let mut connection = accepted(config, &slab, &scratch);
    connection.unflushed(Side::Client, 10, &mut scratch);
    assert_eq!(connection.deadline(), Some(start + SECOND));
    scratch.now += SECOND / 2;
    for (kept, due) in [(10, start + SECOND), (9, scratch.now + SECOND)] {
        connection.unflushed(Side::Client, kept, &mut scratch);
        assert_eq!(connection.deadline(), Some(due), "{kept}");
    }
}

#[test]
fn the_next_peer_is_told_why_it_is_asked() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let mut connection = accepted(Config::default(), &slab, &scratch);
    gives(&mut connection, Side::Client, HEAD, &mut scratch);
    let Some(Action::Ask(upgrade, slot)) = connection.take_action() else { panic!("no query") };
    let target = |port| Target::Tcp { host: "peer.test".into(), port };
    let mut answer = Answer::new(target(1), framing::by_name("binary").unwrap(), None);
    answer.further.push_back(target(2));
    connection.answered(upgrade, slot, Ok(answer), &mut scratch);
    assert_eq!(connection.unreached(), None, "it is the first");
    connection.not_connected("it is away".into(), &mut scratch);
    let why = connection.unreached().unwrap();
    assert!(why.contains("it is away"), "{why}");
    assert!(Ending::Dial(String::new()).is_of_unreached_peer());
    assert!(!Ending::Operator.is_of_unreached_peer());
}

#[test]
fn a_peer_that_takes_nothing_more_may_speak_until_the_close_time_out() {
    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let mut connection = bridged(&slab, &mut scratch);
    connection.write_failed(Side::Peer, ErrorKind::BrokenPipe, &mut scratch);
    scratch.to_client.clear();
    gives(&mut connection, Side::Peer, b"last words", &mut scratch);
    assert_eq!(to_client(&scratch), b"\x82\x0alast words");
    scratch.to_client.clear();
    scratch.now += Deadlines::default().close;
    connection.expired(&mut scratch);
    assert_eq!(to_client(&scratch)[0], 0x88, "the client is told");
}

#[cfg(feature = "deflate")]
#[test]
fn a_client_waits_while_too_many_are_inside_a_compressed_message() {
    use crate::deflate::Decoder;
    use crate::proto::extensions::Window;

    let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(Instant::now()));
    let config = Config { deflate: Some(1), ..Config::default() };
    let offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let head = [&HEAD[..HEAD.len() - 2], offer].concat();
    let mut connection = opened_by(&head, config, "binary", &slab, &mut scratch);
    assert!(!connection.awaits_inflater(true) && !connection.has_inflater());
    let mut others = Vec::new();
    loop {
        let pool = scratch.engines.inflaters.clone();
        let mut other = Decoder::new(Window { bits: 15, takeover: false }, pool);
        if !other.begin() {
            break;
        }
        others.push(other);
    }
    assert!(connection.awaits_inflater(true) && connection.room(Side::Client) == 0);
    assert!(!connection.awaits_inflater(false), "it has nothing to say");
    others.pop();
    assert!(!connection.awaits_inflater(true) && connection.room(Side::Client) > 0);
    // The first part of RFC 7692 §7.2.3.1's message.
    let part = b"\x42\x83\0\0\0\0\xf2\x48\xcd";
    gives(&mut connection, Side::Client, part, &mut scratch);
    assert!(connection.has_inflater() && !connection.awaits_inflater(true), "it has the last one");
    connection.give_way(&mut scratch);
    assert!(!connection.has_inflater() && scratch.free_inflaters() > 0, "others have it at once");
}
