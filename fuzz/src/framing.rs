//! Framings, each through a whole connection: the messages that a client gets of a peer's stream
//! equal those of a simple reading of it, however it is cut.

use super::script::{Script, pieces};
use super::world::{End, World};
use std::rc::Rc;
use websocksy::backend::Target;
use websocksy::config::Config;
use websocksy::framing::{self, Selection};
use websocksy_abi::PEER_BUFFER_SIZE;
use websocksy_world::frames::{CLOSE, Frame, Reader, TEXT, frame, may_close_with};
use websocksy_world::{ClientGets, PeerGets, Route, TextCheck};

/// The pattern of the longest pieces.
const WHOLE: u8 = 0xff;

/// A message: whether it is text, and its bytes.
type Sent = (bool, Vec<u8>);

/// What a client got of a session, and the code that it was closed with.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    messages: Vec<Sent>,
    /// How many of them came before the end of the stream.
    early: usize,
    code: Option<u16>,
}

/// What a framing may keep until it finds a message.
const KEPT: ClientGets = ClientGets::Bytes { late: PEER_BUFFER_SIZE };
/// What goes first of a message that does not fit: all but what may be the start of a delimiter.
const FIRST_PART: usize = PEER_BUFFER_SIZE - 63;

/// A TCP peer whose stream is framed so.
fn route(framing: Selection, client_gets: ClientGets) -> Route {
    let target = Target::Tcp { host: "h".into(), port: 1 };
    let is_two_way = client_gets == ClientGets::Frames;
    let peer_gets = if is_two_way { PeerGets::Frames } else { PeerGets::Payloads };
    Route { target, framing, peer_gets, client_gets, is_binary: false }
}

/// Gives the pieces to a session one by one, then the end of the stream.
fn play<'a>(route: &Route, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut world = World::new(&Rc::new(Config::default()), route.clone());
    world.open();
    for piece in pieces {
        world.peer_says(piece);
    }
    let early = sent(&world).messages.len();
    world.peer_ends(End::Fin);
    world.session.check_end();
    Outcome { early, ..sent(&world) }
}

/// What the client got after the 101; that it breaks no rule, the session's ledger has seen.
fn sent(world: &World) -> Outcome {
    let written = world.session.client.socket.writes.concat();
    let head = written.windows(4).position(|window| window == b"\r\n\r\n");
    let mut rest = &written[head.expect("a response") + 4..];
    let mut outcome = Outcome { messages: Vec::new(), early: 0, code: None };
    let mut message = Message::default();
    let mut reader = Reader::new(false);
    while let Some(frame) = reader.next_frame(&mut rest) {
        let frame = frame.expect("the bridge breaks no rule");
        match frame.head.opcode() {
            CLOSE => outcome.code = frame.close_code(),
            _ if frame.head.is_control() => {}
            _ => {
                message.add(&frame);
                outcome.messages.extend((!reader.in_message()).then(|| message.take()));
            }
        }
    }
    outcome
}

/// A message so far.
#[derive(Default)]
struct Message {
    text: bool,
    payload: Vec<u8>,
    check: TextCheck,
}

impl Message {
    /// Adds a frame; whether the message is sound so far.
    fn add(&mut self, frame: &Frame) -> bool {
        self.text |= frame.head.opcode() == TEXT;
        self.payload.extend_from_slice(&frame.payload);
        !self.text || self.check.piece(&frame.payload, frame.head.fin())
    }

    /// The message, and room for the next.
    fn take(&mut self) -> Sent {
        let Self { text, payload, .. } = std::mem::take(self);
        (text, payload)
    }
}

/// The same stream in one read, in pieces, and byte by byte or, if it is long, in small pieces.
fn every_way(route: &Route, stream: &[u8], pattern: u8) -> [Outcome; 3] {
    let small = if stream.len() < 5_000 { 0 } else { 0xdd };
    [WHOLE, pattern, small].map(|pattern| play(route, pieces(stream, pattern)))
}

fn is_text(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok()
}

