//! Peer to client: the framing's verdict, a frame header in front, no copy of long pieces.

use std::ops::Range;

use super::batch::{Batch, stage_frame};
use super::peer_frames::{ControlRequests, PeerFrameFault, PeerFrames};
use super::scratch::TURN_BYTES;
use super::text::TextCheck;
use crate::framing::{Framer, FramingFault, Kind, Verdict};
use crate::proto::frame::{Header, Opcode};
use crate::proto::utf8::incomplete_tail;
use crate::slab::Slot;
use websocksy_abi::PEER_BUFFER_SIZE;

/// Why the peer's bytes are not forwarded any more.
#[derive(Debug, PartialEq)]
pub enum PeerFault {
    /// The framing function answered what it must not.
    Framing(FramingFault),
    /// The peer's buffer is full and the framing function found no message in it.
    Unframed,
    /// A message that was begun as text is not UTF-8.
    NotText,
    /// The peer broke the two-way framing.
    Frames(PeerFrameFault),
}

/// How the peer's bytes become messages.
enum Mode {
    /// A stream, cut by the framing function; a part of a message may be out.
    Stream(Option<Begun>),
    /// A stream of RFC 6455 §5 frames.
    Frames(PeerFrames),
    /// Datagrams, each of which ends the message that it is in.
    Datagrams,
}

/// A message of which the first fragments went out.
struct Begun {
    /// Of one that is text, the check of its bytes.
    text: Option<TextCheck>,
}

/// The way from one peer to its client.
pub(super) struct ToClient {
    mode: Mode,
    /// Its `peer_buffer` holds bytes that wait for a verdict.
    slot: Slot,
}

impl ToClient {
    pub(super) fn new(two_way_frames: bool, datagrams: bool, slot: Slot) -> Self {
        let mode = match (datagrams, two_way_frames) {
            (true, _) => Mode::Datagrams,
            (false, true) => Mode::Frames(PeerFrames::new()),
            (false, false) => Mode::Stream(None),
        };
        Self { mode, slot }
    }

    /// Bytes that wait for the rest of their message.
    pub(super) fn kept(&self) -> &[u8] {
        self.slot.peer_bytes()
    }

    /// Takes the peer's next bytes. `buffer[..length]` is what [`kept`](Self::kept) held and,
    /// behind it, what was read; one more byte of `buffer` is there for the C contract's zero.
    /// `more` says that the read was full and another one follows at once.
    pub(super) fn feed(
        &mut self,
        framer: &mut Framer,
        buffer: &mut [u8],
        length: usize,
        more: bool,
        to_client: &mut Batch,
    ) -> Result<ControlRequests, PeerFault> {
        let mut requests = ControlRequests::default();
        let old = self.kept().len();
        let taken = match &mut self.mode {
            Mode::Stream(begun) if more && framer.follows_reads() => {
                let end = length - split_character(&buffer[..length]);
                cut(framer, begun, buffer, (old, end), to_client)?
            }
            Mode::Stream(begun) => cut(framer, begun, buffer, (old, length), to_client)?,
            Mode::Frames(frames) => {
                let taken = frames.feed(&buffer[..length], to_client, &mut requests);
                let taken = taken.map_err(PeerFault::Frames)?;
                // RFC 6455 §5.5.1: nothing counts after a close frame, so nothing is kept of it.
                if requests.close.is_some() { length } else { taken }
            }
            Mode::Datagrams => {
                datagram(framer, buffer, length, to_client)?;
                length
            }
        };
        self.slot.peer_buffer().set(&buffer[taken..length]);
        Ok(requests)
    }

    /// The read that was to follow at once gave nothing: the half of a character that waited for
    /// it goes out as it is.
    pub(super) fn no_more(&mut self, framer: &Framer, to_client: &mut Batch) {
        if framer.follows_reads() && !self.kept().is_empty() {
            stage_frame(to_client, Opcode::Binary, self.kept());
            self.slot.peer_buffer().clear();
        }
    }

