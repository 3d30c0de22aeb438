//! What a framing function says, and how it may break the contract.

use std::fmt;
use websocksy_abi::ws_operation;
use websocksy_abi::{WS_FRAME_BINARY, WS_FRAME_DISCARD, WS_FRAME_MORE, WS_FRAME_TEXT};

/// What a framing function says of the front of a message.
const WS_FRAME_TEXT_MORE: ws_operation = WS_FRAME_TEXT | WS_FRAME_MORE;
const WS_FRAME_BINARY_MORE: ws_operation = WS_FRAME_BINARY | WS_FRAME_MORE;

/// What a message is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text message: valid UTF-8, as far as the framing function can tell.
    Text,
    /// A binary message.
    Binary,
}

impl Kind {
    /// Text for valid UTF-8, binary for everything else.
    pub fn of(bytes: &[u8]) -> Self {
        if simdutf8::basic::from_utf8(bytes).is_ok() { Self::Text } else { Self::Binary }
    }

    pub(super) fn opcode(self) -> ws_operation {
        match self {
            Self::Text => WS_FRAME_TEXT,
            Self::Binary => WS_FRAME_BINARY,
        }
    }
}

/// What a framing function says about the bytes that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No message ends in them yet.
    More,
    /// The first `length` bytes, at least one, are a message.
    Message {
        /// Bytes of the message, at most as many as wait.
        length: usize,
        /// What it is sent as.
        kind: Kind,
    },
    /// The first `length` bytes, at least one, are a part of a message that goes on.
    Fragment {
        /// Bytes of the part, at most as many as wait.
        length: usize,
        /// What the message is sent as, if this is its first part.
        kind: Kind,
    },
    /// The first `length` bytes, at least one, go nowhere.
    Discard {
        /// Bytes to drop, at most as many as wait.
        length: usize,
    },
}

impl Verdict {
    /// The contract of [`websocksy_abi::ws_framing`], checked: any integer may come back.
    pub(super) fn checked(
        returned: i64,
        opcode: ws_operation,
        waiting: usize,
    ) -> Result<Self, Cause> {
        if returned < 0 {
            return Err(Cause::Negative(returned));
        }
        let Some(length) = usize::try_from(returned).ok().filter(|length| *length <= waiting)
        else {
            return Err(Cause::TooLong { returned, length: waiting });
        };
        match opcode {
            _ if length == 0 => Ok(Self::More),
            WS_FRAME_TEXT => Ok(Self::Message { length, kind: Kind::Text }),
            WS_FRAME_BINARY => Ok(Self::Message { length, kind: Kind::Binary }),
            WS_FRAME_DISCARD => Ok(Self::Discard { length }),
            WS_FRAME_TEXT_MORE => Ok(Self::Fragment { length, kind: Kind::Text }),
            WS_FRAME_BINARY_MORE => Ok(Self::Fragment { length, kind: Kind::Binary }),
            _ => Err(Cause::Opcode(opcode)),
        }
    }
}

/// A framing function broke the contract: the plug-in's fault, close code 1011.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramingFault {
    /// The function's name, or where it is if it has none.
    pub framing: String,
    /// What it did.
    pub cause: Cause,
}

/// How a framing function or an encoder broke the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// More bytes than wait.
    TooLong {
        /// What it returned.
        returned: i64,
        /// How many bytes wait.
        length: usize,
    },
    /// Less than none.
    Negative(i64),
    /// An opcode that is neither text, binary nor discard.
    Opcode(ws_operation),
    /// The encoder returned none of the `WS_ENVELOPE_*` values.
    Mode(libc::c_int),
    /// The encoder filled in more than an envelope holds.
    Envelope {
        /// What it says of the prefix.
        prefix: usize,
        /// What it says of the suffix.
        suffix: usize,
    },
}

impl fmt::Display for FramingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "framing {} ", self.framing)?;
        match self.cause {
            Cause::TooLong { returned, length } => {
                write!(f, "returned {returned} for {length} bytes")
            }
            Cause::Negative(returned) => write!(f, "can make nothing of it (returned {returned})"),
            Cause::Opcode(opcode) => write!(f, "set opcode {opcode:#x}"),
            Cause::Mode(mode) => write!(f, "has an encoder that returned {mode}"),
            Cause::Envelope { prefix, suffix } => {
                write!(f, "has an encoder that put {prefix} bytes before and {suffix} after")
            }
        }
    }
}

impl std::error::Error for FramingFault {}
