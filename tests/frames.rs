//! Frames on the real binary (RFC 6455 §5 to §8): what fails a connection and with which code, the
//! closing handshake from both sides, and messages that must come back as they were sent. Row
//! labels are the ids of the case catalogue in `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    Client, Daemon, End, Event, PATIENCE, Peer, Received, frame, frame_masked, header, noise,
};
use std::io::Write;
use std::net::{Shutdown, UdpSocket};
use std::time::{Duration, Instant};

/// Text whose code points take one to four bytes.
const TEXT: &str = "aκόσμε𐍈";

/// The bytes that `digits` write, blanks ignored.
fn hex(digits: &str) -> Vec<u8> {
    let digits: String = digits.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// A header written in `digits` and a mask that changes nothing.
fn raw(digits: &str) -> Vec<u8> {
    [hex(digits), vec![0; 4]].concat()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason].concat())
}

/// A case's id, the bytes of its frames and the close code they bring.
type Row = (String, Vec<u8>, u16);
/// A frame's first byte and its payload.
type Frame = (u8, Vec<u8>);

fn rows(case: &str, code: u16, frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Row> {
    let numbered = frames.into_iter().enumerate();
    numbered.map(|(index, bytes)| (format!("{case}[{index}]"), bytes, code)).collect()
}

/// Headers that RFC 6455 §5.2 and §5.5 forbid.
fn bad_headers() -> Vec<Row> {
    let reserved = ["c1", "a1", "91", "f1", "c9", "40"].map(|first| raw(&format!("{first} 80")));
    let opcodes =
        |bits: std::ops::RangeInclusive<u8>| bits.map(|first| raw(&format!("{first:02x} 80")));
    let huge = (0x8b..=0x8f).map(|first| raw(&format!("{first:02x} ff 00000000 80000000")));
    let cut_controls = ["09", "0a", "08"].map(|first| raw(&format!("{first} 80")));
    let long_controls =
        ["89 fe 007e", "89 ff 000000000000007e", "88 fe 007e", "8a fe 007e"].map(raw);
    let padded = ["82 fe 0001", "82 fe 007d", "82 ff 000000000000ffff", "82 ff 0000000000000000"];
    let negative = (0xf0..=0xff).map(|last| raw(&format!("82 ff ffffffffffffff{last:02x}")));
    [
        rows("F01", 1002, [[header(0x81, 0, 5), b"Hello".to_vec()].concat()]),
        rows("F02-F07", 1002, reserved),
        rows("F08-F12", 1002, opcodes(0x83..=0x87)),
        rows("F13-F17", 1002, opcodes(0x8b..=0x8f).chain(huge)),
        rows("F19-F21", 1002, cut_controls),
        rows("F22-F25", 1002, long_controls),
        rows("F29-F31", 1002, padded.map(raw)),
        rows("F32", 1002, [raw("82 ff 8000000000000000")]),
        rows("F33-F34", 1002, negative),
        rows("F78", 1002, [hex("88 00")]),
    ]
    .concat()
}

/// Sequences that §5.4 forbids, and close frames that §5.5.1 and §7.4 do.
fn bad_sequences() -> Vec<Row> {
    let pair = |first, second| [frame(first, b"a"), frame(second, b"b")].concat();
    let codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
    [
        rows("F18", 1002, [[frame(0x01, b"a"), raw("83 80")].concat()]),
        rows("F38-F39", 1002, [raw("80 80"), raw("00 80")]),
        rows("F40-F42", 1002, [pair(0x01, 0x81), pair(0x01, 0x02), pair(0x81, 0x80)]),
        rows("F49", 1002, [frame(0x88, b"\x03")]),
        rows("F52", 1007, [close(1000, b"\xff\xfe"), close(1000, b"\xe2\x82")]),
        rows("F53 F55", 1002, codes.map(|code| close(code, b""))),
    ]
    .concat()
}

/// Text that is not UTF-8 (§8.1).
fn bad_text() -> Vec<Row> {
    let invalid: [&[u8]; 8] = [
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xe2\x82",
        b"\x80",
        b"\xe0\x80\x80",
    ];
    let mut halfway = frame(0x81, &[b"ok\xff", [b'a'; 97].as_slice()].concat());
    halfway.truncate(2 + 4 + 5);
    [
        rows("F61", 1007, invalid.map(|text| frame(0x81, text))),
        rows(
            "F61 fragments",
            1007,
            invalid.map(|text| {
                let pieces = text.iter().map(|byte| frame(0x00, &[*byte]));
                [frame(0x01, b"ok"), pieces.collect::<Vec<_>>().concat(), frame(0x80, b"")].concat()
            }),
        ),
        rows("F63", 1007, [frame(0x01, b"a\xff"), halfway]),
    ]
    .concat()
}

fn fatal() -> Vec<Row> {
    [bad_headers(), bad_sequences(), bad_text()].concat()
}

#[test]
fn what_breaks_the_protocol_is_closed_with_its_code() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    for (id, bytes, code) in fatal() {
        let mut client = Client::connect(daemon.port());
        client.send(&bytes);
        assert_eq!(client.end(), Some(code), "{id}: {bytes:02x?}");
    }
}

