//! What must have come out of a session, computed the simple way from what went in.

use super::handshake::Response;
use super::wire::{Frame, Reader, frame, header, may_close_with};
use super::world::World;
use websocksy::conn::{Ending, Side};

/// The largest message that is collected before it goes to the peer.
const MAX_COLLECTED: usize = 65_507;
/// The close code for a message that a peer does not take (RFC 6455 §7.4.1).
const TOO_BIG: u16 = 1009;

/// What the peer wants to see of the client's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrap {
    /// Their payloads.
    Bare,
    /// RFC 6455 frames.
    Frames,
    /// Their payloads, each message followed by these bytes.
    Suffix(&'static [u8]),
    /// Each message after its length in four bytes, the lowest first: so is the log of datagrams.
    Length32,
    /// The same, and messages that are too large or not complete leave nothing behind.
    Datagrams,
    /// Nothing.
    ReadOnly,
}

/// What a client's bytes mean.
#[derive(Default)]
pub(super) struct FromClient {
    /// For the peer, all that may go there.
    pub(super) bytes: Vec<u8>,
    /// How much of it must.
    least: usize,
    /// The payloads of the pings.
    pings: Vec<Vec<u8>>,
    /// The client broke the protocol, or sent what this peer does not take.
    broken: bool,
}

/// Reads the client's frames up to its close frame or its first fault.
pub(super) fn from_client(bytes: &[u8], wrap: Wrap) -> FromClient {
    let mut out = FromClient::default();
    let mut message = Message::default();
    let mut reader = Reader::new(bytes, true);
    while let Some(frame) = reader.next() {
        let Ok(frame) = frame else {
            out.broken = true;
            return out;
        };
        match frame.opcode {
            9 if frame.is_whole() => out.pings.push(frame.payload),
            8 if frame.is_whole() => {
                out.broken = !may_close_with(&frame.payload);
                return out;
            }
            8.. => {}
            _ => {
                let sound = message.add(&frame) && fits(&message, &frame, wrap);
                put(&frame, &message, wrap, &mut out.bytes);
                if !sound {
                    out.broken = true;
                    return out;
                }
                out.least = out.bytes.len();
            }
        }
        if !reader.open {
            message = Message::default();
        }
    }
    out
}

/// Whether a peer takes what there is of a message.
fn fits(message: &Message, frame: &Frame, wrap: Wrap) -> bool {
    let length = message.payload.len() as u64 - frame.payload.len() as u64 + frame.length;
    match wrap {
        Wrap::ReadOnly => false,
        Wrap::Length32 if message.frames == 1 && frame.fin => length <= u64::from(u32::MAX),
        Wrap::Length32 | Wrap::Datagrams => length <= MAX_COLLECTED as u64,
        _ => true,
    }
}

/// Appends what a frame, the last of `message` so far, brings to the peer.
fn put(frame: &Frame, message: &Message, wrap: Wrap, out: &mut Vec<u8>) {
    let ends = frame.fin && frame.is_whole();
    match wrap {
        Wrap::ReadOnly => {}
        Wrap::Bare => out.extend_from_slice(&frame.payload),
        Wrap::Suffix(suffix) => {
            out.extend_from_slice(&frame.payload);
            out.extend_from_slice(if ends { suffix } else { b"" });
        }
        Wrap::Frames => {
            let fin = if frame.fin { 0x80 } else { 0 };
            out.extend(header(fin | frame.opcode, frame.length as usize, false));
            out.extend_from_slice(&frame.payload);
        }
        Wrap::Length32 if message.frames == 1 && frame.fin => {
            out.extend((frame.length as u32).to_le_bytes());
            out.extend_from_slice(&frame.payload);
        }
        Wrap::Length32 | Wrap::Datagrams if ends => {
            out.extend((message.payload.len() as u32).to_le_bytes());
            out.extend_from_slice(&message.payload);
        }
        Wrap::Length32 | Wrap::Datagrams => {}
    }
}

/// A message so far.
#[derive(Default)]
pub(super) struct Message {
    pub(super) text: bool,
    pub(super) payload: Vec<u8>,
    frames: usize,
}

