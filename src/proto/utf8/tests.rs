use proptest::prelude::*;

use super::*;

/// By the standard library: the first byte after which nothing can make the text valid.
fn first_wrong(text: &[u8]) -> Option<usize> {
    (0..text.len()).find(|&at| match std::str::from_utf8(&text[..=at]) {
        Ok(_) => false,
        Err(error) => error.error_len().is_some(),
    })
}

/// By our validator, one piece a byte.
fn first_refused(text: &[u8]) -> Option<usize> {
    let mut validator = Validator::new();
    text.iter().position(|&byte| validator.feed(&[byte]).is_err())
}

/// Feeds the pieces; the number of the piece refused, or else whether the text may end there.
fn feed_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<bool, usize> {
    let mut validator = Validator::new();
    for (at, piece) in pieces.into_iter().enumerate() {
        validator.feed(piece).map_err(|Invalid| at)?;
    }
    Ok(validator.is_complete())
}

/// The whole contract for one text, cut at each position.
fn holds(text: &[u8]) {
    let wrong = first_wrong(text);
    let complete = std::str::from_utf8(text).is_ok();
    assert_eq!(first_refused(text), wrong, "{text:02x?}");
    for cut in 0..=text.len() {
        let (head, tail) = text.split_at(cut);
        let expected = wrong.map_or(Ok(complete), |at| Err(usize::from(at >= cut)));
        assert_eq!(feed_all([head, tail]), expected, "{text:02x?} cut at {cut}");
    }
    let unfinished = match std::str::from_utf8(text) {
        Ok(_) => Some(0),
        Err(error) => error.error_len().map_or(Some(text.len() - error.valid_up_to()), |_| None),
    };
    assert_eq!(incomplete_tail(text), unfinished, "{text:02x?}");
}

#[test]
fn f61_f63_wrong_at_the_first_byte_that_cannot_be_right() {
    let table: &[(&[u8], Option<usize>)] = &[
        (&[0xff], Some(0)),
        (&[0xc0, 0x80], Some(0)),
        (&[0xc1, 0xbf], Some(0)),
        (&[0xed, 0xa0], Some(1)),
        (&[0xed, 0xa0, 0x80], Some(1)),
        (&[0xf4, 0x90], Some(1)),
        (&[0xf4, 0x90, 0x80, 0x80], Some(1)),
        (&[0xf5, 0x80, 0x80, 0x80], Some(0)),
        (&[0x80], Some(0)),
        (&[0xe0, 0x80], Some(1)),
        (&[0xe0, 0x80, 0x80], Some(1)),
        (&[0xf0, 0x8f], Some(1)),
        (&[0xe2, 0x82, 0x41], Some(2)),
        (&[0xf0, 0x90, 0x8d, 0xc0], Some(3)),
        (&[0xe2, 0x82], None),
    ];
    let long = "κόσμε ".repeat(40);
    for before in ["", "a", "é", &long] {
        for (text, at) in table {
            let text = [before.as_bytes(), text].concat();
            assert_eq!(first_refused(&text), at.map(|at| before.len() + at), "{text:02x?}");
            assert_ne!(feed_all([&text[..]]), Ok(true), "{text:02x?}");
            holds(&text);
        }
    }
}

#[test]
fn f62_f64_valid_text_cut_everywhere() {
    let texts = ["", "κόσμε𐍈", "\u{0}", "\u{ffff}", "\u{10ffff}", "\u{d7ff}\u{e000}", "\u{fffe}"];
    for text in texts {
        assert_eq!(feed_all([text.as_bytes()]), Ok(true), "{text}");
        holds(text.as_bytes());
    }
}

#[test]
fn a_message_must_not_end_inside_a_code_point() {
    for text in ["é", "€", "𐍈"] {
        for cut in 1..text.len() {
            assert_eq!(feed_all([&text.as_bytes()[..cut]]), Ok(false), "{text} cut at {cut}");
        }
    }
}

/// Both sides of every boundary in the table of RFC 3629 §4.
const BOUNDARIES: [u8; 23] = [
    0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
    0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff,
];

#[test]
fn every_sequence_of_boundaries_equals_the_standard_library() {
    for a in BOUNDARIES {
        for b in BOUNDARIES {
            holds(&[a, b]);
            for c in BOUNDARIES {
                holds(&[a, b, c]);
                holds(&[0xf1, a, b, c]);
            }
        }
    }
}

#[test]
fn a_wrong_byte_anywhere_in_a_long_text() {
    let text = "Grüße, κόσμε, 你好, 𐍈! ".repeat(6);
    for at in 0..text.len() {
        for byte in [0x41, 0x80, 0xc0, 0xe2, 0xf4, 0xff] {
            let mut text = text.clone().into_bytes();
            text[at] = byte;
            let expected = first_wrong(&text);
            assert_eq!(first_refused(&text), expected, "{byte:02x} at {at}");
            assert_eq!(feed_all([&text[..]]).is_err(), expected.is_some(), "{byte:02x} at {at}");
        }
    }
}

/// Text with now and then a byte of anything in it.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => any::<char>().prop_map(|char| char.to_string().into_bytes()),
        8 => "[a-z]{0,80}".prop_map(String::into_bytes),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_cut_in_two(text in any_text()) {
        holds(&text);
    }

    #[test]
    fn any_text_in_pieces_of_any_size(
        text in any_text(),
        sizes in proptest::collection::vec(0..9usize, 1..9),
    ) {
        let mut rest = &text[..];
        let mut pieces = Vec::new();
        for size in sizes.into_iter().cycle().take(2 * text.len() + 9) {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let whole = std::str::from_utf8(&text);
        match feed_all(pieces.iter().copied()) {
            Ok(complete) => prop_assert_eq!(complete, whole.is_ok()),
            Err(piece) => {
                let start: usize = pieces[..piece].iter().map(|piece| piece.len()).sum();
                let at = first_wrong(&text);
                prop_assert!(at.is_some_and(|at| (start..start + pieces[piece].len()).contains(&at)));
            }
        }
    }
}
