//! Where a client is led, and what becomes of what the two sides say.

use websocksy::backend::{Answer, Target};
use websocksy::framing::Selection;

/// The back end's answer, and what follows from it.
#[derive(Clone, Debug)]
pub struct Route {
    /// The peer.
    pub target: Target,
    /// How its stream becomes messages.
    pub framing: Selection,
    /// What the peer gets of the client's messages.
    pub peer_gets: PeerGets,
    /// What the client gets of the peer's bytes.
    pub client_gets: ClientGets,
    /// Whether all messages of the framing's own are binary; otherwise they may be text.
    pub is_binary: bool,
}

impl Route {
    /// The back end's answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer::new(self.target.clone(), self.framing.clone(), None)
    }

    /// Whether something goes to the peer with each message, be it empty.
    #[must_use]
    pub fn has_envelopes(&self) -> bool {
        matches!(self.peer_gets, PeerGets::Suffix(_) | PeerGets::Length32)
    }

    /// Whether the peer's socket is one of datagrams.
    #[must_use]
    pub fn is_datagram(&self) -> bool {
        matches!(self.target, Target::Udp { .. } | Target::UnixDatagram(_))
    }
}

/// What the peer gets of the client's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerGets {
    /// Their payloads.
    Payloads,
    /// RFC 6455 frames.
    Frames,
    /// Their payloads, each message followed by these bytes.
    Suffix(&'static [u8]),
    /// Each message after its length in four bytes, the lowest first.
    Length32,
    /// Each message as one datagram.
    Datagrams,
    /// Nothing.
    Nothing,
}

/// What the client gets of the peer's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientGets {
    /// Each byte, in messages that somebody else judges; this many may wait for what follows.
    Bytes {
        /// How many may wait.
        late: usize,
    },
    /// The same, but for blanks, which may be left out.
    Dense {
        /// How many may wait.
        late: usize,
    },
    /// Messages that end in these bytes, and what is behind the last of them at the end.
    Delimited(&'static [u8]),
    /// The messages of RFC 6455 frames.
    Frames,
    /// Each datagram as a message.
    Datagrams,
    /// The messages in each datagram, which end in these bytes or with it.
    DatagramLines(&'static [u8]),
}