impl Message {
    /// Adds a frame; whether the message is sound so far: text is UTF-8 (RFC 6455 §8.1).
    pub(super) fn add(&mut self, frame: &Frame) -> bool {
        self.text |= frame.opcode == 1;
        self.frames += 1;
        self.payload.extend_from_slice(&frame.payload);
        match str::from_utf8(&self.payload) {
            Err(error) if self.text => {
                error.error_len().is_none() && !(frame.fin && frame.is_whole())
            }
            _ => true,
        }
    }
}

/// What a client was sent after the 101.
#[derive(Default)]
pub(super) struct ToClient {
    /// Whole messages.
    pub(super) messages: Vec<Message>,
    /// The payloads of messages one after the other, the last perhaps not complete.
    pub(super) bytes: Vec<u8>,
    pongs: Vec<Vec<u8>>,
    pub(super) close: Option<Frame>,
}

/// Reads what a client was sent, strictly; `ended`: nothing more will come.
pub(super) fn to_client(bytes: &[u8], ended: bool) -> ToClient {
    let mut out = ToClient::default();
    let mut message = Message::default();
    let mut reader = Reader::new(bytes, false);
    while let Some(frame) = reader.next() {
        let frame = frame.expect("the bridge breaks no rule");
        assert!(out.close.is_none(), "a frame after the close frame");
        assert!(frame.is_whole() || !ended, "a frame is cut off");
        match frame.opcode {
            _ if frame.is_control() && !frame.is_whole() => {}
            8 => {
                assert!(may_close_with(&frame.payload), "{frame:?}");
                out.close = Some(frame);
            }
            9 => assert!(frame.payload.is_empty()),
            10 => out.pongs.push(frame.payload),
            _ => {
                out.bytes.extend_from_slice(&frame.payload);
                assert!(message.add(&frame), "text that is not UTF-8");
                if !reader.open && frame.is_whole() {
                    out.messages.push(std::mem::take(&mut message));
                }
            }
        }
    }
    assert!(reader.rest().is_empty() || !ended && out.close.is_none(), "half a header");
    out
}

