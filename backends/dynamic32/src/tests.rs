use super::*;
use proptest::prelude::*;
use websocksy_plugin::testing::{End, Outcome, Sent, drive};

fn framing(config: &str) -> Dynamic32 {
    <Dynamic32 as Framing>::new(Some(config)).unwrap()
}

fn sent(messages: &[&[u8]]) -> Vec<Sent> {
    messages.iter().map(|&message| Sent::Binary(message.to_vec())).collect()
}

/// The same stream whole, byte by byte, and cut in two at each position.
fn every_way(config: &str, stream: &[u8]) -> Outcome {
    let whole = drive(framing(config), [stream]);
    let bytewise = drive(framing(config), stream.chunks(1));
    assert_eq!(bytewise.messages, whole.messages, "{config} {stream:?}");
    for at in 0..=stream.len() {
        let (first, second) = stream.split_at(at);
        let halves = drive(framing(config), [first, second]);
        assert_eq!((&halves.messages, halves.end), (&whole.messages, whole.end), "{config} {at}");
    }
    whole
}

#[test]
fn messages_by_their_field() {
    type Case<'a> = (&'a str, &'a [u8], &'a [&'a [u8]]);
    let cases: [Case<'_>; 8] = [
        ("", b"\x01\0\0\0a\x02\0\0\0bc\x09", &[b"\x01\0\0\0a", b"\x02\0\0\0bc"]),
        ("endian=big", b"\0\0\0\x01a\0\0", &[b"\0\0\0\x01a"]),
        ("", b"\0\0\0\0\0\0\0\0", &[b"\0\0\0\0", b"\0\0\0\0"]),
        ("offset=2", b"xy\x01\0\0\0axy\0\0\0\0", &[b"xy\x01\0\0\0a", b"xy\0\0\0\0"]),
        ("static=2", b"\0\0\0\0ab\x01\0\0\0abc", &[b"\0\0\0\0ab", b"\x01\0\0\0abc"]),
        ("static=-4", b"\x04\0\0\0\x05\0\0\0a", &[b"\x04\0\0\0", b"\x05\0\0\0a"]),
        ("static=-4,offset=1", b"x\x04\0\0\0", &[b"x\x04\0\0\0"]),
        ("static=-1,endian=big,offset=1", b"x\0\0\0\x02ay", &[b"x\0\0\0\x02a"]),
    ];
    for (config, stream, messages) in cases {
        let outcome = every_way(config, stream);
        assert_eq!(outcome.messages, sent(messages), "{config}");
        assert_eq!(outcome.end, End::Open, "{config}");
    }
}

#[test]
fn sizes_that_make_no_message() {
    let cases: [(&str, &[u8]); 9] = [
        ("", b"\xff\xff\xff\xff"),
        ("", b"\xfc\xff\xff\xff"), // 2^32 with the field: total 0 in 32 bits
        ("", b"\0\0\0\x80"),
        ("", b"\xfd\xff\xff\x3f"), // a byte more than 1 GiB, with the field
        ("static=-4", b"\0\0\0\0"),
        ("static=-5", b"\x01\0\0\0"),
        ("static=-4", b"\x03\0\0\0"), // would end inside its own field
        ("static=-2147483648", b"\xff\xff\xff\x7f"),
        ("static=2147483647", b"\xff\xff\xff\xff"),
    ];
    for (config, stream) in cases {
        let stream = &[stream, b"more of it"].concat();
        let outcome = drive(framing(config), [stream]);
        assert_eq!(
            (outcome.messages, outcome.end),
            (Vec::new(), End::Fault),
            "{config} {stream:?}"
        );
    }
}

#[test]
fn f09_a_message_longer_than_a_view_goes_in_parts() {
    let long = [b"\x50\xc3\0\0".as_slice(), &[7; 50_000]].concat();
    let stream = [&long[..], b"\x01\0\0\0a", &long].concat();
    let outcome = drive(framing(""), stream.chunks(999));
    assert_eq!(outcome.messages, sent(&[&long, b"\x01\0\0\0a", &long]));
    assert_eq!((outcome.begun, outcome.tail.len(), outcome.end), (None, 0, End::Open));
}

#[test]
fn the_largest_messages_fit() {
    let outcome = drive(framing("offset=16380"), [[0; 2 * 16_384]]);
    assert_eq!(outcome.messages, sent(&[&[0; 16_384], &[0; 16_384]]));
    let stream = [b"\xfc\x3f\0\0".as_slice(), &[7; 16_380], b"\0\0\0\0"].concat();
    let outcome = drive(framing(""), stream.chunks(1_000));
    assert_eq!(outcome.messages, sent(&[&stream[..16_384], b"\0\0\0\0"]));
}

#[test]
fn messages_to_the_peer() {
    let cases: [(&str, u64, Option<&[u8]>); 9] = [
        ("add=yes", 0, Some(b"\0\0\0\0")),
        ("add=yes", 258, Some(b"\x02\x01\0\0")),
        ("add=yes,endian=big", 258, Some(b"\0\0\x01\x02")),
        ("add=yes,static=-4", 1, Some(b"\x05\0\0\0")),
        ("add=yes,static=2", 2, Some(b"\0\0\0\0")),
        ("add=yes,static=2", 1, None),
        ("add=yes", 0xffff_ffff, Some(b"\xff\xff\xff\xff")),
        ("add=yes", 0x1_0000_0000, None),
        ("add=yes,static=-2147483648", u64::MAX, None),
    ];
    for (config, length, prefix) in cases {
        let encoder = <Dynamic32 as Encoder>::new(Some(config)).unwrap().unwrap();
        let envelope = encoder.envelope(&Message { length, text: false });
        let expected = prefix.map(|prefix| Envelope::new(prefix, b"").unwrap());
        assert_eq!(envelope.ok(), expected, "{config} {length}");
    }
    for config in [None, Some(""), Some("add=no")] {
        assert!(<Dynamic32 as Encoder>::new(config).unwrap().is_none(), "{config:?}");
    }
    assert!(<Dynamic32 as Encoder>::new(Some("add=yes,offset=1")).is_err());
}

/// Reads the stream as the manual describes it, in 128 bits and with the whole before it.
fn oracle(offset: usize, fixed: i32, big: bool, mut stream: &[u8]) -> (Vec<Sent>, End) {
    let mut messages = Vec::new();
    while stream.len() >= offset + 4 {
        let mut field: Vec<u8> = stream[offset..offset + 4].to_vec();
        if big {
            field.reverse();
        }
        let size = field.iter().rev().fold(0_i128, |sum, &byte| sum * 256 + i128::from(byte));
        let total = offset as i128 + 4 + i128::from(fixed) + size;
        if total < offset as i128 + 4 || total > 1 << 30 {
            return (messages, End::Fault);
        }
        if (stream.len() as i128) < total {
            break;
        }
        let (message, rest) = stream.split_at(total as usize);
        messages.push(Sent::Binary(message.to_vec()));
        stream = rest;
    }
    (messages, End::Open)
}

proptest! {
    #[test]
    fn equals_the_oracle(
        reads in prop::collection::vec(
            // Small bytes and zeros, so that most fields say something small.
            prop::collection::vec(prop_oneof![6 => Just(0_u8), 3 => 0_u8..9, 1 => any::<u8>()], 0..30),
            0..20,
        ),
        offset in 0_usize..6,
        fixed in -6_i32..6,
        big: bool,
    ) {
        let endian = if big { "big" } else { "little" };
        let config = format!("offset={offset},static={fixed},endian={endian}");
        let (messages, end) = oracle(offset, fixed, big, &reads.concat());
        let outcome = drive(framing(&config), reads);
        prop_assert_eq!(outcome.messages, messages);
        prop_assert_eq!(outcome.end, end);
    }
}
