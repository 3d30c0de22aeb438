//! The framings that need no plug-in.

use super::config_fault::ConfigFault;
use super::delimiter::{Delimiter, Search};
use super::verdict::Kind;

/// A framing of ours; [`super::export`] makes a C function of it.
pub(super) trait Framing: Sized {
    /// For one session; the configuration is empty when there is none.
    fn new(config: &[u8]) -> Result<Self, ConfigFault>;
    /// The length and kind of the first message in `waiting`, of which the last `fresh` bytes are
    /// new; 0 for none yet.
    fn cut(&mut self, waiting: &[u8], fresh: usize) -> (usize, Kind);
}

/// A framing of ours that can put an envelope around what goes to the peer.
pub(super) trait Delimited {
    /// What ends a message.
    fn delimiter(config: &[u8]) -> Result<Delimiter, ConfigFault>;
}

/// Each read is a message, text when it is valid UTF-8.
///
/// A code point that the end of a read cuts makes the message binary: to wait for its rest would
/// hold back bytes that may be meant for now.
pub(super) struct Auto;

impl Framing for Auto {
    fn new(_config: &[u8]) -> Result<Self, ConfigFault> {
        Ok(Self)
    }

    fn cut(&mut self, waiting: &[u8], _fresh: usize) -> (usize, Kind) {
        (waiting.len(), Kind::of(waiting))
    }
}

/// Each read is a binary message.
pub(super) struct Binary;

impl Framing for Binary {
    fn new(_config: &[u8]) -> Result<Self, ConfigFault> {
        Ok(Self)
    }

    fn cut(&mut self, waiting: &[u8], _fresh: usize) -> (usize, Kind) {
        (waiting.len(), Kind::Binary)
    }
}

/// Binary messages that end in the configured bytes.
pub(super) struct Separator(Search);

impl Delimited for Separator {
    fn delimiter(config: &[u8]) -> Result<Delimiter, ConfigFault> {
        Delimiter::separator(config)
    }
}

impl Framing for Separator {
    fn new(config: &[u8]) -> Result<Self, ConfigFault> {
        Ok(Self(Search::new(&Self::delimiter(config)?)))
    }

    fn cut(&mut self, waiting: &[u8], fresh: usize) -> (usize, Kind) {
        (self.0.cut(waiting, fresh), Kind::Binary)
    }
}

/// Lines; each by itself text when it is valid UTF-8.
pub(super) struct Newline(Search);

impl Delimited for Newline {
    fn delimiter(config: &[u8]) -> Result<Delimiter, ConfigFault> {
        Delimiter::newline(config)
    }
}

impl Framing for Newline {
    fn new(config: &[u8]) -> Result<Self, ConfigFault> {
        Ok(Self(Search::new(&Self::delimiter(config)?)))
    }

    fn cut(&mut self, waiting: &[u8], fresh: usize) -> (usize, Kind) {
        let length = self.0.cut(waiting, fresh);
        (length, Kind::of(&waiting[..length]))
    }
}

/// Marks a session whose peer speaks RFC 6455 §5 frames; the core reads these by itself, and no
/// session calls the function of this name.
pub(super) struct Rfc6455;

impl Framing for Rfc6455 {
    fn new(_config: &[u8]) -> Result<Self, ConfigFault> {
        Err(ConfigFault::Marker)
    }

    fn cut(&mut self, _waiting: &[u8], _fresh: usize) -> (usize, Kind) {
        (0, Kind::Binary)
    }
}
