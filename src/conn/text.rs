//! Text messages are UTF-8, in pieces or whole (RFC 6455 §8.1).

use crate::proto::frame::FrameError;
use crate::proto::utf8::Validator;

/// The check of one direction's text messages.
#[derive(Default)]
pub(super) struct TextCheck(Validator);

impl TextCheck {
    /// The next piece of a text message, wrong at its first wrong byte; `last` ends the message,
    /// which must not be inside a code point.
    pub(super) fn piece(&mut self, piece: &[u8], last: bool) -> Result<(), FrameError> {
        self.0.feed(piece).map_err(|_| FrameError::NotUtf8)?;
        if last && !std::mem::take(&mut self.0).is_complete() {
            return Err(FrameError::NotUtf8);
        }
        Ok(())
    }
}
