//! How peers are reached, and how that is written. Errors and the help text list them from here.

use websocksy_abi as abi;

/// How a peer is reached: [`abi::peer_transport`], checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// By the scheme in the host; TCP when it has none.
    Detect,
    /// `tcp://host:port`
    Tcp,
    /// `tls://host:port`: by the scheme alone, the C header has no value for it.
    Tls,
    /// `udp://host:port`
    Udp,
    /// `fifotx://path`
    FifoTx,
    /// `fiforx://path`
    FifoRx,
    /// `unix://path`
    UnixStream,
    /// `unix-dgram://path`
    UnixDatagram,
}

impl Scheme {
    /// The transport behind a C value, if it is one.
    pub fn from_abi(value: abi::peer_transport) -> Option<Self> {
        Some(match value {
            abi::PEER_TRANSPORT_DETECT => Self::Detect,
            abi::PEER_TCP_CLIENT => Self::Tcp,
            abi::PEER_UDP_CLIENT => Self::Udp,
            abi::PEER_FIFO_TX => Self::FifoTx,
            abi::PEER_FIFO_RX => Self::FifoRx,
            abi::PEER_UNIX_STREAM => Self::UnixStream,
            abi::PEER_UNIX_DGRAM => Self::UnixDatagram,
            _ => return None,
        })
    }

    pub(super) fn from_scheme(scheme: &str) -> Option<Self> {
        // Schemes are the same in any case: RFC 3986 §3.1.
        let known = SCHEMES.iter().find(|known| known.name.eq_ignore_ascii_case(scheme))?;
        Some(known.scheme)
    }
}

/// The name of a scheme that a daemon without TLS has not, but knows.
pub(super) const TLS: &str = "tls";

/// How a scheme is written.
#[derive(Clone, Copy, Debug)]
pub struct SchemeForm {
    scheme: Scheme,
    /// What stands before `://`.
    pub(super) name: &'static str,
    /// The whole of it.
    pub form: &'static str,
    /// What the peer is.
    pub help: &'static str,
}

/// Every scheme, in the order of the help text.
pub const SCHEMES: &[SchemeForm] = &[
    SchemeForm {
        scheme: Scheme::Tcp,
        name: "tcp",
        form: "tcp://HOST:PORT",
        help: "A TCP server; an IPv6 address stands in brackets",
    },
    #[cfg(feature = "tls")]
    SchemeForm {
        scheme: Scheme::Tls,
        name: TLS,
        form: "tls://HOST:PORT",
        help: "A TCP server that speaks TLS; its certificate is for HOST",
    },
    SchemeForm {
        scheme: Scheme::Udp,
        name: "udp",
        form: "udp://HOST:PORT",
        help: "A UDP server: one message, one datagram",
    },
    SchemeForm {
        scheme: Scheme::UnixStream,
        name: "unix",
        form: "unix:///PATH",
        help: "A Unix stream socket; unix://@NAME for an abstract one",
    },
    SchemeForm {
        scheme: Scheme::UnixDatagram,
        name: "unix-dgram",
        form: "unix-dgram:///PATH",
        help: "A Unix datagram socket; unix-dgram://@NAME for an abstract one",
    },
    SchemeForm {
        scheme: Scheme::FifoTx,
        name: "fifotx",
        form: "fifotx:///PATH",
        help: "A FIFO that takes what clients send",
    },
    SchemeForm {
        scheme: Scheme::FifoRx,
        name: "fiforx",
        form: "fiforx:///PATH",
        help: "A FIFO whose bytes go to clients",
    },
];
