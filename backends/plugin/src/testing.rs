//! Drives a [`Framing`] as the core does, for the tests of a plug-in.

use crate::{Framing, PEER_BUFFER_SIZE, Verdict};

/// What the client would have got of a peer's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The messages, in order; one whose end was not seen yet is not among them.
    pub messages: Vec<Sent>,
    /// The parts so far of a message that goes on.
    pub begun: Option<Sent>,
    /// What no cut has taken.
    pub tail: Vec<u8>,
    /// How the session stands.
    pub end: End,
}

/// A message to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A text message; its bytes may still be no UTF-8, which would be the framing's mistake.
    Text(Vec<u8>),
    /// A binary message.
    Binary(Vec<u8>),
}

impl Sent {
    /// With one more part; the first says what it is.
    fn and(self, part: Self) -> Self {
        let (Self::Text(more) | Self::Binary(more)) = part;
        match self {
            Self::Text(bytes) => Self::Text([bytes, more].concat()),
            Self::Binary(bytes) => Self::Binary([bytes, more].concat()),
        }
    }
}

/// How a session stands after the last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It goes on.
    Open,
    /// [`Verdict::Fault`]: closed with 1011.
    Fault,
    /// A cut of no byte, or of more than there were: closed with 1011, or waiting for ever.
    BadCut,
    /// The buffer is full and no cut was made: closed with 1009.
    Full,
}

/// Gives the reads to the framing, one after the other, in views of at most
/// [`PEER_BUFFER_SIZE`] bytes, until they end or the session does.
pub fn drive<F: Framing>(framing: F, reads: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Outcome {
    let outcome = Outcome { messages: Vec::new(), begun: None, tail: Vec::new(), end: End::Open };
    let mut session = Session { framing, outcome };
    for read in reads {
        let mut left = read.as_ref();
        while !left.is_empty() && session.outcome.end == End::Open {
            let room = PEER_BUFFER_SIZE - session.outcome.tail.len();
            let (fresh, rest) = left.split_at(room.min(left.len()));
            session.read(fresh);
            left = rest;
        }
    }
    session.outcome
}

struct Session<F> {
    framing: F,
    outcome: Outcome,
}

impl<F: Framing> Session<F> {
    fn read(&mut self, fresh: &[u8]) {
        self.outcome.tail.extend_from_slice(fresh);
        let mut start = 0;
        while start < self.outcome.tail.len() && self.outcome.end == End::Open {
            let view = &mut self.outcome.tail[start..];
            let fresh = fresh.len().min(view.len());
            let verdict = self.framing.cut(view, fresh);
            if matches!(verdict, Verdict::More | Verdict::MoreText) {
                break;
            }
            start += self.take(start, verdict);
        }
        self.outcome.tail.drain(..start);
        if self.outcome.end == End::Open && self.outcome.tail.len() == PEER_BUFFER_SIZE {
            self.outcome.end = End::Full;
        }
    }

    /// Carries a verdict out; how many bytes it took.
    fn take(&mut self, start: usize, verdict: Verdict) -> usize {
        let length = match verdict {
            Verdict::Text(length) | Verdict::Binary(length) | Verdict::Discard(length) => length,
            Verdict::TextPart(length) | Verdict::BinaryPart(length) => length,
            Verdict::More | Verdict::MoreText | Verdict::Fault => 0,
        };
        let bytes = self.outcome.tail[start..].get(..length).filter(|bytes| !bytes.is_empty());
        let Some(bytes) = bytes.map(<[u8]>::to_vec) else {
            self.outcome.end = if verdict == Verdict::Fault { End::Fault } else { End::BadCut };
            return 0;
        };
        let (part, last) = match verdict {
            Verdict::Text(_) => (Sent::Text(bytes), true),
            Verdict::Binary(_) => (Sent::Binary(bytes), true),
            Verdict::TextPart(_) => (Sent::Text(bytes), false),
            Verdict::BinaryPart(_) => (Sent::Binary(bytes), false),
            Verdict::Discard(_) | Verdict::More | Verdict::MoreText | Verdict::Fault => {
                return length;
            }
        };
        let message = match self.outcome.begun.take() {
            Some(begun) => begun.and(part),
            None => part,
        };
        if last {
            self.outcome.messages.push(message);
        } else {
            self.outcome.begun = Some(message);
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte is a verdict on itself and, for digits, on as many bytes.
    struct Script;

    impl Framing for Script {
        fn new(_config: Option<&str>) -> Result<Self, String> {
            Ok(Self)
        }

        fn cut(&mut self, data: &mut [u8], _fresh: usize) -> Verdict {
            match data[0] {
                b'.' => Verdict::More,
                b'!' => Verdict::Fault,
                b'd' => Verdict::Discard(1),
                b'b' => Verdict::Binary(1),
                digit => Verdict::Text(usize::from(digit - b'0')),
            }
        }
    }

    #[test]
    fn sessions() {
        let text = |bytes: &[u8]| Sent::Text(bytes.to_vec());
        let long = vec![b'.'; PEER_BUFFER_SIZE + 5];
        type Case<'a> = (&'a [&'a [u8]], Vec<Sent>, usize, End);
        let cases: [Case<'_>; 7] = [
            (&[], vec![], 0, End::Open),
            (
                &[b"1", b"db2x."],
                vec![text(b"1"), Sent::Binary(b"b".into()), text(b"2x")],
                1,
                End::Open,
            ),
            (&[b"..", b"1"], vec![], 3, End::Open),
            (&[b"1!1", b"1"], vec![text(b"1")], 2, End::Fault),
            (&[b"0"], vec![], 1, End::BadCut),
            (&[b"3x"], vec![], 2, End::BadCut),
            (&[&long], vec![], PEER_BUFFER_SIZE, End::Full),
        ];
        for (reads, messages, tail, end) in cases {
            let outcome = drive(Script, reads);
            assert_eq!(
                (&outcome.messages, outcome.tail.len(), outcome.end),
                (&messages, tail, end)
            );
        }
    }
}
