//! What a simulated peer sends, and what of it the client is due.

use websocksy::proto::frame::MAX_HEADER;
use websocksy_abi::PEER_BUFFER_SIZE;

use crate::frames::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, Ping, TEXT, WRONG};
use crate::kind::Kind;
use crate::random::Random;
use crate::script::MAX_DATAGRAM;

/// A frame longer than this goes on as it arrives; a shorter one only whole.
const LONG: usize = PEER_BUFFER_SIZE - MAX_HEADER;

/// A part of the peer's stream that goes on whole, or as it arrives.
struct Piece {
    /// Where it begins and ends in the stream; of datagrams, which one it is.
    start: usize,
    end: usize,
    as_it_arrives: bool,
    /// The payload up to its end.
    after: usize,
}

/// All that the peer will ever send.
pub(crate) struct Speech {
    kind: Kind,
    /// What it sends; datagrams one behind the other.
    pub(crate) stream: Vec<u8>,
    /// Lengths of the datagrams.
    pub(crate) datagrams: Vec<usize>,
    pieces: Vec<Piece>,
    /// The payload that the client may get.
    pub(crate) payload: Vec<u8>,
    /// Where messages end in `payload`, and their opcodes, if the peer says so.
    pub(crate) messages: Option<Vec<(usize, u8)>>,
    pub(crate) pings: Vec<Ping>,
    /// The code of a close frame.
    pub(crate) close: Option<u16>,
}

impl Speech {
    pub(crate) fn new(kind: Kind, random: &mut Random) -> Self {
        let framed = !matches!(kind, Kind::Tcp | Kind::Unix);
        let mut speech = Self {
            kind,
            stream: Vec::new(),
            datagrams: Vec::new(),
            pieces: Vec::new(),
            payload: Vec::new(),
            messages: framed.then(Vec::new),
            pings: Vec::new(),
            close: None,
        };
        match kind {
            Kind::Tcp | Kind::Unix => speech.bare(random),
            Kind::Separator(separator) => speech.lines(random, separator),
            Kind::Frames => speech.frames(random),
            Kind::Datagrams => speech.small_talk(random),
        }
        speech
    }

    /// How many bytes of payload the client is due when `n` bytes, or datagrams, were read.
    pub(crate) fn due(&self, n: usize) -> usize {
        let whole = self.pieces.partition_point(|piece| piece.end <= n);
        let (done, rest) = self.pieces.split_at(whole);
        let part = rest.first().filter(|piece| piece.as_it_arrives);
        let part = part.map_or(0, |piece| n.saturating_sub(piece.start));
        done.last().map_or(0, |last| last.after) + part
    }

    /// The same when the peer's stream ended there: a message that is not complete goes as it is.
    pub(crate) fn due_at_end(&self, n: usize) -> usize {
        if matches!(self.kind, Kind::Separator(_)) { n } else { self.due(n) }
    }

    fn bare(&mut self, random: &mut Random) {
        let length = random.length() * random.below(3) as usize;
        self.stream = random.bytes(length);
        self.payload = self.stream.clone();
        self.pieces.push(Piece { start: 0, end: length, as_it_arrives: true, after: length });
    }

    fn lines(&mut self, random: &mut Random, separator: &[u8]) {
        for _ in 0..random.below(8) {
            let length = random.length();
            let line = random.bytes(length);
            self.stream.extend_from_slice(&line);
            self.stream.extend_from_slice(separator);
        }
        // Perhaps the last line has no end.
        self.stream.truncate(self.stream.len().saturating_sub(random.below(2) as usize));
        self.payload = self.stream.clone();
        self.cut(separator);
    }

    /// Where lines end, up to one that is too long for the bridge.
    fn cut(&mut self, separator: &[u8]) {
        let mut start = 0;
        loop {
            let rest = &self.stream[start..];
            let view = &rest[..rest.len().min(PEER_BUFFER_SIZE)];
            let found = view.windows(separator.len()).position(|window| window == separator);
            let Some(at) = found else { return };
            let end = start + at + separator.len();
            self.pieces.push(Piece { start, end, as_it_arrives: false, after: end });
            self.ends_message(end, BINARY);
            start = end;
        }
    }

    fn small_talk(&mut self, random: &mut Random) {
        let most = [4, 60][random.below(2) as usize];
        for at in 0..random.below(most) as usize {
            let length = random.length().min(MAX_DATAGRAM);
            let datagram = random.bytes(length);
            self.stream.extend_from_slice(&datagram);
            self.payload.extend_from_slice(&datagram);
            self.datagrams.push(length);
            let after = self.payload.len();
            self.pieces.push(Piece { start: at, end: at + 1, as_it_arrives: false, after });
            self.ends_message(after, BINARY);
        }
    }

    fn frames(&mut self, random: &mut Random) {
        for _ in 0..random.below(8) {
            self.message(random);
        }
        match random.below(8) {
            0..=2 => {
                let code = 3000 + random.below(2000) as u16;
                self.frame(FIN | CLOSE, &code.to_be_bytes());
                self.close = Some(code);
                let length = random.length();
                self.stream.extend(random.bytes(length));
            }
            3 => self.stream.extend_from_slice(&[WRONG, 0]),
            4 => {
                let left = self.stream.len() - self.stream.len().min(random.length());
                self.stream.truncate(left);
            }
            _ => {}
        }
    }

    fn message(&mut self, random: &mut Random) {
        let kind = if random.one_in(3) { TEXT } else { BINARY };
        let fragments = 1 + random.below(3) * random.below(2);
        for at in 0..fragments {
            let fin = if at + 1 == fragments { FIN } else { 0 };
            let opcode = if at == 0 { kind } else { CONTINUATION };
            let length = random.length();
            let payload = if kind == TEXT { random.text(length) } else { random.bytes(length) };
            self.data(fin | opcode, &payload);
            if fin != 0 {
                self.ends_message(self.payload.len(), kind);
            }
            if random.one_in(4) {
                let length = random.below(126) as usize;
                let payload = random.bytes(length);
                self.frame(FIN | PING, &payload);
                self.pings.push(Ping { end: self.stream.len(), payload });
            }
        }
    }

    fn data(&mut self, first: u8, payload: &[u8]) {
        self.frame(first, payload);
        self.payload.extend_from_slice(payload);
        let (end, after) = (self.stream.len(), self.payload.len());
        let (start, as_it_arrives) = (end - payload.len(), payload.len() > LONG);
        self.pieces.push(Piece { start, end, as_it_arrives, after });
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        self.stream.extend(frames::header(first, 0, payload.len()));
        self.stream.extend_from_slice(payload);
    }

    fn ends_message(&mut self, at: usize, opcode: u8) {
        self.messages.get_or_insert_default().push((at, opcode));
    }
}
