use proptest::prelude::*;

use super::*;
use FrameError::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("two hexadecimal digits")
    };
    digits.chunks(2).map(byte).collect()
}

/// What a row of the table expects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Want {
    /// fin, opcode, length, bytes of the header.
    Header(bool, Opcode, u64, usize),
    /// The error, and at which byte at the latest it must be seen.
    Error(FrameError, usize),
}
use Want::{Error as Bad, Header as Good};

const M: &str = "37fa213d";
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// From a client; `m` stands for the masking key.
#[rustfmt::skip]
const FROM_CLIENT: &[(&str, &str, Want)] = &[
    ("F01", "81 05 48656c6c6f", Bad(Unmasked, 2)),
    ("F02", "c1 80 m", Bad(ReservedBits, 1)),
    ("F03", "a1 80 m", Bad(ReservedBits, 1)),
    ("F04", "91 80 m", Bad(ReservedBits, 1)),
    ("F05", "f1 80 m", Bad(ReservedBits, 1)),
    ("F06", "c9 80 m", Bad(ReservedBits, 1)),
    ("F07", "40 80 m", Bad(ReservedBits, 1)),
    ("F08", "83 80 m", Bad(ReservedOpcode(3), 1)),
    ("F09", "84 80 m", Bad(ReservedOpcode(4), 1)),
    ("F10", "85 80 m", Bad(ReservedOpcode(5), 1)),
    ("F11", "86 80 m", Bad(ReservedOpcode(6), 1)),
    ("F12", "87 80 m", Bad(ReservedOpcode(7), 1)),
    ("F13", "8b 80 m", Bad(ReservedOpcode(11), 1)),
    ("F14", "8c 80 m", Bad(ReservedOpcode(12), 1)),
    ("F15", "8d 80 m", Bad(ReservedOpcode(13), 1)),
    ("F16", "8e 80 m", Bad(ReservedOpcode(14), 1)),
    ("F17", "8f ff 0000000080000000 m", Bad(ReservedOpcode(15), 1)),
    ("F18", "03 80 m", Bad(ReservedOpcode(3), 1)),
    ("F19", "09 80 m", Bad(FragmentedControl, 1)),
    ("F20", "0a 80 m", Bad(FragmentedControl, 1)),
    ("F21", "08 80 m", Bad(FragmentedControl, 1)),
    ("F22", "89 fe 007e m", Bad(LongControl, 2)),
    ("F23", "89 ff 000000000000007e m", Bad(LongControl, 2)),
    ("F24", "88 fe 007e m", Bad(LongControl, 2)),
    ("F25", "8a fe 007e m", Bad(LongControl, 2)),
    ("F26", "89 fd m", Good(true, Opcode::Ping, 125, 6)),
    ("F27", "89 80 m", Good(true, Opcode::Ping, 0, 6)),
    ("F29", "82 fe 0001 m 51", Bad(LengthNotMinimal, 4)),
    ("F29", "82 fe 0000 m", Bad(LengthNotMinimal, 4)),
    ("F30", "82 fe 007d m", Bad(LengthNotMinimal, 4)),
    ("F31", "82 ff 000000000000ffff m", Bad(LengthNotMinimal, 8)),
    ("F31", "82 ff 0000000000000000 m", Bad(LengthNotMinimal, 8)),
    ("F32", "82 ff 8000000000000000 m", Bad(LengthTopBit, 3)),
    ("F33", "82 ff fffffffffffffff2 m", Bad(LengthTopBit, 3)),
    ("F34", "82 ff ffffffffffffffff m", Bad(LengthTopBit, 3)),
    ("F34", "82 ff fffffffffffffff0 m", Bad(LengthTopBit, 3)),
    ("F34", "82 ff fffffffffffffff4 m", Bad(LengthTopBit, 3)),
    ("F34", "82 ff fffffffffffffffe m", Bad(LengthTopBit, 3)),
    ("F35", "82 ff 7fffffffffffffff m", Good(true, Opcode::Binary, i64::MAX as u64, 14)),
    ("F36", "82 ff 000000007fffffff m", Good(true, Opcode::Binary, (1 << 31) - 1, 14)),
    ("F36", "82 ff 0000000080000000 m", Good(true, Opcode::Binary, 1 << 31, 14)),
    ("F36", "82 ff 00000000ffffffff m", Good(true, Opcode::Binary, (1 << 32) - 1, 14)),
    ("F36", "82 ff 0000000100000000 m", Good(true, Opcode::Binary, 1 << 32, 14)),
    ("F47", "82 80 m", Good(true, Opcode::Binary, 0, 6)),
    ("F48", "88 80 m", Good(true, Opcode::Close, 0, 6)),
    ("F67", "01 85 m 4865", Good(false, Opcode::Text, 5, 6)),
    ("F67", "00 fe 007e m", Good(false, Opcode::Continuation, 126, 8)),
    ("F67", "80 fe 0100 m", Good(true, Opcode::Continuation, 256, 8)),
    ("F67", "80 fe ffff m", Good(true, Opcode::Continuation, 65_535, 8)),
    ("F67", "8a ff 0000000000010000 m", Bad(LongControl, 2)),
    ("F67", "02 ff 0000000000010000 m", Good(false, Opcode::Binary, 65_536, 14)),
    ("F75", "80 ff 4000000000000000 m", Good(true, Opcode::Continuation, 1 << 62, 14)),
    ("F78", "88 00", Bad(Unmasked, 2)),
];

