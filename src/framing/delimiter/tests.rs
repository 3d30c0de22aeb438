use super::*;

fn separator(config: &str) -> Result<(Vec<u8>, bool), ConfigFault> {
    let delimiter = Delimiter::separator(config.as_bytes())?;
    Ok((delimiter.bytes, delimiter.both_ways))
}

#[test]
fn b03_c48_c49_separators_as_configured() {
    for (config, bytes) in [
        ("x", &b"x"[..]),
        (r"\r\n", b"\r\n"),
        (r"\t\n\0\f\\", b"\t\n\0\x0c\\"),
        (r"\x41", b"A"),
        (r"\xff\x00\xAb", b"\xff\x00\xab"),
        (r"a\\x41", b"a\\x41"),
        (r"\x4142", b"A42"),
        ("\u{e4} ", b"\xc3\xa4 "),
        ("add", b"add"),
        (r"\x61dd:", b"add:"),
    ] {
        assert_eq!(separator(config), Ok((bytes.to_vec(), false)), "{config}");
        assert_eq!(separator(&format!("add:{config}")), Ok((bytes.to_vec(), true)), "{config}");
    }
}

#[test]
fn b03_c49_separators_that_are_refused() {
    for (config, fault) in [
        ("", ConfigFault::NoSeparator),
        (r"\", ConfigFault::Backslash),
        (r"a\\\", ConfigFault::Backslash),
        (r"\q", ConfigFault::Escape(b'q')),
        (r"\X41", ConfigFault::Escape(b'X')),
        (r"\ ", ConfigFault::Escape(b' ')),
        (r"\x", ConfigFault::Hex),
        (r"\x4", ConfigFault::Hex),
        (r"\xZZ", ConfigFault::Hex),
        (r"\x+4", ConfigFault::Hex),
        (r"\x4\x41", ConfigFault::Hex),
    ] {
        assert_eq!(separator(config), Err(fault.clone()), "{config}");
        assert_eq!(separator(&format!("add:{config}")), Err(fault), "{config}");
    }
}

#[test]
fn separators_up_to_the_longest() {
    let (longest, longer) = (r"\x00".repeat(LONGEST), r"\x00".repeat(LONGEST + 1));
    assert_eq!(separator(&longest), Ok((vec![0; LONGEST], false)));
    assert_eq!(separator(&longer), Err(ConfigFault::LongSeparator(LONGEST + 1)));
}

#[test]
fn b06_line_ends() {
    for (config, bytes) in [
        ("", Some(&b"\r\n"[..])),
        ("crlf", Some(b"\r\n")),
        ("lfcr", Some(b"\n\r")),
        ("lf", Some(b"\n")),
        ("cr", Some(b"\r")),
        ("CRLF", None),
        ("crlf ", None),
        (r"\r\n", None),
        ("\n", None),
    ] {
        for (prefix, both_ways) in [("", false), ("add:", true)] {
            let found = Delimiter::newline(format!("{prefix}{config}").as_bytes()).ok();
            let expected = bytes.map(|bytes| Delimiter {
                bytes: bytes.to_vec(),
                both_ways,
                rendering: Rendering::default(),
            });
            assert_eq!(found, expected, "{prefix}{config}");
        }
    }
}

fn search(delimiter: &[u8]) -> Search {
    Search::new(&Delimiter {
        bytes: delimiter.to_vec(),
        both_ways: false,
        rendering: Rendering::default(),
    })
}

#[test]
fn the_first_delimiter_is_found() {
    for (delimiter, waiting, expected) in [
        (&b"\r\n"[..], &b"a\r\nb\r\n"[..], 3),
        (b"\r\n", b"\r\n", 2),
        (b"\r\n", b"a\r\r\n", 4),
        (b"\r\n", b"a\n\r", 0),
        (b"aab", b"aaab", 4), // P27
        (b"aa", b"aaa", 2),
        (b"x", b"x", 1),
        (b"x", b"", 0),
        (b"longer", b"short", 0),
    ] {
        assert_eq!(search(delimiter).cut(waiting, waiting.len()), expected, "{waiting:?}");
    }
}

#[test]
fn b01_c47_a_delimiter_across_any_two_reads_is_found() {
    for delimiter in [&b"\r\n"[..], b"abcabd", b"0123456789abcdef", b"aaaa"] {
        let stream = [b"..b", delimiter, b"behind"].concat();
        for first in 0..stream.len() {
            let mut search = search(delimiter);
            let expected = if first < 3 + delimiter.len() { 0 } else { 3 + delimiter.len() };
            assert_eq!(search.cut(&stream[..first], first), expected);
            if expected == 0 {
                let found = search.cut(&stream, stream.len() - first);
                assert_eq!(found, 3 + delimiter.len(), "{delimiter:?} at {first}");
            }
        }
    }
}

#[test]
fn old_bytes_are_not_searched_again() {
    let mut search = search(b"abc");
    assert_eq!(search.cut(b"......ab", 8), 0);
    // Had it looked at all bytes again, it would see that these have become others.
    assert_eq!(search.cut(b"abcabc..", 0), 0);
    assert_eq!(search.cut(b"abcabc..abc", 3), 11);
    assert_eq!(search.cut(b"abc", 0), 3);
}

#[test]
fn new_bytes_are_searched_whatever_waited_before() {
    let mut search = search(b"abc");
    assert_eq!(search.cut(b"....", 4), 0);
    assert_eq!(search.cut(b"abc.", 4), 3);
    assert_eq!(search.cut(b"....", 4), 0);
    assert_eq!(search.cut(b"abc", 3), 3);
    assert_eq!(search.cut(b"....", 9), 0);
}

#[test]
fn f10_options_in_any_order() {
    let rendering = |config: &[u8]| Delimiter::newline(config).map(|d| (d.both_ways, d.rendering));
    let text = |strip| Rendering { text: true, strip };
    for (config, expected) in [
        (&b"text"[..], (false, text(0))),
        (b"text:lf", (false, text(0))),
        (b"strip:lf", (false, Rendering { text: false, strip: 1 })),
        (b"text:strip:add:crlf", (true, text(2))),
        (b"add:strip:text", (true, text(2))),
    ] {
        assert_eq!(rendering(config), Ok(expected));
    }
    for config in [&b"lf:text"[..], b"txt:lf", b"text:lf:", b"strip=yes"] {
        assert!(rendering(config).is_err());
    }
}
