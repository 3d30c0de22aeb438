#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do

use std::rc::Rc;

use proptest::prelude::*;
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

use super::encoder::Deflaters;
use super::*;
use crate::proto::extensions::{SERVER_BITS, Window};

/// Words that repeat, as what is compressed does.
fn text(seed: usize, length: usize) -> Vec<u8> {
    let words = (0..).map(|at: usize| {
        let word = (at * 7919 + seed * 104_729) % 61;
        format!("{{\"key{word}\":{}}},", (seed + at) % 97)
    });
    words.flat_map(String::into_bytes).take(length).collect()
}

fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

/// A client's inflater, which is never reset, of a window of its own.
struct Client {
    inflate: Inflate,
    deflate: Deflate,
}

impl Client {
    fn new(server_bits: u8, client_bits: u8) -> Self {
        let inflate = Inflate::new(false, server_bits);
        Self { inflate, deflate: Deflate::new(6, false, client_bits) }
    }

    /// RFC 7692 §7.2.2, in small pieces of output so that its window counts.
    fn inflate(&mut self, payload: &[u8], whole: bool) -> Vec<u8> {
        let tail: &[u8] = if whole { &[0, 0, 0xff, 0xff] } else { &[] };
        let input = [payload, tail].concat();
        let (mut read, mut out) = (0, Vec::new());
        loop {
            let mut piece = [0; 61];
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status =
                self.inflate.decompress(&input[read..], &mut piece, InflateFlush::SyncFlush);
            status.unwrap();
            read += (self.inflate.total_in() - before.0) as usize;
            let made = (self.inflate.total_out() - before.1) as usize;
            out.extend_from_slice(&piece[..made]);
            if made < piece.len() {
                assert_eq!(read, input.len());
                return out;
            }
        }
    }

    /// RFC 7692 §7.2.1.
    fn deflate(&mut self, message: &[u8], takeover: bool) -> Vec<u8> {
        if message.is_empty() {
            return vec![0]; // §7.2.3.6
        }
        let mut out = vec![0; message.len() * 2 + 64];
        let before = self.deflate.total_out();
        self.deflate.compress(message, &mut out, DeflateFlush::SyncFlush).unwrap();
        out.truncate((self.deflate.total_out() - before) as usize);
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        if !takeover {
            self.deflate.reset();
        }
        out
    }
}

fn decoder(bits: u8, takeover: bool) -> Decoder {
    Decoder::new(Window { bits, takeover }, Rc::default())
}

/// All that a decoder makes of a message, in pieces of input and room for so much output.
fn decode(
    decoder: &mut Decoder,
    payload: &[u8],
    size: usize,
    room: usize,
) -> Result<Vec<u8>, Corrupt> {
    let mut out = Vec::new();
    let mut pieces = payload.chunks(size).collect::<Vec<_>>();
    if pieces.is_empty() {
        pieces.push(&[]);
    }
    for (at, piece) in pieces.iter().enumerate() {
        let last = at + 1 == pieces.len();
        let mut read = 0;
        loop {
            assert!(decoder.begin());
            let mut output = vec![0; room];
            let step = decoder.step(&piece[read..], last, &mut output)?;
            read += step.read;
            out.extend_from_slice(&output[..step.written]);
            match step.progress {
                Progress::Full => assert!(decoder.has_more()),
                Progress::Hungry => {
                    assert!(!last && read == piece.len());
                    break;
                }
                Progress::Done => {
                    assert!(last && read == piece.len() && !decoder.is_inside());
                    return Ok(out);
                }
            }
        }
    }
    panic!("a message without an end");
}