/// From a server, or from a peer that speaks frames.
#[rustfmt::skip]
const FROM_SERVER: &[(&str, &str, Want)] = &[
    ("masked", "81 85 m 7f9f4d5158", Bad(Masked, 2)),
    ("masked control", "88 80 m", Bad(Masked, 2)),
    ("short", "81 05 48656c6c6f", Good(true, Opcode::Text, 5, 2)),
    ("16 bits", "82 7e 007e", Good(true, Opcode::Binary, 126, 4)),
    ("64 bits", "82 7f 0000000000010000", Good(true, Opcode::Binary, 65_536, 10)),
    ("not minimal", "82 7e 0005", Bad(LengthNotMinimal, 4)),
    ("reserved", "b1 00", Bad(ReservedBits, 1)),
    ("long control", "8a 7e 0080", Bad(LongControl, 2)),
];

/// What `decode` says of each beginning of the row's bytes: nothing until it may decide, the
/// wanted answer from there on.
fn holds_at_every_cut(name: &str, input: &[u8], masking: Masking, want: Want) {
    let (decided_at, answer) = match want {
        Bad(error, at) => (at, Err(error)),
        Good(fin, opcode, length, size) => {
            let mask = (masking == Masking::Required).then_some(KEY);
            (size, Ok(Some((Header { fin, opcode, length, mask }, size))))
        }
    };
    for cut in 0..=input.len() {
        let expected = if cut < decided_at { Ok(None) } else { answer };
        assert_eq!(decode(&input[..cut], masking), expected, "{name} cut at {cut}");
    }
}

#[test]
fn headers_whole_and_cut_everywhere() {
    for (masking, table) in [(Masking::Required, FROM_CLIENT), (Masking::Forbidden, FROM_SERVER)] {
        for &(name, hex, want) in table {
            holds_at_every_cut(name, &bytes(&hex.replace('m', M)), masking, want);
        }
    }
}

/// RFC 6455 §5.2 in the order of its text, for headers of which no byte is missing.
fn naive(input: &[u8], masking: Masking) -> bool {
    let control = input[0] & 0x08 != 0;
    let reserved = input[0] & 0x70 != 0 || matches!(input[0] & 0x0f, 3..=7 | 11..=15);
    let masked = input[1] >> 7 == 1;
    let wide = |count: usize| input[2..2 + count].iter().fold(0u64, |n, &b| n << 8 | u64::from(b));
    let length_is_right = match input[1] & 0x7f {
        126 => wide(2) > 125,
        127 => (65_536..1 << 63).contains(&wide(8)),
        _ => true,
    };
    let control_is_right = !control || (input[0] & 0x80 != 0 && input[1] & 0x7f <= 125);
    let masking_is_right = masked == (masking == Masking::Required);
    !reserved && length_is_right && control_is_right && masking_is_right
}

#[test]
fn every_first_two_bytes_as_the_rfc_says() {
    let tails =
        ["00000000 00000000", "00000000 0000ffff", "0001ffff 00000000", "7fffffff ffffffff"];
    for tail in tails.map(bytes) {
        for start in 0..=u16::MAX {
            let mut input = start.to_be_bytes().to_vec();
            input.extend(&tail);
            input.extend(KEY);
            for masking in [Masking::Required, Masking::Forbidden] {
                let answer = decode(&input, masking);
                assert_eq!(answer.is_ok(), naive(&input, masking), "{input:02x?} {masking:?}");
                assert_ne!(answer, Ok(None), "{input:02x?} is complete");
            }
        }
    }
}

