//! Client to peer: frame headers off, payload unmasked where it lies, control frames answered.

use std::ops::Range;

use super::batch::Batch;
use super::egress::Egress;
use super::text::TextCheck;
use crate::framing::{EnvelopeMode, Framer, FramingFault, Kind};
use crate::proto::frame::{
    self, CloseCode, FrameError, Header, MAX_CONTROL, MAX_HEADER, Masking, Opcode, Sequence,
};
use crate::proto::mask;

/// The largest UDP payload over IPv4 (65,535 less 20 and 8 bytes of headers). A message for a
/// datagram peer, or one whose length must go first, is collected up to this.
pub(super) const MAX_DATAGRAM: usize = 65_507;

/// Why the client's frames are not forwarded any more.
#[derive(Debug, PartialEq)]
pub enum ClientFault {
    /// The client broke the protocol.
    Frame(FrameError),
    /// A message had to be collected and is larger than [`MAX_DATAGRAM`].
    TooBig,
    /// The peer cannot be written to.
    ReadOnly,
    /// The framing's encoder failed.
    Framing(FramingFault),
}

impl From<FrameError> for ClientFault {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// What the peer wants to see of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PeerEncoding {
    /// The payload as it comes.
    Bare,
    /// RFC 6455 §5 frames, unmasked.
    Frames,
    /// The framing's encoder puts bytes around it, of a length it knows or not.
    Envelope(EnvelopeMode),
    /// One datagram a message.
    Datagram,
    /// Nothing: the peer is only read.
    ReadOnly,
}

/// Where the decoded frames go.
pub(super) struct Sinks<'a> {
    pub(super) framer: &'a Framer,
    pub(super) encoding: PeerEncoding,
    pub(super) to_peer: &'a mut Batch,
    pub(super) to_client: &'a mut Batch,
    pub(super) client: &'a mut Egress,
    /// Our close frame did not go out yet: pongs may.
    pub(super) may_answer: bool,
}