/// Sends messages, in so many fragments, and returns how much went over the wire of how much.
fn send((window, level): (Window, u8), messages: &[Vec<u8>], fragments: usize) -> (usize, usize) {
    let mut deflaters = Deflaters::default();
    let mut encoder = Encoder::new(window, level, &mut deflaters);
    // A session in between, whose history is another one.
    let mut other = Encoder::new(window, level, &mut deflaters);
    let mut client = Client::new(window.bits, 15);
    let (mut wire, mut plain) = (0, 0);
    for (at, message) in messages.iter().enumerate() {
        if at % 3 == 0 {
            let _ = other.frame((true, true), &noise(at, 200), &mut deflaters);
            let _ = other.frame((true, true), &text(at, 300), &mut deflaters);
        }
        if !window.takeover {
            client.inflate.reset(false);
        }
        let size = message.len().div_ceil(fragments).max(1);
        let mut got = Vec::new();
        let pieces: Vec<_> = message.chunks(size).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let (first, last) = (at == 0, at + 1 == pieces.len());
            match encoder.frame((first, last), piece, &mut deflaters) {
                Some(compressed) => {
                    wire += compressed.len();
                    got.extend(client.inflate(compressed, last));
                }
                None => {
                    wire += piece.len();
                    got.extend_from_slice(piece);
                }
            }
        }
        plain += message.len();
        assert!(
            got == *message,
            "message {at} in {fragments} fragments, {window:?}, level {level}"
        );
    }
    (wire, plain)
}

/// What a client's own inflater, which is never reset, makes of each message is that message, for
/// every window and level that can be agreed on.
#[test]
fn an_inflater_that_is_never_reset_agrees() {
    let messages: Vec<_> = (0..30)
        .map(|at| match at % 10 {
            7 => noise(at, 900),
            9 => text(at, 9000),
            _ => text(at, at * 13 % 700),
        })
        .collect();
    for bits in 8..=SERVER_BITS {
        for level in [1, 3, 6] {
            for takeover in [true, false] {
                for fragments in [1, 3] {
                    let window = Window { bits, takeover };
                    let (wire, plain) = send((window, level), &messages, fragments);
                    assert!(wire < plain, "{window:?} {level} {fragments}");
                }
            }
        }
    }
}

/// Messages refer no further back than the window. The inflater knows that much and no more: one of a
/// smaller window would keep 32 KiB, too. What invites to look further recurs just behind it.
#[test]
fn no_reference_is_longer_than_the_window() {
    for bits in 8..=SERVER_BITS {
        for level in [1, 2, 6, 9] {
            let mut deflaters = Deflaters::default();
            let window = Window { bits, takeover: true };
            let mut encoder = Encoder::new(window, level, &mut deflaters);
            let mut sent: Vec<u8> = Vec::new();
            for at in 0..300 {
                let seed = at % ((1 << bits) / 90 + 1);
                let fresh = noise(seed, 15).iter().map(|byte| format!("{byte:02x}")).collect();
                let message = [text(1, 60), String::into_bytes(fresh)].concat();
                let frame = encoder.frame((true, true), &message, &mut deflaters);
                let Some(packed) = frame else { continue };
                let mut client = Client::new(bits, 15);
                if !sent.is_empty() {
                    let known = &sent[sent.len().saturating_sub(1 << bits)..];
                    client.inflate.set_dictionary(known).unwrap();
                }
                assert_eq!(client.inflate(packed, true), message, "{bits} {level}");
                sent.extend(message);
            }
            assert!(sent.len() > 20_000, "{bits} {level}");
        }
    }
}

/// What one session left in a state is nothing to the next one's search for what repeats: `zlib-rs` follows
/// it at level 9 until an assertion fails.
#[test]
fn a_state_that_begins_anew_finds_nothing_of_before() {
    for (bits, level) in (8..=SERVER_BITS).flat_map(|bits| (1..=9).map(move |level| (bits, level)))
    {
        let window = Window { bits, takeover: true };
        let mut deflaters = Deflaters::default();
        let [mut first, mut second] = [(); 2].map(|()| Encoder::new(window, level, &mut deflaters));
        let a = |n: usize| "a".repeat(n);
        let longer = 473 + (1 << bits.max(9)) - 512;
        let long = format!("{}b{}b{}bbbbba", a(12), a(34), a(longer));
        assert!(first.frame((true, true), long.as_bytes(), &mut deflaters).is_some());
        let (mut client, mut got) = (Client::new(15, 15), Vec::new());
        let parts = ["abaaaabaaaaaaa", &format!("{}bbbbb", a(30)), "a", "bbbbb"];
        for (at, part) in parts.iter().enumerate() {
            let place = (at == 0, at + 1 == parts.len());
            let packed = second.frame(place, part.as_bytes(), &mut deflaters).unwrap();
            got.extend(client.inflate(packed, place.1));
        }
        assert_eq!(got, parts.concat().as_bytes(), "{bits} bits, level {level}");
    }
}

