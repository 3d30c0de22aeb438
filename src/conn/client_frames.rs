//! The client's frames: headers off, payload unmasked where it lies, control frames answered.

use super::batch::Batch;
use super::egress::Egress;
use super::inflating::Inflating;
use super::text::TextCheck;
use super::to_peer::{ClientFault, Piece, ToPeer};
use super::traffic::Traffic;
use crate::deflate::{Corrupt, Progress};
use crate::proto::close::{self, CloseCode};
use crate::proto::frame::{
    self, Decoded, FrameError, Header, MAX_CONTROL, MAX_HEADER, Masking, Opcode, Sequence,
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
    /// Where it stopped, since the peer was given all that a turn may make of compressed messages, or
    /// nobody could decompress them: the rest is to be fed again.
    pub(super) stopped: Option<usize>,
}

/// The frame whose payload is arriving.
struct Frame {
    header: Header,
    /// The opcode of the message, for continuations too.
    opcode: Opcode,
    key: [u8; 4],
    /// Payload bytes seen.
    seen: u64,
    /// It is of a compressed message (RFC 7692 §6).
    compressed: bool,
}

/// Whether the message that is arriving is compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compressed {
    No,
    /// And nothing of it is with the peer.
    Unsent,
    /// And some of it is.
    Sent,
}

/// How far the payload of a compressed frame was taken.
enum Reached {
    /// To its end.
    End,
    /// As far as it is there.
    Input,
    /// As far as this turn may go.
    Bound,
}

/// The decoder of one client's frames.
pub(super) struct ClientFrames {
    partial: [u8; MAX_HEADER],
    partial_length: u8,
    frame: Option<Frame>,
    sequence: Sequence,
    text: TextCheck,
    control: Vec<u8>,
    message: Compressed,
}