    /// The peer's stream has ended: what waits is delivered as it is.
    pub(super) fn end(
        &mut self,
        framer: &mut Framer,
        to_client: &mut Batch,
    ) -> Result<(), PeerFault> {
        let tail = self.slot.peer_bytes();
        let end = match &mut self.mode {
            Mode::Frames(frames) => frames.end(tail).map_err(PeerFault::Frames),
            Mode::Stream(begun @ Some(_)) => {
                header(begun, Kind::Binary, tail, true).map(|header| {
                    to_client.stage(header.encode().as_slice());
                    to_client.stage(tail);
                })
            }
            Mode::Stream(None) | Mode::Datagrams if tail.is_empty() => Ok(()),
            Mode::Stream(None) | Mode::Datagrams => {
                stage_frame(to_client, opcode(framer.tail_kind(tail)), tail);
                Ok(())
            }
        };
        self.slot.peer_buffer().clear();
        end
    }
}

/// How many bytes at the end of `text` begin a character that is not complete, if all before it is
/// text and not nothing.
fn split_character(text: &[u8]) -> usize {
    incomplete_tail(text).filter(|tail| *tail < text.len()).unwrap_or(0)
}

/// Cuts `buffer[..length]`, of which the first `old` bytes were there before, into messages;
/// returns how many bytes these took.
fn cut(
    framer: &mut Framer,
    begun: &mut Option<Begun>,
    buffer: &mut [u8],
    (old, length): (usize, usize),
    to_client: &mut Batch,
) -> Result<usize, PeerFault> {
    let mut at = 0;
    while at < length {
        let view = (length - at).min(framer.largest_view());
        let fresh = at + view - at.max(old).min(at + view);
        let verdict = framer.cut(&mut buffer[at..], view, fresh).map_err(PeerFault::Framing)?;
        let (n, kind, last) = match verdict {
            Verdict::Message { length, kind } => (length, kind, true),
            Verdict::Fragment { length, kind } => (length, kind, false),
            Verdict::Discard { length } => {
                at += length;
                continue;
            }
            // A full buffer without a message is the front of a long one.
            Verdict::More if view >= PEER_BUFFER_SIZE => {
                let n = view - framer.hold_back().ok_or(PeerFault::Unframed)?;
                (n, framer.kind_of_front(&buffer[at..at + n]), false)
            }
            Verdict::More => break,
        };
        part(begun, kind, buffer, at..at + n, last, to_client)?;
        at += n;
    }
    Ok(at)
}

/// A part of a message that lies in the turn's buffer, the `last` or not.
fn part(
    begun: &mut Option<Begun>,
    kind: Kind,
    buffer: &[u8],
    range: Range<usize>,
    last: bool,
    to_client: &mut Batch,
) -> Result<(), PeerFault> {
    let header = header(begun, kind, &buffer[range.clone()], last)?;
    to_client.stage(header.encode().as_slice());
    to_client.add(buffer, range);
    Ok(())
}

/// The header of a part of a message, which is a frame of its own (RFC 6455 §5.4).
fn header(
    begun: &mut Option<Begun>,
    kind: Kind,
    bytes: &[u8],
    last: bool,
) -> Result<Header, PeerFault> {
    if begun.is_none() && last {
        return Ok(Header::whole(opcode(kind), bytes.len() as u64));
    }
    let opcode = if begun.is_some() { Opcode::Continuation } else { opcode(kind) };
    let state =
        begun.get_or_insert_with(|| Begun { text: (kind == Kind::Text).then(TextCheck::default) });
    // A browser fails the connection over text that is not UTF-8: we blame the peer first.
    if let Some(text) = &mut state.text {
        text.piece(bytes, last).map_err(|_| PeerFault::NotText)?;
    }
    if last {
        *begun = None;
    }
    Ok(Header { fin: last, ..Header::whole(opcode, bytes.len() as u64) })
}