fn any_data_header() -> impl Strategy<Value = Header> {
    let opcode = prop_oneof![Just(Opcode::Continuation), Just(Opcode::Text), Just(Opcode::Binary)];
    let length = prop_oneof![0..200u64, 65_500..65_600u64, 0..1u64 << 63];
    (any::<bool>(), opcode, length, any::<Option<[u8; 4]>>())
        .prop_map(|(fin, opcode, length, mask)| Header { fin, opcode, length, mask })
}

fn any_control_header() -> impl Strategy<Value = Header> {
    let opcode = prop_oneof![Just(Opcode::Close), Just(Opcode::Ping), Just(Opcode::Pong)];
    (opcode, 0..=125u64, any::<Option<[u8; 4]>>()).prop_map(|(opcode, length, mask)| Header {
        fin: true,
        opcode,
        length,
        mask,
    })
}

proptest! {
    #[test]
    fn f67_what_is_encoded_is_decoded_and_at_no_earlier_byte(
        header in prop_oneof![any_data_header(), any_control_header()],
        payload in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let masking = if header.mask.is_some() { Masking::Required } else { Masking::Forbidden };
        let encoded = header.encode();
        let input = [&encoded, &payload[..]].concat();
        for cut in 0..=input.len() {
            let expected = (cut >= encoded.len()).then_some((header, encoded.len()));
            prop_assert_eq!(decode(&input[..cut], masking), Ok(expected));
        }
    }

    #[test]
    fn an_answer_once_given_stays(input in proptest::collection::vec(any::<u8>(), 0..20)) {
        for masking in [Masking::Required, Masking::Forbidden] {
            let answers = (0..=input.len()).map(|cut| decode(&input[..cut], masking));
            let mut decided = answers.skip_while(|answer| *answer == Ok(None));
            if let Some(first) = decided.next() {
                prop_assert!(decided.all(|answer| answer == first));
            }
        }
    }
}

#[test]
fn f74_headers_are_minimal() {
    let table = [
        (0, "82 00", "82 80 m"),
        (1, "82 01", "82 81 m"),
        (125, "82 7d", "82 fd m"),
        (126, "82 7e 007e", "82 fe 007e m"),
        (127, "82 7e 007f", "82 fe 007f m"),
        (65_535, "82 7e ffff", "82 fe ffff m"),
        (65_536, "82 7f 0000000000010000", "82 ff 0000000000010000 m"),
        (i64::MAX as u64, "82 7f 7fffffffffffffff", "82 ff 7fffffffffffffff m"),
    ];
    for (length, unmasked, masked) in table {
        let header = Header::whole(Opcode::Binary, length);
        assert_eq!(*header.encode(), bytes(unmasked));
        let header = Header { mask: Some(KEY), ..header };
        assert_eq!(*header.encode(), bytes(&masked.replace('m', M)));
    }
}

#[test]
fn headers_carry_fin_and_opcode() {
    use Opcode::*;
    let table = [(Continuation, 0), (Text, 1), (Binary, 2), (Close, 8), (Ping, 9), (Pong, 10)];
    for (opcode, bits) in table {
        let last = Header::whole(opcode, 3);
        assert_eq!(*last.encode(), [0x80 | bits, 3]);
        assert_eq!(*Header { fin: false, ..last }.encode(), [bits, 3]);
        assert_eq!(opcode.is_control(), bits >= 8);
    }
}

/// Frames in the order they come, as their first bytes, and which of them is wrong.
#[rustfmt::skip]
const SEQUENCES: &[(&str, &[u8], Option<FrameError>)] = &[
    ("whole messages", &[0x81, 0x82, 0x81], None),
    ("three fragments", &[0x01, 0x00, 0x80, 0x82], None),
    ("F28", &[0x01, 0x89, 0x80], None),
    ("F38", &[0x80], Some(NothingToContinue)),
    ("F39", &[0x00], Some(NothingToContinue)),
    ("F39, after a message", &[0x81, 0x00], Some(NothingToContinue)),
    ("F40", &[0x01, 0x81], Some(MessageUnfinished)),
    ("F41", &[0x01, 0x02], Some(MessageUnfinished)),
    ("F41, across controls", &[0x02, 0x89, 0x8a, 0x01], Some(MessageUnfinished)),
    ("F42", &[0x81, 0x80], Some(NothingToContinue)),
    ("F43", &[0x01, 0x89, 0x00, 0x8a, 0x80, 0x01, 0x89, 0x00, 0x8a, 0x80], None),
    ("ended by the continuation", &[0x02, 0x80, 0x80], Some(NothingToContinue)),
];