#[test]
fn what_does_not_pay_is_left_alone_and_tried_again() {
    let mut deflaters = Deflaters::default();
    let window = Window { bits: 12, takeover: true };
    let mut encoder = Encoder::new(window, 1, &mut deflaters);
    let mut client = Client::new(12, 15);
    for at in 0..100 {
        let message = noise(at, 30_000);
        let frame = encoder.frame((true, true), &message, &mut deflaters);
        assert!(frame.is_none(), "it would have grown");
    }
    let mut compressed = 0;
    let message = text(1, 30_000);
    for _ in 0..2000 {
        if let Some(frame) = encoder.frame((true, true), &message, &mut deflaters) {
            compressed += 1;
            assert_eq!(client.inflate(frame, true), message);
        }
    }
    assert!(compressed > 600, "{compressed}");
    let short = encoder.frame((true, true), b"short", &mut deflaters);
    assert!(short.is_none());
}

/// Messages of a client, cut everywhere.
#[test]
fn a_message_may_be_cut_anywhere() {
    for takeover in [true, false] {
        let mut client = Client::new(12, 11);
        let mut decoder = decoder(11, takeover);
        for at in 0..8 {
            let message = text(at, at * 41);
            let payload = client.deflate(&message, takeover);
            for size in 1..=payload.len() {
                // A copy would be needed to see each from the same state: the last one goes on.
                let room = [1, 2, 7, 64, 1000][size % 5];
                let mut fresh = Decoder::new(Window { bits: 11, takeover }, Rc::default());
                if at == 0 || !takeover {
                    assert_eq!(decode(&mut fresh, &payload, size, room), Ok(message.clone()));
                }
            }
            let size = at + 1;
            assert_eq!(decode(&mut decoder, &payload, size, 10 + at), Ok(message));
        }
    }
}

