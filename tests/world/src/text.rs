//! Whether text that comes in pieces is UTF-8, by the standard library's word.

/// The check of one direction's text messages (RFC 6455 §8.1).
#[derive(Clone, Debug, Default)]
pub struct TextCheck {
    /// A character whose rest has not come yet.
    cut: Vec<u8>,
}

impl TextCheck {
    /// Whether the next piece of a message is text; one that is `last` must not cut a character.
    pub fn piece(&mut self, piece: &[u8], last: bool) -> bool {
        self.cut.extend_from_slice(piece);
        let sound = match str::from_utf8(&self.cut) {
            Ok(_) => self.cut.len(),
            // Without a length, the error is that bytes are missing at the end.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return false,
        };
        self.cut.drain(..sound);
        !last || std::mem::take(&mut self.cut).is_empty()
    }
}
