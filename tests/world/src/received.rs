//! What the two sides were given, compared piece by piece with what the other one sent.

use crate::client_sent::ClientSent;
use crate::frames::{CLOSE, Head, PING, PONG, Part, Reader, TEXT, may_close_with};
use crate::peer_sent::{PeerSent, dense};
use crate::route::{ClientGets, PeerGets, Route};
use crate::text::TextCheck;

/// What the client was sent: the answer to its handshake, then frames.
#[derive(Clone, Debug)]
pub struct ClientReceived {
    is_dense: bool,
    /// The answer up to the end of its head, or all of one that refuses.
    pub answer: Vec<u8>,
    /// The status of the answer.
    pub status: Option<u16>,
    frames: Reader,
    /// How much of the peer's payload it has.
    pub payload: usize,
    /// How many whole messages that are.
    messages: usize,
    /// The opcode of the one under way, and whether it is text so far.
    opcode: Option<u8>,
    check: TextCheck,
    /// Where a message ended that is none of the peer's: what was left at the end of its stream.
    pub tail: Option<usize>,
    /// The pongs.
    pub pongs: Pongs,
    closing: Vec<u8>,
    /// The close frame, and the code in it.
    pub close: Option<Option<u16>>,
}

impl ClientReceived {
    /// Nothing yet.
    #[must_use]
    pub fn new(route: &Route) -> Self {
        Self {
            is_dense: matches!(route.client_gets, ClientGets::Dense { .. }),
            answer: Vec::new(),
            status: None,
            frames: Reader::new(false),
            payload: 0,
            messages: 0,
            opcode: None,
            check: TextCheck::default(),
            tail: None,
            pongs: Pongs::default(),
            closing: Vec::new(),
            close: None,
        }
    }

    /// Takes what comes next.
    pub fn feed(&mut self, mut bytes: &[u8], peer: &PeerSent, client: &ClientSent) {
        while self.status.is_none() {
            let Some(&byte) = bytes.split_off_first() else { return };
            self.answer.push(byte);
            if self.answer.ends_with(b"\r\n\r\n") {
                let status = str::from_utf8(&self.answer[9..12]).expect("text");
                self.status = Some(status.parse().expect("a status"));
            }
        }
        if self.status != Some(101) {
            return self.answer.extend_from_slice(bytes);
        }
        while let Some(part) = self.frames.next(&mut bytes) {
            assert!(self.close.is_none(), "a frame behind the close frame");
            match part.expect("the bridge breaks no rule") {
                Part::Begin(head) => self.begin(&head),
                Part::Payload { head, bytes, last } => match head.opcode() {
                    PONG => self.pongs.piece(&bytes, last, &client.pings),
                    PING => assert!(bytes.is_empty(), "our pings are empty"),
                    CLOSE => self.closed(&bytes, last),
                    _ => self.data(&head, &bytes, last, peer),
                },
            }
        }
    }

    /// Whether nothing of a frame is under way.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.frames.is_between()
    }

    fn begin(&mut self, head: &Head) {
        if matches!(head.opcode(), 1..=2) {
            self.opcode = Some(head.opcode());
        }
    }

    fn data(&mut self, head: &Head, bytes: &[u8], last: bool, peer: &PeerSent) {
        let rest = peer.payload.get(self.payload..).unwrap_or_default();
        let same = if self.is_dense {
            let bytes: Vec<u8> = dense(bytes).collect();
            self.payload += bytes.len();
            rest.starts_with(&bytes)
        } else {
            self.payload += bytes.len();
            rest.starts_with(bytes)
        };
        assert!(same, "the client gets what the peer did not say");
        assert!(self.tail.is_none(), "a message behind the end of the peer's stream");
        let ends = last && head.fin();
        let is_text = self.opcode == Some(TEXT);
        assert!(!is_text || self.check.piece(bytes, ends), "text that is not UTF-8");
        if ends {
            self.end_message(peer);
        }
    }

    fn end_message(&mut self, peer: &PeerSent) {
        let opcode = self.opcode.take();
        assert!(peer.opcode.is_none() || opcode == peer.opcode, "a message of the wrong kind");
        let Some(messages) = &peer.messages else { return };
        let known = messages.get(self.messages);
        if known.is_some_and(|(end, kind)| {
            *end == self.payload && kind.is_none_or(|kind| Some(kind) == opcode)
        }) {
            self.messages += 1;
        } else {
            self.tail = Some(self.payload);
        }
    }

    fn closed(&mut self, bytes: &[u8], last: bool) {
        self.closing.extend_from_slice(bytes);
        if last {
            assert!(may_close_with(&self.closing), "a close frame with {:?}", self.closing);
            self.close = Some(self.closing.first_chunk().map(|code| u16::from_be_bytes(*code)));
        }
    }
}

/// What the peer was sent.
#[derive(Clone, Debug)]
pub struct PeerReceived {
    gets: PeerGets,
    /// How many bytes, or datagrams, of what the client has for it.
    pub count: usize,
    frames: Reader,
    /// The pongs.
    pub pongs: Pongs,
}

impl PeerReceived {
    /// Nothing yet.
    #[must_use]
    pub fn new(route: &Route) -> Self {
        let frames = Reader::new(false);
        Self { gets: route.peer_gets, count: 0, frames, pongs: Pongs::default() }
    }

    /// Takes what comes next: bytes of a stream, or a datagram.
    pub fn feed(&mut self, mut bytes: &[u8], peer: &PeerSent, client: &ClientSent) {
        match self.gets {
            PeerGets::Datagrams => {
                let next = client.datagrams.get(self.count).map(Vec::as_slice);
                assert!(next == Some(bytes), "a datagram that is not the client's next message");
                self.count += 1;
            }
            PeerGets::Frames => {
                while let Some(part) = self.frames.next(&mut bytes) {
                    match part.expect("the bridge breaks no rule") {
                        Part::Begin(head) if head.opcode() == PONG => {}
                        Part::Begin(head) => self.expect(&head.unmasked(), client),
                        Part::Payload { head, bytes, last } if head.opcode() == PONG => {
                            self.pongs.piece(&bytes, last, &peer.pings);
                        }
                        Part::Payload { bytes, .. } => self.expect(&bytes, client),
                    }
                }
            }
            _ => self.expect(bytes, client),
        }
    }

    fn expect(&mut self, bytes: &[u8], client: &ClientSent) {
        let rest = client.stream.get(self.count..).unwrap_or_default();
        assert!(rest.starts_with(bytes), "the peer gets what the client did not send");
        self.count += bytes.len();
    }
}

/// The pongs that answer one side's pings.
#[derive(Clone, Debug, Default)]
pub struct Pongs {
    /// The pings up to this one are answered or passed over.
    next: usize,
    payload: Vec<u8>,
}

impl Pongs {
    /// A piece of a pong: it must answer a ping that no later pong passed over (§5.5.3).
    fn piece(&mut self, bytes: &[u8], last: bool, pings: &[Vec<u8>]) {
        self.payload.extend_from_slice(bytes);
        if last {
            let payload = std::mem::take(&mut self.payload);
            let found = pings[self.next..].iter().position(|ping| *ping == payload);
            self.next += 1 + found.expect("a ping for this pong");
        }
    }

    /// Whether the last ping has its pong.
    #[must_use]
    pub fn are_settled(&self, pings: &[Vec<u8>]) -> bool {
        let answered = self.next.checked_sub(1).map(|at| &pings[at]);
        answered == pings.last()
    }
}
