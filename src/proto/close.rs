//! Close codes and the payload of a close frame, RFC 6455 §5.5.1 and §7.4.

use std::fmt;

use super::frame::{FrameError, Inline, MAX_CONTROL};

/// Why a connection ends, RFC 6455 §7.4: always one that may stand in a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint goes down.
    pub const GOING_AWAY: Self = Self(1001);
    /// The other side broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A type of data that the endpoint cannot take.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Data not consistent with the type: text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A message against the endpoint's policy.
    pub const POLICY: Self = Self(1008);
    /// A message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// A server met what it did not expect.
    pub const UNEXPECTED: Self = Self(1011);
    /// The service restarts: who is told may come back, at some time of its own choice (registered with
    /// IANA, as are those up to 3008).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// Try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// A server behind this one cannot be reached.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// It must be known who the client is.
    pub const UNAUTHORIZED: Self = Self(3000);
    /// The client may not.
    pub const FORBIDDEN: Self = Self(3003);
    /// Something took too long.
    pub const TIMEOUT: Self = Self(3008);
    /// There is no peer for the client: ours (RFC 6455 §7.4.2).
    pub const NOT_FOUND: Self = Self(4404);

    /// `code`, if it may stand in a close frame.
    pub const fn new(code: u16) -> Option<Self> {
        if Self::may_be_sent(code) { Some(Self(code)) } else { None }
    }

    /// Whether `code` may stand in a close frame.
    ///
    /// §7.4.1 reserves 1004 and keeps 1005, 1006 and 1015 off the wire, §7.4.2 leaves 3000 to 4999
    /// to libraries and applications; 1012 to 1014 were registered with IANA since.
    pub const fn may_be_sent(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FrameError {
    /// The code to fail the connection with, RFC 6455 §7.4.1.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::NotUtf8 | Self::NotDeflate => CloseCode::INVALID_DATA,
            Self::ReservedBits
            | Self::ReservedOpcode(_)
            | Self::FragmentedControl
            | Self::LongControl
            | Self::Unmasked
            | Self::Masked
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::NothingToContinue
            | Self::MessageUnfinished
            | Self::CloseOfOneByte
            | Self::BadCloseCode(_) => CloseCode::PROTOCOL,
        }
    }
}

/// The payload of a close frame.
pub type ClosePayload = Inline<MAX_CONTROL>;

/// Reads the payload of a close frame received, unmasked, RFC 6455 §5.5.1: the code and the
/// reason, or `None` if it gives neither.
pub fn parse(payload: &[u8]) -> Result<Option<(CloseCode, &str)>, FrameError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (&code, reason) = payload.split_first_chunk().ok_or(FrameError::CloseOfOneByte)?;
    let code = u16::from_be_bytes(code);
    let code = CloseCode::new(code).ok_or(FrameError::BadCloseCode(code))?;
    let reason = simdutf8::basic::from_utf8(reason).map_err(|_| FrameError::NotUtf8)?;
    Ok(Some((code, reason)))
}

/// The payload of a close frame to send, RFC 6455 §5.5.1; a reason that does not fit is cut
/// between two characters.
pub fn payload(code: CloseCode, reason: &str) -> ClosePayload {
    let mut out = ClosePayload::of(code.0.to_be_bytes());
    let room = reason.len().min(MAX_CONTROL - 2);
    let fitting = (0..=room).rev().find_map(|end| reason.get(..end)).unwrap_or_default();
    out.push(fitting.as_bytes());
    out
}

#[cfg(test)]
mod tests;
