//! Sessions whose clients compress, with zlib of their own: the real connection and the real pump
//! between made-up sockets, and a ledger of payload in place of one of bytes.

use std::rc::Rc;
use std::time::Instant;

use websocksy::backend::{Answer, Target};
use websocksy::config::Config;
use websocksy::conn::pump::Pump;
use websocksy::conn::{Action, Connection, Scratch, Side, TURN_BYTES};
use websocksy::framing;
use websocksy::slab::Slab;
use websocksy_world::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Part, Reader, frame};
use websocksy_world::{Faults, Plug, Random};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

/// The bit of a compressed message's first frame (RFC 7692 §6).
const RSV1: u8 = 0x40;
/// What ends a flush, and is not sent (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Turns and steps after which it is taken to spin, or to stand still.
const PATIENCE: usize = 20_000;
/// A window that holds nobody up.
const WIDE: usize = 1 << 20;
/// Headers around a turn's bytes, and a piece that is decompressed at once beyond its share.
const AROUND: usize = 96 * 1024;

const FAULTS: Faults = Faults {
    interrupted: 25,
    short_read: 4,
    keeps: 4,
    small_datagrams: 0,
    refused_datagram: 0,
    refused_again: 0,
    aborted: 0,
    few_descriptors: 0,
    no_peer: 0,
    unknown_name: 0,
    refused_connect: 0,
    unreachable: 0,
    no_port: 0,
    unwatched: 0,
    stopped: 0,
    failed_peer: 0,
    spurious: 0,
    hang: 0,
};

/// One session of a client that compresses; what it carried, payload and bytes of the client's side.
pub(crate) fn run(seed: u64) -> (usize, usize) {
    let mut visit = Visit::new(seed);
    for _ in 0..20 + visit.random.below(200) {
        visit.step();
    }
    visit.settle()
}

struct Visit {
    random: Random,
    connection: Connection,
    scratch: Scratch,
    slab: Slab,
    answer: Answer,
    client: Plug,
    peer: Option<Plug>,
    frames: bool,
    /// What the client sends before it closes, and the payload of all that; how many pings.
    wire: Vec<u8>,
    sent: Vec<u8>,
    pings: usize,
    /// What the peer sends, and the payload of that.
    speech: Vec<u8>,
    said: Vec<u8>,
    takeover: bool,
}