/// F61: the reason says what kind of fault it was.
#[test]
fn f61_text_that_is_not_utf8_is_called_so() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    for (bytes, code, reason) in [
        (frame(0x81, b"\xff"), 1007, "invalid UTF-8"),
        (frame(0x88, b"\x03\xe8\xff"), 1007, "invalid UTF-8"),
        (frame(0x83, b""), 1002, "protocol error"),
    ] {
        let mut client = Client::connect(daemon.port());
        client.send(&bytes);
        assert_eq!(client.event(), Event::Close(Some(code), reason.into()));
    }
}

#[test]
fn what_breaks_the_protocol_may_come_byte_by_byte() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    for (id, bytes, code) in fatal() {
        let mut client = Client::connect(daemon.port());
        for byte in bytes {
            client.try_send(&[byte]);
        }
        assert_eq!(client.end(), Some(code), "{id}");
    }
}

/// F58: a megabyte behind the bad frame, and no answer: the code still arrives, then FIN.
#[test]
fn the_code_is_delivered_over_unread_bytes() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let behind = noise(1 << 20, 3);
    for (id, bytes, code) in fatal().into_iter().step_by(9) {
        let mut client = Client::connect(daemon.port());
        client.try_send(&bytes);
        client.try_send(&behind);
        assert_eq!(client.closed(), Some(code), "{id}");
        assert_eq!(client.event(), Event::End(End::Fin), "{id}");
    }
}

/// F13 to F17, F22 to F25, F37: the header decides; no byte of the payload is waited for or kept.
#[test]
fn nothing_behind_a_bad_frame_reaches_the_peer() {
    let (peer, received) = Peer::sink();
    let daemon = Daemon::before(&peer, "binary", &[]);
    for (id, bytes, code) in bad_headers() {
        let mut client = Client::connect(daemon.port());
        client.send(&[frame(0x82, b"good"), bytes, frame(0x82, b"late")].concat());
        assert_eq!(client.end(), Some(code), "{id}");
        let received = received.recv_timeout(PATIENCE).unwrap();
        assert_eq!((&received.head[..], received.end), (&b"good"[..], End::Fin), "{id}");
    }
}

/// F48, F50, F51, F54: a good close frame is answered with the same code (§5.5.1), then TCP ends.
#[test]
fn the_clients_close_is_answered() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let mut client = Client::connect(daemon.port());
    client.send(&raw("88 80"));
    assert_eq!(client.event(), Event::Close(None, String::new()));
    assert_eq!(client.event(), Event::End(End::Fin));
    let others = [1000..=1003, 1007..=1014, 3000..=3000, 3999..=4000, 4999..=4999];
    for code in others.into_iter().flatten() {
        for reason in [vec![], TEXT.as_bytes().to_vec(), vec![b'a'; 123]] {
            let mut client = Client::connect(daemon.port());
            client.send(&close(code, &reason));
            assert_eq!(client.closed(), Some(code));
            assert_eq!(client.event(), Event::End(End::Fin));
        }
    }
}