/// RFC 7692 §7.2.3: its examples.
#[test]
fn the_examples_of_the_rfc() {
    let hello = b"Hello".to_vec();
    let table: &[&[&[u8]]] = &[
        &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"],
        // §7.2.3.2: the second refers to the first.
        &[b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x00\x11\x00\x00"],
        // §7.2.3.3: a block that is not compressed.
        &[b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"],
        // §7.2.3.4: a last block, and what makes the flush complete.
        &[b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"],
        // §7.2.3.5: two blocks in one message.
        &[b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"],
        // The same without what makes the flush complete, which other inflaters do not miss.
        &[b"\xf3\x48\xcd\xc9\xc9\x07\x00"],
    ];
    for messages in table {
        for size in 1..20 {
            for room in [1, 3, 100] {
                let mut decoder = decoder(11, true);
                for message in *messages {
                    assert_eq!(decode(&mut decoder, message, size, room), Ok(hello.clone()));
                }
            }
        }
    }
    let mut decoder = decoder(11, true);
    assert_eq!(decode(&mut decoder, b"\x00", 1, 1), Ok(Vec::new()), "§7.2.3.6");
    assert_eq!(decode(&mut decoder, b"\x02\x00", 1, 1), Ok(Vec::new()));
}

#[test]
fn what_is_not_deflate_is_told_apart() {
    let mut client = Client::new(12, 15);
    let good = client.deflate(&text(1, 500), false);
    for payload in [
        &b"\xff"[..],
        b"\x07",
        b"",
        b"Hello",
        // Before anything to refer to.
        b"\xf2\x00\x11\x00\x00",
        // Two endings where one belongs.
        b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff",
        &good[..good.len() - 1],
        &good[..good.len() / 2],
    ] {
        for size in [1, 2, 1000] {
            let found = decode(&mut decoder(11, true), payload, size, 100);
            assert_eq!(found, Err(Corrupt), "{payload:x?}");
        }
    }
}

/// A stream may end inside a message and another begin, which costs more than its two bytes.
#[test]
fn many_endings_cost_what_they_take() {
    let (mut decoder, payload) = (decoder(11, true), [3, 0].repeat(1000));
    assert!(decoder.begin());
    let mut output = [0; 100];
    let step = decoder.step(&payload, true, &mut output).unwrap();
    assert_eq!((step.progress, step.written), (Progress::Full, 0));
    assert!(step.cost >= 64 * BEGINNING && step.read < 200, "{step:?}");
    assert_eq!(decode(&mut decoder, &payload[step.read..], 500, 10), Ok(Vec::new()));
}

/// 10 MB of zeros in 10 KB: no step makes more than it has room for.
#[test]
fn a_bomb_waits() {
    let mut client = Client::new(12, 15);
    let payload = client.deflate(&vec![0; 10_000_000], false);
    assert!(payload.len() < 12_000);
    let (mut decoder, mut total, mut read, mut steps) = (decoder(11, false), 0, 0, 0);
    loop {
        let mut output = [1; 16_384];
        assert!(decoder.begin());
        let step = decoder.step(&payload[read..], true, &mut output).unwrap();
        assert!(output[..step.written].iter().all(|&byte| byte == 0));
        (total, read, steps) = (total + step.written, read + step.read, steps + 1);
        match step.progress {
            Progress::Full => assert!(decoder.has_more()),
            Progress::Done => break,
            Progress::Hungry => panic!("all of it was there"),
        }
    }
    assert_eq!((total, read), (10_000_000, payload.len()));
    assert!(steps > 600);
}

#[test]
fn there_are_so_many_inflaters_and_no_more() {
    let pool = Rc::<Pool>::default();
    let window = Window { bits: 11, takeover: true };
    let mut decoders: Vec<_> = Vec::new();
    while pool.has_free() {
        let mut decoder = Decoder::new(window, Rc::clone(&pool));
        assert!(decoder.begin());
        let mut output = [0; 10];
        let step = decoder.step(b"\xf2\x48", false, &mut output).unwrap();
        assert_eq!(step.progress, Progress::Hungry);
        decoders.push(decoder);
    }
    let mut late = Decoder::new(window, Rc::clone(&pool));
    assert!(!late.begin() && !late.has_inflater());
    assert!(decoders[3].has_inflater(), "its own");
    let mut output = [0; 10];
    let end = b"\xcd\xc9\xc9\x07\x00";
    assert_eq!(decoders[7].step(end, true, &mut output).unwrap().progress, Progress::Done);
    assert!(late.has_inflater() && late.begin());
    decoders[8].give_up();
    assert!(pool.has_free());
    pool.reserve(true);
    assert_eq!(pool.free(), 1);
    let mut called = Decoder::new(window, Rc::clone(&pool));
    assert!(!called.begin() && !called.has_inflater(), "others were here before");
    called.call(true);
    assert!(called.has_inflater() && called.begin());
    decoders[9].give_up();
    called.call(false);
    assert!(called.has_inflater() && called.begin(), "it goes on");
    pool.reserve(false);
    assert!(decoders[9].begin());
    drop((decoders, late, called));
    assert!(pool.has_free());
}

proptest! {
    /// Whatever is sent, however it is cut, arrives; in either direction.
    #[test]
    fn messages_arrive(
        seeds in prop::collection::vec((0..5usize, 0..3000usize), 1..20),
        (bits, takeover, level) in (8..=SERVER_BITS, any::<bool>(), 1..10u8),
        (fragments, size, room) in (1..6usize, 1..5000usize, 1..5000usize),
    ) {
        let make = |(at, &(kind, length)): (usize, &(usize, usize))| match kind {
            0 => noise(at, length),
            1 => vec![7; length],
            _ => text(at, length),
        };
        let messages: Vec<_> = seeds.iter().enumerate().map(make).collect();
        send((Window { bits, takeover }, level), &messages, fragments);
        let bits = bits.max(9);
        let (mut client, mut decoder) = (Client::new(12, bits), decoder(bits, takeover));
        for message in &messages {
            let payload = client.deflate(message, takeover);
            prop_assert_eq!(&decode(&mut decoder, &payload, size, room).unwrap(), message);
        }
    }

    /// What a decoder takes to be a message, an inflater that is never reset does, too.
    #[test]
    fn noise_is_no_trouble(payload in prop::collection::vec(any::<u8>(), 0..60), size in 1..9usize) {
        let mut decoder = decoder(11, true);
        if let Ok(message) = decode(&mut decoder, &payload, size, 50) {
            let mut whole = Decoder::new(Window { bits: 11, takeover: true }, Rc::default());
            prop_assert_eq!(decode(&mut whole, &payload, 1000, 100_000), Ok(message));
        }
    }
}
