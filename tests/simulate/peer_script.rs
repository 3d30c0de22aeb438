//! What a simulated peer sends, and what it means by it.

use websocksy_world::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT, WRONG, frame};
use websocksy_world::{MAX_DATAGRAM, Random};

use crate::kind::Kind;

/// All that the peer will ever send.
pub(crate) struct PeerScript {
    /// What it sends; datagrams one behind the other.
    pub(crate) stream: Vec<u8>,
    /// Lengths of the datagrams.
    pub(crate) datagrams: Vec<usize>,
    /// The payload of its frames, if it sends such, and how many messages that is.
    pub(crate) payload: Vec<u8>,
    pub(crate) messages: usize,
    pub(crate) pings: usize,
    /// The code of a close frame.
    pub(crate) close: Option<u16>,
    /// It ends with a fault, or somewhere.
    pub(crate) is_broken: bool,
    pub(crate) is_cut: bool,
}

impl PeerScript {
    pub(crate) fn new(kind: Kind, random: &mut Random) -> Self {
        let mut script = Self {
            stream: Vec::new(),
            datagrams: Vec::new(),
            payload: Vec::new(),
            messages: 0,
            pings: 0,
            close: None,
            is_broken: false,
            is_cut: false,
        };
        match kind {
            Kind::Tcp | Kind::Unix => script.bare(random),
            Kind::Text => script.characters(random),
            Kind::Separator(separator) => script.lines(random, separator),
            Kind::Frames => script.frames(random),
            Kind::Datagrams => script.small_talk(random),
        }
        script
    }

    fn bare(&mut self, random: &mut Random) {
        let length = random.length() * random.below(3) as usize;
        self.stream = random.bytes(length);
    }

    /// Text, with other bytes in between.
    fn characters(&mut self, random: &mut Random) {
        for _ in 0..random.below(4) {
            let length = random.length();
            self.stream.extend(random.text(length));
            let length = random.below(4) as usize;
            self.stream.extend(random.bytes(length));
        }
    }

    fn lines(&mut self, random: &mut Random, separator: &[u8]) {
        for _ in 0..random.below(8) {
            let length = random.length();
            self.stream.extend(random.bytes(length));
            self.stream.extend_from_slice(separator);
        }
        // Perhaps the last line has no end.
        self.stream.truncate(self.stream.len().saturating_sub(random.below(2) as usize));
    }

    fn small_talk(&mut self, random: &mut Random) {
        let most = [4, 60][random.below(2) as usize];
        for _ in 0..random.below(most) {
            let length = random.length().min(MAX_DATAGRAM);
            self.stream.extend(random.bytes(length));
            self.datagrams.push(length);
        }
    }

    fn frames(&mut self, random: &mut Random) {
        for _ in 0..random.below(8) {
            self.message(random);
        }
        match random.below(8) {
            0..=2 => {
                let code = 3000 + random.below(2000) as u16;
                self.stream.extend(frame(FIN | CLOSE, &code.to_be_bytes(), None));
                self.close = Some(code);
                let length = random.length();
                self.stream.extend(random.bytes(length));
            }
            3 => {
                self.stream.extend_from_slice(&[WRONG, 0]);
                self.is_broken = true;
            }
            4 => {
                let left = self.stream.len() - self.stream.len().min(random.length());
                self.stream.truncate(left);
                self.is_cut = true;
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
            self.stream.extend(frame(fin | opcode, &payload, None));
            self.payload.extend_from_slice(&payload);
            if random.one_in(4) {
                let length = random.below(126) as usize;
                let payload = random.bytes(length);
                self.stream.extend(frame(FIN | PING, &payload, None));
                self.pings += 1;
            }
        }
        self.messages += 1;
    }
}