/// F56, F57: after its close frame a client is not listened to any more (§5.5.1).
#[test]
fn what_follows_a_close_frame_is_ignored() {
    let (peer, received) = Peer::sink();
    let daemon = Daemon::before(&peer, "binary", &[]);
    for late in [frame(0x82, b"late"), close(1001, b""), raw("f1 80"), noise(1 << 20, 4)] {
        let mut client = Client::connect(daemon.port());
        client.try_send(&[frame(0x82, b"early"), close(1000, b""), late].concat());
        assert_eq!(client.closed(), Some(1000));
        assert_eq!(client.event(), Event::End(End::Fin));
        assert_eq!(received.recv_timeout(PATIENCE).unwrap().head, b"early");
    }
}

/// F59: a close frame that the client never answers ends in `--close-timeout`, its socket too.
#[test]
fn an_unanswered_close_times_out() {
    let peer = Peer::speaks(b"bye".to_vec());
    let daemon = Daemon::before(&peer, "binary", &["--close-timeout", "1"]);
    let mut client = Client::connect(daemon.port());
    let start = Instant::now();
    assert_eq!(client.message(), (2, b"bye".to_vec()));
    assert_eq!(client.closed(), Some(1000));
    daemon.settle();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(matches!(client.event(), Event::End(_)));
}

/// F60: a close frame waits for the frame that is being written, and cuts none.
#[test]
fn a_close_cuts_no_frame() {
    let peer = Peer::serve(|mut stream| while stream.write_all(&[b'x'; 65_536]).is_ok() {});
    for framing in ["binary", "auto"] {
        let daemon = Daemon::before(&peer, framing, &[]);
        let mut client = Client::connect(daemon.port());
        std::thread::sleep(Duration::from_millis(200)); // the way to the client fills up
        client.close(1000);
        assert_eq!(client.closed(), Some(1000), "{framing}");
        assert_eq!(client.event(), Event::End(End::Fin), "{framing}");
    }
}

/// F77: both sides end at once: one close frame, which the client's oracle counts.
#[test]
fn both_ends_may_close_at_once() {
    let peer = Peer::serve(|stream| {
        let _ = stream.peek(&mut [0]);
    });
    let daemon = Daemon::before(&peer, "binary", &[]);
    for _ in 0..50 {
        let mut client = Client::connect(daemon.port());
        for part in [frame(0x82, b"go"), close(1000, b"")].concat().chunks(3) {
            client.try_send(part);
        }
        // The peer leaves with "go" unread: the client's close, the peer's end or its reset.
        let code = client.closed();
        assert!(matches!(code, Some(1000 | 1011)), "{code:?}");
        assert_eq!(client.event(), Event::End(End::Fin));
    }
}

/// F26, F27, F28: a ping is answered with its payload, at once, also inside a message.
#[test]
fn pings_are_answered() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut client = Client::connect(daemon.port());
    for len in [0, 1, 124, 125] {
        client.frame(0x89, &noise(len, 5));
        assert_eq!(client.event(), Event::Pong(noise(len, 5)));
    }
    client.frame(0x02, b"first");
    client.frame(0x89, b"now");
    let events = [client.event(), client.event()];
    assert!(events.contains(&Event::Pong(b"now".to_vec())), "{events:?}");
    client.frame(0x80, b"last");
    let rest = client.event();
    assert_eq!(rest, Event::Data(true, 0, b"last".to_vec()));
    assert_eq!(client.close_now(), Some(1000));
}

