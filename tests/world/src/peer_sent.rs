//! What a peer's bytes mean, read the simple way: what of them the client is due.

use std::ops::RangeInclusive;

use websocksy_abi::PEER_BUFFER_SIZE;

use crate::frames::{BINARY, Broken, CLOSE, Head, PING, Part, Reader, TEXT, may_close_with};
use crate::route::{ClientGets, Route};
use crate::text::TextCheck;

/// A frame longer than this goes on as it arrives, a shorter one only whole: with the longest
/// header it fits the peer buffer.
const LONG: u64 = PEER_BUFFER_SIZE as u64 - 14;

/// What stays of a full peer buffer without a message, whose front goes on as a fragment: one byte
/// less than the longest delimiter has.
const HELD_BACK: usize = 63;

/// All that was read from a peer.
#[derive(Debug)]
pub struct PeerSent {
    gets: ClientGets,
    /// The opcode of messages that the framing makes, if it is always the same.
    pub(crate) opcode: Option<u8>,
    reader: Reader,
    /// A frame that goes on whole, so far.
    frame: Vec<u8>,
    /// The opcode of the message under way.
    message: u8,
    check: TextCheck,
    /// Where the fragment begins that is under way of a delimited message, if others went before it,
    /// and whether that message is text.
    begun: Option<bool>,
    start: usize,
    /// The payload that the client may get.
    pub payload: Vec<u8>,
    /// How much of it goes there in any case, and how much of it may before the peer's stream ends.
    due: RangeInclusive<usize>,
    /// Where messages end in `payload`, and their opcodes, if the peer says so.
    pub messages: Option<Vec<(usize, Option<u8>)>>,
    /// The payloads of its pings.
    pub pings: Vec<Vec<u8>>,
    /// The code of its close frame, 1000 for none.
    pub closed: Option<u16>,
    /// What it sent cannot be made into messages.
    pub broken: bool,
}

impl PeerSent {
    /// Nothing yet.
    #[must_use]
    pub fn new(route: &Route) -> Self {
        let is_two_way = route.client_gets == ClientGets::Frames;
        let is_known =
            !matches!(route.client_gets, ClientGets::Bytes { .. } | ClientGets::Dense { .. });
        Self {
            gets: route.client_gets,
            opcode: (route.is_binary && !is_two_way).then_some(BINARY),
            reader: Reader::new(false),
            frame: Vec::new(),
            message: BINARY,
            check: TextCheck::default(),
            begun: None,
            start: 0,
            payload: Vec::new(),
            due: 0..=0,
            messages: is_known.then(Vec::new),
            pings: Vec::new(),
            closed: None,
            broken: false,
        }
    }

    /// Takes what one read gave: bytes of a stream, or a datagram.
    pub fn feed(&mut self, bytes: &[u8]) {
        match self.gets {
            _ if self.broken || self.closed.is_some() => {}
            ClientGets::Bytes { late } => {
                self.payload.extend_from_slice(bytes);
                self.due = self.payload.len().saturating_sub(late)..=self.payload.len();
            }
            ClientGets::Dense { late } => {
                self.payload.extend(dense(bytes));
                self.due = self.payload.len().saturating_sub(late)..=self.payload.len();
            }
            ClientGets::Delimited(delimiter) => self.lines(bytes, delimiter),
            ClientGets::Datagrams => {
                self.payload.extend_from_slice(bytes);
                self.end_message(self.opcode);
            }
            ClientGets::DatagramLines(delimiter) => self.lines_of_datagram(bytes, delimiter),
            ClientGets::Frames => self.frames(bytes),
        }
    }

    /// How many bytes of the payload the client is due; `ended`: the peer's stream has.
    #[must_use]
    pub fn due(&self, ended: bool) -> RangeInclusive<usize> {
        let all = self.payload.len();
        match self.gets {
            _ if !ended => self.due.clone(),
            // Half a frame goes nowhere.
            ClientGets::Frames => self.due.clone(),
            _ if self.broken || self.faults_at_end() => *self.due.start()..=all,
            // What no message was found in goes as it is.
            _ => all..=all,
        }
    }

