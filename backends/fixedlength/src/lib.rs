//! `fixedlength`: messages of a fixed number of bytes.

#![forbid(unsafe_code)]

use websocksy_plugin::{Framing, PEER_BUFFER_SIZE, Verdict, export_framing, number};

/// The longest message: some length has to be a slip of the finger.
const LONGEST: usize = 1 << 30;

/// Binary messages of as many bytes as the configuration says; one that is longer than a view goes
/// in parts.
#[derive(Debug)]
pub struct FixedLength {
    length: usize,
    /// How many bytes the message under way still lacks.
    left: usize,
}

impl Framing for FixedLength {
    fn new(config: Option<&str>) -> Result<Self, String> {
        let config = config.unwrap_or_default().trim_ascii();
        let length = number(config).filter(|length| (1..=LONGEST).contains(length));
        let refusal = || format!("the length is 1 to {LONGEST} bytes, not {config:?}");
        length.map(|length| Self { length, left: length }).ok_or_else(refusal)
    }

    fn cut(&mut self, data: &mut [u8], _fresh: usize) -> Verdict {
        if data.len() >= self.left {
            return Verdict::Binary(std::mem::replace(&mut self.left, self.length));
        }
        if data.len() < PEER_BUFFER_SIZE {
            return Verdict::More;
        }
        self.left -= data.len();
        Verdict::BinaryPart(data.len())
    }
}

export_framing!("fixedlength", FixedLength);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use websocksy_plugin::testing::{End, Sent, drive};

    #[test]
    fn configurations() {
        let cases = [
            (Some("1"), Some(1)),
            (Some("16384"), Some(16_384)),
            (Some(" 32 "), Some(32)),
            (None, None),
            (Some(""), None),
            (Some("0"), None),
            (Some("-1"), None),
            (Some("16385"), Some(16_385)),
            (Some("1073741825"), None),
            (Some("18446744073709551617"), None),
            (Some("0x10"), Some(16)), // S6, as the next two
            (Some("010"), None),
            (Some("00"), None),
            (Some("32 bytes"), None),
        ];
        for (config, length) in cases {
            assert_eq!(FixedLength::new(config).ok().map(|made| made.length), length, "{config:?}");
        }
    }

    #[test]
    fn f09_a_message_longer_than_a_view_goes_in_parts() {
        let framing = FixedLength::new(Some("40000")).unwrap();
        let outcome = drive(framing, [vec![7; 100_000]]);
        assert_eq!(outcome.messages, vec![Sent::Binary(vec![7; 40_000]); 2]);
        assert_eq!(outcome.begun, Some(Sent::Binary(vec![7; 16_384])));
        assert_eq!((outcome.tail.len(), outcome.end), (3_616, End::Open));
    }

    #[test]
    fn the_longest_message_fits() {
        let framing = FixedLength::new(Some("16384")).unwrap();
        let outcome = drive(framing, [vec![7; 3 * 16_384 + 1]]);
        assert_eq!((outcome.messages.len(), outcome.tail.len()), (3, 1));
        assert_eq!(outcome.end, End::Open);
    }

    proptest! {
        #[test]
        fn equals_chunks_of_the_whole(
            reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            length in 1_usize..50,
        ) {
            let whole = reads.concat();
            let chunks = whole.chunks_exact(length);
            let tail = chunks.remainder().to_vec();
            let messages: Vec<_> = chunks.map(|chunk| Sent::Binary(chunk.to_vec())).collect();

            let outcome = drive(FixedLength::new(Some(&length.to_string())).unwrap(), reads);
            prop_assert_eq!(outcome.messages, messages);
            prop_assert_eq!(outcome.tail, tail);
            prop_assert_eq!(outcome.end, End::Open);
        }
    }
}