/// The client's close frame: its code, if it had one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Closed(pub(super) Option<CloseCode>);

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
    /// A control frame's payload, or a message that must go out whole; empty between them.
    collected: Vec<u8>,
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
            collected: Vec::new(),
            control: Vec::new(),
        }
    }

    /// Takes the client's next bytes: `input` is the turn's buffer up to the last one. Returns the
    /// close frame when there is one; what follows it is not looked at (RFC 6455 §5.5.1).
    pub(super) fn feed(
        &mut self,
        input: &mut [u8],
        out: &mut Sinks<'_>,
    ) -> Result<Option<Closed>, ClientFault> {
        let mut at = 0;
        loop {
            let Some(mut frame) = self.frame.take() else {
                let Some((header, n)) = self.header(&input[at..])? else { return Ok(None) };
                at += n;
                self.frame = Some(self.begin(header, out)?);
                continue;
            };
            let left = frame.header.length - frame.seen;
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
            let piece = at..at + n;
            at += n;
            mask::unmask(&mut input[piece.clone()], frame.key, (frame.seen % 4) as usize);
            frame.seen += n as u64;
            let complete = frame.seen == frame.header.length;
            if frame.header.opcode.is_control() {
                if let Some(closed) = self.control(&input[piece], &frame, complete, out)? {
                    return Ok(Some(closed));
                }
            } else {
                self.data(input, piece, &frame, complete, out)?;
            }
            if !complete {
                self.frame = Some(frame);
                return Ok(None);
            }
        }
    }

    /// How many bytes are collected of a message that must go out whole.
    pub(super) fn collected(&self) -> usize {
        self.collected.len()
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
    fn begin(&mut self, header: Header, out: &mut Sinks<'_>) -> Result<Frame, ClientFault> {
        let first = !self.sequence.in_message();
        let opcode = self.sequence.accept(&header)?;
        if !opcode.is_control() {
            match out.encoding {
                PeerEncoding::ReadOnly => return Err(ClientFault::ReadOnly),
                PeerEncoding::Frames => {
                    let unmasked = Header { mask: None, ..header };
                    out.to_peer.stage(unmasked.encode().as_slice());
                }
                PeerEncoding::Datagram => self.collect(&header)?,
                PeerEncoding::Envelope(EnvelopeMode::Sized) if !(first && header.fin) => {
                    self.collect(&header)?;
                }
                PeerEncoding::Envelope(_) if first => prefix(header.length, opcode, out)?,
                PeerEncoding::Envelope(_) | PeerEncoding::Bare => {}
            }
        }
        Ok(Frame { header, opcode, key: header.mask.unwrap_or_default(), seen: 0 })
    }

    /// Whether a frame's payload still fits behind what is collected of its message.
    fn collect(&self, header: &Header) -> Result<(), ClientFault> {
        let room = (MAX_DATAGRAM - self.collected.len()) as u64;
        if header.length > room { Err(ClientFault::TooBig) } else { Ok(()) }
    }

    /// A piece of a message's payload, unmasked.
    fn data(
        &mut self,
        input: &[u8],
        piece: Range<usize>,
        frame: &Frame,
        complete: bool,
        out: &mut Sinks<'_>,
    ) -> Result<(), ClientFault> {
        let last = complete && frame.header.fin;
        if frame.opcode == Opcode::Text {
            self.text.piece(&input[piece.clone()], last)?;
        }
        // `begin` said which messages are collected; one that lies here whole need not be copied.
        let whole = last && frame.header.length == piece.len() as u64 && self.collected.is_empty();
        let fragmented = frame.header.opcode == Opcode::Continuation || !frame.header.fin;
        match out.encoding {
            PeerEncoding::Datagram if whole && !fragmented => out.to_peer.lend(piece),
            PeerEncoding::Datagram => {
                self.collected.extend_from_slice(&input[piece]);
                if last {
                    out.to_peer.stage_datagram(&std::mem::take(&mut self.collected));
                }
            }
            PeerEncoding::Envelope(EnvelopeMode::Sized) if fragmented => {
                self.collected.extend_from_slice(&input[piece]);
                if last {
                    let message = std::mem::take(&mut self.collected);
                    prefix(message.len() as u64, frame.opcode, out)?;
                    out.to_peer.stage(&message);
                    suffix(message.len() as u64, frame.opcode, out)?;
                }
            }
            PeerEncoding::Envelope(_) => {
                out.to_peer.add(input, piece);
                if last {
                    suffix(frame.header.length, frame.opcode, out)?;
                }
            }
            PeerEncoding::Bare | PeerEncoding::Frames => out.to_peer.add(input, piece),
            PeerEncoding::ReadOnly => {}
        }
        Ok(())
    }

    /// A piece of a control frame's payload (RFC 6455 §5.5), at most [`MAX_CONTROL`] bytes.
    fn control(
        &mut self,
        piece: &[u8],
        frame: &Frame,
        complete: bool,
        out: &mut Sinks<'_>,
    ) -> Result<Option<Closed>, ClientFault> {
        debug_assert!(self.control.len() + piece.len() <= MAX_CONTROL, "decode() checks it");
        self.control.extend_from_slice(piece);
        if !complete {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.control);
        match frame.header.opcode {
            Opcode::Ping if out.may_answer => out.client.pong(out.to_client, &payload),
            Opcode::Close => {
                let code = frame::parse_close(&payload)?.map(|(code, _)| code);
                return Ok(Some(Closed(code)));
            }
            _ => {}
        }
        Ok(None)
    }
}

/// What the framing's encoder puts before a message of `length` bytes.
fn prefix(length: u64, opcode: Opcode, out: &mut Sinks<'_>) -> Result<(), ClientFault> {
    let envelope = out.framer.envelope(length, kind(opcode)).map_err(ClientFault::Framing)?;
    out.to_peer.stage(envelope.prefix());
    Ok(())
}

/// What it puts behind.
fn suffix(length: u64, opcode: Opcode, out: &mut Sinks<'_>) -> Result<(), ClientFault> {
    let envelope = out.framer.envelope(length, kind(opcode)).map_err(ClientFault::Framing)?;
    out.to_peer.stage(envelope.suffix());
    Ok(())
}

fn kind(opcode: Opcode) -> Kind {
    if opcode == Opcode::Text { Kind::Text } else { Kind::Binary }
}
