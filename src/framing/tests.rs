use super::*;
use proptest::prelude::*;

type Messages = Vec<(Kind, Vec<u8>)>;

fn framer(name: &str, config: Option<&str>) -> Framer {
    Framer::new(&check(name, config).unwrap())
}

/// What a session makes of a stream that arrives in these reads, and what is left at its end.
fn framed(name: &str, config: Option<&str>, reads: &[&[u8]]) -> (Messages, Vec<u8>) {
    let mut framer = framer(name, config);
    let (mut messages, mut waiting) = (Messages::new(), Vec::new());
    for read in reads {
        waiting.extend_from_slice(read);
        loop {
            let length = waiting.len();
            let mut buffer = [&waiting[..], b"\r\n."].concat(); // not zero behind the data
            let verdict = framer.cut(&mut buffer, length, read.len()).unwrap();
            assert_eq!(&buffer[length..], b"\r\n.");
            let Verdict::Message { length, kind } = verdict else { break };
            messages.push((kind, waiting.drain(..length).collect()));
            if waiting.is_empty() {
                break;
            }
        }
    }
    (messages, waiting)
}

/// Text by the standard library's judgement.
fn kind(bytes: &[u8]) -> Kind {
    if std::str::from_utf8(bytes).is_ok() { Kind::Text } else { Kind::Binary }
}

/// Byte by byte, and nothing clever: a message ends where its bytes end in the delimiter.
fn oracle(stream: &[u8], delimiter: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut messages, mut message) = (Vec::new(), Vec::new());
    for byte in stream {
        message.push(*byte);
        if message.ends_with(delimiter) {
            messages.push(std::mem::take(&mut message));
        }
    }
    (messages, message)
}

/// The stream in reads of these lengths, over and over.
fn reads<'a>(stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let (mut reads, mut rest) = (Vec::new(), stream);
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (read, later) = rest.split_at((*length).min(rest.len()));
        reads.push(read);
        rest = later;
    }
    reads
}

/// Few values, so that delimiters come up, whole and in part; some of them are bad UTF-8.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&b"a\r\n\xc3\xa4\0"[..]), 0..=most)
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..12, 1..8)
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn separator_is_as_the_oracle_says(
        stream in bytes(150), lengths in lengths(), separator in bytes(5)
    ) {
        prop_assume!(!separator.is_empty());
        let (messages, tail) =
            framed("separator", Some(&escaped(&separator)), &reads(&stream, &lengths));
        let (expected, left) = oracle(&stream, &separator);
        let expected: Messages =
            expected.into_iter().map(|message| (Kind::Binary, message)).collect();
        prop_assert_eq!((messages, tail), (expected, left));
    }

    #[test]
    fn newline_is_as_the_oracle_says(stream in bytes(150), lengths in lengths(), which in 0..5) {
        let (config, end) = match which {
            0 => (None, &b"\r\n"[..]),
            1 => (Some("crlf"), &b"\r\n"[..]),
            2 => (Some("add:lfcr"), &b"\n\r"[..]),
            3 => (Some("lf"), &b"\n"[..]),
            _ => (Some("cr"), &b"\r"[..]),
        };
        let (messages, tail) = framed("newline", config, &reads(&stream, &lengths));
        let (expected, left) = oracle(&stream, end);
        let expected: Messages =
            expected.into_iter().map(|message| (kind(&message), message)).collect();
        prop_assert_eq!((messages, tail), (expected, left));
    }

    #[test]
    fn auto_and_binary_send_each_read(stream in bytes(150), lengths in lengths()) {
        let reads = reads(&stream, &lengths);
        let as_kind = |kind: fn(&[u8]) -> Kind| -> Messages {
            reads.iter().map(|read| (kind(read), read.to_vec())).collect()
        };
        prop_assert_eq!(framed("auto", None, &reads), (as_kind(kind), Vec::new()));
        prop_assert_eq!(framed("binary", None, &reads), (as_kind(|_| Kind::Binary), Vec::new()));
    }
}

#[test]
fn b02_empty_messages_are_kept() {
    for (stream, expected) in [
        (&b"|a||b|"[..], vec![&b"|"[..], b"a|", b"|", b"b|"]),
        (b"|||", vec![b"|", b"|", b"|"]),
        (b"a", vec![]),
    ] {
        let (messages, _) = framed("separator", Some("|"), &[stream]);
        let messages: Vec<_> = messages.iter().map(|(_, bytes)| &bytes[..]).collect();
        assert_eq!(messages, expected);
    }
}

#[test]
fn b04_c51_what_is_not_utf8_is_binary() {
    for (bytes, expected) in [
        (&b"plain"[..], Kind::Text),
        ("\u{e4}\u{20ac}\u{10ffff}\0".as_bytes(), Kind::Text),
        (b"\x80", Kind::Binary),             // a continuation first
        (b"\xc3", Kind::Binary),             // cut after one byte
        (b"a\xf0\x9f\x98", Kind::Binary),    // cut after three
        (b"\xc3a", Kind::Binary),            // not continued
        (b"\xc0\xaf", Kind::Binary),         // overlong
        (b"\xe0\x80\xaf", Kind::Binary),     // overlong
        (b"\xed\xa0\x80", Kind::Binary),     // a surrogate
        (b"\xf4\x90\x80\x80", Kind::Binary), // above U+10FFFF
        (b"\xff", Kind::Binary),
    ] {
        let line = [bytes, b"\n"].concat();
        assert_eq!(framed("auto", None, &[bytes]).0, [(expected, bytes.to_vec())]);
        assert_eq!(framed("newline", Some("lf"), &[&line]).0, [(expected, line)]);
        for name in ["auto", "newline"] {
            assert_eq!(framer(name, None).tail_kind(bytes), expected, "{name} {bytes:?}");
        }
        assert_eq!(framer("binary", None).tail_kind(bytes), Kind::Binary);
        assert_eq!(framer("separator", Some("x")).tail_kind(bytes), Kind::Binary);
    }
}

