//! The two sides of a connection.

/// One of the two sockets of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The WebSocket client.
    Client,
    /// What it is bridged to.
    Peer,
}

impl Side {
    /// The one across.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Peer,
            Self::Peer => Self::Client,
        }
    }
}