impl Visit {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (frames, takeover) = (random.one_in(2), random.one_in(2));
        let level = 1 + random.below(9) as u8;
        let config = Rc::new(Config { deflate: Some(level), ..Config::default() });
        let scratch = Scratch::new(Instant::now());
        let slab = Slab::new(1).expect("address space");
        let slot = slab.claim(0).expect("a slot that is nobody's");
        let framing = framing::by_name(if frames { "rfc6455" } else { "binary" });
        let framing = framing.expect("a built-in");
        let target = Target::Tcp { host: "127.0.0.1".into(), port: 1 };
        let mut visit = Self {
            connection: Connection::new(config, slot, scratch.now),
            scratch,
            slab,
            answer: Answer::new(target, framing, None),
            client: Plug::new(&FAULTS, random.fork(), false, false),
            peer: None,
            frames,
            wire: Vec::new(),
            sent: Vec::new(),
            pings: 0,
            speech: Vec::new(),
            said: Vec::new(),
            takeover,
            random,
        };
        visit.write_scripts();
        visit
    }

    /// What both sides send.
    fn write_scripts(&mut self) {
        let offer = match self.takeover {
            true => "client_max_window_bits",
            false => "server_no_context_takeover; client_no_context_takeover",
        };
        let extension = format!("\r\nSec-WebSocket-Extensions: permessage-deflate; {offer}");
        let head = crate::client_script::HEAD.strip_suffix(b"\r\n\r\n").expect("its end");
        self.wire = [head, extension.as_bytes(), b"\r\n\r\n"].concat();
        let mut deflate = Deflate::new(1 + self.random.below(9) as i32, false, 11);
        for _ in 0..self.random.below(12) {
            let message = self.payload();
            self.sent.extend_from_slice(&message);
            if self.random.one_in(4) {
                self.client_frames(0, &message);
                continue;
            }
            let packed = pack(&mut deflate, &message);
            if !self.takeover {
                deflate.reset();
            }
            self.client_frames(RSV1, &packed);
        }
        for _ in 0..self.random.below(12) {
            let payload = self.payload();
            self.said.extend_from_slice(&payload);
            match self.frames {
                true => self.speech.extend(frame(FIN | BINARY, &payload, None)),
                false => self.speech.extend_from_slice(&payload),
            }
        }
    }

    /// Text that repeats itself, one byte many times over, or what nobody can compress.
    fn payload(&mut self) -> Vec<u8> {
        let length = self.random.length();
        match self.random.below(5) {
            0 => self.random.bytes(length),
            1 => vec![7; length * 20],
            _ => {
                let word = self.random.text(12);
                let numbers = (0..).flat_map(|at: u32| [&word[..], &at.to_be_bytes()].concat());
                numbers.take(length * 2).collect()
            }
        }
    }

    /// A message of the client's in one frame or several, with pings between.
    fn client_frames(&mut self, bit: u8, payload: &[u8]) {
        let pieces = 1 + self.random.below(3) * self.random.below(2);
        let size = payload.len().div_ceil(pieces as usize).max(1);
        let mut rest = payload;
        let mut first = bit | BINARY;
        loop {
            let piece = rest.split_off(..size.min(rest.len())).unwrap_or_default();
            let fin = if rest.is_empty() { FIN } else { 0 };
            let key = (self.random.number() as u32).to_be_bytes();
            self.wire.extend(frame(fin | first, piece, Some(key)));
            if self.random.one_in(4) {
                self.wire.extend(frame(FIN | PING, b"there?", Some(key)));
                self.pings += 1;
            }
            if rest.is_empty() {
                return;
            }
            first = CONTINUATION;
        }
    }

    /// One thing happens, or nothing.
    fn step(&mut self) {
        match self.random.below(10) {
            0..=2 => self.client_sends(),
            3..=4 => self.peer_sends(),
            5..=7 => {
                let wider = self.random.length();
                self.client.open_window(self.client.window() + wider);
                if let Some(peer) = &mut self.peer {
                    peer.open_window(peer.window() + wider);
                }
            }
            _ => {}
        }
        self.turns();
    }

    fn client_sends(&mut self) {
        let rest = &self.wire[self.client.socket.arrived()..];
        if !rest.is_empty() {
            let n = self.random.up_to(rest.len());
            self.client.arrive(&rest[..n]);
        }
    }

    fn peer_sends(&mut self) {
        let Some(peer) = &mut self.peer else { return };
        let rest = &self.speech[peer.socket.arrived()..];
        if !rest.is_empty() {
            peer.arrive(&rest[..self.random.up_to(rest.len())]);
        }
    }

    /// Turns until an event is waited for.
    fn turns(&mut self) {
        for _ in 0..PATIENCE {
            let plugs = [Some(&mut self.client), self.peer.as_mut()];
            plugs.into_iter().flatten().for_each(|plug| plug.socket.begin_turn());
            let again = Pump {
                connection: &mut self.connection,
                client: self.client.endpoint(),
                peer: self.peer.as_mut().map(Plug::endpoint),
                scratch: &mut self.scratch,
            }
            .turn();
            let acted = self.act();
            for side in [Side::Client, Side::Peer] {
                let waiting = self.connection.waiting(side).map_or(0, <[u8]>::len);
                assert!(waiting <= TURN_BYTES + AROUND, "{waiting} bytes wait for {side:?}");
            }
            if !again && !acted {
                return self.check_rest();
            }
        }
        panic!("it spins");
    }

    fn act(&mut self) -> bool {
        match self.connection.take_action() {
            Some(Action::Ask(upgrade, slot)) => {
                let slot = self.slab.take_back(slot.lend());
                let answer = Ok(self.answer.clone());
                self.connection.answered(upgrade, slot, answer, &mut self.scratch);
            }
            Some(Action::Dial(_)) => {
                self.peer = Some(Plug::new(&FAULTS, self.random.fork(), false, false));
                self.connection.connected(&mut self.scratch);
            }
            Some(_) => panic!("nothing else is asked for"),
            None => return false,
        }
        true
    }

    /// What waits for an event has nothing left to do.
    fn check_rest(&self) {
        let plugs = [(Side::Client, Some(&self.client)), (Side::Peer, self.peer.as_ref())];
        for (side, plug) in plugs {
            let Some(plug) = plug else { continue };
            let wanted = self.connection.room(side) > 0;
            assert!(!(wanted && plug.socket.has_news()), "{side:?} is readable, and nobody reads");
            let takes = self.connection.waiting(side).is_some_and(|bytes| plug.socket.takes(bytes));
            assert!(!takes, "{side:?} is writable, and nobody writes");
        }
    }

    /// Nothing holds anybody up: all arrives, and then the client closes.
    fn settle(mut self) -> (usize, usize) {
        let mut steps = 0;
        while !self.has_all() {
            steps += 1;
            assert!(steps < PATIENCE, "it stands still");
            self.client_sends();
            self.peer_sends();
            for plug in [Some(&mut self.client), self.peer.as_mut()].into_iter().flatten() {
                plug.open_window(WIDE);
                plug.take_all();
            }
            self.turns();
        }
        self.client.arrive(&frame(FIN | CLOSE, &1000u16.to_be_bytes(), Some([1, 2, 3, 4])));
        self.turns();
        let wire: Vec<u8> = self.client.socket.writes.concat();
        self.check_client(&wire);
        self.check_peer();
        (self.sent.len() + self.said.len(), self.wire.len() + wire.len())
    }

    fn has_all(&self) -> bool {
        let Some(peer) = &self.peer else { return false };
        let is_still = |side, plug: &Plug| {
            let socket = &plug.socket;
            let waits = self.connection.waiting(side).is_some() || !socket.kept().is_empty();
            !waits && !socket.has_news() && self.connection.room(side) > 0
        };
        self.client.socket.arrived() == self.wire.len()
            && peer.socket.arrived() == self.speech.len()
            && is_still(Side::Client, &self.client)
            && is_still(Side::Peer, peer)
    }

    /// The peer has the payload of all messages, and no bit of compression.
    fn check_peer(&self) {
        let stream = self.peer.as_ref().map(|peer| peer.socket.writes.concat()).unwrap_or_default();
        if !self.frames {
            return assert!(stream == self.sent, "the peer has what the client said");
        }
        let (mut rest, mut payload, mut reader) = (&stream[..], Vec::new(), Reader::new(false));
        while let Some(part) = reader.next(&mut rest) {
            if let Part::Payload { head, bytes, .. } = part.expect("frames without RSV1") {
                assert!(!head.is_control());
                payload.extend_from_slice(&bytes);
            }
        }
        assert!(payload == self.sent && reader.is_between() && !reader.in_message());
    }

    /// The client has the payload of all that the peer said, and its pongs.
    fn check_client(&self, wire: &[u8]) {
        let head = wire.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer") + 4;
        let answer = String::from_utf8_lossy(&wire[..head]);
        assert!(answer.contains("\r\nSec-WebSocket-Extensions: permessage-deflate; "), "{answer}");
        let mut inflate = Inflate::new(false, 12);
        let (mut rest, mut payload, mut message) = (&wire[head..], Vec::new(), Vec::new());
        let (mut packed, mut pongs, mut closed) = (false, 0, false);
        while let Some((first, bytes)) = next_frame(&mut rest) {
            assert!(!closed, "a frame behind the close frame");
            match first & 15 {
                PONG => pongs += 1,
                PING => {}
                CLOSE => closed = true,
                opcode => {
                    if opcode == CONTINUATION {
                        assert_eq!(first & RSV1, 0);
                    } else {
                        packed = first & RSV1 != 0;
                    }
                    message.extend_from_slice(bytes);
                    if first & FIN == 0 {
                        continue;
                    }
                    let message = std::mem::take(&mut message);
                    match packed {
                        true => payload.extend(unpack(&mut inflate, message)),
                        false => payload.extend(message),
                    }
                    if !self.takeover {
                        inflate.reset(false);
                    }
                }
            }
        }
        assert!(payload == self.said, "the client has what the peer said");
        assert!(closed && message.is_empty() && rest.is_empty());
        assert!(pongs <= self.pings && (pongs > 0) == (self.pings > 0), "{pongs} pongs");
    }
}

