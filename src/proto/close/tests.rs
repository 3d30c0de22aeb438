use super::*;
use FrameError::{BadCloseCode, CloseOfOneByte, NotUtf8};

#[test]
fn close_frames_received() {
    let longest = "ab".repeat(61) + "c";
    let code = |code| CloseCode::new(code).expect("a code that may be sent");
    let table: [(&str, Vec<u8>, Result<_, FrameError>); 9] = [
        ("F48", vec![], Ok(None)),
        ("F49", vec![0x03], Err(CloseOfOneByte)),
        ("F50", vec![0x03, 0xe8], Ok(Some((CloseCode::NORMAL, "")))),
        (
            "F51",
            [&[0x03, 0xe8][..], longest.as_bytes()].concat(),
            Ok(Some((code(1000), &*longest))),
        ),
        ("F52", vec![0x03, 0xe8, 0xff, 0xfe], Err(NotUtf8)),
        ("F52, cut code point", vec![0x03, 0xe8, 0xe2, 0x82], Err(NotUtf8)),
        ("F52, surrogate", vec![0x03, 0xe8, 0xed, 0xa0, 0x80], Err(NotUtf8)),
        ("F54, reason", vec![0x0b, 0xb8, 0xe2, 0x82, 0xac], Ok(Some((code(3000), "€")))),
        ("F53, both wrong", vec![0x03, 0xed, 0xff], Err(BadCloseCode(1005))),
    ];
    for (name, payload, expected) in table {
        assert_eq!(parse(&payload), expected, "{name}");
    }
}

#[test]
fn f53_f54_f55_every_close_code() {
    let allowed: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
    for number in 0..=u16::MAX {
        let expected = allowed.contains(&number);
        assert_eq!(CloseCode::may_be_sent(number), expected, "{number}");
        assert_eq!(CloseCode::new(number).map(CloseCode::get), expected.then_some(number));
        let answer = parse(&number.to_be_bytes()).map(|close| close.map(|(code, _)| code.get()));
        let expected = if expected { Ok(Some(number)) } else { Err(BadCloseCode(number)) };
        assert_eq!(answer, expected);
    }
}

#[test]
fn close_frames_to_send() {
    let table = [
        (String::new(), 0),
        ("going down".into(), 10),
        ("x".repeat(123), 123),
        ("x".repeat(124), 123),
        ("x".repeat(100_000), 123),
        ("x".repeat(122) + "é", 122),
        ("x".repeat(121) + "é", 123),
        ("x".repeat(120) + "𐍈!", 120),
        ("€".repeat(50), 123),
    ];
    for (reason, kept) in table {
        let sent = payload(CloseCode::GOING_AWAY, &reason);
        assert_eq!(parse(&sent), Ok(Some((CloseCode::GOING_AWAY, &reason[..kept]))));
    }
}

#[test]
fn a_code_is_shown_as_its_number() {
    assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001");
}
