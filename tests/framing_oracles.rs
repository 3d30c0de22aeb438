//! Each of the seven framings in the real binary against a naive oracle: a peer sends a random
//! stream in random pieces, and the client must get what the framing's manual says. B01 to B10 of
//! the case catalogue in `docs/testing.md`.
//!
//! The oracles have the whole stream before them, so that nothing of theirs depends on how it came.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::plugins::{bundled, scratch};
use common::{BASE, Client, Daemon, Event, Peer};
use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

/// Sessions a framing, each with a configuration, a stream and cuts of its own.
const SESSIONS: u64 = 24;

const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// A message: its opcode and its payload.
type Message = (u8, Vec<u8>);

/// The same numbers for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// So many picks, one after the other.
    fn join(&mut self, count: usize, from: &[&[u8]]) -> Vec<u8> {
        (0..count).flat_map(|_| self.pick(from).to_vec()).collect()
    }

    /// The stream in pieces: mostly small, some of one byte, some large.
    fn pieces(&mut self, stream: &[u8]) -> Vec<Vec<u8>> {
        let mut rest = stream;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let most = self.pick(&[1, 1, 4, 64, 64, 1_000, 20_000]);
            let (piece, left) = rest.split_at(1 + self.below(most.min(rest.len())));
            pieces.push(piece.to_vec());
            rest = left;
        }
        pieces
    }
}

/// A framing, and what is known of it.
struct Framing {
    name: &'static str,
    config: fn(&mut Random) -> String,
    stream: fn(&mut Random, &str) -> Vec<u8>,
    check: fn(&str, &[u8], Vec<Message>),
}

/// A peer that plays the next stream of a list to each connection.
struct Player {
    peer: Peer,
    streams: Arc<Mutex<VecDeque<Vec<Vec<u8>>>>>,
}

impl Player {
    fn new() -> Self {
        let streams = Arc::new(Mutex::new(VecDeque::<Vec<Vec<u8>>>::new()));
        let next = Arc::clone(&streams);
        let peer =
            Peer::serve(move |stream| play(stream, next.lock().unwrap().pop_front().unwrap()));
        Self { peer, streams }
    }
}