/// Input: how to cut, and a stream. Each read is a message.
pub fn auto(input: &[u8]) {
    reads(input, "auto", is_text);
}

/// Input: how to cut, and a stream. Each read is a message.
pub fn binary(input: &[u8]) {
    reads(input, "binary", |_| false);
}

fn reads(input: &[u8], name: &str, is_text: fn(&[u8]) -> bool) {
    let mut script = Script::new(input);
    let pattern = script.byte();
    let stream = script.rest();
    let choice = framing::by_name(name).expect("a framing of ours");
    let sent = pieces(stream, pattern).map(|piece| (is_text(piece), piece.to_vec()));
    let messages: Vec<Sent> = sent.collect();
    let expected = Outcome { early: messages.len(), messages, code: Some(1000) };
    let late = if name == "auto" { 3 } else { 0 };
    let route = route(choice, ClientGets::Bytes { late });
    assert_eq!(play(&route, pieces(stream, pattern)), expected);
}

/// Input: a separator's configuration in a line, how to cut, how often, and a stream.
pub fn separator(input: &[u8]) {
    let mut script = Script::new(input);
    let Ok(config) = str::from_utf8(script.line()) else { return };
    let bytes = unescape(config.strip_prefix("add:").unwrap_or(config).as_bytes());
    let expected = bytes.filter(|bytes| (1..=64).contains(&bytes.len()) && !config.contains('\0'));
    let choice = framing::check("separator", Some(config));
    assert_eq!(choice.is_ok(), expected.is_some(), "{config:?}: {choice:?}");
    match (choice, expected) {
        (Ok(choice), Some(delimiter)) => delimited(choice, &delimiter, |_| false, script),
        (Err(error), _) => assert!(!error.to_string().chars().any(char::is_control)),
        _ => {}
    }
}

/// Input: a line end's name in a line, how to cut, how often, and a stream.
pub fn newline(input: &[u8]) {
    let mut script = Script::new(input);
    let Ok(config) = str::from_utf8(script.line()) else { return };
    let delimiter: &[u8] = match config.strip_prefix("add:").unwrap_or(config) {
        "" | "crlf" => b"\r\n",
        "lfcr" => b"\n\r",
        "lf" => b"\n",
        "cr" => b"\r",
        _ => return assert!(framing::check("newline", Some(config)).is_err()),
    };
    let choice = framing::check("newline", Some(config)).expect("a line end");
    delimited(choice, delimiter, is_text, script);
}

/// What a separator's configuration stands for, if it is one: from its end to its start.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let Some((&first, rest)) = text.split_first() else { return Some(Vec::new()) };
    if first != b'\\' {
        return Some([vec![first], unescape(rest)?].concat());
    }
    let (&escape, rest) = rest.split_first()?;
    let (byte, rest) = match escape {
        b'x' => {
            let (digits, rest) = rest.split_at_checked(2)?;
            let plain = digits.iter().all(u8::is_ascii_hexdigit);
            let digits = str::from_utf8(digits).ok().filter(|_| plain)?;
            (u8::from_str_radix(digits, 16).ok()?, rest)
        }
        _ => (*b"\r\t\n\0\x0c\\".get(b"rtn0f\\".iter().position(|&known| known == escape)?)?, rest),
    };
    Some([vec![byte], unescape(rest)?].concat())
}

