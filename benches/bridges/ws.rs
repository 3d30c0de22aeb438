//! The client's half of RFC 6455, as much as a load generator needs: an opening request, masked
//! frames out, and an receiver for what comes back.

use std::io;

use crate::pattern::Pattern;

/// What the client and the bridge say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Speech {
    /// The payload as it is, for bridges that only relay TCP.
    Raw,
    /// RFC 6455.
    WebSocket,
}

pub(crate) const BINARY: u8 = 0x2;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// The request a current desktop browser sends, with the key of the example in RFC 6455 §1.3.
pub(crate) const REQUEST: &[u8] = b"GET /bench HTTP/1.1\r\n\
    Host: 127.0.0.1\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://127.0.0.1\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    \r\n";

/// The answer to the key in [`REQUEST`].
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Checks a whole response head: the status, and the proof that the request was understood.
pub(crate) fn check_response(head: &[u8]) -> io::Result<()> {
    let head = String::from_utf8_lossy(head);
    if head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT) {
        return Ok(());
    }
    Err(io::Error::other(format!("no upgrade: {}", head.lines().next().unwrap_or_default())))
}

/// One masked frame with FIN (RFC 6455 §5.2), appended to `out`.
pub(crate) fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8], key: [u8; 4]) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ ..126 => out.push(0x80 | length as u8),
        length @ ..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// A Close frame with status 1000.
pub(crate) fn close_frame() -> Vec<u8> {
    let mut frame = Vec::new();
    put_frame(&mut frame, CLOSE, &1000_u16.to_be_bytes(), [0x5A, 0xC3, 0x17, 0x88]);
    frame
}

/// `payload` as the client sends it: cut into messages of `size` bytes, each with a mask of its own.
pub(crate) fn encode(speech: Speech, payload: &[u8], size: usize) -> Vec<u8> {
    if speech == Speech::Raw {
        return payload.to_vec();
    }
    let mut wire = Vec::with_capacity(payload.len() + payload.len() / size * 14);
    for (index, message) in payload.chunks(size).enumerate() {
        let key = (index as u32 + 1).wrapping_mul(0x9E37_79B1).to_be_bytes();
        put_frame(&mut wire, BINARY, message, key);
    }
    wire
}

/// Listens to a bridge: takes frames apart and holds their payload against the pattern.
pub(crate) struct Receiver {
    frames: Option<Frames>,
    pattern: Pattern,
    /// Payload bytes heard so far, all of them right.
    pub(crate) heard: u64,
    /// Text messages among them.
    pub(crate) texts: u64,
    /// The pongs that are owed, ready to send.
    pub(crate) pongs: Vec<u8>,
    /// Whether a Close frame was heard.
    pub(crate) closed: bool,
}

impl Receiver {
    /// Expects the bytes of `pattern`.
    pub(crate) fn new(speech: Speech, pattern: Pattern) -> Self {
        let frames = (speech == Speech::WebSocket).then(Frames::default);
        Self { frames, pattern, heard: 0, texts: 0, pongs: Vec::new(), closed: false }
    }

    /// Takes in what was read.
    ///
    /// # Errors
    /// Bytes that are not those of the pattern, or that no WebSocket server may send.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(mut frames) = self.frames.take() else { return self.payload(bytes) };
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = self.hear_frame(&mut frames, rest)?;
        }
        self.frames = Some(frames);
        Ok(())
    }

    fn hear_frame<'a>(&mut self, frames: &mut Frames, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        if frames.in_head {
            let rest = frames.head(bytes)?;
            if !frames.in_head {
                self.boundary(frames)?;
            }
            return Ok(rest);
        }
        let (here, rest) = bytes.split_at(frames.left.min(bytes.len() as u64) as usize);
        frames.left -= here.len() as u64;
        match frames.opcode {
            0x0..=0x2 => self.payload(here)?,
            PING => frames.control.extend(here),
            _ => {}
        }
        if frames.left == 0 {
            self.boundary(frames)?;
        }
        Ok(rest)
    }

    /// At a frame's first payload byte, and behind its last.
    fn boundary(&mut self, frames: &mut Frames) -> io::Result<()> {
        if frames.opcode == TEXT && !self.pattern.at_char_boundary() {
            return Err(io::Error::other("a text message is cut inside a character"));
        }
        if frames.left > 0 {
            return Ok(());
        }
        match frames.opcode {
            TEXT => self.texts += 1,
            PING => put_frame(&mut self.pongs, PONG, &frames.control, [0x21, 0x43, 0x65, 0x87]),
            CLOSE => self.closed = true,
            _ => {}
        }
        frames.control.clear();
        frames.in_head = true;
        Ok(())
    }

    fn payload(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.pattern.follows(bytes) {
            return Err(io::Error::other("wrong bytes came out of the bridge"));
        }
        self.heard += bytes.len() as u64;
        Ok(())
    }
}

/// Where in a server's frames the reader stands.
struct Frames {
    head: Vec<u8>,
    in_head: bool,
    opcode: u8,
    left: u64,
    control: Vec<u8>,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            head: Vec::with_capacity(10),
            in_head: true,
            opcode: 0,
            left: 0,
            control: Vec::new(),
        }
    }
}

impl Frames {
    /// Takes header bytes; `in_head` falls when the header is whole.
    fn head<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let wanted = match self.head.get(1) {
            None => 2,
            Some(126) => 4,
            Some(127) => 10,
            Some(_) => 2,
        };
        let (here, rest) = bytes.split_at(bytes.len().min(wanted - self.head.len()));
        self.head.extend(here);
        match self.head[..] {
            [first, length @ ..126] => self.begin(first, length.into())?,
            [first, 126, high, low] => self.begin(first, u16::from_be_bytes([high, low]).into())?,
            [first, 127, a, b, c, d, e, f, g, h] => {
                self.begin(first, u64::from_be_bytes([a, b, c, d, e, f, g, h]))?;
            }
            [_, 128..=255, ..] => return Err(io::Error::other("a masked frame from a server")),
            _ => {}
        }
        Ok(rest)
    }

    fn begin(&mut self, first: u8, length: u64) -> io::Result<()> {
        if first & 0x70 != 0 {
            return Err(io::Error::other("a reserved bit is set"));
        }
        self.head.clear();
        self.in_head = false;
        self.opcode = first & 0x0F;
        self.left = length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Server frames: text "ab", ping "x", binary "cd" with a 16-bit length, close.
    const STREAM: &[u8] = b"\x81\x02ab\x89\x01x\x82\x7E\x00\x02cd\x88\x00";

    #[test]
    fn frames_are_heard_however_they_are_cut() {
        for size in 1..=STREAM.len() {
            let mut receiver = Receiver::new(Speech::WebSocket, Pattern::new(Arc::from(*b"abcd")));
            for part in STREAM.chunks(size) {
                receiver.hear(part).unwrap();
            }
            assert_eq!(
                (receiver.heard, receiver.texts, receiver.closed),
                (4, 1, true),
                "chunks of {size}"
            );
            assert_eq!(receiver.pongs.len(), 7, "chunks of {size}");
        }
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        for wrong in [&b"\x82\x01x"[..], b"\xC2\x01a", b"\x82\x81aaaaa", b"\x81\x01a"] {
            let mut receiver =
                Receiver::new(Speech::WebSocket, Pattern::new("aé".as_bytes().into()));
            receiver.pattern.advance(usize::from(wrong[0] == 0x81));
            let heard = receiver.hear(wrong).and_then(|()| receiver.hear(b"\x81\x01\xC3"));
            assert!(heard.is_err(), "{wrong:x?}");
        }
    }
}
