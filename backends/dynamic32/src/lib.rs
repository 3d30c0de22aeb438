//! `dynamic32`: messages that say their own length in a 32-bit field.

#![forbid(unsafe_code)]

mod options;

use options::{FIELD, Options};
use websocksy_plugin::{
    Encoder, Envelope, Framing, Message, PEER_BUFFER_SIZE, Verdict, export_framing, warn,
};

/// The longest message: a field that says more belongs to no stream of messages.
const LONGEST: u64 = 1 << 30;

/// Cuts binary messages of `offset + 4 + static + size` bytes, the field with the size and all
/// that is before it included; with `add=yes` puts such a field before what goes to the peer.
/// A message longer than a view goes in parts.
#[derive(Debug)]
pub struct Dynamic32 {
    options: Options,
    /// How many bytes the message lacks whose first parts went out.
    left: u64,
}

impl Dynamic32 {
    fn new(options: Options) -> Self {
        Self { options, left: 0 }
    }

    /// The bytes of a message whose field says `size`; none when it ends before its field does, or is longer
    /// than any.
    fn total(&self, size: u32) -> Option<u64> {
        let header = self.options.offset + FIELD;
        // No sum of these types leaves an i64.
        let total = header as i64 + i64::from(self.options.fixed) + i64::from(size);
        u64::try_from(total).ok().filter(|total| (header as u64..=LONGEST).contains(total))
    }

    /// What to do with a view of a message that lacks `left` bytes.
    fn part(&mut self, left: u64, view: usize) -> Verdict {
        self.left = left.saturating_sub(view as u64);
        match usize::try_from(left) {
            Ok(left) if left <= view => Verdict::Binary(left),
            _ => Verdict::BinaryPart(view),
        }
    }
}

impl Framing for Dynamic32 {
    fn new(config: Option<&str>) -> Result<Self, String> {
        config.unwrap_or_default().parse().map(Self::new)
    }

    fn cut(&mut self, data: &mut [u8], _fresh: usize) -> Verdict {
        let view = data.len();
        if self.left > 0 {
            let ends = self.left <= view as u64;
            return if ends || view == PEER_BUFFER_SIZE {
                self.part(self.left, view)
            } else {
                Verdict::More
            };
        }
        let field = data.get(self.options.offset..).and_then(|rest| rest.first_chunk());
        let Some(&field) = field else { return Verdict::More };
        let size = self.options.endian.size(field);
        match self.total(size) {
            None => {
                let fixed = self.options.fixed;
                warn(&format!(
                    "dynamic32: the peer's length field {size:#x}, with static={fixed}, is no length of \
                     a message: it ends behind the field, and has at most {LONGEST} bytes"
                ));
                Verdict::Fault
            }
            Some(total) if (view as u64) < total && view < PEER_BUFFER_SIZE => Verdict::More,
            Some(total) => self.part(total, view),
        }
    }
}

impl Encoder for Dynamic32 {
    const NEEDS_LENGTH: bool = true;

    fn new(config: Option<&str>) -> Result<Option<Self>, String> {
        let options: Options = config.unwrap_or_default().parse()?;
        Ok(options.add.then(|| Self::new(options)))
    }

    fn envelope(&self, message: &Message) -> Result<Envelope, String> {
        // What a reader with the same options takes for a message of this length.
        let size = i128::from(message.length) - i128::from(self.options.fixed);
        let size = u32::try_from(size)
            .map_err(|_| format!("no field says {size}, for {} bytes", message.length))?;
        Envelope::new(&self.options.endian.field(size), b"")
    }
}

export_framing!("dynamic32", Dynamic32, Dynamic32);

#[cfg(test)]
mod tests;