fn delimited(
    choice: Selection,
    delimiter: &[u8],
    is_text: fn(&[u8]) -> bool,
    mut script: Script<'_>,
) {
    let pattern = script.byte();
    // Rarely often enough to fill a buffer, which takes time.
    let times = usize::from(script.byte()).saturating_sub(220).pow(2).max(1);
    let part = script.rest();
    let stream = part.repeat(times.min(1 + 50_000 / (part.len() + 1)));
    let mut messages = cut_at(&stream, delimiter);
    // A message that does not fit the peer buffer goes in parts, and so does a tail that fills it.
    // The first part says whether it is text, which all of it then has to be.
    let tail = messages.len() - 1;
    let is_text_so_far = |front: &[u8]| {
        let utf8 = str::from_utf8(front).err().is_none_or(|error| error.error_len().is_none());
        utf8 && is_text(b"")
    };
    let began_as_text = |at: usize, message: &[u8]| {
        let is_long = message.len() + usize::from(at == tail) > PEER_BUFFER_SIZE;
        if is_long { is_text_so_far(&message[..FIRST_PART]) } else { is_text(message) }
    };
    let began: Vec<bool> = (0..).zip(&messages).map(|(at, text)| began_as_text(at, text)).collect();
    let refused = (0..=tail).find(|&at| began[at] && !is_text(&messages[at]));
    messages.truncate(refused.unwrap_or(messages.len()));
    let messages: Vec<Sent> =
        began.into_iter().zip(messages).filter(|(_, bytes)| !bytes.is_empty()).collect();
    let (early, code) = (refused.unwrap_or(tail), refused.map_or(1000, |_| 1011));
    let expected = Outcome { messages, early, code: Some(code) };
    let route = route(choice, KEPT);
    for pattern in [WHOLE, pattern] {
        assert_eq!(play(&route, pieces(&stream, pattern)), expected);
    }
}

/// The pieces of a stream, each with the delimiter at its end, and its tail.
fn cut_at(stream: &[u8], delimiter: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = vec![Vec::new()];
    for &byte in stream {
        let last = messages.last_mut().expect("one to begin with");
        last.push(byte);
        if last.ends_with(delimiter) {
            messages.push(Vec::new());
        }
    }
    messages
}

/// Input: how to cut, a long frame if there is to be one, and the frames of a peer.
pub fn rfc6455(input: &[u8]) {
    let mut script = Script::new(input);
    let pattern = script.byte();
    let stream = &with_bulk(script);
    let choice = framing::by_name("rfc6455").expect("a framing of ours");
    let [whole, halves, bytewise] = every_way(&route(choice, ClientGets::Frames), stream, pattern);
    assert_eq!(whole, halves);
    assert_eq!(whole, bytewise);
    assert_eq!(whole, framed(stream));
}

/// The frames in a script, and among them one that is longer than a script may be.
fn with_bulk(mut script: Script<'_>) -> Vec<u8> {
    let (before, (length, long)) = (script.byte(), script.length());
    let before = script.take(before.into()).to_vec();
    let bulk = match long {
        true => frame(script.byte(), &vec![script.byte(); length], None),
        false => Vec::new(),
    };
    [before, bulk, script.rest().to_vec()].concat()
}

/// The messages in a stream of frames, and how it ends.
fn framed(stream: &[u8]) -> Outcome {
    let mut messages = Vec::new();
    let mut message = Message::default();
    let mut reader = Reader::new(false);
    let mut rest = stream;
    while let Some(frame) = reader.next_frame(&mut rest) {
        let Some(frame) = frame.ok().filter(Frame::is_whole) else {
            return all_early(messages, 1011);
        };
        if frame.head.opcode() == CLOSE {
            let sound = may_close_with(&frame.payload);
            let code = frame.close_code().unwrap_or(1000);
            return all_early(messages, if sound { code } else { 1011 });
        }
        if frame.head.is_control() {
            continue;
        }
        if !message.add(&frame) {
            return all_early(messages, 1011);
        }
        messages.extend((!reader.in_message()).then(|| message.take()));
    }
    let cut = reader.in_message() || !reader.is_between();
    all_early(messages, if cut { 1011 } else { 1000 })
}

fn all_early(messages: Vec<Sent>, code: u16) -> Outcome {
    Outcome { early: messages.len(), messages, code: Some(code) }
}

