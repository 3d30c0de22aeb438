//! What a simulated client sends, and what of it the peer is due.

/// A small generator of numbers, the same on every machine (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring numbers, and zero gives only zeros.
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// A length: mostly small, seldom past every buffer of the bridge.
    pub(crate) fn length(&mut self) -> usize {
        let bound = [1, 8, 126, 200, 2_000, 20_000, 70_000, 300_000][self.skewed(8)];
        self.below(bound) as usize
    }

    fn skewed(&mut self, bound: u64) -> usize {
        self.below(bound).min(self.below(bound)) as usize
    }
}

pub(crate) const HEAD: &[u8] = b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A client's whole stream.
pub(crate) struct Script {
    pub(crate) stream: Vec<u8>,
    /// (end in `stream`, payload) of each data frame, in order; a payload begins where its header
    /// ends and is contiguous.
    frames: Vec<(usize, Vec<u8>)>,
    /// Where the stream stops to count: behind a close frame or inside a wrong one.
    pub(crate) ends_at: Option<usize>,
    pub(crate) close: Option<u16>,
    pub(crate) pings: usize,
}

impl Script {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut script = Self {
            stream: HEAD.to_vec(),
            frames: Vec::new(),
            ends_at: None,
            close: None,
            pings: 0,
        };
        for _ in 0..random.below(12) {
            script.message(random);
        }
        match random.below(4) {
            0 => {}
            1 => script.fault(random),
            _ => script.close(random),
        }
        script
    }

    /// The payload bytes among the first `n` of the stream.
    pub(crate) fn payload(&self, n: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for (end, payload) in &self.frames {
            let start = end - payload.len();
            all.extend_from_slice(&payload[..n.saturating_sub(start).min(payload.len())]);
        }
        all
    }

    fn message(&mut self, random: &mut Random) {
        let pieces = 1 + random.below(3) * random.below(2);
        for piece in 0..pieces {
            let opcode = if piece == 0 { 2 } else { 0 };
            let length = random.length();
            let payload = random.bytes(length);
            self.frame(random, piece + 1 == pieces, opcode, &payload);
            self.frames.push((self.stream.len(), payload));
            if random.one_in(3) {
                let length = random.below(126) as usize;
                let payload = random.bytes(length);
                self.frame(random, true, 9, &payload);
                self.pings += 1;
            }
        }
    }

    fn close(&mut self, random: &mut Random) {
        let code = 3000 + random.below(2000) as u16;
        self.frame(random, true, 8, &code.to_be_bytes());
        self.close = Some(code);
        self.end(random);
    }

    fn fault(&mut self, random: &mut Random) {
        self.stream.extend_from_slice(&[0xf2, 0x80]);
        self.end(random);
    }

    /// What comes behind the end is noise that must reach nobody.
    fn end(&mut self, random: &mut Random) {
        self.ends_at = Some(self.stream.len());
        let length = random.length();
        let noise = random.bytes(length);
        self.stream.extend_from_slice(&noise);
    }

    fn frame(&mut self, random: &mut Random, fin: bool, opcode: u8, payload: &[u8]) {
        let key = random.bytes(4);
        self.stream.push(u8::from(fin) << 7 | opcode);
        match payload.len() {
            n @ 0..126 => self.stream.push(0x80 | n as u8),
            n @ 126..65_536 => {
                self.stream.push(0x80 | 126);
                self.stream.extend_from_slice(&(n as u16).to_be_bytes());
            }
            n => {
                self.stream.push(0x80 | 127);
                self.stream.extend_from_slice(&(n as u64).to_be_bytes());
            }
        }
        self.stream.extend_from_slice(&key);
        self.stream.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
}

/// What the client was sent: the answer to its handshake, then frames, read strictly.
#[derive(Default, Debug)]
pub(crate) struct Heard {
    pub(crate) status: Option<u16>,
    pub(crate) payload: Vec<u8>,
    pub(crate) pongs: usize,
    pub(crate) close: Option<Option<u16>>,
    /// Bytes of a frame that is not complete.
    pub(crate) rest: usize,
}

impl Heard {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut heard = Self::default();
        let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            heard.rest = bytes.len();
            return heard;
        };
        let text = std::str::from_utf8(&bytes[..head]).expect("the answer is text");
        heard.status = Some(text[9..12].parse().expect("a status"));
        if heard.status == Some(101) {
            heard.frames(&bytes[head + 4..]);
        }
        heard
    }

    fn frames(&mut self, mut bytes: &[u8]) {
        while let Some(((first, payload), length)) = frame(bytes) {
            assert!(self.close.is_none(), "a frame behind the close frame");
            match first {
                0x82 => self.payload.extend_from_slice(payload),
                0x8a => self.pongs += 1,
                0x89 => assert!(payload.len() <= 125),
                0x88 => {
                    assert!(payload.is_empty() || (2..=125).contains(&payload.len()));
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    self.close = Some(code);
                }
                _ => panic!("a frame that begins with {first:#x}"),
            }
            bytes = &bytes[length..];
        }
        self.rest = bytes.len();
        if self.rest > 0 && bytes[0] == 0x82 {
            // Part of a message's bytes may wait while their frame's header is out already.
            let header = match bytes.get(1) {
                Some(126) => 4,
                Some(127) => 10,
                _ => 2,
            };
            self.payload.extend_from_slice(bytes.get(header..).unwrap_or_default());
        }
    }
}

/// One frame of a server: its first byte and payload, and its length.
fn frame(bytes: &[u8]) -> Option<((u8, &[u8]), usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert!(second & 0x80 == 0, "a masked frame");
    let (length, header) = match second {
        126 => (usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize, 10),
        n => (usize::from(n), 2),
    };
    let minimal = if length < 126 {
        2
    } else if length < 65_536 {
        4
    } else {
        10
    };
    assert_eq!(header, minimal, "a length in more bytes than it needs");
    Some(((first, bytes.get(header..header + length)?), header + length))
}
