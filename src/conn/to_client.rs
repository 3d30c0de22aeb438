//! Peer to client: the framing's verdict, a frame header in front, no copy of long pieces.

use super::data_frames::DataFrames;
use super::message::{Message, NotText};
use super::peer_frames::{ControlRequests, PeerFrameFault, PeerFrames};
use super::scratch::TURN_BYTES;
use crate::framing::{Framer, FramingFault, Kind, Verdict};
use crate::proto::frame::{Header, Opcode};
use crate::proto::utf8::{incomplete_tail, unfinished};
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

impl From<NotText> for PeerFault {
    fn from(NotText: NotText) -> Self {
        Self::NotText
    }
}

/// How the peer's bytes become messages.
enum Mode {
    /// A stream, cut by the framing function.
    Stream(Message),
    /// A stream of RFC 6455 §5 frames.
    Frames(PeerFrames),
    /// Datagrams, each of which ends the message that it is in.
    Datagrams,
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
            (false, false) => Mode::Stream(Message::default()),
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
        to_client: &mut impl DataFrames,
    ) -> Result<ControlRequests, PeerFault> {
        let mut requests = ControlRequests::default();
        let old = self.kept().len();
        let taken = match &mut self.mode {
            // Where all is text, the rest of a character is waited for.
            Mode::Stream(message) if framer.follows_reads() && framer.rendering().text => {
                let end = length - unfinished(&buffer[..length]);
                cut(framer, message, buffer, (old, end), to_client)?
            }
            Mode::Stream(message) if more && framer.follows_reads() => {
                let end = length - split_character(&buffer[..length]);
                cut(framer, message, buffer, (old, end), to_client)?
            }
            Mode::Stream(message) => cut(framer, message, buffer, (old, length), to_client)?,
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
    pub(super) fn no_more(&mut self, framer: &Framer, to_client: &mut impl DataFrames) {
        if framer.follows_reads() && !framer.rendering().text && !self.kept().is_empty() {
            let header = Header::whole(Opcode::Binary, self.kept().len() as u64);
            to_client.stage_frame(&header, self.kept());
            self.slot.peer_buffer().clear();
        }
    }

    /// The peer's stream has ended, or is not read on: what waits is delivered as it is, of a message
    /// that was begun as text without the character that it ends in.
    pub(super) fn end(
        &mut self,
        framer: &mut Framer,
        to_client: &mut impl DataFrames,
    ) -> Result<(), PeerFault> {
        let tail = self.slot.peer_bytes();
        let end = match &mut self.mode {
            Mode::Frames(frames) => frames.end(tail).map_err(PeerFault::Frames),
            Mode::Stream(message) if !tail.is_empty() || message.is_begun() => {
                let kind = (framer.tail_kind(tail), framer.rendering().text);
                let cut = if message.is_text() && !kind.1 { unfinished(tail) } else { 0 };
                let whole = &tail[..tail.len() - cut];
                let sent = message.stage(kind, whole, true, to_client);
                sent.and(if cut > 0 { Err(NotText) } else { Ok(()) }).map_err(PeerFault::from)
            }
            // Nothing of a datagram is ever kept.
            Mode::Stream(_) | Mode::Datagrams => Ok(()),
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
    message: &mut Message,
    buffer: &mut [u8],
    (old, length): (usize, usize),
    to_client: &mut impl DataFrames,
) -> Result<usize, PeerFault> {
    let mut at = 0;
    while at < length {
        let mut view = (length - at).min(framer.stream_view());
        if view < length - at && framer.follows_reads() {
            view -= split_character(&buffer[at..at + view]);
        }
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
                let held = framer.hold_back().ok_or(PeerFault::Unframed)?;
                front(framer, &buffer[at..at + view - held])
            }
            Verdict::More => break,
        };
        message.add(framer.rendering(), kind, buffer, at..at + n, last, to_client)?;
        at += n;
    }
    Ok(at)
}

/// The first part of a message that is longer: how much of it, and what it is sent as.
fn front(framer: &Framer, bytes: &[u8]) -> (usize, Kind, bool) {
    let n = bytes.len() - if framer.rendering().text { unfinished(bytes) } else { 0 };
    (n, framer.kind_of_front(&bytes[..n]), false)
}

/// The messages of one datagram, as the framing function cuts it; what is left without a boundary
/// is one, too.
fn datagram(
    framer: &mut Framer,
    buffer: &mut [u8],
    length: usize,
    to_client: &mut impl DataFrames,
) -> Result<(), PeerFault> {
    // A read that was full may have cut it: a Unix datagram can be larger than any of UDP.
    if length >= TURN_BYTES {
        return Err(PeerFault::Unframed);
    }
    // In frames of RFC 6455 a datagram says nothing that it does not say without.
    if length == 0 || framer.is_two_way_frames() {
        let opcode = if framer.rendering().text { Opcode::Text } else { Opcode::Binary };
        to_client.add_frame(&Header::whole(opcode, length as u64), buffer, 0..length);
        return Ok(());
    }
    let (mut at, mut message, rendering) = (0, Message::default(), framer.rendering());
    while at < length {
        let view = (length - at).min(framer.largest_view());
        // All of it is new, whatever was in the datagram before.
        match framer.cut(&mut buffer[at..], view, view).map_err(PeerFault::Framing)? {
            Verdict::Discard { length: n } => at += n,
            Verdict::Message { length: n, kind } => {
                message.add(rendering, kind, buffer, at..at + n, true, to_client)?;
                at += n;
            }
            Verdict::Fragment { length: n, kind } => {
                let last = at + n == length;
                message.add(rendering, kind, buffer, at..at + n, last, to_client)?;
                at += n;
            }
            Verdict::More => {
                // One call may see no more than the front of a long one.
                let held = framer.hold_back().filter(|_| view < length - at);
                if let Some(held) = held {
                    let (n, kind, last) = front(framer, &buffer[at..at + view - held]);
                    message.add(rendering, kind, buffer, at..at + n, last, to_client)?;
                    at += n;
                    continue;
                }
                let kind = framer.tail_kind(&buffer[at..length]);
                // What a function remembers of a message that it began is no part of the next one.
                if message.is_begun() {
                    framer.end();
                }
                message.stage((kind, rendering.text), &buffer[at..length], true, to_client)?;
                at = length;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(unsafe_code)] // a framing function as of a plug-in
mod tests {
    use super::super::batch::Batch;
    use super::*;
    use crate::framing;
    use crate::framing::core_register_framing;
    use crate::proto::close::CloseCode;
    use crate::proto::frame::{MAX_HEADER, Masking, decode};
    use crate::slab::Slab;
    use libc::{c_char, c_void};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use websocksy_abi::{WS_FRAME_BINARY, WS_FRAME_MORE, ws_operation};

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

    /// What the client gets of a stream by `framing`, in reads of this many bytes, as frames.
    fn rendered(framing: (&str, &str), longest: usize, stream: &[u8], size: usize) -> Vec<u8> {
        let selection = framing::check(framing.0, Some(framing.1)).unwrap();
        let mut framer = Framer::new(&selection).with_longest(longest);
        let (mut to_client, mut sent) = (to_client(false), Vec::new());
        let mut send = |batch: &Batch, lent: &[u8]| {
            batch.parts(lent).for_each(|part| sent.extend_from_slice(part));
        };
        for read in stream.chunks(size) {
            let mut batch = Batch::default();
            let mut buffer = [to_client.kept(), read, b"x"].concat();
            let length = buffer.len() - 1;
            to_client.feed(&mut framer, &mut buffer, length, false, &mut batch).unwrap();
            send(&batch, &buffer);
        }
        let mut batch = Batch::default();
        to_client.end(&mut framer, &mut batch).unwrap();
        send(&batch, &[]);
        sent
    }

    #[test]
    fn f10_text_and_strip() {
        let stream = b"caf\xc3\xa9\r\n\xe9t\xe9\r\n\r\ntail\xff";
        let expected = "\u{81}\u{5}caf\u{e9}";
        let expected = [
            &b"\x81\x05"[..],
            &expected.as_bytes()[3..],
            b"\x81\x07\xef\xbf\xbdt\xef\xbf\xbd\x81\x00\x81\x07tail\xef\xbf\xbd",
        ]
        .concat();
        for size in [1, 2, 3, 5, stream.len()] {
            let got = rendered(("newline", "text:strip:crlf"), usize::MAX, stream, size);
            assert_eq!(got, expected, "in reads of {size}");
        }
        let got = rendered(("auto", "text"), usize::MAX, b"a\xc3\xa9\xff", 2);
        assert_eq!(got, b"\x81\x01a\x81\x02\xc3\xa9\x81\x03\xef\xbf\xbd");
    }

    #[test]
    fn f08_the_longest_message() {
        let text = "\u{20ac}".repeat(100);
        let got = rendered(("auto", ""), 125, text.as_bytes(), 300);
        let frame = |n: usize| [&[0x81, n as u8][..], &text.as_bytes()[..n]].concat();
        assert_eq!(got, [frame(123), frame(123), frame(54)].concat());
        // What a read brought last goes out whole, be it text or not.
        let cut = [text.as_bytes(), b"\xc3"].concat();
        let got = rendered(("auto", ""), 125, &cut, 301);
        let last = [&b"\x82\x37"[..], &cut[246..]].concat();
        assert_eq!(got, [frame(123), frame(123), last].concat());
        let got = rendered(("binary", ""), 125, &[7; 130], 130);
        assert_eq!(got.len(), 2 + 125 + 2 + 5);
    }

    /// Every two bytes are a part of a message that goes on.
    unsafe extern "C" fn pairs(
        _: *mut u8,
        length: usize,
        _: usize,
        opcode: *mut ws_operation,
        _: *mut *mut c_void,
        _: *const c_char,
    ) -> i64 {
        // The call that ends a session has no length, and no data either.
        if length == 0 {
            EMPTY.fetch_add(1, Ordering::Relaxed);
        }
        if length < 2 {
            return 0;
        }
        // SAFETY: the caller's.
        unsafe { *opcode = WS_FRAME_BINARY | WS_FRAME_MORE };
        2
    }

    /// How often it was shown nothing.
    static EMPTY: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn a_framing_function_is_shown_something_and_a_datagrams_last_part_ends_it() {
        framing::Registry::default().within(|| {
            // SAFETY: a C string that is not written to, and a function that keeps the contract.
            let registered =
                unsafe { core_register_framing(c"pairs".as_ptr().cast_mut(), Some(pairs)) };
            assert_eq!(registered, 0);
            let mut framer = Framer::new(&framing::by_name("pairs").unwrap());
            let (mut to_client, mut batch) = (to_client(false), Batch::default());
            let mut buffer = *b"abcdefx";
            to_client.feed(&mut framer, &mut buffer, 6, false, &mut batch).unwrap();
            assert_eq!(EMPTY.load(Ordering::Relaxed), 0);
            let mut batch = Batch::default();
            datagram(&mut framer, &mut buffer, 6, &mut batch).unwrap();
            let sent: Vec<u8> = batch.parts(&buffer).flatten().copied().collect();
            assert_eq!(sent, b"\x02\x02ab\x00\x02cd\x80\x02ef");
        });
    }

    /// Every two bytes are a message; it notes what is new of what it is shown, and that it was ended.
    unsafe extern "C" fn noting(
        data: *mut u8,
        length: usize,
        last_read: usize,
        opcode: *mut ws_operation,
        remembered: *mut *mut c_void,
        _: *const c_char,
    ) -> i64 {
        NOTED.lock().unwrap().push((!data.is_null()).then_some(last_read));
        // SAFETY: the caller's; nobody follows what is remembered.
        unsafe { (*opcode, *remembered) = (WS_FRAME_BINARY, remembered.cast()) };
        if length < 2 { 0 } else { 2 }
    }

    /// The sizes of the last read that it was told of; none for the call that ends it.
    static NOTED: Mutex<Vec<Option<usize>>> = Mutex::new(Vec::new());

    #[test]
    fn a_framing_function_is_told_what_is_new_and_ended_once() {
        framing::Registry::default().within(|| {
            // SAFETY: a C string that is not written to, and a function that keeps the contract.
            let registered =
                unsafe { core_register_framing(c"noting".as_ptr().cast_mut(), Some(noting)) };
            assert_eq!(registered, 0);
            let mut framer = Framer::new(&framing::by_name("noting").unwrap());
            let mut to_client = to_client(false);
            for read in [&b"abc"[..], b"de"] {
                let mut buffer = [to_client.kept(), read, b"x"].concat();
                let (length, mut batch) = (buffer.len() - 1, Batch::default());
                to_client.feed(&mut framer, &mut buffer, length, false, &mut batch).unwrap();
            }
            let noted = || std::mem::take(&mut *NOTED.lock().unwrap());
            assert_eq!(noted(), [Some(3), Some(1), Some(2), Some(1)]);
            framer.end();
            assert_eq!(noted(), [None]);
            drop(framer);
            assert_eq!(noted(), []);
        });
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

    #[test]
    fn a_message_that_was_begun_is_ended_with_its_stream() {
        let mut framer = Framer::new(&framing::by_name("binary").unwrap());
        let (mut to_client, mut batch) = (to_client(false), Batch::default());
        let Mode::Stream(message) = &mut to_client.mode else { panic!("no stream") };
        let rendering = framer.rendering();
        message.add(rendering, Kind::Binary, b"abc", 0..3, false, &mut batch).unwrap();
        to_client.end(&mut framer, &mut batch).unwrap();
        let sent: Vec<u8> = batch.parts(b"abc").flatten().copied().collect();
        assert_eq!(sent, b"\x02\x03abc\x80\x00");
    }

    #[test]
    fn a_datagram_is_a_message_however_long() {
        let mut framer = Framer::new(&framing::check("newline", Some("lf")).unwrap());
        let longest = framer.largest_view();
        let line = [vec![b'a'; longest + 1000], b"\n".to_vec()].concat();
        let rest = vec![b'b'; 2 * longest];
        let mut buffer = [&line[..], &rest[..], b"x"].concat();
        let (length, mut batch) = (buffer.len() - 1, Batch::default());
        datagram(&mut framer, &mut buffer, length, &mut batch).unwrap();
        let sent: Vec<u8> = batch.parts(&buffer).flatten().copied().collect();
        let (mut messages, mut at) = (vec![Vec::new()], 0);
        while let Some((header, n)) = decode(&sent[at..], Masking::Forbidden).unwrap() {
            let payload = &sent[at + n..at + n + header.length as usize];
            messages.last_mut().unwrap().extend_from_slice(payload);
            if header.fin {
                messages.push(Vec::new());
            }
            at += n + header.length as usize;
        }
        assert_eq!(at, sent.len());
        assert!(messages == [line, rest, vec![]]);
    }

    #[test]
    fn a_frame_that_can_be_kept_goes_out_whole() {
        let longest = PEER_BUFFER_SIZE - MAX_HEADER;
        for (length, whole) in [(longest, true), (longest + 1, false)] {
            let mut framer = Framer::new(&framing::by_name("rfc6455").unwrap());
            let (mut to_client, mut batch) = (to_client(true), Batch::default());
            let header = Header::whole(Opcode::Binary, length as u64).encode();
            let mut buffer = [header.as_slice(), &vec![7; length - 1], b"x"].concat();
            let read = buffer.len() - 1;
            to_client.feed(&mut framer, &mut buffer, read, false, &mut batch).unwrap();
            assert_eq!(batch.is_empty(), whole, "{length} bytes");
            let (mut to_client, mut batch) = (self::to_client(true), Batch::default());
            let mut buffer = [header.as_slice(), b"x"].concat();
            let read = buffer.len() - 1;
            to_client.feed(&mut framer, &mut buffer, read, false, &mut batch).unwrap();
            assert!(batch.is_empty(), "nothing of it is there");
        }
    }
}