/// A control frame goes between the pieces of a message that the peer has not finished (§5.4).
#[test]
fn control_frames_do_not_wait_for_the_peer() {
    let peer = Peer::serve(|mut stream| {
        stream.write_all(&[header(0x82, 0, 1 << 20), vec![7; 1000]].concat()).unwrap();
        let _ = Received::from(stream);
    });
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut client = Client::connect(daemon.port());
    assert_eq!(client.digest(1000).0, 1000);
    client.frame(0x89, b"now");
    assert_eq!(client.event(), Event::Pong(b"now".to_vec()));
    assert_eq!(client.close_now(), Some(1000));
}

/// F43, F47, F64, F65, F70, F73: messages through the mode that keeps them come back frame by
/// frame, pings answered, pongs ignored.
#[test]
fn messages_come_back_as_they_were_sent() {
    let fragments = [(0x01, "a"), (0x89, "p"), (0x00, "b"), (0x8a, "q"), (0x80, "c")];
    let sequences: [(&str, Vec<Frame>); 6] = [
        ("F43", [fragments, fragments].concat().map_owned()),
        ("F47", vec![(0x81, vec![]), (0x82, vec![]), (0x01, vec![]), (0x80, vec![])]),
        ("F64", ["\u{ffff}", "\u{10ffff}", "\0", TEXT].map(|text| (0x81, text)).map_owned()),
        ("F65", vec![(0x89, vec![0xff]), (0x82, vec![0xff, 0xfe]), (0x8a, vec![0xc0])]),
        ("F70", (0..500).map(|len| (0x82, noise(len % 90, len as u64))).collect()),
        ("types", vec![(0x82, b"text".to_vec()), (0x81, b"text".to_vec())]),
    ];
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    for (id, frames) in sequences {
        let sent: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect();
        for chunk in [sent.len(), 1000, 1] {
            let mut client = Client::connect(daemon.port());
            sent.chunks(chunk).for_each(|part| client.send(part));
            assert_echo(&mut client, &frames, id);
            assert_eq!(client.close_now(), Some(1000), "{id}");
        }
    }
}

/// Data frames come back in order, so do the pongs; which of the two comes first is free.
fn assert_echo(client: &mut Client, frames: &[Frame], id: &str) {
    let is_data = |first: u8| first & 0x0f < 3;
    let mut data = frames.iter().filter(|frame| is_data(frame.0));
    let mut pings = frames.iter().filter(|frame| frame.0 == 0x89);
    let awaited = frames.iter().filter(|frame| is_data(frame.0) || frame.0 == 0x89).count();
    for _ in 0..awaited {
        match client.event() {
            Event::Data(fin, opcode, payload) => {
                let first = u8::from(fin) << 7 | opcode;
                assert_eq!(Some(&(first, payload)), data.next(), "{id}");
            }
            Event::Pong(payload) => assert_eq!(payload, pings.next().unwrap().1, "{id}"),
            other => panic!("{id}: {other:?}"),
        }
    }
}

/// Owned payloads for tables written with literals.
trait MapOwned {
    fn map_owned(self) -> Vec<Frame>;
}

impl<T: IntoIterator<Item = (u8, &'static str)>> MapOwned for T {
    fn map_owned(self) -> Vec<Frame> {
        self.into_iter().map(|(first, text)| (first, text.as_bytes().to_vec())).collect()
    }
}

/// F62: a code point may be cut anywhere, by frames and by reads.
#[test]
fn text_may_be_cut_inside_a_code_point() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    for cut in 0..=TEXT.len() {
        let (start, rest) = TEXT.as_bytes().split_at(cut);
        let bytes = [frame(0x01, start), frame(0x80, rest)].concat();
        for chunk in [1, bytes.len()] {
            let mut client = Client::connect(daemon.port());
            bytes.chunks(chunk).for_each(|part| client.send(part));
            assert_eq!(client.message(), (1, TEXT.as_bytes().to_vec()), "cut at {cut}");
        }
    }
}

