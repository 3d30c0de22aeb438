//! Framing functions: when is a peer's stream a message, and what goes around a message to it?

use websocksy_abi::ws_envelope;

/// Cuts the stream of one peer into messages. There is one value for each session.
///
/// Everything here runs on the daemon's loop: it must not block, and its time is everybody's.
pub trait Framing: Sized {
    /// The state of a session, before its first byte.
    ///
    /// # Errors
    /// Why the configuration is refused; it is logged, and the session ends with 1011.
    fn new(config: Option<&str>) -> Result<Self, String>;

    /// Looks at what the peer sent and was not cut off yet, at most
    /// [`PEER_BUFFER_SIZE`](crate::PEER_BUFFER_SIZE) bytes of which the last `fresh` came with the
    /// last read, and says what to do with its start.
    ///
    /// It is called after each read, and again after each cut while bytes are left. After
    /// [`Verdict::More`] the next view starts with the same bytes, so that a scanner may go on
    /// where it stopped; after a cut of n bytes the next view starts n bytes later. It may change
    /// the bytes. A view that is full and gets no cut ends the session with 1009.
    fn cut(&mut self, data: &mut [u8], fresh: usize) -> Verdict;
}

/// What to do with the first bytes of a peer's stream. A cut is of one byte or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No message is complete: ask again when the peer has sent more.
    More,
    /// As [`Verdict::More`], and what waits is a text message if the stream ends behind it.
    MoreText,
    /// The first so many bytes are a text message; they must be UTF-8 (RFC 6455 §5.6).
    Text(usize),
    /// The first so many bytes are a binary message.
    Binary(usize),
    /// The first so many bytes are the next part of a text message that goes on: they are sent at
    /// once, as a fragment (RFC 6455 §5.4), and the next cut belongs to the same message. So a
    /// message may be longer than a view. The first part says whether the message is text.
    TextPart(usize),
    /// The first so many bytes are the next part of a binary message that goes on.
    BinaryPart(usize),
    /// The first so many bytes are dropped.
    Discard(usize),
    /// The stream makes no sense: the session ends with 1011.
    Fault,
}

/// The way to the peer: what goes around each message of the client.
///
/// A value is made for each message, from the configuration alone: keep [`Encoder::new`] cheap.
pub trait Encoder: Sized {
    /// Whether the envelope depends on [`Message::length`]. If so, the message is kept until it is
    /// complete; if not, it goes to the peer as it arrives.
    const NEEDS_LENGTH: bool;

    /// Reads the configuration, the same that [`Framing::new`] gets; `Ok(None)` when messages go
    /// to the peer as they are.
    ///
    /// # Errors
    /// Why the configuration is refused; it is logged, and the client is answered 500.
    fn new(config: Option<&str>) -> Result<Option<Self>, String>;

    /// What goes around a message.
    ///
    /// # Errors
    /// Why this message cannot be sent; it is logged, and the session ends with 1011.
    fn envelope(&self, message: &Message) -> Result<Envelope, String>;
}

/// A message of the client, on its way to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Bytes of its payload; means nothing unless [`Encoder::NEEDS_LENGTH`].
    pub length: u64,
    /// Whether the client sent it as text.
    pub text: bool,
}

/// What goes to the peer before and after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope(ws_envelope);

impl Envelope {
    /// An envelope of at most 16 bytes before and at most 64 bytes after the message.
    ///
    /// # Errors
    /// Either of them is longer.
    pub fn new(prefix: &[u8], suffix: &[u8]) -> Result<Self, String> {
        Ok(Self(ws_envelope {
            prefix_length: prefix.len(),
            prefix: padded(prefix)?,
            suffix_length: suffix.len(),
            suffix: padded(suffix)?,
        }))
    }

    /// The envelope as the core takes it.
    pub(crate) fn into_c(self) -> ws_envelope {
        self.0
    }
}

/// The bytes, and zeros up to the room there is.
fn padded<const ROOM: usize>(bytes: &[u8]) -> Result<[u8; ROOM], String> {
    let mut room = [0; ROOM];
    let used = room.get_mut(..bytes.len());
    used.ok_or_else(|| format!("{} bytes for {ROOM} of an envelope", bytes.len()))?
        .copy_from_slice(bytes);
    Ok(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_has_room_for_16_and_64_bytes() {
        for (prefix, suffix, fits) in [
            (0, 0, true),
            (16, 64, true),
            (17, 0, false),
            (0, 65, false),
            (usize::from(u16::MAX), 0, false),
        ] {
            let envelope = Envelope::new(&vec![1; prefix], &vec![2; suffix]);
            assert_eq!(envelope.is_ok(), fits, "{prefix} {suffix}");
            if let Ok(Envelope(c)) = envelope {
                assert_eq!((c.prefix_length, c.suffix_length), (prefix, suffix));
                assert!(c.prefix[..prefix].iter().all(|&byte| byte == 1));
                assert!(c.suffix[..suffix].iter().all(|&byte| byte == 2));
            }
        }
    }
}
