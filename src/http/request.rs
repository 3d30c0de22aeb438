//! A request that is answered without a WebSocket.

use crate::proto::handshake::{self, Refused};
use crate::proto::http::{Head, Method, Version};

/// What the form of an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether the answer has no content, whatever its fields say (RFC 9110 §9.3.2).
    pub head_only: bool,
    /// Whether the client wants to ask again on this connection (RFC 9112 §9.3), and nothing of
    /// this request is still to come.
    pub persistent: bool,
    /// The client's version.
    pub version: Version,
}

/// A well-formed request.
#[derive(Debug)]
pub struct Request {
    head: Head,
    asked: Asked,
}

impl Request {
    /// Judges what all requests have to keep to, whatever they ask for.
    ///
    /// # Errors
    /// The first of the rules that the head breaks.
    pub fn new(head: Head) -> Result<Self, Refused> {
        handshake::check_host(&head)?;
        let announces = handshake::has_content(&head)?;
        let wants = |option| head.lists("connection", option);
        let persistent = !announces
            && match head.version() {
                Version::Http11 => !wants(b"close"),
                Version::Http10 => wants(b"keep-alive") && !wants(b"close"),
            };
        let head_only = head.method() == Method::Head;
        let asked = Asked { head_only, persistent, version: head.version() };
        Ok(Self { head, asked })
    }

    /// What the form of the answer depends on.
    #[must_use]
    pub fn asked(&self) -> Asked {
        self.asked
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.head.method()
    }

    /// Path and query, as sent.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.head.target()
    }

    /// The path, as sent: it starts with `/`.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        path_of(self.target())
    }

    /// The values of all fields of this name (RFC 9110 §5.1: in any case), in their order.
    pub fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.head.values(name)
    }

    /// The value of the one field of this name; none if there are none or several.
    #[must_use]
    pub fn value(&self, name: &'static str) -> Option<&[u8]> {
        let mut values = self.values(name);
        let first = values.next();
        first.filter(|_| values.next().is_none())
    }
}

/// A target without its query.
pub(super) fn path_of(target: &[u8]) -> &[u8] {
    target.split(|&byte| byte == b'?').next().unwrap_or_default()
}
