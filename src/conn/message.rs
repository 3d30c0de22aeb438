//! A message of the peer's on its way to the client: one frame, or fragments, each a frame of its
//! own (RFC 6455 §5.4).

use std::ops::Range;

use super::data_frames::DataFrames;
use super::text::TextCheck;
use crate::framing::{Kind, Rendering};
use crate::proto::frame::{Header, Opcode};

/// A message that was begun as text is not UTF-8.
#[derive(Debug)]
pub(super) struct NotText;

/// The message that goes out now, if its first fragments went out.
#[derive(Default)]
pub(super) struct Message(Option<Begun>);

struct Begun {
    /// Of one that is text, the check of its bytes.
    text: Option<TextCheck>,
}

impl Message {
    /// Whether fragments went out, and more must follow.
    pub(super) fn is_begun(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it is a text message that they began.
    pub(super) fn is_text(&self) -> bool {
        self.0.as_ref().is_some_and(|begun| begun.text.is_some())
    }

    /// A part that lies in the turn's buffer, the `last` or not, as the framing's options have it.
    pub(super) fn add(
        &mut self,
        Rendering { text, strip }: Rendering,
        kind: Kind,
        buffer: &[u8],
        range: Range<usize>,
        last: bool,
        to_client: &mut impl DataFrames,
    ) -> Result<(), NotText> {
        let end = if last { range.end - strip.min(range.len()) } else { range.end };
        let range = range.start..end;
        let bytes = &buffer[range.clone()];
        if text && Kind::of(bytes) == Kind::Binary {
            return self.stage((kind, text), bytes, last, to_client);
        }
        let kind = if text { Kind::Text } else { kind };
        to_client.add_frame(&self.header(kind, bytes, last)?, buffer, range);
        Ok(())
    }

    /// A part that lies elsewhere, or has to be made `text`.
    pub(super) fn stage(
        &mut self,
        (kind, text): (Kind, bool),
        bytes: &[u8],
        last: bool,
        to_client: &mut impl DataFrames,
    ) -> Result<(), NotText> {
        let lossy;
        let (kind, bytes) = if text {
            lossy = String::from_utf8_lossy(bytes);
            (Kind::Text, lossy.as_bytes())
        } else {
            (kind, bytes)
        };
        to_client.stage_frame(&self.header(kind, bytes, last)?, bytes);
        Ok(())
    }

    /// The header of the frame that holds `bytes`; what the message is sent as, its first part says.
    fn header(&mut self, kind: Kind, bytes: &[u8], last: bool) -> Result<Header, NotText> {
        let Self(begun) = self;
        if begun.is_none() && last {
            return Ok(Header::whole(opcode(kind), bytes.len() as u64));
        }
        let opcode = if begun.is_some() { Opcode::Continuation } else { opcode(kind) };
        let state = begun
            .get_or_insert_with(|| Begun { text: (kind == Kind::Text).then(TextCheck::default) });
        // A browser fails the connection over text that is not UTF-8: we blame the peer first.
        if let Some(text) = &mut state.text {
            text.piece(bytes, last).map_err(|_| NotText)?;
        }
        if last {
            *begun = None;
        }
        Ok(Header { fin: last, ..Header::whole(opcode, bytes.len() as u64) })
    }
}

fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
