//! Peer to client: the framing's verdict, a frame header in front, no copy of long pieces.

use super::batch::Batch;
use super::frames::{PeerFault, PeerFrames};
use crate::abi::PEER_BUFFER_SIZE;
use crate::framing::{Fault as FramingFault, Framer, Kind, Verdict};
use crate::proto::frame::{CloseCode, Header, Opcode};

/// Why the peer's bytes are not forwarded any more.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The framing function answered what it must not.
    Framing(FramingFault),
    /// The peer's buffer is full and the framing function found no message in it.
    Unframed,
    /// The peer broke the two-way framing.
    Frames(PeerFault),
}

/// How the peer's bytes become messages.
enum Mode {
    /// A stream, cut by the framing function.
    Stream,
    /// A stream of RFC 6455 §5 frames.
    Frames(PeerFrames),
    /// Each read is a message; the framing function only says of which type.
    Datagrams,
}

/// The way from one peer to its client.
pub(super) struct Outbound {
    mode: Mode,
    /// Bytes that wait for a verdict, at most [`PEER_BUFFER_SIZE`]; no memory while empty.
    kept: Vec<u8>,
}

/// What the peer asked of the bridge itself in a two-way framing.
#[derive(Default)]
pub(super) struct Asked {
    /// It sent a close frame.
    pub(super) close: Option<CloseCode>,
    /// It sent a ping with this payload.
    pub(super) ping: Option<Vec<u8>>,
}

impl Outbound {
    pub(super) fn new(two_way_frames: bool, datagrams: bool) -> Self {
        let mode = match (datagrams, two_way_frames) {
            (true, _) => Mode::Datagrams,
            (false, true) => Mode::Frames(PeerFrames::new()),
            (false, false) => Mode::Stream,
        };
        Self { mode, kept: Vec::new() }
    }

    /// Bytes that wait for the rest of their message.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Takes the peer's next bytes. `buffer[..length]` is what [`kept`](Self::kept) held and,
    /// behind it, what was read; one more byte of `buffer` is there for the C contract's zero.
    pub(super) fn feed(
        &mut self,
        framer: &mut Framer,
        buffer: &mut [u8],
        length: usize,
        to_client: &mut Batch,
    ) -> Result<Asked, Fault> {
        let mut asked = Asked::default();
        let taken = match &mut self.mode {
            Mode::Stream => cut(framer, buffer, self.kept.len(), length, to_client)?,
            Mode::Frames(frames) => {
                frames.feed(&buffer[..length], to_client, &mut asked).map_err(Fault::Frames)?
            }
            Mode::Datagrams => {
                datagram(framer, buffer, length, to_client)?;
                length
            }
        };
        self.keep(&buffer[taken..length]);
        Ok(asked)
    }

    /// The peer's stream has ended: what waits is delivered as it is.
    pub(super) fn end(&mut self, framer: &mut Framer, to_client: &mut Batch) -> Result<(), Fault> {
        let tail = std::mem::take(&mut self.kept);
        match &self.mode {
            Mode::Frames(frames) => frames.end(&tail).map_err(Fault::Frames),
            _ if tail.is_empty() => Ok(()),
            _ => {
                let opcode = opcode(framer.tail_kind(&tail));
                super::batch::stage_frame(to_client, opcode, &tail);
                Ok(())
            }
        }
    }

    fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.kept = Vec::new();
            return;
        }
        self.kept.clear();
        self.kept.reserve_exact(PEER_BUFFER_SIZE);
        self.kept.extend_from_slice(rest);
    }
}

/// Cuts `buffer[..length]`, of which the first `old` bytes were there before, into messages;
/// returns how many bytes these took.
fn cut(
    framer: &mut Framer,
    buffer: &mut [u8],
    old: usize,
    length: usize,
    to_client: &mut Batch,
) -> Result<usize, Fault> {
    let mut at = 0;
    while at < length {
        let view = (length - at).min(framer.largest_view());
        let fresh = at + view - at.max(old).min(at + view);
        match framer.cut(&mut buffer[at..], view, fresh).map_err(Fault::Framing)? {
            Verdict::Message { length: n, kind } => {
                message(kind, buffer, at, n, to_client);
                at += n;
            }
            Verdict::Discard { length: n } => at += n,
            Verdict::More if view >= PEER_BUFFER_SIZE => return Err(Fault::Unframed),
            Verdict::More => break,
        }
    }
    Ok(at)
}

/// One datagram is one message; the framing function says of which type, if it is one that can
/// see it whole.
fn datagram(
    framer: &mut Framer,
    buffer: &mut [u8],
    length: usize,
    to_client: &mut Batch,
) -> Result<(), Fault> {
    let verdict = if length > 0 && length <= framer.largest_view() {
        framer.cut(buffer, length, length).map_err(Fault::Framing)?
    } else {
        Verdict::More
    };
    match verdict {
        Verdict::Discard { .. } => {}
        Verdict::Message { kind, .. } => message(kind, buffer, 0, length, to_client),
        Verdict::More => message(Kind::Binary, buffer, 0, length, to_client),
    }
    Ok(())
}

fn message(kind: Kind, buffer: &[u8], at: usize, length: usize, to_client: &mut Batch) {
    to_client.stage(Header::whole(opcode(kind), length as u64).encode().as_slice());
    to_client.add(buffer, at..at + length);
}

fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