    /// Whether it is known how its bytes become messages.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.messages.is_some()
    }

    /// Whether it would be a fault if its stream ended here.
    #[must_use]
    pub fn faults_at_end(&self) -> bool {
        let tail = &self.payload[self.start..];
        match self.gets {
            ClientGets::Frames => !self.reader.is_between() || self.reader.in_message(),
            ClientGets::Delimited(_) => {
                self.begun == Some(true) && !self.check.clone().piece(tail, true)
            }
            _ => false,
        }
    }

    fn lines(&mut self, bytes: &[u8], delimiter: &[u8]) {
        for &byte in bytes {
            self.payload.push(byte);
            let waiting = &self.payload[self.start..];
            if waiting.ends_with(delimiter) {
                self.part(waiting.len(), true);
            } else if waiting.len() >= PEER_BUFFER_SIZE {
                self.part(waiting.len() - HELD_BACK, false);
            }
            if self.broken {
                return;
            }
        }
    }

    fn lines_of_datagram(&mut self, bytes: &[u8], delimiter: &[u8]) {
        let start = self.payload.len();
        for &byte in bytes {
            self.payload.push(byte);
            let line = *self.due.end().max(&start);
            if self.payload[line..].ends_with(delimiter) {
                self.end_message(self.opcode);
            }
        }
        if bytes.is_empty() || *self.due.end() < self.payload.len() {
            self.end_message(self.opcode);
        }
    }

    /// So many bytes are a part of a message, the last or not; one that has no other is not checked.
    fn part(&mut self, length: usize, last: bool) {
        let part = &self.payload[self.start..self.start + length];
        if self.begun.is_some() || !last {
            let is_text = self.begun.unwrap_or_else(|| {
                self.opcode.is_none() && TextCheck::default().piece(part, false)
            });
            self.begun = Some(is_text);
            if is_text && !self.check.piece(part, last) {
                self.broken = true;
                return;
            }
        }
        self.start += length;
        self.due = self.start..=self.start;
        if last {
            self.begun = None;
            self.end_message(self.opcode);
        }
    }

    fn end_message(&mut self, opcode: Option<u8>) {
        let end = self.payload.len();
        self.due = end..=end;
        self.messages.get_or_insert_default().push((end, opcode));
    }

    fn frames(&mut self, mut bytes: &[u8]) {
        while !self.broken && self.closed.is_none() {
            match self.reader.next(&mut bytes) {
                None => return,
                Some(Err(Broken)) => self.broken = true,
                Some(Ok(Part::Begin(head))) if matches!(head.opcode(), 1..=2) => {
                    self.message = head.opcode();
                }
                Some(Ok(Part::Begin(_))) => {}
                Some(Ok(Part::Payload { head, bytes, last })) => {
                    self.piece(&head, &bytes, last);
                }
            }
        }
    }

    /// A piece of a frame: a long one of data goes on at once.
    fn piece(&mut self, head: &Head, bytes: &[u8], last: bool) {
        if head.length > LONG {
            return self.data(head, bytes, last);
        }
        self.frame.extend_from_slice(bytes);
        if !last {
            return;
        }
        let frame = std::mem::take(&mut self.frame);
        match head.opcode() {
            PING => self.pings.push(frame),
            CLOSE if may_close_with(&frame) => {
                let code = frame.first_chunk().map(|&code| u16::from_be_bytes(code));
                self.closed = Some(code.unwrap_or(1000));
            }
            CLOSE => self.broken = true,
            _ if head.is_control() => {}
            _ => self.data(head, &frame, true),
        }
    }

    /// A piece that goes on, if it is no text that is wrong: what of that does is open.
    fn data(&mut self, head: &Head, bytes: &[u8], last: bool) {
        let ends = last && head.fin();
        self.broken = self.message == TEXT && !self.check.piece(bytes, ends);
        self.payload.extend_from_slice(bytes);
        let end = self.payload.len();
        self.due = if self.broken { *self.due.start()..=end } else { end..=end };
        if ends && !self.broken {
            self.end_message(Some(self.message));
        }
    }
}

/// Bytes without the blanks of JSON.
pub(crate) fn dense(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().copied().filter(|byte| !b" \t\r\n".contains(byte))
}
