//! What a simulated client sends, and what it means by it.

use websocksy_world::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT, WRONG, frame, header};
use websocksy_world::{MAX_DATAGRAM, Random};

use crate::kind::Kind;

pub(crate) const HEAD: &[u8] = b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A client's whole stream.
pub(crate) struct ClientScript {
    kind: Kind,
    pub(crate) stream: Vec<u8>,
    /// All that a stream to the peer carries, and all that datagrams to it do.
    pub(crate) out: Vec<u8>,
    pub(crate) datagrams: Vec<Vec<u8>>,
    /// Behind a close frame or a fault nothing counts.
    pub(crate) is_over: bool,
    /// The code of the close frame, if there is one.
    pub(crate) close: Option<Option<u16>>,
    pub(crate) pings: usize,
}

impl ClientScript {
    pub(crate) fn new(kind: Kind, random: &mut Random) -> Self {
        let mut script = Self {
            kind,
            stream: HEAD.to_vec(),
            out: Vec::new(),
            datagrams: Vec::new(),
            is_over: false,
            close: None,
            pings: 0,
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
        self.frame(random, first, payload);
        if self.kind == Kind::Frames {
            self.out.extend(header(first, payload.len(), false));
        }
        self.out.extend_from_slice(payload);
        if first & FIN == 0 {
            return;
        }
        match self.kind {
            Kind::Separator(separator) => self.out.extend_from_slice(separator),
            Kind::Datagrams => self.datagrams.push(message.to_vec()),
            Kind::Tcp | Kind::Unix | Kind::Text | Kind::Frames => {}
        }
    }

    fn ping(&mut self, random: &mut Random) {
        let length = random.below(126) as usize;
        let payload = random.bytes(length);
        self.frame(random, FIN | PING, &payload);
        self.pings += 1;
    }

    fn close(&mut self, random: &mut Random) {
        let code = (!random.one_in(4)).then(|| 3000 + random.below(2000) as u16);
        let payload = code.map_or_else(Vec::new, |code| code.to_be_bytes().to_vec());
        self.frame(random, FIN | CLOSE, &payload);
        self.close = Some(code);
        self.end(random);
    }

    fn fault(&mut self, random: &mut Random) {
        self.stream.extend_from_slice(&[WRONG, 0x80]);
        self.end(random);
    }

    /// A frame that makes its message larger than a datagram: its header is the fault.
    fn too_big(&mut self, random: &mut Random, first: u8, length: usize) {
        self.stream.extend(header(first, length, true));
        self.stream.extend(random.bytes(4));
        self.end(random);
    }

    /// What comes behind the end is noise that must reach nobody.
    fn end(&mut self, random: &mut Random) {
        self.is_over = true;
        let length = random.length();
        self.stream.extend(random.bytes(length));
    }

    fn frame(&mut self, random: &mut Random, first: u8, payload: &[u8]) {
        let key = (random.number() as u32).to_be_bytes();
        self.stream.extend(frame(first, payload, Some(key)));
    }
}
