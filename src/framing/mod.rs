//! When is a peer's stream a message?
//!
//! A framing function answers: C plug-ins and our own alike are `ws_framing` functions, found by
//! name in one registry. A [`Framer`] is the function as one session uses it.
//!
//! | name | a message is | kind |
//! |---|---|---|
//! | `auto` | whatever one read brought | text when valid UTF-8 |
//! | `binary` | whatever one read brought | binary |
//! | `separator` | what ends in the configured bytes, these included | binary |
//! | `newline` | a line, its end included | text when valid UTF-8 |
//! | `rfc6455` | one that the peer frames by RFC 6455 §5, unmasked; the core does it | as framed |

mod builtin;
mod busy;
mod call;
mod config_fault;
mod delimiter;
mod export;
mod registry;
mod rendering;
mod scope;
mod selection;
mod verdict;

pub use busy::{NAME, watch, watched};
pub use call::{Envelope, EnvelopeMode};
pub use config_fault::ConfigFault;
pub use registry::{
    BUNDLED, builtins, core_framing, core_register_encoder, core_register_framing, xstr_lower,
};
pub use rendering::Rendering;
pub use scope::{Registrations, Registry};
pub use selection::{Selection, by_name, check};
pub use verdict::{Cause, FramingFault, Kind, Verdict};

use crate::proto::utf8::incomplete_tail;
use call::Call;
use delimiter::LONGEST;
use registry::Traits;
use std::fmt;
use websocksy_abi::{PEER_BUFFER_SIZE, WS_FRAME_TEXT};

/// A framing as chosen for one session: the function, its configuration and what it remembers.
///
/// Dropping it, or [`Framer::end`], makes the one call with null `data` that frees what the
/// function remembers, if it remembers anything.
pub struct Framer {
    call: Call,
    traits: Traits,
    rendering: Rendering,
    /// The longest message, where a message is what a read brought.
    longest: u32,
    /// What waits would be a text message if nothing followed, as the function said last.
    waits_as_text: bool,
}

impl Framer {
    /// The framing for a new session.
    pub fn new(selection: &Selection) -> Self {
        let (traits, rendering) = (selection.known().traits(), selection.rendering());
        Self {
            call: Call::new(selection),
            traits,
            rendering,
            longest: u32::MAX,
            waits_as_text: false,
        }
    }

    /// The name that it was chosen by.
    pub fn name(&self) -> String {
        self.call.name()
    }

    /// With messages of at most `bytes` where a message is what a read brought.
    #[must_use]
    pub fn with_longest(self, bytes: usize) -> Self {
        Self { longest: u32::try_from(bytes).unwrap_or(u32::MAX), ..self }
    }

    /// Asks for the next message in `buffer[..length]`, of which the last `fresh` bytes are new.
    ///
    /// The function may write into these bytes. `buffer[length]` is zero while it runs and is
    /// restored after it.
    ///
    /// # Errors
    /// What the function returned breaks the contract; it must not be called again.
    ///
    /// # Panics
    /// `buffer[length]` does not exist.
    pub fn cut(
        &mut self,
        buffer: &mut [u8],
        length: usize,
        fresh: usize,
    ) -> Result<Verdict, FramingFault> {
        let (returned, opcode) = self.call.cut(&mut buffer[..=length], fresh.min(length));
        self.waits_as_text = returned == 0 && opcode == WS_FRAME_TEXT;
        Verdict::checked(returned, opcode, length).map_err(|cause| self.fault(cause))
    }

    /// The most bytes that one call is shown: the ABI's buffer, for plug-ins may have one of that
    /// size themselves, and whether a message is too long must not depend on how reads cut it; any
    /// number where a message is what a read brought.
    pub fn largest_view(&self) -> usize {
        if self.traits.any_length { usize::MAX } else { PEER_BUFFER_SIZE }
    }

    /// How many bytes at the end of a full buffer without a message may be the beginning of what
    /// ends it; all before them can go as a fragment. None when the function says so by itself.
    pub fn hold_back(&self) -> Option<usize> {
        self.traits.fragments.then_some(LONGEST - 1)
    }

    /// What a message is sent as of which these are the first bytes, and not all.
    pub fn kind_of_front(&self, front: &[u8]) -> Kind {
        let text = self.traits.text && incomplete_tail(front).is_some();
        if text { Kind::Text } else { Kind::Binary }
    }

    /// What the last bytes of a stream are sent as when the function found no message in them.
    pub fn tail_kind(&self, tail: &[u8]) -> Kind {
        if self.traits.text || self.waits_as_text { Kind::of(tail) } else { Kind::Binary }
    }

    /// Whether a message ends where a read did, so that a read which cut a character in two had
    /// better wait for the rest of it.
    pub fn follows_reads(&self) -> bool {
        self.traits.auto
    }

    /// The most bytes of a stream that one call is shown.
    pub fn stream_view(&self) -> usize {
        self.largest_view().min(if self.traits.any_length {
            self.longest as usize
        } else {
            usize::MAX
        })
    }

    /// What becomes of a message beside being cut.
    pub fn rendering(&self) -> Rendering {
        self.rendering
    }

    /// Whether the peer speaks RFC 6455 frames both ways, which the core does without this type.
    pub fn is_two_way_frames(&self) -> bool {
        self.traits.frames
    }

    /// Whether messages to the peer get an envelope, and when it can be made.
    ///
    /// # Errors
    /// The encoder returned none of the modes.
    pub fn envelope_mode(&self) -> Result<EnvelopeMode, FramingFault> {
        let Some(encoder) = self.traits.encoder else { return Ok(EnvelopeMode::None) };
        self.call.envelope_mode(encoder).map_err(|cause| self.fault(cause))
    }

    /// What goes to the peer around a message of `length` bytes.
    ///
    /// # Errors
    /// The encoder broke the contract.
    pub fn envelope(&self, length: u64, kind: Kind) -> Result<Envelope, FramingFault> {
        let Some(encoder) = self.traits.encoder else { return Ok(Envelope::default()) };
        self.call.envelope(encoder, length, kind).map_err(|cause| self.fault(cause))
    }

    /// Lets the function free what it remembers; a second call does nothing.
    pub fn end(&mut self) {
        self.call.end();
    }

    fn fault(&self, cause: Cause) -> FramingFault {
        FramingFault { framing: self.call.known().name(), cause }
    }
}

impl fmt::Debug for Framer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Framer").field(&self.call.known().name()).finish()
    }
}

#[cfg(test)]
mod tests;