/// One piece a write; a pause now and then, so that a read ends there.
fn play(mut stream: TcpStream, pieces: Vec<Vec<u8>>) {
    stream.set_nodelay(true).unwrap();
    for (index, piece) in pieces.iter().enumerate() {
        stream.write_all(piece).unwrap();
        if index % 8 == 0 {
            sleep(Duration::from_micros(500));
        }
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Plays [`SESSIONS`] streams through the daemon and holds what comes out to the oracle.
fn hold(framing: &Framing) {
    let player = Player::new();
    let directory = scratch(framing.name);
    let path = format!("path={}", directory.display());
    let expression = "expression=%endpoint%";
    let daemon =
        Daemon::start(&["--plugins", bundled(), "-b", "file", "-c", &path, "-c", expression]);
    for seed in 0..SESSIONS {
        let mut random = Random(seed);
        let config = (framing.config)(&mut random);
        let stream = (framing.stream)(&mut random, &config);
        player.streams.lock().unwrap().push_back(random.pieces(&stream));
        let port = player.peer.port();
        let line = format!("tcp://127.0.0.1:{port} * {} {config}\n", framing.name);
        fs::write(directory.join(seed.to_string()), line).unwrap();
        let messages = session(&daemon, seed);
        println!("{} {config:?} seed {seed}: {} bytes", framing.name, stream.len());
        (framing.check)(&config, &stream, messages);
    }
}

/// All messages of the session that the file of this name leads to.
fn session(daemon: &Daemon, seed: u64) -> Vec<Message> {
    let request = BASE.replacen("GET / ", &format!("GET /{seed} "), 1);
    let mut client = Client::connect_with(daemon.port(), request.as_bytes());
    let mut messages = Vec::new();
    loop {
        match client.event() {
            Event::Data(true, opcode, payload) => messages.push((opcode, payload)),
            Event::Close(code, _) => {
                assert_eq!(code, Some(1000));
                return messages;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn no_config(_: &mut Random) -> String {
    String::new()
}

/// Text in several scripts and bytes that are none.
fn mixed(random: &mut Random, _: &str) -> Vec<u8> {
    let text: &[&[u8]] = &[b"a", b" ", "é".as_bytes(), "€".as_bytes(), "😀".as_bytes()];
    let bytes: &[&[u8]] = &[b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\0"];
    let count = random.below(3_000);
    let mut stream = random.join(count, text);
    if random.below(2) == 0 {
        stream.extend(random.join(20, bytes));
        stream.extend(random.join(count, text));
    }
    stream
}

/// Where messages end is the kernel's affair; that nothing is lost and how they are typed is not.
fn check_whole(typed: fn(&[u8]) -> u8, stream: &[u8], messages: Vec<Message>) {
    for (opcode, payload) in &messages {
        assert_eq!(*opcode, typed(payload), "{payload:?}");
    }
    assert!(messages.iter().flat_map(|message| &message.1).eq(stream));
}

fn kind(payload: &[u8]) -> u8 {
    if String::from_utf8(payload.to_vec()).is_ok() { TEXT } else { BINARY }
}

/// What ends in the delimiter, the delimiter included, and what is behind the last.
fn split(stream: &[u8], delimiter: &[u8], typed: fn(&[u8]) -> u8) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut message = Vec::new();
    for byte in stream {
        message.push(*byte);
        if message.ends_with(delimiter) {
            messages.push((typed(&message), std::mem::take(&mut message)));
        }
    }
    if !message.is_empty() {
        messages.push((typed(&message), message));
    }
    messages
}

/// B04, C-51: text when it is UTF-8.
#[test]
fn auto() {
    let check = |_: &str, stream: &[u8], messages| check_whole(kind, stream, messages);
    hold(&Framing { name: "auto", config: no_config, stream: mixed, check });
}

#[test]
fn binary() {
    let check = |_: &str, stream: &[u8], messages| check_whole(|_| BINARY, stream, messages);
    hold(&Framing { name: "binary", config: no_config, stream: mixed, check });
}

fn line_end(config: &str) -> &'static [u8] {
    match config {
        "lf" => b"\n",
        "cr" => b"\r",
        "lfcr" => b"\n\r",
        _ => b"\r\n",
    }
}

/// B01, B02, B05, B06, C-47, C-50: every line end, found across reads; text and binary by the line.
#[test]
fn newline() {
    hold(&Framing {
        name: "newline",
        config: |random| random.pick(&["", "crlf", "lf", "cr", "lfcr"]).to_owned(),
        stream: |random, config| {
            let ends: [&[u8]; 5] = [line_end(config), line_end(config), b"\r", b"\n", b"\xff"];
            let parts: [&[u8]; 4] = [b"a", b"bc", "é".as_bytes(), b"\t"];
            let all: Vec<&[u8]> = ends.into_iter().chain(parts).collect();
            let count = random.below(3_000);
            random.join(count, &all)
        },
        check: |config, stream, messages| {
            assert_eq!(messages, split(stream, line_end(config), kind));
        },
    });
}

/// A separator as it is configured, all of it in hexadecimal.
fn unescaped(config: &str) -> Vec<u8> {
    let digits = config.split("\\x").skip(1);
    digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

/// B01 to B03, C-47, C-48: separators that begin again inside themselves, across reads, one after the other.
#[test]
fn separator() {
    hold(&Framing {
        name: "separator",
        config: |random| {
            let length = 1 + random.below(5);
            (0..length).map(|_| format!("\\x{:02x}", random.pick(&[0, 1, 0xff]))).collect()
        },
        stream: |random, config| {
            let separator = unescaped(config);
            let count = random.below(4_000);
            random.join(count, &[b"\0", b"\x01", b"\xff", b"x", &separator])
        },
        check: |config, stream, messages| {
            assert_eq!(messages, split(stream, &unescaped(config), |_| BINARY));
        },
    });
}

/// B07: lengths from one byte to the whole buffer.
#[test]
fn fixedlength() {
    hold(&Framing {
        name: "fixedlength",
        config: |random| {
            let any = 1 + random.below(300);
            random.pick(&[1, 2, 16_384, any, any]).to_string()
        },
        stream: |random, config| {
            let count = if config == "16384" { 50_000 } else { 3_000 };
            (0..random.below(count)).map(|_| random.next() as u8).collect()
        },
        check: |config, stream, messages| {
            let chunks = stream.chunks(config.parse().unwrap());
            assert_eq!(messages, chunks.map(|chunk| (BINARY, chunk.to_vec())).collect::<Vec<_>>());
        },
    });
}

/// The options of a `dynamic32` configuration.
fn options(config: &str) -> (usize, i64, bool) {
    let option = |key: &str| {
        let mut values = config.split(',').filter_map(|item| item.strip_prefix(key));
        values.next().unwrap_or_default()
    };
    let number = |key: &str| option(key).parse::<i64>().unwrap_or(0);
    (number("offset=") as usize, number("static="), option("endian=") == "big")
}

/// A stream of messages with true fields, the last one cut off.
fn with_lengths(random: &mut Random, config: &str) -> Vec<u8> {
    let (offset, fixed, big) = options(config);
    let mut stream = Vec::new();
    for _ in 0..random.below(60) {
        let payload = random.pick(&[0, 1, 7, 300, 10_000]) + fixed.unsigned_abs() as usize;
        let size = u32::try_from(payload as i64 - fixed).unwrap();
        stream.extend(vec![b'o'; offset]);
        stream.extend(if big { size.to_be_bytes() } else { size.to_le_bytes() });
        stream.extend((0..payload).map(|_| random.next() as u8));
    }
    stream.truncate(stream.len() - random.below(10).min(stream.len()));
    stream
}

/// The messages of such a stream by the manual's formula, and what is left of it.
fn by_length(config: &str, mut stream: &[u8]) -> Vec<Message> {
    let (offset, fixed, big) = options(config);
    let mut messages = Vec::new();
    while let Some(field) = stream.get(offset..offset + 4) {
        let weights = [0, 8, 16, 24].map(|shift| if big { 24 - shift } else { shift });
        let size: i64 =
            field.iter().zip(weights).map(|(byte, shift)| i64::from(*byte) << shift).sum();
        let total = usize::try_from(offset as i64 + 4 + fixed + size).unwrap();
        let Some(message) = stream.get(..total) else { break };
        messages.push((BINARY, message.to_vec()));
        stream = &stream[total..];
    }
    if !stream.is_empty() {
        messages.push((BINARY, stream.to_vec()));
    }
    messages
}

/// B08, C-57: all options, in all orders.
#[test]
fn dynamic32() {
    hold(&Framing {
        name: "dynamic32",
        config: |random| {
            let mut options = vec![
                format!("offset={}", random.below(9)),
                format!("static={}", random.below(9) as i64 - 4),
                format!("endian={}", random.pick(&["little", "big"])),
            ];
            options.truncate(random.below(4));
            let turn = random.below(options.len().max(1));
            options.rotate_left(turn);
            options.join(",")
        },
        stream: with_lengths,
        check: |config, stream, messages| assert_eq!(messages, by_length(config, stream)),
    });
}

/// A random value as text, with blanks where there may be some.
fn value(random: &mut Random, depth: usize) -> String {
    let leaves = [
        "null",
        "true",
        "false",
        "0",
        "-12",
        "3.5e-7",
        "\"\"",
        "\"a\\\\\"",
        "\"\\\"\"",
        "\"\\u00e9\"",
        "\"é€😀\"",
        "\"[{\"",
        "\"}]\"",
    ];
    let blank = random.pick(&["", "", " ", "\r\n\t"]);
    let count = random.below(4);
    match if depth == 0 { 2 } else { random.below(3) } {
        0 => {
            let items: Vec<_> = (0..count).map(|_| value(random, depth - 1)).collect();
            format!("[{blank}{}{blank}]", items.join(&format!("{blank},")))
        }
        1 => {
            let member = |random: &mut Random| {
                format!("\"k\\\"\"{blank}:{blank}{}", value(random, depth - 1))
            };
            let members: Vec<_> = (0..count).map(|_| member(random)).collect();
            format!("{{{}{blank}}}", members.join(&format!(",{blank}")))
        }
        _ => random.pick(&leaves).to_owned(),
    }
}

/// The values of a stream whose values have no more than blanks between them: brackets counted
/// outside of strings.
fn values(stream: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut rest = stream.trim_ascii();
    while !rest.is_empty() {
        let (mut depth, mut quoted, mut escaped) = (0_i32, false, false);
        let end = rest.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = !quoted,
                b'[' | b'{' if !quoted => depth += 1,
                b']' | b'}' if !quoted => depth -= 1,
                _ => {}
            }
            depth == 0 && !quoted && *byte == b'\n'
        });
        let (message, left) = rest.split_at(end.unwrap_or(rest.len()));
        messages.push((TEXT, message.trim_ascii().to_vec()));
        rest = left.trim_ascii();
    }
    messages
}

/// B10, C-58: escapes, nesting, numbers and characters, cut anywhere.
#[test]
fn json() {
    hold(&Framing {
        name: "json",
        config: no_config,
        stream: |random, _| {
            let count = random.below(200);
            let lines = (0..count).map(|_| {
                let depth = random.below(7);
                value(random, depth) + random.pick(&["\n", " \r\n\n", "\t\n"])
            });
            lines.collect::<String>().into_bytes()
        },
        check: |_, stream, messages| assert_eq!(messages, values(stream)),
    });
}
