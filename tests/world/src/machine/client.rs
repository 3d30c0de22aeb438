//! A client of the machine: a script, and what it hears.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use websocksy::backend::Target;
use websocksy::conn::Side;
use websocksy::proto::client_addr::Address;
use websocksy::proto::proxy::{Introduction, Version};

use super::{Due, State, WIDE};
use crate::chance::Random;
use crate::frames::{BINARY, CLOSE, FIN, Part, Reader, frame};
use crate::response::Response;

/// How a client behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Behaviour {
    /// Says all, waits for its echo, says goodbye and waits for the answer.
    Polite,
    /// Leaves somewhere on the way.
    Leaves,
    /// Sends no whole head and waits.
    Mute,
    /// Sends a head that is none of RFC 6455's.
    Wrong,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    pub(super) behaviour: Behaviour,
    random: Random,
    /// The daemon's socket for it, once it is accepted.
    pub(super) wire: Option<usize>,
    pub(super) accepted_at: Option<Instant>,
    /// The daemon's sockets to its peer.
    pub(super) peers: Vec<usize>,
    /// It was gone before it was accepted, was reset in the listening queue, or the poll would not
    /// watch it.
    pub(super) aborted: bool,
    pub(super) reset: bool,
    pub(super) unwatched: bool,
    /// It was hung up on while as many as may be were told to go.
    pub(super) one_too_many: bool,
    pub(super) no_peer: bool,
    /// When the back end had an answer.
    pub(super) known_at: Option<Instant>,
    /// Where its peer is, nobody answers.
    pub(super) dark: bool,
    pub(super) target: Option<Target>,
    /// When its attempts to reach the peer began.
    pub(super) attempts: Vec<Instant>,
    /// Where to the last one was.
    pub(super) dialled: Option<SocketAddr>,
    /// When an attempt failed at once.
    pub(super) failed_at: Option<Instant>,
    /// What it sends, how much of it has arrived, and what of that is payload.
    stream: Vec<u8>,
    sent: usize,
    head: usize,
    /// How much of it is a PROXY header, and whether that is a good one.
    pub(super) header: usize,
    pub(super) is_known: bool,
    pub(super) payload: Vec<u8>,
    said_goodbye: bool,
    pub(super) head_sent_at: Option<Instant>,
    /// When the daemon first wrote to it.
    pub(super) answered_at: Option<Instant>,
    taken: usize,
    response: Vec<u8>,
    pub(super) status: Option<u16>,
    reader: Reader,
    control: Vec<u8>,
    /// What it got of messages, and the code of the daemon's close frame.
    pub(super) got: Vec<u8>,
    pub(super) closed: Option<Option<u16>>,
    /// It has ended its stream; an event tells so in this turn; one did in this turn or before.
    pub(super) left: bool,
    pub(super) left_is_told: bool,
    pub(super) left_told: bool,
    /// What its peer got and sent; whether that peer did what it should.
    pub(super) peer_got: Vec<u8>,
    pub(super) peer_sent: Vec<u8>,
    pub(super) peer_fails: bool,
}

impl Client {
    pub(super) fn new(id: usize, random: &mut Random) -> Self {
        let mut random = random.fork();
        let behaviour = match random.below(8) {
            0 | 1 => Behaviour::Leaves,
            2 => Behaviour::Mute,
            3 if random.one_in(2) => Behaviour::Wrong,
            _ => Behaviour::Polite,
        };
        let mut client = Self {
            address: [192, 0, 2, random.below(6) as u8].into(),
            behaviour,
            wire: None,
            accepted_at: None,
            peers: Vec::new(),
            aborted: false,
            reset: false,
            unwatched: false,
            one_too_many: false,
            no_peer: false,
            known_at: None,
            dark: random.one_in(6),
            target: None,
            attempts: Vec::new(),
            dialled: None,
            failed_at: None,
            stream: Vec::new(),
            sent: 0,
            head: 0,
            header: 0,
            is_known: true,
            payload: Vec::new(),
            said_goodbye: false,
            head_sent_at: None,
            answered_at: None,
            taken: 0,
            response: Vec::new(),
            status: None,
            reader: Reader::new(false),
            control: Vec::new(),
            got: Vec::new(),
            closed: None,
            left: false,
            left_is_told: false,
            left_told: false,
            peer_got: Vec::new(),
            peer_sent: Vec::new(),
            peer_fails: false,
            random,
        };
        client.script(id);
        client
    }