/// A frame without a mask: its first byte and its payload.
fn next_frame<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let [first, short, ..] = **rest else { return None };
    let (at, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
        127 => (10, u64::from_be_bytes(rest[2..10].try_into().expect("eight")) as usize),
        short => (2, short.into()),
    };
    let payload = &rest[at..at + length];
    *rest = &rest[at + length..];
    Some((first, payload))
}

fn pack(deflate: &mut Deflate, message: &[u8]) -> Vec<u8> {
    if message.is_empty() {
        return vec![0]; // RFC 7692 §7.2.3.6
    }
    let mut out = vec![0; message.len() + message.len() / 8 + 100];
    let before = deflate.total_out();
    deflate.compress(message, &mut out, DeflateFlush::SyncFlush).expect("a good state");
    out.truncate((deflate.total_out() - before) as usize - TAIL.len());
    out
}

fn unpack(inflate: &mut Inflate, mut payload: Vec<u8>) -> Vec<u8> {
    payload.extend_from_slice(&TAIL);
    let (mut read, mut out) = (0, Vec::new());
    loop {
        let mut piece = [0; 8192];
        let before = (inflate.total_in(), inflate.total_out());
        let done = inflate.decompress(&payload[read..], &mut piece, InflateFlush::SyncFlush);
        done.expect("DEFLATE");
        read += (inflate.total_in() - before.0) as usize;
        let made = (inflate.total_out() - before.1) as usize;
        out.extend_from_slice(&piece[..made]);
        if made < piece.len() {
            return out;
        }
    }
}
