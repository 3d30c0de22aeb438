//! What a client's bytes mean, read the simple way: what of them the peer is due.

use crate::frames::{Broken, CLOSE, Head, PING, Part, Reader, TEXT, may_close_with};
use crate::route::PeerGets;
use crate::text::TextCheck;

/// The largest UDP payload over IPv4, and the largest message that is collected before it goes on.
pub const MAX_DATAGRAM: usize = 65_507;

/// All that was read from a client.
#[derive(Debug)]
pub struct ClientSent {
    gets: PeerGets,
    /// The last bytes of the request head; none behind it.
    request: Option<Vec<u8>>,
    reader: Reader,
    message: Message,
    control: Vec<u8>,
    /// What may go to the peer: bytes of a stream.
    pub stream: Vec<u8>,
    /// What may go to the peer: datagrams.
    pub datagrams: Vec<Vec<u8>>,
    /// How many of these bytes, or datagrams, must go there.
    pub least: usize,
    /// The payloads of its pings.
    pub pings: Vec<Vec<u8>>,
    /// Its close frame, and the code in it.
    pub closed: Option<Option<u16>>,
    /// It broke the protocol, or sent what this peer does not take.
    pub broken: bool,
}

/// The message under way.
#[derive(Debug, Default)]
struct Message {
    text: bool,
    check: TextCheck,
    frames: usize,
    /// Whether it goes on only when it is complete, and what there is of it then.
    collects: bool,
    collected: Vec<u8>,
}

impl ClientSent {
    /// Nothing yet.
    #[must_use]
    pub fn new(gets: PeerGets) -> Self {
        Self {
            gets,
            request: Some(Vec::new()),
            reader: Reader::new(true),
            message: Message::default(),
            control: Vec::new(),
            stream: Vec::new(),
            datagrams: Vec::new(),
            least: 0,
            pings: Vec::new(),
            closed: None,
            broken: false,
        }
    }

    /// Takes what one read gave.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(request) = &mut self.request {
            let Some(&byte) = bytes.split_off_first() else { return };
            request.push(byte);
            if request.ends_with(b"\r\n\r\n") {
                self.request = None;
            }
        }
        while !self.broken && self.closed.is_none() {
            match self.reader.next(&mut bytes) {
                None => return,
                Some(Err(Broken)) => self.broken = true,
                Some(Ok(Part::Begin(head))) if head.is_control() => {}
                Some(Ok(Part::Begin(head))) => self.begin(&head),
                Some(Ok(Part::Payload { head, bytes, last })) if head.is_control() => {
                    self.control(&head, &bytes, last);
                }
                Some(Ok(Part::Payload { head, bytes, last })) => self.data(&head, &bytes, last),
            }
        }
    }

    /// How many bytes, or datagrams, may go to the peer.
    #[must_use]
    pub fn most(&self) -> usize {
        if self.gets == PeerGets::Datagrams { self.datagrams.len() } else { self.stream.len() }
    }

    /// Whether a frame of data has begun and not ended.
    #[must_use]
    pub fn in_data(&self) -> bool {
        self.reader.in_data()
    }

    /// A frame of data begins: does the peer take it, and what goes before its payload?
    fn begin(&mut self, head: &Head) {
        let message = &mut self.message;
        message.frames += 1;
        message.text |= head.opcode() == TEXT;
        message.collects = match self.gets {
            PeerGets::Datagrams => true,
            PeerGets::Length32 => message.frames > 1 || !head.fin(),
            _ => false,
        };
        self.broken = match self.gets {
            PeerGets::Nothing => true,
            _ if message.collects => {
                message.collected.len() as u64 + head.length > MAX_DATAGRAM as u64
            }
            PeerGets::Length32 => head.length > u32::MAX.into(),
            _ => false,
        };
        match self.gets {
            _ if self.broken => {}
            PeerGets::Frames => self.stream.extend(head.unmasked()),
            PeerGets::Length32 if !message.collects => self.put_length(head.length),
            _ => {}
        }
        self.least = self.most();
    }

    /// A piece of a message: what there is of a text that is wrong may go on or not.
    fn data(&mut self, head: &Head, bytes: &[u8], last: bool) {
        let ends = last && head.fin();
        let message = &mut self.message;
        self.broken = message.text && !message.check.piece(bytes, ends);
        let out = if message.collects { &mut message.collected } else { &mut self.stream };
        out.extend_from_slice(bytes);
        if self.broken {
            return;
        }
        if ends {
            self.end_message();
        }
        self.least = self.most();
    }

    fn end_message(&mut self) {
        let Message { collects, collected, .. } = std::mem::take(&mut self.message);
        match self.gets {
            PeerGets::Datagrams => self.datagrams.push(collected),
            PeerGets::Length32 if collects => {
                self.put_length(collected.len() as u64);
                self.stream.extend(collected);
            }
            PeerGets::Suffix(suffix) => self.stream.extend_from_slice(suffix),
            _ => {}
        }
    }

    fn put_length(&mut self, length: u64) {
        self.stream.extend((length as u32).to_le_bytes());
    }

    fn control(&mut self, head: &Head, bytes: &[u8], last: bool) {
        self.control.extend_from_slice(bytes);
        if !last {
            return;
        }
        let payload = std::mem::take(&mut self.control);
        match head.opcode() {
            PING => self.pings.push(payload),
            CLOSE if may_close_with(&payload) => {
                self.closed = Some(payload.first_chunk().map(|&code| u16::from_be_bytes(code)));
            }
            CLOSE => self.broken = true,
            _ => {}
        }
    }
}