/// F66: every key, length and alignment unmasks as the naive loop does.
#[test]
fn payloads_are_unmasked_at_every_alignment() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    for mask in [[0; 4], [0xff; 4], [0x12, 0x34, 0x56, 0x78]] {
        for chunk in [1, 7, 64 * 1024] {
            let mut client = Client::connect(daemon.port());
            let frames = (0..=130).map(|len| frame_masked(0x82, &noise(len, 6), mask));
            for part in frames.collect::<Vec<_>>().concat().chunks(chunk) {
                client.send(part);
            }
            for len in 0..=130 {
                assert_eq!(client.message(), (2, noise(len, 6)), "{mask:02x?} {len}");
            }
        }
    }
}

/// F67: a header may be cut anywhere.
#[test]
fn headers_may_come_in_two_parts() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut client = Client::connect(daemon.port());
    for len in [1, 200, 70_000] {
        let bytes = frame(0x82, &noise(len, 7));
        for cut in 1..=14 {
            client.send(&bytes[..cut.min(bytes.len())]);
            std::thread::sleep(Duration::from_millis(1));
            client.send(&bytes[cut.min(bytes.len())..]);
            assert_eq!(client.message(), (2, noise(len, 7)), "{len} cut at {cut}");
        }
    }
}

/// F74: lengths at the edges of the three encodings, and large ones, exact in both directions.
#[test]
fn messages_of_every_size_come_back() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 16 << 20] {
        let mut client = Client::connect(daemon.port());
        let payload = noise(len, 8);
        let bytes = frame(0x82, &payload);
        let mut writer = client.stream().try_clone().unwrap();
        let sender = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        let (kind, echoed) = client.message();
        sender.join().unwrap();
        assert_eq!((kind, echoed.len()), (2, len));
        assert!(echoed == payload, "{len} bytes came back changed");
    }
}

/// F35, F36, F75: no declared length is too large for a stream: what comes of it is passed on.
#[test]
fn huge_declared_lengths_are_streamed() {
    let (peer, received) = Peer::sink();
    let daemon = Daemon::before(&peer, "binary", &[]);
    for len in ["7fffffffffffffff", "000000007fffffff", "0000000080000000", "0000000100000000"] {
        let mut client = Client::connect(daemon.port());
        client.send(&frame(0x02, b"a"));
        client.send(&raw(&format!("80 ff {len}")));
        client.send(b"of so many bytes");
        client.finish();
        let received = received.recv_timeout(PATIENCE).unwrap();
        assert_eq!((&received.head[..], received.end), (&b"aof so many bytes"[..], End::Fin));
        while !matches!(client.event(), Event::End(_)) {}
    }
}

/// F68, F69: a client may vanish anywhere; what it had sent is with the peer, and then EOF.
#[test]
fn clients_may_vanish_inside_a_frame() {
    let (peer, received) = Peer::sink();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let whole = [frame(0x02, b"one"), frame(0x80, b"two"), header(0x82, 0x80, 300)].concat();
    for cut in 0..whole.len() {
        for reset in [false, true] {
            let mut client = Client::connect(daemon.port());
            client.send(&whole[..cut]);
            if reset {
                std::thread::sleep(Duration::from_millis(2)); // an RST takes unread bytes with it
                client.reset();
            } else {
                client.finish();
                while !matches!(client.event(), Event::End(_)) {}
            }
            let received = received.recv_timeout(PATIENCE).unwrap();
            let sent = cut.clamp(6, 9) - 6 + cut.clamp(15, 18) - 15;
            assert_eq!(&received.head[..], &b"onetwo"[..sent], "cut at {cut}, reset {reset}");
        }
    }
}

/// F68, F69: half a message is no datagram, however its client leaves.
#[test]
fn half_a_message_is_no_datagram() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let host = format!("host=udp://{}", peer.local_addr().unwrap());
    let daemon = Daemon::start(&["-c", &host]);
    let halves = [frame(0x02, b"half"), frame(0x82, b"half a frame")[..10].to_vec()];
    for half in halves {
        for reset in [false, true] {
            let mut client = Client::connect(daemon.port());
            client.send(&[frame(0x82, b"whole"), half.clone()].concat());
            let mut buffer = [0; 100];
            assert_eq!(peer.recv(&mut buffer).unwrap(), b"whole".len());
            if reset {
                client.reset()
            } else {
                drop(client)
            }
            daemon.settle();
            assert!(peer.recv(&mut buffer).is_err(), "{buffer:?}");
        }
    }
}

