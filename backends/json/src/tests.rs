use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};
use websocksy_plugin::testing::{End, Outcome, Sent, drive};

fn text(values: &[&str]) -> Vec<Sent> {
    values.iter().map(|value| Sent::Text(value.as_bytes().to_vec())).collect()
}

/// A stream of whole values: the same messages whole, byte by byte, and cut in two anywhere.
fn every_way(stream: &[u8]) -> Outcome {
    let whole = drive(Json::default(), [stream]);
    let bytewise = drive(Json::default(), stream.chunks(1));
    assert_eq!(bytewise, whole, "{:?}", stream.escape_ascii().to_string());
    for at in 0..=stream.len() {
        let (first, second) = stream.split_at(at);
        let halves = drive(Json::default(), [first, second]);
        assert_eq!(halves, whole, "{:?} at {at}", stream.escape_ascii().to_string());
    }
    whole
}

#[test]
fn streams_of_values() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("", &[], ""),
        (" \t\r\n", &[], ""),
        ("{}[]", &["{}", "[]"], ""),
        (r#"{"a":[1,{"b":null}]} [ ] "x""#, &[r#"{"a":[1,{"b":null}]}"#, "[ ]", r#""x""#], ""),
        ("{ \"a\" : 1 , \"b\" : [ ] }\r\n", &["{ \"a\" : 1 , \"b\" : [ ] }"], ""),
        (
            r#""a\\" "\"" "\\\"" "\u00e9\/\b\f\n\r\t""#,
            &[r#""a\\""#, r#""\"""#, r#""\\\"""#, r#""\u00e9\/\b\f\n\r\t""#],
            "",
        ),
        (r#"{"}":"{"}["]"]"#, &[r#"{"}":"{"}"#, r#"["]"]"#], ""),
        (r#""é 😀""#, &[r#""é 😀""#], ""),
        ("12 34\n", &["12", "34"], ""),
        ("12{}-0[]1e5\"x\"", &["12", "{}", "-0", "[]", "1e5", "\"x\""], ""),
        ("0 -0 1.5 -1.50e+10 1E-2 10 ", &["0", "-0", "1.5", "-1.50e+10", "1E-2", "10"], ""),
        ("truefalsenull", &["true", "false", "null"], ""),
        ("[0,1.5,-2e3]", &["[0,1.5,-2e3]"], ""),
        ("[[[[]]],{}]", &["[[[[]]],{}]"], ""),
        // Not complete: these wait.
        ("12", &[], "12"),
        ("[1] 12", &["[1]"], "12"),
        ("tru", &[], "tru"),
        (r#"{"a":"#, &[], r#"{"a":"#),
        (r#""a\""#, &[], r#""a\""#),
        (r#""\u00e"#, &[], r#""\u00e"#),
    ];
    for (stream, values, tail) in cases {
        let outcome = every_way(stream.as_bytes());
        assert_eq!(outcome.messages, text(values), "{stream}");
        assert_eq!(
            (outcome.tail.as_slice(), outcome.end),
            (tail.as_bytes(), End::Open),
            "{stream}"
        );
    }
}

#[test]
fn what_is_no_json_goes_out_whole_and_binary() {
    let cases: &[&[u8]] = &[
        b"x",
        b"]",
        b"}",
        b",",
        b":",
        b"+1",
        b".5",
        b"'a'",
        b"\0",
        b"\xef\xbb\xbf{}",
        b"01",
        b"1.",
        b"1. ",
        b"1.e",
        b"1e ",
        b"1e+ ",
        b"- ",
        b"--1",
        b"1-2",
        b"1x",
        b"1.5.5",
        b"0x10",
        b"[1}",
        b"{\"a\":1]",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[1:2]",
        b"[}",
        b"[[}",
        b"{]",
        b"{1:2}",
        b"{\"a\"}",
        b"{\"a\",}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{,}",
        b"{\"a\" \"b\"}",
        b"tru ",
        b"trux",
        b"nul\0",
        b"False",
        b"\"\n\"",
        b"\"\x1f\"",
        b"\"\\x\"",
        b"\"\\u12g4\"",
        b"\"\\u{1}\"",
        b"\"\\\n",
    ];
    for case in cases {
        // A scanner can tell no later than with the byte behind.
        let stream = [case, b" [1]".as_slice()].concat();
        let whole = drive(Json::default(), [&stream]);
        assert_eq!(whole.messages, [Sent::Binary(stream.clone())], "{:?}", case.escape_ascii());
        assert_eq!(whole.end, End::Open);
    }
}

#[test]
fn a_value_may_follow_an_error() {
    let outcome = drive(Json::default(), [b"[1}".as_slice(), b"[1]"]);
    assert_eq!(outcome.messages, [Sent::Binary(b"[1}".into()), Sent::Text(b"[1]".into())]);
    let outcome = drive(Json::default(), [b"1,2 ".as_slice(), b"3 "]);
    // The comma is found behind the number, which is a message by then.
    let expected = [Sent::Text(b"1".into()), Sent::Binary(b",2 ".into()), Sent::Text(b"3".into())];
    assert_eq!(outcome.messages, expected);
}

#[test]
fn strings_that_are_no_utf_8_are_binary_and_do_not_lose_the_place() {
    for bad in [b"\"\xff\"".as_slice(), b"[\"\xed\xa0\x80\"]", b"{\"\xc0\x80\":\"\xc3\"}"] {
        let outcome = every_way(&[bad, b"[1]"].concat());
        let expected = [Sent::Binary(bad.to_vec()), Sent::Text(b"[1]".into())];
        assert_eq!(outcome.messages, expected);
    }
}

#[test]
fn nesting_as_deep_as_the_buffer() {
    let deep = [b"[".repeat(8_192), b"]".repeat(8_192)].concat();
    let outcome = drive(Json::default(), deep.chunks(1));
    assert_eq!(outcome.messages, [Sent::Text(deep)]);
}

/// F9
#[test]
fn f09_a_value_longer_than_a_view_goes_in_parts() {
    let long = [&b"[\""[..], "d\u{e9}j\u{e0} vu ".repeat(9_000).as_bytes(), b"\"]"].concat();
    let number = [b"1".repeat(16_384), b" ".to_vec()].concat();
    let stream = [&long[..], b" 2 ", &long, &number].concat();
    let expected =
        [&long[..], b"2", &long, &number[..16_384]].map(|value| Sent::Text(value.into()));
    for size in [1, 1_000, stream.len()] {
        let outcome = drive(Json::default(), stream.chunks(size));
        assert_eq!((&outcome.messages[..], outcome.end), (&expected[..], End::Open), "{size}");
        assert_eq!(outcome.begun, None);
    }
    let outcome = drive(Json::default(), [b"[".repeat(2 << 20)]);
    assert_eq!((outcome.messages.len(), outcome.end), (1, End::Open), "too deep is no JSON");
}

#[test]
fn nesting_of_a_million_without_recursion() {
    const LEVELS: usize = 340_000;
    let mut data = b"[[{\"a\":".repeat(LEVELS);
    data.push(b'1');
    data.extend(b"}]]".repeat(LEVELS));
    let length = data.len();
    assert_eq!(Json::default().cut(&mut data, length), Verdict::Text(length));
    for wrong in [length - 1, length - 3, length - 3 * 64 - 1, length - 3 * LEVELS] {
        let right = data[wrong];
        data[wrong] = if right == b'}' { b']' } else { b'}' };
        assert_eq!(Json::default().cut(&mut data, length), Verdict::Binary(length), "{wrong}");
        data[wrong] = right;
    }
}

/// A scanner that started over at each read would take 8,000 million steps, hence minutes.
#[test]
fn time_is_linear_in_the_stream() {
    let value = [b"[\"".as_slice(), &b"x".repeat(16_000), b"\"]"].concat();
    let started = Instant::now();
    let stream = value.repeat(64);
    let outcome = drive(Json::default(), stream.chunks(1));
    assert_eq!(outcome.messages.len(), 64);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// The length of the value at the start, by recursive descent over what is all there.
mod oracle {
    fn blanks(text: &[u8]) -> &[u8] {
        let end = text.iter().position(|byte| !b" \t\n\r".contains(byte)).unwrap_or(text.len());
        &text[end..]
    }

    /// The rest behind a value; the text has no blanks at its start.
    pub(super) fn value(text: &[u8]) -> Option<&[u8]> {
        match text.first()? {
            b'{' => items(&text[1..], b'}', &|text| {
                value(blanks(blanks(string(text)?).strip_prefix(b":")?))
            }),
            b'[' => items(&text[1..], b']', &value),
            b'"' => string(text),
            b't' => text.strip_prefix(b"true"),
            b'f' => text.strip_prefix(b"false"),
            b'n' => text.strip_prefix(b"null"),
            _ => number(text),
        }
    }

    fn items<'a>(
        text: &'a [u8],
        close: u8,
        item: &dyn Fn(&'a [u8]) -> Option<&'a [u8]>,
    ) -> Option<&'a [u8]> {
        let mut text = blanks(text);
        if let Some(rest) = text.strip_prefix(&[close]) {
            return Some(rest);
        }
        loop {
            text = blanks(item(text)?);
            match text.split_first()? {
                (b',', rest) => text = blanks(rest),
                (byte, rest) => return (*byte == close).then_some(rest),
            }
        }
    }

    fn string(text: &[u8]) -> Option<&[u8]> {
        let mut rest = text.strip_prefix(b"\"")?;
        loop {
            rest = match rest {
                [b'"', rest @ ..] => return Some(rest),
                [b'\\', b'u', rest @ ..] => {
                    let digits = rest.get(..4)?;
                    digits.iter().all(u8::is_ascii_hexdigit).then(|| &rest[4..])?
                }
                [b'\\', escaped, rest @ ..] if b"\"\\/bfnrt".contains(escaped) => rest,
                [byte, rest @ ..] if *byte >= b' ' && *byte != b'\\' => rest,
                _ => return None,
            }
        }
    }

    fn number(text: &[u8]) -> Option<&[u8]> {
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut rest = text.strip_prefix(b"-").unwrap_or(text);
        let whole = digits(rest);
        if whole == 0 || whole > 1 && rest[0] == b'0' {
            return None;
        }
        rest = &rest[whole..];
        if let Some(fraction) = rest.strip_prefix(b".") {
            rest = &fraction[Some(digits(fraction)).filter(|&count| count > 0)?..];
        }
        if let [b'e' | b'E', exponent @ ..] = rest {
            let exponent = match exponent {
                [b'+' | b'-', digits @ ..] => digits,
                digits => digits,
            };
            rest = &exponent[Some(digits(exponent)).filter(|&count| count > 0)?..];
        }
        Some(rest)
    }
}

/// A value as text, with blanks wherever the grammar allows them.
fn value() -> impl Strategy<Value = String> {
    let blank = "[ \t\r\n]{0,2}";
    let string = r#""([^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,5}""#;
    let leaf = prop_oneof![
        string.prop_map(String::from),
        "-?(0|[1-9][0-9]{0,3})([.][0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let item = (blank, inner, blank).prop_map(|(before, item, after)| before + &item + &after);
        let member = (blank, string, blank, item.clone())
            .prop_map(|(before, key, after, item)| format!("{before}{key}{after}:{item}"));
        prop_oneof![
            (prop::collection::vec(item, 1..4)).prop_map(|items| format!("[{}]", items.join(","))),
            (prop::collection::vec(member, 1..4)).prop_map(|all| format!("{{{}}}", all.join(","))),
            blank.prop_map(|blank| format!("[{blank}]")),
            blank.prop_map(|blank| format!("{{{blank}}}")),
        ]
    })
}

/// Cuts a stream at the given fractions of its length.
fn reads<'a>(stream: &'a [u8], cuts: &[f64]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| (cut * stream.len() as f64) as usize).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn values_come_out_as_they_went_in(
        values in prop::collection::vec(value(), 0..8),
        cuts in prop::collection::vec(0.0..1.0, 0..12),
    ) {
        let stream = values.iter().map(|value| value.to_owned() + "\n").collect::<String>();
        let outcome = drive(Json::default(), reads(stream.as_bytes(), &cuts));
        let expected: Vec<_> = values.into_iter().map(|value| Sent::Text(value.into())).collect();
        prop_assert_eq!(outcome.messages, expected);
        prop_assert_eq!(outcome.tail, b"");
    }

    /// Near misses: what is sent as text is a value and nothing else, and nothing but blanks
    /// between values is lost.
    #[test]
    fn whatever_comes_text_is_json(
        stream in r#"([\[\]{},:"\\ \n]|[0-9.eE+-]|true|null|\\u0|"a"|[1]|\PC){0,40}"#,
        cuts in prop::collection::vec(0.0..1.0, 0..12),
    ) {
        let outcome = drive(Json::default(), reads(stream.as_bytes(), &cuts));
        let mut rest = stream.as_bytes();
        for message in &outcome.messages {
            let (Sent::Text(bytes) | Sent::Binary(bytes)) = message;
            rest = rest.trim_ascii_start().strip_prefix(bytes.trim_ascii_start()).expect("in order");
            if matches!(message, Sent::Text(_)) {
                prop_assert_eq!(oracle::value(bytes), Some(b"".as_slice()), "{:?}", bytes);
            }
        }
        prop_assert_eq!(outcome.tail.as_slice(), rest.trim_ascii_start());
    }

    /// The first verdict on one read equals the oracle's.
    #[test]
    fn the_first_value_equals_the_oracle(
        stream in r#"([\[{"]|"a":|[0-9.eE+-]|true|null|[\]},:"\\]|\\u00|[ ]|\PC){1,20}"#,
    ) {
        let stream = stream.trim_ascii_start();
        let mut data = [stream.as_bytes(), b" "].concat(); // so that a number ends
        let length = data.len();
        match (Json::default().cut(&mut data, length), oracle::value(&data)) {
            (Verdict::Text(cut), Some(rest)) => prop_assert_eq!(cut, length - rest.len()),
            (Verdict::More | Verdict::Binary(_), None) => (),
            // A number with something stuck to it is two things to the oracle.
            (Verdict::Binary(_), Some(rest)) => {
                let number = &data[..length - rest.len()];
                prop_assert!(number.last().is_some_and(u8::is_ascii_digit), "{:?}", number);
            }
            (Verdict::Discard(1), None) => prop_assert_eq!(stream, ""),
            other => prop_assert!(false, "{:?} for {:?}", other, stream),
        }
    }
}
