//! UTF-8 in pieces, against the standard library's verdict on the whole.

use super::script::{Script, pieces};
use websocksy::proto::utf8::{Validator, incomplete_tail};

/// Input: how to cut, and text.
pub fn text(input: &[u8]) {
    let mut script = Script::new(input);
    let pattern = script.byte();
    let bytes = script.rest();
    let verdict = str::from_utf8(bytes);
    // Without a length, the error is that bytes are missing at the end.
    let hopeless = verdict.is_err_and(|error| error.error_len().is_some());

    for pattern in [0, pattern, 0xff] {
        let mut validator = Validator::new();
        let mut seen = 0;
        let refused = pieces(bytes, pattern).find(|piece| {
            seen += piece.len();
            validator.feed(piece).is_err()
        });
        let sound = verdict.map_or_else(|error| error.valid_up_to(), |_| bytes.len());
        match refused {
            Some(piece) => assert!(hopeless && seen > sound && seen - piece.len() <= sound + 3),
            None => assert_eq!((validator.is_complete(), hopeless), (verdict.is_ok(), false)),
        }
    }
    let tail = verdict.map_or_else(|error| bytes.len() - error.valid_up_to(), |_| 0);
    assert_eq!(incomplete_tail(bytes), (!hopeless).then_some(tail));
}