#[test]
fn b05_c50_each_line_has_its_own_kind() {
    let (messages, tail) = framed("newline", None, &[b"ok\r\n\xff\xfe\r\nok\r\n\xff\r\n\r"]);
    let kinds: Vec<_> = messages.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [Kind::Text, Kind::Binary, Kind::Text, Kind::Binary]);
    assert_eq!(tail, b"\r");
}

#[test]
fn g16_c06_a_framing_without_a_configuration() {
    for name in ["auto", "binary", "newline"] {
        assert!(check(name, None).is_ok(), "{name}");
        let mut framer = Framer::new(&by_name(name).unwrap());
        assert!(matches!(
            framer.cut(&mut b"a\r\n.".to_owned(), 3, 3),
            Ok(Verdict::Message { length: 3, .. })
        ));
    }
    assert_eq!(check("separator", None).unwrap_err(), ConfigFault::NoSeparator);
    // A plug-in's back end may still choose it so: a fault, and not for ever.
    for mut framer in [Framer::new(&by_name("separator").unwrap()), framer("rfc6455", None)] {
        let fault = framer.cut(&mut b"a.".to_owned(), 1, 1).unwrap_err();
        assert_eq!(fault.cause, Cause::Negative(-1));
        framer.end();
    }
}

#[test]
fn configurations_are_refused_with_a_reason() {
    for (name, config, reason) in [
        ("nobody's", None, "no framing is named \"nobody's\""), // C-64
        ("Auto", None, "no framing is named \"Auto\""),
        ("", None, "no framing is named \"\""),
        ("separator", Some(""), "framing separator needs bytes to look for"),
        ("separator", Some("\\q"), "a separator has the unknown escape \\q"),
        ("separator", Some("\\\u{e4}"), "a separator has the unknown escape \\\\xc3"),
        ("separator", Some("\\xZZ"), "a separator has \\x without two hexadecimal digits"),
        ("separator", Some("a\\"), "a separator ends in a lone backslash"),
        ("separator", Some("\0"), "a framing's configuration holds a NUL"),
        ("binary", Some("lf"), "is for another framing: binary takes no configuration"), // O3
        ("newline", Some("lf cr"), "framing newline knows crlf, lfcr, lf and cr, not \"lf cr\""),
    ] {
        let fault = check(name, config).unwrap_err();
        assert!(fault.to_string().starts_with(reason), "{name} {config:?}: {fault}");
    }
}

#[test]
fn only_delimiters_with_add_go_to_the_peer() {
    for (name, config, suffix) in [
        ("auto", None, None),
        ("binary", None, None),
        ("rfc6455", None, None),
        ("newline", None, None),
        ("newline", Some("lf"), None),
        ("newline", Some("add:"), Some(&b"\r\n"[..])),
        ("newline", Some("add:lf"), Some(b"\n")),
        ("separator", Some("\\0"), None),
        ("separator", Some("add:\\0"), Some(b"\0")),
        ("separator", Some("\\x61dd:"), None),
    ] {
        let framer = framer(name, config);
        let mode = if suffix.is_some() { EnvelopeMode::Stream } else { EnvelopeMode::None };
        assert_eq!(framer.envelope_mode(), Ok(mode), "{name} {config:?}");
        let envelope = framer.envelope(5, Kind::Text).unwrap();
        let expected = (&[][..], suffix.unwrap_or_default());
        assert_eq!((envelope.prefix(), envelope.suffix()), expected, "{name} {config:?}");
    }
    let longest = "add:".to_owned() + &"\\xff".repeat(64);
    let envelope = framer("separator", Some(&longest)).envelope(0, Kind::Binary).unwrap();
    assert_eq!(envelope.suffix(), [0xff; 64]);
}

#[test]
fn traits_of_our_own() {
    let any = usize::MAX;
    for (name, frames, view) in
        [("auto", false, any), ("newline", false, PEER_BUFFER_SIZE), ("rfc6455", true, any)]
    {
        let framer = framer(name, None);
        assert_eq!(framer.is_two_way_frames(), frames, "{name}");
        assert_eq!(framer.largest_view(), view, "{name}");
        assert_eq!(format!("{framer:?}"), format!("Framer({name:?})"));
    }
    assert_eq!(
        format!("{:?}", Selection::default()),
        "Selection { framing: \"auto\", config: None }"
    );
}

#[test]
fn a_framer_has_the_name_of_its_function() {
    assert_eq!(framer("newline", None).name(), "newline");
}

#[test]
fn any_integer_may_come_back() {
    for (returned, opcode, expected) in [
        (0, 99, Ok(Verdict::More)),
        (1, 1, Ok(Verdict::Message { length: 1, kind: Kind::Text })),
        (9, 2, Ok(Verdict::Message { length: 9, kind: Kind::Binary })),
        (9, 11, Ok(Verdict::Discard { length: 9 })),
        (10, 2, Err(Cause::TooLong { returned: 10, length: 9 })),
        (i64::MAX, 0, Err(Cause::TooLong { returned: i64::MAX, length: 9 })),
        (-1, 0, Err(Cause::Negative(-1))),
        (i64::MIN, 2, Err(Cause::Negative(i64::MIN))),
        (9, 0, Err(Cause::Opcode(0))),
        (9, 8, Err(Cause::Opcode(8))),
        (9, u32::MAX, Err(Cause::Opcode(u32::MAX))),
    ] {
        assert_eq!(Verdict::checked(returned, opcode, 9), expected);
    }
}