    fn script(&mut self, id: usize) {
        let upgrade =
            if self.behaviour == Behaviour::Wrong { "" } else { "Upgrade: websocket\r\n" };
        let head = format!(
            "GET /{id} HTTP/1.1\r\nHost: h\r\n{upgrade}Connection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        self.stream.extend_from_slice(head.as_bytes());
        self.head = self.stream.len();
        if self.behaviour == Behaviour::Mute {
            let length = self.random.below(self.head as u64) as usize;
            self.stream.truncate(length);
            return;
        }
        for _ in 0..self.random.below(6) {
            let length =
                [20, 3_000, 100_000][self.random.below(3).min(self.random.below(3)) as usize];
            let length = self.random.below(length) as usize;
            let payload = self.random.bytes(length);
            let key = (self.random.number() as u32).to_be_bytes();
            self.stream.extend(frame(FIN | BINARY, &payload, Some(key)));
            self.payload.extend(payload);
        }
    }

    /// It comes by a proxy, which says who it is, or that it does not know, or what is no header.
    pub(super) fn comes_by(&mut self, proxy: IpAddr) {
        let (destination, address) = (SocketAddr::new(proxy, 443), self.address);
        let said = |source: Address, version| {
            Introduction { source, destination: destination.into(), tlvs: &[] }.encode(version)
        };
        let version = if self.random.one_in(2) { Version::V1 } else { Version::V2 };
        let header = match self.random.below(8) {
            0 => {
                self.address = proxy;
                said(Address::Unix, version)
            }
            1 if self.behaviour == Behaviour::Wrong => {
                self.is_known = false;
                b"PROXY TCP4 nobody\r\n".to_vec()
            }
            _ => said(SocketAddr::new(address, 1).into(), version),
        };
        self.header = header.len();
        self.head += header.len();
        self.stream.splice(0..0, header);
        if self.behaviour == Behaviour::Mute && self.random.one_in(2) {
            self.stream.truncate(self.random.below(self.header as u64) as usize);
        }
    }

    pub(super) fn accepted(&mut self, wire: usize, now: Instant) {
        assert!(self.wire.replace(wire).is_none(), "accepted twice");
        self.accepted_at = Some(now);
    }

    /// Whether it waits for the addresses of `name`.
    pub(super) fn waits_for(&self, name: &str) -> bool {
        match &self.target {
            Some(Target::Tcp { host, .. } | Target::Udp { host, .. }) => host == name,
            _ => false,
        }
    }

    /// Whether neither it nor the daemon has said goodbye.
    pub(super) fn is_at_it(&self) -> bool {
        !self.said_goodbye && self.closed.is_none()
    }

    /// Whether its peer gets all that it sends, in order.
    pub(super) fn is_stream(&self) -> bool {
        use Target::{FifoTx, Tcp, UnixStream};
        matches!(self.target, Some(Tcp { .. } | UnixStream(_) | FifoTx(_)))
    }

    /// Whether all that it sends has arrived, and come back if it does.
    pub(super) fn is_settled(&self) -> bool {
        let echoes = !matches!(self.target, Some(Target::FifoTx(_)));
        self.peer_got.len() == self.payload.len()
            && (!echoes || self.got.len() == self.payload.len())
    }

    pub(super) fn was_open(&self) -> bool {
        self.status == Some(101)
    }

    /// Takes what the daemon wrote.
    fn hear(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if self.status.is_none() {
            self.response.extend_from_slice(bytes);
            let end = self.response.windows(4).position(|window| window == b"\r\n\r\n");
            let Some(end) = end else { return };
            let response = Response::read(&self.response);
            self.status = Some(response.status);
            if response.status != 101 {
                return;
            }
            let behind = self.response.split_off(end + 4);
            return self.hear_frames(&behind);
        }
        if self.was_open() {
            self.hear_frames(bytes);
        } else {
            self.response.extend_from_slice(std::mem::take(&mut bytes));
        }
    }

    fn hear_frames(&mut self, mut bytes: &[u8]) {
        while let Some(part) = self.reader.next(&mut bytes) {
            match part.expect("frames as RFC 6455 has them") {
                Part::Begin(_) => {}
                Part::Payload { head, bytes, last } if head.is_control() => {
                    self.control.extend_from_slice(&bytes);
                    if last && head.opcode() == CLOSE {
                        let code = self.control.first_chunk().map(|&code| u16::from_be_bytes(code));
                        assert!(self.closed.replace(code).is_none(), "two close frames");
                    }
                    if last {
                        self.control.clear();
                    }
                }
                Part::Payload { bytes, .. } => self.got.extend_from_slice(&bytes),
            }
        }
    }

    /// The next bytes that it sends.
    fn next_bytes(&mut self) -> Vec<u8> {
        if self.sent < self.stream.len() {
            let most = self.stream.len() - self.sent;
            let length = if self.random.one_in(2) { most } else { self.random.up_to(most) };
            let piece = self.stream[self.sent..self.sent + length].to_vec();
            self.sent += length;
            return piece;
        }
        let ends = self.closed.is_some() || !self.is_stream() || self.is_settled();
        if self.was_open() && ends && !std::mem::replace(&mut self.said_goodbye, true) {
            return frame(FIN | CLOSE, &1000_u16.to_be_bytes(), Some([1, 2, 3, 4]));
        }
        Vec::new()
    }
}

impl State {
    pub(super) fn arrive(&mut self, id: usize) {
        if self.listener.is_none() {
            self.clients[id].reset = true;
            return;
        }
        self.backlog.push_back(id);
        self.listener_event = true;
    }

    /// The daemon wrote to a socket.
    pub(super) fn written(&mut self, wire: usize) {
        let Self { clients, wires, now, .. } = self;
        if wires[wire].side == Side::Client {
            clients[wires[wire].client].answered_at.get_or_insert(*now);
        }
    }

    pub(super) fn client_goes_on(&mut self, id: usize) {
        let Self { clients, wires, now, .. } = self;
        let client = &mut clients[id];
        let Some(wire_id) = client.wire else { return };
        let wire = &mut wires[wire_id];
        debug_assert_eq!(wire.side, Side::Client);
        for write in &wire.plug.socket.writes[client.taken..] {
            client.hear(write);
        }
        client.taken = wire.plug.socket.writes.len();
        if wire.gone || client.left {
            return;
        }
        wire.plug.set_window(WIDE);
        wire.plug.arrive(&client.next_bytes());
        if client.sent >= client.head && client.head_sent_at.is_none() {
            client.head_sent_at = Some(*now);
        }
        let leaves = client.behaviour == Behaviour::Leaves && client.random.one_in(4);
        if wire.plug.socket.shut || leaves {
            client.left = true;
            let breaks_off = leaves && client.random.one_in(2);
            wire.plug.finish(breaks_off.then_some(ErrorKind::ConnectionReset));
        }
        self.announce(wire_id);
        let after = self.latency(self.latencies.step);
        self.enter(after, Due::Client(id));
    }
}
