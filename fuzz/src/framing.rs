//! Framings, each through a whole connection: the messages that a client gets of a peer's stream
//! equal those of a simple reading of it, however it is cut.

use super::ledger::{Message, ToClient, to_client};
use super::script::{Script, pieces};
use super::wire::{Reader, frame, may_close_with};
use super::world::{Bridge, End, World};
use std::rc::Rc;
use websocksy::backend::Target;
use websocksy::config::Config;
use websocksy::framing::{self, Selection};
use websocksy_abi::PEER_BUFFER_SIZE;

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

/// Gives the pieces to a session one by one, then the end of the stream.
fn play<'a>(choice: &Selection, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let target = Target::Tcp { host: "h".into(), port: 1 };
    let bridge = Bridge { target, framing: choice.clone() };
    let mut world = World::new(&Rc::new(Config::default()), bridge);
    world.open();
    for piece in pieces {
        world.peer(|peer| peer.deliver(piece));
    }
    let early = sent(&world).messages.len();
    world.peer(|peer| peer.finish(End::Fin));
    let ToClient { messages, close, .. } = sent(&world);
    let messages = messages.into_iter().map(|Message { text, payload, .. }| (text, payload));
    let code = close.expect("a close frame").close_code();
    Outcome { messages: messages.collect(), early, code }
}

/// What the client got after the 101.
fn sent(world: &World) -> ToClient {
    let written = &world.client.written;
    let head = written.windows(4).position(|window| window == b"\r\n\r\n");
    to_client(&written[head.expect("a response") + 4..], true)
}

/// The same stream in one read, in pieces, and byte by byte or, if it is long, in small pieces.
fn every_way(choice: &Selection, stream: &[u8], pattern: u8) -> [Outcome; 3] {
    let small = if stream.len() < 5_000 { 0 } else { 0xdd };
    [WHOLE, pattern, small].map(|pattern| play(choice, pieces(stream, pattern)))
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
    assert_eq!(play(&choice, pieces(stream, pattern)), expected);
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
        (Ok(choice), Some(delimiter)) => delimited(&choice, &delimiter, |_| false, script),
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
    delimited(&choice, delimiter, is_text, script);
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
    choice: &Selection,
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
    // A message that does not fit the peer buffer is refused, and so is a tail that fills it.
    let tail = messages.len() - 1;
    let too_long = |(at, message): (usize, &Vec<u8>)| {
        message.len() + usize::from(at == tail) > PEER_BUFFER_SIZE
    };
    let refused = messages.iter().enumerate().position(too_long);
    messages.truncate(refused.unwrap_or(messages.len()));
    messages.retain(|message| !message.is_empty());
    let messages: Vec<Sent> = messages.into_iter().map(|bytes| (is_text(&bytes), bytes)).collect();
    let (early, code) = (refused.unwrap_or(tail), refused.map_or(1000, |_| 1009));
    let expected = Outcome { messages, early, code: Some(code) };
    for pattern in [WHOLE, pattern] {
        assert_eq!(play(choice, pieces(&stream, pattern)), expected);
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
    let [whole, halves, bytewise] = every_way(&choice, stream, pattern);
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
    let mut reader = Reader::new(stream, false);
    while let Some(frame) = reader.next() {
        let sound = match &frame {
            Ok(frame) if !frame.is_whole() => false,
            Ok(frame) if frame.opcode == 8 => {
                let sound = may_close_with(&frame.payload);
                let code = frame.close_code().unwrap_or(1000);
                return all_early(messages, if sound { code } else { 1011 });
            }
            Ok(frame) => frame.is_control() || message.add(frame),
            Err(_) => false,
        };
        if !sound {
            return all_early(messages, 1011);
        }
        if !reader.open && frame.is_ok_and(|frame| !frame.is_control()) {
            let Message { text, payload, .. } = std::mem::take(&mut message);
            messages.push((text, payload));
        }
    }
    let cut = reader.open || !reader.rest().is_empty();
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
    let ways = every_way(&choice, stream, pattern);
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
        Some(if total < offset as i128 + 4 || total > PEER_BUFFER_SIZE as i128 {
            Err(1011)
        } else {
            Ok(total as usize)
        })
    });
    for outcome in every_way(&choice, stream, pattern) {
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
    for outcome in every_way(&choice, stream, pattern) {
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