/// Input: how to cut, and a stream.
pub fn json(input: &[u8]) {
    let mut script = Script::new(input);
    let pattern = script.byte();
    let value = shorter_than_buffer(script);
    // So that a number at the end ends.
    let stream = &[value, b"\n"].concat();
    let choice = framing::by_name("json").expect("the plug-in");
    let late = PEER_BUFFER_SIZE;
    let ways = every_way(&route(choice, ClientGets::Dense { late }), stream, pattern);
    for Outcome { messages, code, .. } in &ways {
        assert_eq!(*code, Some(1000));
        let sent: Vec<u8> = messages.iter().flat_map(|(_, bytes)| bytes).copied().collect();
        assert_eq!(dense(&sent), dense(stream), "bytes are lost");
        for (_, bytes) in messages.iter().filter(|(text, _)| *text) {
            assert!(is_value(bytes), "{:?}", bytes.escape_ascii().to_string());
        }
    }
    // How it is cut shows in what is no JSON, which goes out as it came; and in nothing else.
    let [whole, halves, bytewise] = ways;
    if whole.messages.iter().all(|(text, _)| *text) {
        assert_eq!((&halves, &bytewise), (&whole, &whole));
    }
    if is_value(value) {
        let [(true, only)] = &whole.messages[..] else { panic!("{whole:?} is one value") };
        assert_eq!((only.as_slice(), whole.early), (value.trim_ascii(), 1));
    }
}

/// More in one message than the peer buffer holds is another matter.
fn shorter_than_buffer(script: Script<'_>) -> &[u8] {
    let stream = script.rest();
    &stream[..stream.len().min(PEER_BUFFER_SIZE - 2)]
}

fn dense(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !b" \t\r\n".contains(byte)).collect()
}

fn is_value(bytes: &[u8]) -> bool {
    is_text(bytes) && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// Input: offset, constant and byte order of the field, how to cut, and a stream.
pub fn dynamic32(input: &[u8]) {
    let mut script = Script::new(input);
    let offset = usize::from(script.word()) % (PEER_BUFFER_SIZE - 3);
    let fixed = i32::from(script.word() as i16) << (script.byte() % 17);
    let big = script.byte() % 2 == 1;
    let pattern = script.byte();
    let stream = shorter_than_buffer(script);

    let endian = if big { "big" } else { "little" };
    let config = format!("offset={offset},static={fixed},endian={endian}");
    let choice = framing::check("dynamic32", Some(&config)).expect("the plug-in");
    let expected = counted(stream, |rest| {
        let field = rest.get(offset..)?.first_chunk().copied()?;
        let size = if big { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) };
        let total = offset as i128 + 4 + i128::from(fixed) + i128::from(size);
        Some(if total < offset as i128 + 4 || total > 1 << 30 {
            Err(1011)
        } else {
            Ok(total as usize)
        })
    });
    for outcome in every_way(&route(choice, KEPT), stream, pattern) {
        assert_eq!(outcome, expected, "{config}");
    }
}

/// Input: a length less one, how to cut, and a stream.
pub fn fixedlength(input: &[u8]) {
    let mut script = Script::new(input);
    let length = usize::from(script.word()) % PEER_BUFFER_SIZE + 1;
    let pattern = script.byte();
    let stream = shorter_than_buffer(script);
    let choice = framing::check("fixedlength", Some(&length.to_string())).expect("the plug-in");
    let expected = counted(stream, |_| Some(Ok(length)));
    for outcome in every_way(&route(choice, KEPT), stream, pattern) {
        assert_eq!(outcome, expected, "{length}");
    }
}

/// Binary messages of the lengths that `length` finds at the start of what is left, and the tail.
fn counted(stream: &[u8], length: impl Fn(&[u8]) -> Option<Result<usize, u16>>) -> Outcome {
    let (mut messages, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        let split = match length(rest) {
            Some(Err(code)) => return all_early(messages, code),
            Some(Ok(length)) => rest.split_at_checked(length),
            None => None,
        };
        let Some((message, after)) = split else {
            let early = messages.len();
            messages.push((false, rest.to_vec()));
            return Outcome { messages, early, code: Some(1000) };
        };
        messages.push((false, message.to_vec()));
        rest = after;
    }
    all_early(messages, 1000)
}
