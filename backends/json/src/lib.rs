//! `json`: one text message for each JSON value (RFC 8259).

#![forbid(unsafe_code)]

mod scanner;

use scanner::{Scanner, Step, is_blank};
use websocksy_plugin::{Framing, PEER_BUFFER_SIZE, Verdict, export_framing};

/// Cuts a stream of JSON values; each byte is looked at once, however the stream arrives.
#[derive(Debug, Default)]
pub struct Json {
    scanner: Scanner,
    /// Bytes of the next view that the scanner has seen.
    scanned: usize,
    /// The value is longer than a view, and its first parts went out.
    begun: bool,
}

impl Framing for Json {
    fn new(config: Option<&str>) -> Result<Self, String> {
        match config {
            None | Some("") => Ok(Self::default()),
            Some(config) => Err(format!("json takes no configuration, not {config:?}")),
        }
    }

    fn cut(&mut self, data: &mut [u8], fresh: usize) -> Verdict {
        // A datagram is all new, whatever was in the one before it.
        if fresh >= data.len() && !self.begun {
            *self = Self::default();
        }
        let blanks = data.iter().take_while(|&&byte| is_blank(byte)).count();
        if blanks > 0 && !self.begun {
            return Verdict::Discard(blanks);
        }
        while let Some(&byte) = data.get(self.scanned) {
            match self.scanner.step(byte) {
                Step::Inside => self.scanned += 1,
                Step::Last => return self.message(data, self.scanned + 1),
                Step::After => return self.message(data, self.scanned),
                Step::Error => return self.give_up(data.len()),
            }
        }
        if data.len() < PEER_BUFFER_SIZE {
            let ended = self.scanner.is_whole_number();
            return if ended { Verdict::MoreText } else { Verdict::More };
        }
        // One byte stays: the end of a number shows only behind it, and a cut takes a byte at least.
        let part = data.len() - 1;
        (self.scanned, self.begun) = (1, true);
        // A character that the end of the part cuts is complete in the next one.
        let utf8 = std::str::from_utf8(&data[..part]);
        let text = utf8.err().is_none_or(|error| error.error_len().is_none());
        if text { Verdict::TextPart(part) } else { Verdict::BinaryPart(part) }
    }
}

impl Json {
    /// A whole value: text, unless a string in it is no UTF-8 (RFC 6455 §5.6).
    fn message(&mut self, data: &[u8], length: usize) -> Verdict {
        *self = Self::default();
        match data.get(..length).map(std::str::from_utf8) {
            Some(Ok(_)) => Verdict::Text(length),
            _ => Verdict::Binary(length),
        }
    }

    /// No JSON: what waits goes out as it is, and a value may start behind it.
    fn give_up(&mut self, waiting: usize) -> Verdict {
        *self = Self::default();
        Verdict::Binary(waiting)
    }
}

export_framing!("json", Json);

#[cfg(test)]
mod tests;
