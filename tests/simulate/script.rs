//! What a simulated client sends, and what of it the peer is due.

use crate::frames::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, Ping, TEXT, WRONG};
use crate::kind::Kind;
use crate::random::Random;

pub(crate) const HEAD: &[u8] = b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The largest UDP payload over IPv4.
pub(crate) const MAX_DATAGRAM: usize = 65_507;

/// A data frame of the client's.
struct Frame {
    /// Where its payload begins and ends in the stream.
    start: usize,
    end: usize,
    /// How much the peer is due when its header was read, and when all of it was.
    begun: usize,
    ended: usize,
}

/// A client's whole stream.
pub(crate) struct Script {
    kind: Kind,
    pub(crate) stream: Vec<u8>,
    frames: Vec<Frame>,
    /// All that a stream to the peer carries.
    pub(crate) out: Vec<u8>,
    /// All messages: what a datagram peer gets, and where each ends in the stream.
    pub(crate) messages: Vec<(usize, Vec<u8>)>,
    /// Behind a close frame or a fault nothing counts.
    pub(crate) is_over: bool,
    /// The code of the close frame, if there is one.
    pub(crate) close: Option<Option<u16>>,
    pub(crate) pings: Vec<Ping>,
}

impl Script {
    pub(crate) fn new(kind: Kind, random: &mut Random) -> Self {
        let mut script = Self {
            kind,
            stream: HEAD.to_vec(),
            frames: Vec::new(),
            out: Vec::new(),
            messages: Vec::new(),
            is_over: false,
            close: None,
            pings: Vec::new(),
        };
        for _ in 0..random.below(12) {
            script.message(random);
        }
        match random.below(4) {
            _ if script.is_over => {}
            0 => {}
            1 => script.fault(random),
            _ => script.close(random),
        }
        script
    }

    /// How much of `out` the peer is due when `n` bytes of the stream were read; of datagrams, how
    /// many messages.
    pub(crate) fn due(&self, n: usize) -> usize {
        if self.kind == Kind::Datagrams {
            return self.messages.partition_point(|(end, _)| *end <= n);
        }
        match self.frame(n) {
            Some(frame) if n < frame.end => frame.begun + n - frame.start,
            Some(frame) => frame.ended,
            None => 0,
        }
    }

    /// Whether byte `n` of the stream lies in the payload of a data frame.
    pub(crate) fn is_inside(&self, n: usize) -> bool {
        self.frame(n).is_some_and(|frame| n < frame.end)
    }

    /// The last frame whose header lies in the first `n` bytes.
    fn frame(&self, n: usize) -> Option<&Frame> {
        let begun = self.frames.partition_point(|frame| frame.start <= n);
        begun.checked_sub(1).map(|last| &self.frames[last])
    }

    fn message(&mut self, random: &mut Random) {
        let kind = if random.one_in(3) { TEXT } else { BINARY };
        let pieces = 1 + random.below(3) * random.below(2);
        let mut message = Vec::new();
        for piece in 0..pieces {
            if self.is_over {
                return;
            }
            let fin = if piece + 1 == pieces { FIN } else { 0 };
            let opcode = if piece == 0 { kind } else { CONTINUATION };
            let length = random.length();
            let payload = if kind == TEXT { random.text(length) } else { random.bytes(length) };
            message.extend_from_slice(&payload);
            if self.kind == Kind::Datagrams && message.len() > MAX_DATAGRAM {
                return self.too_big(random, fin | opcode, payload.len());
            }
            self.data(random, fin | opcode, &payload, &message);
            if random.one_in(3) {
                self.ping(random);
            }
        }
    }

    /// A data frame, which may end `message`.
    fn data(&mut self, random: &mut Random, first: u8, payload: &[u8], message: &[u8]) {
        self.frame_of(random, first, payload);
        if self.kind == Kind::Frames {
            self.out.extend(frames::header(first, 0, payload.len()));
        }
        let begun = self.out.len();
        self.out.extend_from_slice(payload);
        let end = self.stream.len();
        if first & FIN != 0 {
            self.messages.push((end, message.to_vec()));
            if let Kind::Separator(separator) = self.kind {
                self.out.extend_from_slice(separator);
            }
        }
        let (start, ended) = (end - payload.len(), self.out.len());
        self.frames.push(Frame { start, end, begun, ended });
    }

    fn ping(&mut self, random: &mut Random) {
        let length = random.below(126) as usize;
        let payload = random.bytes(length);
        self.frame_of(random, FIN | PING, &payload);
        self.pings.push(Ping { end: self.stream.len(), payload });
    }

    fn close(&mut self, random: &mut Random) {
        let code = (!random.one_in(4)).then(|| 3000 + random.below(2000) as u16);
        let payload = code.map_or_else(Vec::new, |code| code.to_be_bytes().to_vec());
        self.frame_of(random, FIN | CLOSE, &payload);
        self.close = Some(code);
        self.end(random);
    }

    fn fault(&mut self, random: &mut Random) {
        self.stream.extend_from_slice(&[WRONG, 0x80]);
        self.end(random);
    }

    /// A frame that makes its message larger than a datagram: its header is the fault.
    fn too_big(&mut self, random: &mut Random, first: u8, length: usize) {
        self.stream.extend(frames::header(first, 0x80, length));
        self.stream.extend(random.bytes(4));
        self.end(random);
    }

    /// What comes behind the end is noise that must reach nobody.
    fn end(&mut self, random: &mut Random) {
        self.is_over = true;
        let length = random.length();
        let noise = random.bytes(length);
        self.stream.extend_from_slice(&noise);
    }

    fn frame_of(&mut self, random: &mut Random, first: u8, payload: &[u8]) {
        let key = random.bytes(4);
        self.stream.extend(frames::header(first, 0x80, payload.len()));
        self.stream.extend_from_slice(&key);
        self.stream.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
}
