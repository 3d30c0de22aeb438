//! What a connection is made of while it is bridged.

use std::time::Instant;

use super::client_frames::ClientFrames;
use super::inflating::Codec;
use super::to_client::ToClient;
use super::to_peer::PeerEncoding;
use crate::backend::Target;
use crate::framing::{EnvelopeMode, Framer, FramingFault};
use crate::proto::close::CloseCode;
use crate::slab::Slot;

/// A bridged client and peer.
pub(super) struct Bridge {
    pub(super) framer: Framer,
    pub(super) encoding: PeerEncoding,
    pub(super) client_frames: ClientFrames,
    /// What was taken of a client's message that must go out whole.
    pub(super) collected: Vec<u8>,
    pub(super) to_client: ToClient,
    /// Whether the peer ends its stream when we end ours: FIFOs and datagram sockets do not.
    pub(super) answers_fin: bool,
    /// Our close frame went out; nothing may follow it (RFC 6455 §5.5.1).
    pub(super) close_sent: bool,
    /// Refusals since the last datagram.
    pub(super) refusals: u8,
    /// Until when the back end allows it, and the close code then.
    /// Boxed, since few have it.
    pub(super) lapses: Option<Box<(Instant, CloseCode)>>,
    /// If compression was agreed on (RFC 7692).
    pub(super) codec: Option<Box<Codec>>,
}

impl Bridge {
    /// The bridge to `target`, whose stream `framer` cuts, and which waits for that in `slot`.
    pub(super) fn new(target: &Target, framer: Framer, slot: Slot) -> Result<Self, FramingFault> {
        let encoding = encoding(target, &framer)?;
        let datagrams = encoding == PeerEncoding::Datagram;
        Ok(Self {
            client_frames: ClientFrames::new(),
            collected: Vec::new(),
            to_client: ToClient::new(framer.is_two_way_frames(), datagrams, slot),
            framer,
            encoding,
            answers_fin: matches!(
                target,
                Target::Tcp { .. } | Target::Tls { .. } | Target::UnixStream(_)
            ),
            close_sent: false,
            refusals: 0,
            lapses: None,
            codec: None,
        })
    }

    /// Whether the client is not read for a reason other than that the peer is slower.
    pub(super) fn holds_client_back(&self) -> bool {
        self.codec.as_ref().is_some_and(|codec| codec.has_unread() || !codec.can_read())
    }

    /// Whether more can be made of what the client sent before.
    pub(super) fn has_unread(&self) -> bool {
        self.codec.as_ref().is_some_and(|codec| codec.has_unread() && codec.can_read())
    }

    pub(super) fn is_datagram(&self) -> bool {
        self.encoding == PeerEncoding::Datagram
    }
}

/// What the peer wants to see of the client's messages.
fn encoding(target: &Target, framer: &Framer) -> Result<PeerEncoding, FramingFault> {
    Ok(match target {
        Target::Udp { .. } | Target::UnixDatagram(_) => PeerEncoding::Datagram,
        Target::FifoRx(_) => PeerEncoding::ReadOnly,
        Target::Tcp { .. } | Target::Tls { .. } | Target::UnixStream(_) | Target::FifoTx(_) => {
            if framer.is_two_way_frames() {
                return Ok(PeerEncoding::Frames);
            }
            match framer.envelope_mode()? {
                EnvelopeMode::None => PeerEncoding::Bare,
                mode @ (EnvelopeMode::Stream | EnvelopeMode::Sized) => PeerEncoding::Envelope(mode),
            }
        }
    })
}
