//! `dynamic32`: messages that say their own length in a 32-bit field.

#![forbid(unsafe_code)]

mod options;

use options::{FIELD, Options};
use websocksy_plugin::{
    Encoder, Envelope, Framing, Message, PEER_BUFFER_SIZE, Verdict, export_framing,
};

/// Cuts binary messages of `offset + 4 + static + size` bytes, the field with the size and all
/// that is before it included; with `add=yes` puts such a field before what goes to the peer.
#[derive(Debug)]
pub struct Dynamic32(Options);

impl Dynamic32 {
    /// The bytes of a message whose field says `size`; none when it ends before its field does, or
    /// would never fit into the buffer.
    fn total(&self, size: u32) -> Option<usize> {
        let header = self.0.offset + FIELD;
        // No sum of these types leaves an i64.
        let total = header as i64 + i64::from(self.0.fixed) + i64::from(size);
        usize::try_from(total).ok().filter(|total| (header..=PEER_BUFFER_SIZE).contains(total))
    }
}

impl Framing for Dynamic32 {
    fn new(config: Option<&str>) -> Result<Self, String> {
        config.unwrap_or_default().parse().map(Self)
    }

    fn cut(&mut self, data: &mut [u8], _fresh: usize) -> Verdict {
        let field = data.get(self.0.offset..).and_then(|rest| rest.first_chunk());
        let Some(&field) = field else { return Verdict::More };
        match self.total(self.0.endian.size(field)) {
            None => Verdict::Fault,
            Some(total) if data.len() < total => Verdict::More,
            Some(total) => Verdict::Binary(total),
        }
    }
}

impl Encoder for Dynamic32 {
    const NEEDS_LENGTH: bool = true;

    fn new(config: Option<&str>) -> Result<Option<Self>, String> {
        let options: Options = config.unwrap_or_default().parse()?;
        Ok(options.add.then_some(Self(options)))
    }

    fn envelope(&self, message: &Message) -> Result<Envelope, String> {
        // What a reader with the same options takes for a message of this length.
        let size = i128::from(message.length) - i128::from(self.0.fixed);
        let size = u32::try_from(size)
            .map_err(|_| format!("no field says {size}, for {} bytes", message.length))?;
        Envelope::new(&self.0.endian.field(size), b"")
    }
}

export_framing!("dynamic32", Dynamic32, Dynamic32);

#[cfg(test)]
mod tests;
