//! The client's frames: headers off, payload unmasked where it lies, control frames answered.

use super::batch::Batch;
use super::egress::Egress;
use super::text::TextCheck;
use super::to_peer::{ClientFault, Piece, ToPeer};
use super::traffic::Traffic;
use crate::proto::close::{self, CloseCode};
use crate::proto::frame::{
    self, FrameError, Header, MAX_CONTROL, MAX_HEADER, Masking, Opcode, Sequence,
};
use crate::proto::mask;

/// Where the answers to control frames go.
pub(super) struct Answers<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) client: &'a mut Egress,
    /// The data of all clients.
    pub(super) traffic: &'a mut Traffic,
    /// Our close frame did not go out yet: pongs may.
    pub(super) may_answer: bool,
}

/// What a feed found beside data.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Found {
    /// A close frame, with its code if it had one. What follows it is not looked at (§5.5.1).
    pub(super) close: Option<Option<CloseCode>>,
    /// A pong.
    pub(super) pong: bool,
}

/// The frame whose payload is arriving.
struct Frame {
    header: Header,
    /// The opcode of the message, for continuations too.
    opcode: Opcode,
    key: [u8; 4],
    /// Payload bytes seen.
    seen: u64,
}

/// The decoder of one client's frames.
pub(super) struct ClientFrames {
    partial: [u8; MAX_HEADER],
    partial_length: usize,
    frame: Option<Frame>,
    sequence: Sequence,
    text: TextCheck,
    control: Vec<u8>,
}

impl ClientFrames {
    pub(super) fn new() -> Self {
        Self {
            partial: [0; MAX_HEADER],
            partial_length: 0,
            frame: None,
            sequence: Sequence::new(),
            text: TextCheck::default(),
            control: Vec::new(),
        }
    }

    /// Takes the client's next bytes: `input` is the turn's buffer up to the last one.
    pub(super) fn feed(
        &mut self,
        input: &mut [u8],
        to_peer: &mut ToPeer<'_>,
        answers: &mut Answers<'_>,
    ) -> Result<Found, ClientFault> {
        let mut found = Found::default();
        let mut at = 0;
        loop {
            let Some(mut frame) = self.frame.take() else {
                let Some((header, n)) = self.header(&input[at..])? else { return Ok(found) };
                at += n;
                self.frame = Some(self.begin(header, to_peer)?);
                continue;
            };
            let left = frame.header.length - frame.seen;
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
            let range = at..at + n;
            at += n;
            mask::unmask(&mut input[range.clone()], frame.key, (frame.seen % 4) as usize);
            frame.seen += n as u64;
            let complete = frame.seen == frame.header.length;
            if frame.header.opcode.is_control() {
                self.control(&input[range], &frame, complete, answers, &mut found)?;
                if found.close.is_some() {
                    return Ok(found);
                }
            } else {
                let Frame { header, opcode, .. } = frame;
                let last = complete && header.fin;
                answers.traffic.count(n as u64, last);
                if opcode == Opcode::Text {
                    self.text.piece(&input[range.clone()], last)?;
                }
                to_peer.data(input, Piece { range, header, opcode, last })?;
            }
            if !complete {
                self.frame = Some(frame);
                return Ok(found);
            }
        }
    }

    /// Whether a frame of data is under way: its header is out, its payload not all.
    pub(super) fn inside_frame(&self) -> bool {
        self.frame.as_ref().is_some_and(|frame| !frame.header.opcode.is_control())
    }

    /// The next header and how many of `bytes` it took; keeps an incomplete one.
    fn header(&mut self, bytes: &[u8]) -> Result<Option<(Header, usize)>, FrameError> {
        if self.partial_length == 0 {
            if let Some(found) = frame::decode(bytes, Masking::Required)? {
                return Ok(Some(found));
            }
            self.partial[..bytes.len()].copy_from_slice(bytes);
            self.partial_length = bytes.len();
            return Ok(None);
        }
        let old = self.partial_length;
        let more = bytes.len().min(MAX_HEADER - old);
        self.partial[old..old + more].copy_from_slice(&bytes[..more]);
        match frame::decode(&self.partial[..old + more], Masking::Required)? {
            Some((header, n)) => {
                self.partial_length = 0;
                Ok(Some((header, n - old)))
            }
            None => {
                self.partial_length = old + more;
                Ok(None)
            }
        }
    }

    /// A frame begins: is it allowed here, and what goes out before its payload?
    fn begin(&mut self, header: Header, to_peer: &mut ToPeer<'_>) -> Result<Frame, ClientFault> {
        let first = !self.sequence.in_message();
        let opcode = self.sequence.accept(&header)?;
        if !opcode.is_control() {
            to_peer.begin(&header, opcode, first)?;
        }
        Ok(Frame { header, opcode, key: header.mask.unwrap_or_default(), seen: 0 })
    }

    /// A piece of a control frame's payload (RFC 6455 §5.5), at most [`MAX_CONTROL`] bytes.
    fn control(
        &mut self,
        piece: &[u8],
        frame: &Frame,
        complete: bool,
        answers: &mut Answers<'_>,
        found: &mut Found,
    ) -> Result<(), ClientFault> {
        debug_assert!(self.control.len() + piece.len() <= MAX_CONTROL, "decode() checks it");
        self.control.extend_from_slice(piece);
        if !complete {
            return Ok(());
        }
        let payload = std::mem::take(&mut self.control);
        match frame.header.opcode {
            Opcode::Ping if answers.may_answer => answers.client.pong(answers.batch, &payload),
            Opcode::Close => {
                found.close = Some(close::parse(&payload)?.map(|(code, _)| code));
            }
            Opcode::Pong => found.pong = true,
            Opcode::Ping | Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
        }
        Ok(())
    }
}
