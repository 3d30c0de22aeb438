//! How the client's messages are put to the peer: as they come, in frames, in envelopes, as datagrams.

use std::ops::Range;

use super::batch::Batch;
use crate::framing::{EnvelopeMode, Framer, FramingFault, Kind};
use crate::proto::frame::{FrameError, Header, Opcode};

/// The largest UDP payload over IPv4 (65,535 less 20 and 8 bytes of headers). A message for a
/// datagram peer, or one whose length must go first, is collected up to this.
const MAX_DATAGRAM: usize = 65_507;

/// Why the client's frames are not forwarded any more.
#[derive(Debug, PartialEq)]
pub enum ClientFault {
    /// The client broke the protocol.
    Frame(FrameError),
    /// A message had to be collected and is larger than the 65,507 bytes of a datagram.
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

/// A piece of a message's payload: a range of the input, and where in the message it stands.
pub(super) struct Piece<'a> {
    pub(super) range: Range<usize>,
    /// The header of the frame it is in.
    pub(super) header: &'a Header,
    /// The opcode of the message, for continuations too.
    pub(super) opcode: Opcode,
    /// It ends the message.
    pub(super) last: bool,
    /// The input is the turn's buffer, which stays as it is until the peer was written to.
    pub(super) stays: bool,
}

impl Piece<'_> {
    /// Its message comes in more than one frame.
    fn is_fragment(&self) -> bool {
        self.header.opcode == Opcode::Continuation || !self.header.fin
    }

    /// It is a message, from its beginning to its end.
    fn is_message(&self) -> bool {
        let whole = self.last && self.header.length == self.range.len() as u64;
        whole && !self.is_fragment()
    }
}

/// The way from one client to its peer.
pub(super) struct ToPeer<'a> {
    pub(super) framer: &'a Framer,
    pub(super) encoding: PeerEncoding,
    pub(super) batch: &'a mut Batch,
    /// What was taken of a message that must go out whole; empty between such messages.
    pub(super) collected: &'a mut Vec<u8>,
}

impl ToPeer<'_> {
    /// A frame of data begins, the `first` of its message or not: may it, and what goes before it?
    pub(super) fn begin(
        &mut self,
        header: &Header,
        opcode: Opcode,
        first: bool,
    ) -> Result<(), ClientFault> {
        match self.encoding {
            PeerEncoding::ReadOnly => Err(ClientFault::ReadOnly),
            PeerEncoding::Frames => {
                let unmasked = Header { mask: None, ..*header };
                self.batch.stage(unmasked.encode().as_slice());
                Ok(())
            }
            PeerEncoding::Datagram => self.fits(header),
            PeerEncoding::Envelope(EnvelopeMode::Sized) if !(first && header.fin) => {
                self.fits(header)
            }
            PeerEncoding::Envelope(_) if first => self.prefix(header.length, opcode),
            PeerEncoding::Envelope(_) | PeerEncoding::Bare => Ok(()),
        }
    }

    /// Whether a frame's payload still fits behind what is collected of its message.
    fn fits(&self, header: &Header) -> Result<(), ClientFault> {
        let room = (MAX_DATAGRAM - self.collected.len()) as u64;
        if header.length > room { Err(ClientFault::TooBig) } else { Ok(()) }
    }

    /// A piece of a message's payload, unmasked.
    #[inline] // mostly it is a copy
    pub(super) fn data(&mut self, input: &[u8], piece: Piece<'_>) -> Result<(), ClientFault> {
        match self.encoding {
            PeerEncoding::Bare | PeerEncoding::Frames => {
                self.add(input, piece.range, piece.stays);
                Ok(())
            }
            PeerEncoding::Datagram => {
                self.datagram(input, piece);
                Ok(())
            }
            PeerEncoding::Envelope(mode) => self.enveloped(mode, input, piece),
            PeerEncoding::ReadOnly => Ok(()),
        }
    }

    fn datagram(&mut self, input: &[u8], piece: Piece<'_>) {
        // One that lies here whole need not be copied.
        if piece.is_message() && self.collected.is_empty() {
            return match piece.stays {
                true => self.batch.lend(piece.range),
                false => self.batch.stage_datagram(&input[piece.range]),
            };
        }
        self.collected.extend_from_slice(&input[piece.range]);
        if piece.last {
            self.batch.stage_datagram(&std::mem::take(self.collected));
        }
    }

    fn enveloped(
        &mut self,
        mode: EnvelopeMode,
        input: &[u8],
        piece: Piece<'_>,
    ) -> Result<(), ClientFault> {
        let Piece { opcode, last, .. } = piece;
        if mode == EnvelopeMode::Sized && piece.is_fragment() {
            self.collected.extend_from_slice(&input[piece.range]);
            if last {
                let message = std::mem::take(self.collected);
                self.prefix(message.len() as u64, opcode)?;
                self.batch.stage(&message);
                self.suffix(message.len() as u64, opcode)?;
            }
            return Ok(());
        }
        self.add(input, piece.range, piece.stays);
        if last { self.suffix(piece.header.length, opcode) } else { Ok(()) }
    }

    fn add(&mut self, input: &[u8], range: Range<usize>, stays: bool) {
        if stays { self.batch.add(input, range) } else { self.batch.stage(&input[range]) }
    }

    /// What the framing's encoder puts before a message of `length` bytes.
    fn prefix(&mut self, length: u64, opcode: Opcode) -> Result<(), ClientFault> {
        let envelope = self.framer.envelope(length, kind(opcode)).map_err(ClientFault::Framing)?;
        self.batch.stage(envelope.prefix());
        Ok(())
    }

    /// What it puts behind.
    fn suffix(&mut self, length: u64, opcode: Opcode) -> Result<(), ClientFault> {
        let envelope = self.framer.envelope(length, kind(opcode)).map_err(ClientFault::Framing)?;
        self.batch.stage(envelope.suffix());
        Ok(())
    }
}

fn kind(opcode: Opcode) -> Kind {
    if opcode == Opcode::Text { Kind::Text } else { Kind::Binary }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing;

    #[test]
    fn a_datagram_may_be_as_long_as_one_can_be() {
        let framer = Framer::new(&framing::by_name("binary").unwrap());
        for (collected, length, expected) in [
            (0, MAX_DATAGRAM, Ok(())),
            (0, MAX_DATAGRAM + 1, Err(ClientFault::TooBig)),
            (7, MAX_DATAGRAM - 7, Ok(())),
            (7, MAX_DATAGRAM - 6, Err(ClientFault::TooBig)),
        ] {
            let (mut batch, mut collected) = (Batch::default(), vec![0; collected]);
            let mut to_peer = ToPeer {
                framer: &framer,
                encoding: PeerEncoding::Datagram,
                batch: &mut batch,
                collected: &mut collected,
            };
            let header = Header::whole(Opcode::Binary, length as u64);
            assert_eq!(to_peer.begin(&header, Opcode::Binary, true), expected, "{length}");
        }
    }
}
