//! What the two sides were given, compared piece by piece with what the other one sent.

use crate::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Part, Pongs, Reader};
use crate::kind::Kind;
use crate::script::Script;
use crate::speech::Speech;

/// What the client was sent: the answer to its handshake, then frames.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    head: Vec<u8>,
    pub(crate) status: Option<u16>,
    pub(crate) frames: Reader,
    /// How much of the peer's payload it has.
    pub(crate) payload: usize,
    /// How many whole messages that are, and the opcode of the one under way.
    messages: usize,
    opcode: Option<u8>,
    /// Where a message ended that is none of the peer's: what was left at the end of its stream.
    pub(crate) tail: Option<usize>,
    pub(crate) pongs: Pongs,
    closing: Vec<u8>,
    pub(crate) close: Option<Option<u16>>,
}

impl Heard {
    pub(crate) fn feed(&mut self, mut bytes: &[u8], speech: &Speech, script: &Script) {
        while let (None, Some((&next, rest))) = (self.status, bytes.split_first()) {
            self.head.push(next);
            bytes = rest;
            if self.head.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8(std::mem::take(&mut self.head)).expect("text");
                self.status = Some(head[9..12].parse().expect("a status"));
            }
        }
        if self.status == Some(101) {
            let mut frames = std::mem::take(&mut self.frames);
            frames.feed(bytes, |part| self.part(&part, speech, script));
            self.frames = frames;
        }
    }

    fn part(&mut self, part: &Part<'_>, speech: &Speech, script: &Script) {
        assert!(self.close.is_none(), "a frame behind the close frame");
        match *part {
            Part::Begin { first, .. } => self.begin(first),
            Part::Payload { first, bytes, last } => match first & 0x0f {
                PONG => self.pongs.piece(bytes, last, &script.pings),
                PING => assert!(bytes.is_empty(), "our pings are empty"),
                CLOSE => self.closed(bytes, last),
                _ => self.data(first, bytes, last, speech),
            },
        }
    }

    fn begin(&mut self, first: u8) {
        match first & 0x0f {
            CONTINUATION => assert!(self.opcode.is_some(), "a continuation of nothing"),
            opcode @ 1..=2 => {
                assert!(self.opcode.replace(opcode).is_none(), "a message inside a message");
            }
            _ => assert!(first & FIN != 0, "a control frame in fragments"),
        }
        assert!(first & 0x70 == 0, "reserved bits");
    }

    fn data(&mut self, first: u8, bytes: &[u8], last: bool, speech: &Speech) {
        let rest = speech.payload.get(self.payload..).unwrap_or_default();
        assert!(rest.starts_with(bytes), "the client gets what the peer did not say");
        assert!(self.tail.is_none(), "a message behind the end of the peer's stream");
        self.payload += bytes.len();
        if !last || first & FIN == 0 {
            return;
        }
        let opcode = self.opcode.take();
        let Some(messages) = &speech.messages else {
            return assert_eq!(opcode, Some(BINARY));
        };
        let known = messages.get(self.messages);
        if known.is_some_and(|(end, kind)| (*end, Some(*kind)) == (self.payload, opcode)) {
            self.messages += 1;
        } else {
            self.tail = Some(self.payload);
        }
    }

    fn closed(&mut self, bytes: &[u8], last: bool) {
        self.closing.extend_from_slice(bytes);
        if last {
            assert!(matches!(self.closing.len(), 0 | 2..=125), "a close frame of one byte");
            self.close = Some(self.closing.first_chunk().map(|code| u16::from_be_bytes(*code)));
        }
    }
}

/// What the peer was sent.
#[derive(Clone, Default)]
pub(crate) struct Told {
    /// How many bytes, or datagrams, of what the client has for it.
    pub(crate) count: usize,
    frames: Reader,
    pub(crate) pongs: Pongs,
}

impl Told {
    /// More of a stream.
    pub(crate) fn feed(&mut self, bytes: &[u8], kind: Kind, script: &Script, speech: &Speech) {
        if kind != Kind::Frames {
            return self.expect(bytes, script);
        }
        let mut frames = std::mem::take(&mut self.frames);
        frames.feed(bytes, |part| match part {
            Part::Begin { first, .. } if first & 0x0f == PONG => {}
            Part::Begin { header, .. } => self.expect(header, script),
            Part::Payload { first, bytes, last } if first & 0x0f == PONG => {
                self.pongs.piece(bytes, last, &speech.pings);
            }
            Part::Payload { bytes, .. } => self.expect(bytes, script),
        });
        self.frames = frames;
    }

    fn expect(&mut self, bytes: &[u8], script: &Script) {
        let rest = script.out.get(self.count..).unwrap_or_default();
        assert!(rest.starts_with(bytes), "the peer gets what the client did not send");
        self.count += bytes.len();
    }

    /// One more datagram, sent or lost.
    pub(crate) fn datagram(&mut self, datagram: &[u8], script: &Script) {
        let message = script.messages.get(self.count).map(|(_, message)| message.as_slice());
        assert!(message == Some(datagram), "a datagram that is not the client's next message");
        self.count += 1;
    }
}