#[test]
fn fragments_follow_each_other_as_they_must() {
    for &(name, firsts, last_is) in SEQUENCES {
        let mut sequence = Sequence::new();
        for (at, &first) in firsts.iter().enumerate() {
            let (fin, opcode) = decode_first(first).expect("a valid first byte");
            let answer = sequence.accept(&Header { fin, opcode, length: 0, mask: None });
            let expected = last_is.filter(|_| at + 1 == firsts.len());
            assert_eq!(answer.err(), expected, "{name}, frame {at}");
        }
    }
}

#[test]
fn a_fragment_is_part_of_the_message_begun() {
    use Opcode::*;
    let steps = [
        (false, Text, Text, true),
        (true, Ping, Ping, true),
        (false, Continuation, Text, true),
        (true, Close, Close, true),
        (true, Continuation, Text, false),
        (true, Binary, Binary, false),
        (false, Binary, Binary, true),
        (true, Continuation, Binary, false),
    ];
    let mut sequence = Sequence::new();
    assert!(!sequence.in_message());
    for (fin, opcode, part_of, in_message) in steps {
        let header = Header { fin, ..Header::whole(opcode, 0) };
        assert_eq!(sequence.accept(&header), Ok(part_of));
        assert_eq!(sequence.in_message(), in_message, "after {header:?}");
    }
}

#[test]
fn errors_say_what_and_where_and_have_a_code() {
    let table = [
        (ReservedBits, 1002, "reserved bit set (RFC 6455 §5.2)"),
        (NotDeflate, 1007, "compressed message not valid (RFC 7692 §7.2.2)"),
        (ReservedOpcode(11), 1002, "reserved opcode 11 (RFC 6455 §5.2)"),
        (FragmentedControl, 1002, "fragmented control frame (RFC 6455 §5.5)"),
        (LongControl, 1002, "control frame longer than 125 bytes (RFC 6455 §5.5)"),
        (Unmasked, 1002, "frame from a client not masked (RFC 6455 §5.1)"),
        (Masked, 1002, "frame from a server masked (RFC 6455 §5.1)"),
        (LengthNotMinimal, 1002, "payload length not minimal (RFC 6455 §5.2)"),
        (LengthTopBit, 1002, "payload length over 63 bits (RFC 6455 §5.2)"),
        (NothingToContinue, 1002, "continuation without a message (RFC 6455 §5.4)"),
        (MessageUnfinished, 1002, "new message inside a fragmented one (RFC 6455 §5.4)"),
        (CloseOfOneByte, 1002, "close frame of one byte (RFC 6455 §5.5.1)"),
        (BadCloseCode(1006), 1002, "close code 1006 may not be sent (RFC 6455 §7.4)"),
        (FrameError::from(utf8::Invalid), 1007, "text not UTF-8 (RFC 6455 §8.1)"),
    ];
    for (error, code, text) in table {
        assert_eq!(error.close_code().get(), code);
        assert_eq!(error.to_string(), text);
    }
}

/// RFC 7692 §6: RSV1 on the first frame of a message, where compression is agreed on, and nowhere else.
#[test]
fn rsv1_says_that_a_message_is_compressed() {
    let key = [1, 2, 3, 4];
    for opcode in [Opcode::Text, Opcode::Binary] {
        for (fin, length) in [(true, 0), (false, 125), (true, 126), (false, 1 << 40)] {
            let header = Header { fin, opcode, length, mask: Some(key) };
            let (plain, compressed) = (header.encode(), header.encode_compressed());
            assert_eq!((compressed[0], &compressed[1..]), (plain[0] | 0x40, &plain[1..]));
            for (bytes, expected) in [(&plain, false), (&compressed, true)] {
                let n = bytes.len();
                let found = decode_compressed(bytes, Masking::Required);
                assert_eq!(found, Ok(Some(((header, expected), n))));
                for cut in 0..n {
                    assert_eq!(decode_compressed(&bytes[..cut], Masking::Required), Ok(None));
                }
            }
            assert_eq!(decode(&compressed, Masking::Required), Err(ReservedBits));
        }
    }
    for first in [0xc0, 0x40, 0xc8, 0xc9, 0xca, 0xe1, 0xd1, 0xf2, 0xa1, 0x91] {
        let found = decode_compressed(&[first], Masking::Required);
        assert_eq!(found, Err(ReservedBits), "{first:x}");
    }
    assert_eq!(decode_compressed(&[0xc3], Masking::Required), Err(ReservedOpcode(3)));
    assert_eq!(decode_compressed(&[0xc1, 0], Masking::Required), Err(Unmasked));
}