/// The mode that keeps messages: the peer sees frames without masks, and only data frames.
#[test]
fn the_peer_gets_unmasked_frames() {
    let (peer, received) = Peer::sink();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut client = Client::connect(daemon.port());
    let sent = [
        frame(0x81, b"text"),
        frame(0x02, b"part"),
        frame(0x89, b"ping"),
        frame(0x8a, b"pong"),
        frame(0x80, &[7; 300]),
        frame(0x82, &[]),
    ];
    client.send(&sent.concat());
    assert_eq!(client.close_now(), Some(1000));
    let frames = [
        &header(0x81, 0, 4)[..],
        b"text",
        &header(0x02, 0, 4),
        b"part",
        &header(0x80, 0, 300),
        &[7; 300],
        &header(0x82, 0, 0),
    ];
    assert_eq!(received.recv_timeout(PATIENCE).unwrap().head, frames.concat());
}

/// The mode that keeps messages, the other way: the peer starts, its close code is passed on. Where
/// a message is cut into frames on its way is free (RFC 6455 §5.4).
#[test]
fn the_peers_messages_reach_the_client() {
    let bare =
        |first, payload: &[u8]| [header(first, 0, payload.len() as u64), payload.to_vec()].concat();
    let sent = [
        bare(0x81, TEXT.as_bytes()),
        bare(0x82, b""),
        bare(0x01, b"a"),
        bare(0x80, b"b"),
        bare(0x82, &noise(70_000, 9)),
        bare(0x81, &TEXT.repeat(5000).into_bytes()),
        bare(0x88, b"\x0f\xa0bye"),
    ];
    let expected = [
        (1, TEXT.as_bytes().to_vec()),
        (2, vec![]),
        (1, b"ab".to_vec()),
        (2, noise(70_000, 9)),
        (1, TEXT.repeat(5000).into_bytes()),
    ];
    for chunk in [1 << 20, 1000, 7] {
        let bytes = sent.concat();
        let peer = Peer::serve(move |mut stream| {
            stream.set_nodelay(true).unwrap();
            bytes.chunks(chunk).for_each(|part| stream.write_all(part).unwrap());
            let _ = Received::from(stream);
        });
        let daemon = Daemon::before(&peer, "rfc6455", &[]);
        let mut client = Client::connect(daemon.port());
        for (index, message) in expected.iter().enumerate() {
            assert!(&client.message() == message, "message {index} in writes of {chunk}");
        }
        assert_eq!(client.end(), Some(4000));
    }
}

/// The mode that keeps messages: a peer that does not speak it, or ends inside a message, is at
/// fault, not the client: 1011.
#[test]
fn a_peer_that_breaks_the_protocol_is_1011() {
    let bad = [
        raw("81 80"),
        hex("c1 00"),
        hex("83 00"),
        hex("80 00"),
        hex("81 7e 0001 61"),
        hex("82 7f 8000000000000000"),
        hex("09 00"),
        hex("88 01 03"),
        hex("88 02 03ee"),
        hex("81 01 ff"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ];
    let cut = [hex("82"), hex("82 05 61"), hex("01 01 61"), hex("81 02 c3")];
    let endless = bad.into_iter().map(|bytes| (bytes, false));
    for (bytes, ends) in endless.chain(cut.map(|bytes| (bytes, true))) {
        let sent = bytes.clone();
        let peer = Peer::serve(move |mut stream| {
            let _ = stream.write_all(&sent);
            if ends {
                let _ = stream.shutdown(Shutdown::Write);
            }
            let _ = Received::from(stream);
        });
        let daemon = Daemon::before(&peer, "rfc6455", &[]);
        let mut client = Client::connect(daemon.port());
        assert_eq!(client.end(), Some(1011), "{bytes:02x?}");
    }
}