/// The messages of one datagram, as the framing function cuts it; what is left without a boundary
/// is one, too.
fn datagram(
    framer: &mut Framer,
    buffer: &mut [u8],
    length: usize,
    to_client: &mut Batch,
) -> Result<(), PeerFault> {
    // A read that was full may have cut it: a Unix datagram can be larger than any of UDP.
    if length >= TURN_BYTES {
        return Err(PeerFault::Unframed);
    }
    // In frames of RFC 6455 a datagram says nothing that it does not say without.
    if length == 0 || framer.is_two_way_frames() {
        return part(&mut None, Kind::Binary, buffer, 0..length, true, to_client);
    }
    let (mut at, mut begun) = (0, None);
    while at < length {
        let view = (length - at).min(framer.largest_view());
        // All of it is new, whatever was in the datagram before.
        match framer.cut(&mut buffer[at..], view, view).map_err(PeerFault::Framing)? {
            Verdict::Discard { length: n } => at += n,
            Verdict::Message { length: n, kind } => {
                part(&mut begun, kind, buffer, at..at + n, true, to_client)?;
                at += n;
            }
            Verdict::Fragment { length: n, kind } => {
                let last = at + n == length;
                part(&mut begun, kind, buffer, at..at + n, last, to_client)?;
                at += n;
            }
            Verdict::More => {
                // One call may see no more than the front of a long one.
                let held = framer.hold_back().filter(|_| view < length - at);
                if let Some(held) = held {
                    let n = view - held;
                    let kind = framer.kind_of_front(&buffer[at..at + n]);
                    part(&mut begun, kind, buffer, at..at + n, false, to_client)?;
                    at += n;
                    continue;
                }
                let kind = framer.tail_kind(&buffer[at..length]);
                // What a function remembers of a message that it began is no part of the next one.
                if begun.is_some() {
                    framer.end();
                }
                part(&mut begun, kind, buffer, at..length, true, to_client)?;
                at = length;
            }
        }
    }
    Ok(())
}

fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing;
    use crate::proto::frame::CloseCode;
    use crate::slab::Slab;

    fn to_client(two_way_frames: bool) -> ToClient {
        ToClient::new(two_way_frames, false, Slab::new(1).unwrap().claim(0).unwrap())
    }

    /// What was read, and whether the read was full.
    type Read = (&'static [u8], bool);

    /// What the client gets of these reads, and of the silence after them.
    fn auto(reads: &[Read]) -> Vec<u8> {
        let mut framer = Framer::new(&framing::by_name("auto").unwrap());
        let (mut to_client, mut sent) = (to_client(false), Vec::new());
        for (read, more) in reads {
            let mut batch = Batch::default();
            let mut buffer = [to_client.kept(), read, b"x"].concat();
            let length = buffer.len() - 1;
            to_client.feed(&mut framer, &mut buffer, length, *more, &mut batch).unwrap();
            batch.parts(&buffer).for_each(|part| sent.extend_from_slice(part));
        }
        let mut batch = Batch::default();
        to_client.no_more(&framer, &mut batch);
        batch.parts(&[]).for_each(|part| sent.extend_from_slice(part));
        sent
    }

    #[test]
    fn b04_a_full_read_does_not_cut_a_character() {
        let table: [(&[Read], &[u8]); 6] = [
            (&[(b"caf\xc3", true), (b"\xa9", false)], b"\x81\x03caf\x81\x02\xc3\xa9"),
            (&[(b"a\xf0\x9f", true), (b"\x98\x80b", true)], b"\x81\x01a\x81\x05\xf0\x9f\x98\x80b"),
            // A short read is all there is: it goes out at once, as what it is.
            (&[(b"caf\xc3", false)], b"\x82\x04caf\xc3"),
            (&[(b"caf\xc3", true)], b"\x81\x03caf\x82\x01\xc3"),
            (&[(b"caf\xc3", true), (b"!", false)], b"\x81\x03caf\x82\x02\xc3!"),
            (&[(b"\xff\xc3", true)], b"\x82\x02\xff\xc3"),
        ];
        for (reads, expected) in table {
            assert_eq!(auto(reads), expected, "{reads:?}");
        }
    }

    #[test]
    fn nothing_is_kept_of_what_follows_a_close_frame() {
        let mut framer = Framer::new(&framing::by_name("rfc6455").unwrap());
        let mut to_client = to_client(true);
        let mut buffer = [&b"\x88\x02\x03\xe8"[..], &[b'x'; 60_000]].concat();
        let length = buffer.len() - 1;
        let mut batch = Batch::default();
        let requests = to_client.feed(&mut framer, &mut buffer, length, false, &mut batch).unwrap();
        assert_eq!(requests.close, Some(CloseCode::NORMAL));
        assert!(to_client.kept().is_empty());
    }
}