impl From<Corrupt> for ClientFault {
    fn from(Corrupt: Corrupt) -> Self {
        Self::Frame(FrameError::NotDeflate)
    }
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
            message: Compressed::No,
        }
    }

    /// Takes the client's next bytes: `input` is the turn's buffer up to the last one. If compression
    /// was agreed on, `inflating` is what it takes.
    pub(super) fn feed(
        &mut self,
        input: &mut [u8],
        mut inflating: Option<Inflating<'_>>,
        to_peer: &mut ToPeer<'_>,
        answers: &mut Answers<'_>,
    ) -> Result<Found, ClientFault> {
        let mut found = Found::default();
        let mut at = 0;
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    let next = self.header(&input[at..], inflating.is_some())?;
                    let Some(((header, compressed), n)) = next else { return Ok(found) };
                    at += n;
                    self.begin(header, compressed, to_peer)?
                }
            };
            if let (true, Some(inflating)) = (frame.compressed, &mut inflating) {
                let rest = &mut input[at..];
                let Answers { traffic, .. } = answers;
                let (n, reached) = self.inflate(rest, &mut frame, inflating, to_peer, traffic)?;
                at += n;
                match reached {
                    Reached::End => continue,
                    Reached::Input => {}
                    Reached::Bound => found.stopped = Some(at),
                }
                self.frame = Some(frame);
                return Ok(found);
            }
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
                let Frame { ref header, opcode, .. } = frame;
                let last = complete && header.fin;
                answers.traffic.count(n as u64, last);
                if opcode == Opcode::Text {
                    self.text.piece(&input[range.clone()], last)?;
                }
                to_peer.data(input, Piece { range, header, opcode, last, stays: true })?;
            }
            if !complete {
                self.frame = Some(frame);
                return Ok(found);
            }
        }
    }

    /// Whether a frame of data is under way: its header is out, its payload not all.
    pub(super) fn inside_frame(&self) -> bool {
        // Of a compressed one each piece goes to the peer as a frame of its own.
        let is_plain = |frame: &Frame| !frame.header.opcode.is_control() && !frame.compressed;
        self.frame.as_ref().is_some_and(is_plain)
    }

    /// The next header, whether its message is compressed, which it `may` be or not, and how many of
    /// `bytes` it took; keeps an incomplete one.
    fn header(&mut self, bytes: &[u8], may: bool) -> Decoded<(Header, bool)> {
        Ok(match may {
            false => self.read(bytes, frame::decode)?.map(|(header, n)| ((header, false), n)),
            true => self.read(bytes, frame::decode_compressed)?,
        })
    }

    /// The same, as `decode` reads it.
    fn read<T>(
        &mut self,
        bytes: &[u8],
        decode: impl Fn(&[u8], Masking) -> Decoded<T>,
    ) -> Decoded<T> {
        if self.partial_length == 0 {
            let found = decode(bytes, Masking::Required)?;
            if found.is_none() {
                self.partial[..bytes.len()].copy_from_slice(bytes);
                self.partial_length = bytes.len() as u8;
            }
            return Ok(found);
        }
        let old = usize::from(self.partial_length);
        let more = bytes.len().min(MAX_HEADER - old);
        self.partial[old..old + more].copy_from_slice(&bytes[..more]);
        let found = decode(&self.partial[..old + more], Masking::Required)?;
        self.partial_length = if found.is_some() { 0 } else { (old + more) as u8 };
        Ok(found.map(|(header, n)| (header, n - old)))
    }

    /// A frame begins: is it allowed here, and what goes out before its payload?
    fn begin(
        &mut self,
        header: Header,
        compressed: bool,
        to_peer: &mut ToPeer<'_>,
    ) -> Result<Frame, ClientFault> {
        let first = !self.sequence.in_message();
        let opcode = self.sequence.accept(&header)?;
        if first && !opcode.is_control() {
            self.message = if compressed { Compressed::Unsent } else { Compressed::No };
        }
        let compressed = !opcode.is_control() && self.message != Compressed::No;
        if !opcode.is_control() && !compressed {
            to_peer.begin(&header, opcode, first)?;
        }
        let key = header.mask.unwrap_or_default();
        Ok(Frame { header, opcode, key, seen: 0, compressed })
    }

    /// What there is of the payload of a compressed frame, `rest` and what comes behind it; returns how
    /// many bytes of it were taken. Each piece that comes of it is to the peer a frame of its own.
    fn inflate(
        &mut self,
        rest: &mut [u8],
        frame: &mut Frame,
        inflating: &mut Inflating<'_>,
        to_peer: &mut ToPeer<'_>,
        traffic: &mut Traffic,
    ) -> Result<(usize, Reached), ClientFault> {
        let left = frame.header.length - frame.seen;
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let payload = &mut rest[..n];
        let ends = left == n as u64;
        let mut at = 0;
        mask::unmask(payload, frame.key, (frame.seen % 4) as usize);
        let reached = loop {
            if !inflating.begin() {
                break Reached::Bound;
            }
            let step = inflating.step(&payload[at..], ends && frame.header.fin)?;
            at += step.read;
            let done = step.progress == Progress::Done;
            if done || step.written > 0 {
                self.forward(inflating.output(&step), frame.opcode, done, to_peer)?;
                traffic.count(step.written as u64, done);
            }
            match step.progress {
                Progress::Done => break Reached::End,
                Progress::Hungry if ends => break Reached::End,
                Progress::Hungry => break Reached::Input,
                Progress::Full if inflating.is_spent() => break Reached::Bound,
                Progress::Full => {}
            }
        };
        frame.seen += at as u64;
        // The rest is fed again as it came.
        mask::unmask(&mut payload[at..], frame.key, (frame.seen % 4) as usize);
        Ok((at, reached))
    }

    /// Hands on a piece of a message that was compressed.
    fn forward(
        &mut self,
        piece: &[u8],
        opcode: Opcode,
        last: bool,
        to_peer: &mut ToPeer<'_>,
    ) -> Result<(), ClientFault> {
        if opcode == Opcode::Text {
            self.text.piece(piece, last)?;
        }
        let first = self.message == Compressed::Unsent;
        self.message = Compressed::Sent;
        let kind = if first { opcode } else { Opcode::Continuation };
        let header = Header { fin: last, ..Header::whole(kind, piece.len() as u64) };
        to_peer.begin(&header, opcode, first)?;
        let range = 0..piece.len();
        to_peer.data(piece, Piece { range, header: &header, opcode, last, stays: false })
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
