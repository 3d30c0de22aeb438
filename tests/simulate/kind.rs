//! The kinds of session: what the peer is, and what becomes of messages on the way.

use websocksy::backend::Target;
use websocksy::framing::{self, Selection};
use websocksy_world::{ClientGets, PeerGets, Random, Route};

/// What is bridged to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A stream of payloads, over TCP.
    Tcp,
    /// The same over a Unix socket.
    Unix,
    /// A stream over TCP whose reads are text where they are UTF-8.
    Text,
    /// RFC 6455 frames both ways, over TCP.
    Frames,
    /// Messages that end in these bytes both ways, over TCP.
    Separator(&'static [u8]),
    /// One message is one datagram both ways, over UDP.
    Datagrams,
}

impl Kind {
    /// How many there are that have a name of their own.
    pub(crate) const COUNT: usize = 6;
    pub(crate) const NAMES: [&str; Self::COUNT] =
        ["tcp", "unix", "text", "frames", "separator", "udp"];

    pub(crate) fn any(random: &mut Random) -> Self {
        match random.below(7) {
            0 => Self::Tcp,
            1 => Self::Unix,
            2 => Self::Text,
            3 => Self::Frames,
            4 if random.one_in(2) => Self::Separator(b"\n"),
            4 => Self::Separator(b"\r\n"),
            _ => Self::Datagrams,
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Tcp => 0,
            Self::Unix => 1,
            Self::Text => 2,
            Self::Frames => 3,
            Self::Separator(_) => 4,
            Self::Datagrams => 5,
        }
    }

    /// Reads of a Unix socket stop where a descriptor was passed along, TCP's at urgent data.
    pub(crate) fn reads_in_pieces(self, random: &mut Random) -> bool {
        self == Self::Unix || self != Self::Datagrams && random.one_in(2)
    }

    /// The way to such a peer, which has an address or a name.
    pub(crate) fn route(self, random: &mut Random) -> Route {
        let host = if random.one_in(2) { "127.0.0.1" } else { "peer.test" }.to_owned();
        let target = match self {
            Self::Unix => Target::UnixStream("/s".into()),
            Self::Datagrams => Target::Udp { host, port: 1 },
            _ => Target::Tcp { host, port: 1 },
        };
        let (peer_gets, client_gets) = match self {
            Self::Tcp | Self::Unix => (PeerGets::Payloads, ClientGets::Bytes { late: 0 }),
            Self::Text => (PeerGets::Payloads, ClientGets::Bytes { late: 3 }),
            Self::Frames => (PeerGets::Frames, ClientGets::Frames),
            Self::Separator(bytes) => (PeerGets::Suffix(bytes), ClientGets::Delimited(bytes)),
            Self::Datagrams => (PeerGets::Datagrams, ClientGets::Datagrams),
        };
        let is_binary = self != Self::Text;
        Route { target, framing: self.framing(), peer_gets, client_gets, is_binary }
    }

    fn framing(self) -> Selection {
        let separator = |config| framing::check("separator", Some(config)).ok();
        let framing = match self {
            Self::Text => framing::by_name("auto"),
            Self::Frames => framing::by_name("rfc6455"),
            Self::Separator(b"\n") => separator("add:\\n"),
            Self::Separator(_) => separator("add:\\r\\n"),
            _ => framing::by_name("binary"),
        };
        framing.expect("a built-in")
    }
}