/// Everything that a session did against everything that was done to it.
pub(super) fn check(world: &World, wrap: Wrap, blanks_go: bool) {
    let client = &world.client;
    if !world.connection.was_open() {
        check_refusal(world);
        return;
    }
    let Some(head) = end_of_head(&client.written) else { return assert!(!client.shut) };
    assert_eq!(Response::read(&client.written).status, 101);
    let request = end_of_head(&client.read).expect("a request");
    let sent = to_client(&client.written[head..], client.shut);
    let got = from_client(&client.read[request..], wrap);
    check_to_peer(world, &got, wrap);
    check_to_client(world, &sent, wrap, blanks_go);
    check_ending(world, &got, &sent, wrap);
    let mut pings = got.pings.iter();
    assert!(sent.pongs.iter().all(|pong| pings.any(|ping| ping == pong)), "a pong out of nowhere");
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn check_refusal(world: &World) {
    let client = &world.client;
    assert!(world.peer.is_none());
    if client.shut {
        let response = Response::read(&client.written);
        response.check_refusal();
        let status = world.connection.ending().and_then(Ending::status).expect("a status");
        assert_eq!(response.status, status.code());
    }
}

fn check_to_peer(world: &World, got: &FromClient, wrap: Wrap) {
    let Some(peer) = &world.peer else { return };
    let written = match wrap {
        Wrap::Frames => &without_pongs(&peer.written),
        _ => &peer.written,
    };
    assert!(got.bytes.starts_with(written), "the peer got what the client did not send");
    // These leave the peer before the client is done.
    let left = matches!(
        world.connection.ending(),
        Some(Ending::PeerFault(_) | Ending::PeerClosed(_) | Ending::PeerFailed(_))
    );
    // A datagram that the kernel did not take ends the session and the socket at once.
    let ending = world.connection.ending().map(Ending::name);
    let left = left || wrap == Wrap::Datagrams && ending == Some("client-message-too-big");
    if peer.shut && !left {
        assert!(
            written.len() >= got.least,
            "bytes of the client are lost: {:?}",
            world.connection.ending()
        );
    }
}

/// Frames to a peer but those that answer its pings.
fn without_pongs(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reader = Reader::new(bytes, false);
    for frame in &mut reader {
        let frame = frame.expect("the bridge breaks no rule");
        if frame.opcode != 10 {
            let fin = if frame.fin { 0x80 } else { 0 };
            out.extend(header(fin | frame.opcode, frame.length as usize, false));
            out.extend_from_slice(&frame.payload);
        }
    }
    out.extend_from_slice(reader.rest());
    out
}

fn check_to_client(world: &World, sent: &ToClient, wrap: Wrap, blanks_go: bool) {
    let Some(peer) = &world.peer else { return };
    let (mut expected, least) = from_peer(&peer.read, wrap);
    let mut actual = sent.bytes.clone();
    if blanks_go {
        for bytes in [&mut expected, &mut actual] {
            bytes.retain(|byte| !b" \t\r\n".contains(byte));
        }
    }
    assert!(expected.starts_with(&actual), "the client got what the peer did not send");
    let ending = world.connection.ending();
    let to_its_end = matches!(ending, Some(Ending::PeerEnded | Ending::PeerFailed(_)));
    if to_its_end && sent.close.is_some() {
        assert!(blanks_go || actual.len() >= least, "bytes of the peer are lost");
        assert!(!blanks_go || actual == expected, "bytes of the peer are lost");
    }
}

/// The payloads in what a peer sent, and how many of these bytes lie in whole frames.
fn from_peer(bytes: &[u8], wrap: Wrap) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    match wrap {
        Wrap::Frames => {
            let mut least = 0;
            for frame in Reader::new(bytes, false).map_while(Result::ok) {
                if frame.opcode == 8 {
                    break;
                }
                if !frame.is_control() {
                    out.extend_from_slice(&frame.payload);
                    least = if frame.is_whole() { out.len() } else { least };
                }
            }
            return (out, least);
        }
        Wrap::Datagrams => {
            let mut rest = bytes;
            while let Some((length, after)) = rest.split_first_chunk() {
                let (datagram, after) = after.split_at(u32::from_le_bytes(*length) as usize);
                out.extend_from_slice(datagram);
                rest = after;
            }
        }
        _ => out.extend_from_slice(bytes),
    }
    let least = out.len();
    (out, least)
}

fn check_ending(world: &World, got: &FromClient, sent: &ToClient, wrap: Wrap) {
    let large = world.peer.as_ref().is_some_and(|peer| peer.too_large);
    let Some(ending) = world.connection.ending() else {
        return assert!(sent.close.is_none() && !got.broken && !large, "a fault without an end");
    };
    let code = sent.close.as_ref().map(|close| close.close_code());
    if let (Some(code), Some((expected, _))) = (code, ending.close()) {
        // A close frame without a code is answered by one without.
        assert!(code == Some(expected.get()) || matches!(ending, Ending::ClientClosed(None)));
    }
    if let (Ending::ClientFault(_), Some(code), true, false) = (ending, code, large, got.broken) {
        assert_eq!(code, Some(TOO_BIG), "a datagram was too large");
    }
    // The first end stands: a fault may come after the peer's or the operator's.
    let (faulty, earlier) = match ending {
        Ending::ClientFault(_) => (true, false),
        Ending::PeerEnded | Ending::PeerClosed(_) | Ending::PeerFailed(_) => (false, true),
        Ending::PeerFault(_) | Ending::Shutdown | Ending::Idle => (false, true),
        Ending::Stalled(side) => (false, *side == Side::Peer),
        _ => (false, false),
    };
    let known = if faulty { got.broken || large } else { !got.broken };
    assert!(earlier || known, "{ending}; a fault: {}, {wrap:?}", got.broken);
    assert!(!ending.to_string().chars().any(char::is_control));
}

/// For scripts: a frame of the client's, with a mask made of one byte.
pub(super) fn masked(first: u8, payload: &[u8], seed: u8) -> Vec<u8> {
    frame(first, payload, Some([seed, seed ^ 0x55, !seed, 7]))
}
