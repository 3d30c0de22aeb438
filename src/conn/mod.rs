//! The bridge, sans-I/O: bytes and the time in, bytes, wants and one action out.
//!
//! A [`Connection`] is one client and its peer. The reactor (or a simulation) tells it what
//! happened; what it has to say to either side stands in the [`Scratch`] afterwards, and
//! [`pump`](pump::pump) carries bytes between it and two [`Socket`](pump::Socket)s.
//!
//! What holds at every moment:
//! - A side is read only while the other has taken all it was given ([`Connection::room`]): at
//!   most one turn's bytes wait in a queue, and backpressure is what the state says.
//! - Queues hold whole frames after the bytes already under way, so that a control frame may
//!   follow at any time.
//! - The first [`Ending`] stands. After it no parsing code is reached by the side at fault.
//! - Every connection that waits for a stranger has a deadline ([`Connection::deadline`]).

mod batch;
mod client_frames;
mod closing;
mod deadline;
mod egress;
mod ending;
mod opening;
mod peer_frames;
pub mod pump;
mod queue;
mod relay;
mod text;
mod to_client;

use std::rc::Rc;
use std::time::{Instant, SystemTime};

use batch::Batch;
use client_frames::{ClientFrames, PeerEncoding};
use egress::{Egress, End};
pub use ending::Ending;
use to_client::ToClient;

use crate::backend::{Answer, Target};
use crate::config::Config;
use crate::framing::{EnvelopeMode, Framer, FramingFault};
use crate::proto::handshake::Upgrade;
use crate::proto::http::HeadParser;
use websocksy_abi::{PEER_BUFFER_SIZE, WS_MAX_LINE};

/// The most bytes that one read takes: bytes per system call decide what bulk costs.
pub const TURN_BYTES: usize = 256 * 1024;
/// What a turn may read when an encoder puts up to 80 bytes around messages of no bytes.
const ENVELOPE_TURN_BYTES: usize = 16 * 1024;

/// The most bytes that are read only to be forgotten: more than the socket buffers on the way hold
/// (tcp(7)), and little work for a side that does not stop.
const MOST_DISCARDED: usize = 8 * 1024 * 1024;

/// One of the two sockets of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The WebSocket client.
    Client,
    /// What it is bridged to.
    Peer,
}

/// What one turn of the loop works with; one for all connections.
pub struct Scratch {
    /// When this turn of the loop began: the clock is read once a wake-up.
    pub now: Instant,
    /// Where reads go.
    buffer: Box<[u8]>,
    /// What is to be written to the client.
    to_client: Batch,
    /// What is to be written to the peer.
    to_peer: Batch,
    /// Tells the time of day, for the `Date` of refusals.
    clock: Option<fn() -> SystemTime>,
}

impl Scratch {
    /// A turn's memory. The buffer has room for what a connection kept, a read behind it, and the
    /// zero byte that the framing functions may read.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            now,
            buffer: vec![0; PEER_BUFFER_SIZE + TURN_BYTES + 1].into_boxed_slice(),
            to_client: Batch::default(),
            to_peer: Batch::default(),
            clock: None,
        }
    }

    fn batch(&mut self, side: Side) -> &mut Batch {
        match side {
            Side::Client => &mut self.to_client,
            Side::Peer => &mut self.to_peer,
        }
    }

    /// A turn that knows the time of day (RFC 9110 §6.6.1: who has a clock dates its answers).
    #[must_use]
    pub fn with_clock(self, clock: fn() -> SystemTime) -> Self {
        Self { clock: Some(clock), ..self }
    }
}

/// What a connection asks of the world; taken with [`Connection::take_action`].
pub enum Action {
    /// Ask the back end about this handshake; answer with [`Connection::answered`].
    Ask(Box<Upgrade>),
    /// Reach this peer; answer with [`Connection::connected`] or [`Connection::not_connected`].
    Dial(Target),
}

/// Whether a side is still listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Intake {
    Live,
    /// Read so that the kernel does not answer unread bytes with a reset, and forgotten: this many
    /// bytes at most, and then no more until the deadline.
    Discard(usize),
    Ended,
}

/// One side's share of a connection.
struct Half {
    egress: Egress,
    intake: Intake,
    /// Bytes read from this side since it was bridged.
    received: u64,
}

impl Half {
    fn new(now: Instant, intake: Intake) -> Self {
        Self { egress: Egress::new(now), intake, received: 0 }
    }

    fn discard(&mut self) {
        if self.intake == Intake::Live {
            self.intake = Intake::Discard(MOST_DISCARDED);
        }
    }
}

/// Where a connection stands.
enum Phase {
    /// The request head is being read.
    Head(Box<HeadParser>),
    /// The back end is requests; these frames came with the head.
    Asking(Vec<u8>),
    /// The peer is being reached.
    Dialling(Box<Opening>),
    /// Bridged, the close handshake included.
    Open(Box<Bridge>),
    /// Refused: the answer goes out.
    Refused,
}

/// A handshake that was accepted but not answered yet.
struct Opening {
    upgrade: Box<Upgrade>,
    /// Frames that came with the head.
    early: Vec<u8>,
    answer: Answer,
}

/// A bridged client and peer.
struct Bridge {
    framer: Framer,
    encoding: PeerEncoding,
    client_frames: ClientFrames,
    to_client: ToClient,
    /// Whether the peer ends its stream when we end ours: FIFOs and datagram sockets do not.
    answers_fin: bool,
    /// Our close frame went out; nothing may follow it (RFC 6455 §5.5.1).
    close_sent: bool,
    /// Refusals since the last datagram.
    refusals: u8,
}

/// One client and its peer.
pub struct Connection {
    config: Rc<Config>,
    phase: Phase,
    client: Half,
    peer: Half,
    /// The deadline of the phase, if it has one.
    phase_deadline: Option<Instant>,
    /// When the client last gave a sign of life.
    last_heard: Instant,
    /// When the ping went out that nothing has answered yet.
    pinged: Option<Instant>,
    /// When data last last_data, either way.
    last_data: Instant,
    ending: Option<Ending>,
    action: Option<Action>,
    /// How many bytes the kernel still held for the two sides when the close time-out last ran out,
    /// and since when it was as many.
    unacked: (usize, Instant),
    /// A deadline cut it off, or nothing is left to do.
    done: bool,
}

impl Connection {
    /// A client that was just accepted.
    #[must_use]
    pub fn new(config: Rc<Config>, now: Instant) -> Self {
        let phase_deadline = Some(now + config.deadlines.handshake);
        Self {
            config,
            phase: Phase::Head(Box::default()),
            client: Half::new(now, Intake::Live),
            peer: Half::new(now, Intake::Ended),
            phase_deadline,
            last_heard: now,
            pinged: None,
            last_data: now,
            ending: None,
            action: None,
            unacked: (usize::MAX, now),
            done: false,
        }
    }

    /// How many bytes of `side` are wanted now.
    #[must_use]
    pub fn room(&self, side: Side) -> usize {
        match self.half(side).intake {
            Intake::Ended => 0,
            Intake::Discard(left) => left.min(TURN_BYTES),
            Intake::Live => self.live_room(side),
        }
    }

    fn live_room(&self, side: Side) -> usize {
        let room = self.half(side.other()).egress.room();
        match (&self.phase, side) {
            (Phase::Head(_), Side::Client) => WS_MAX_LINE,
            (Phase::Open(bridge), Side::Client)
                if matches!(bridge.encoding, PeerEncoding::Envelope(_)) =>
            {
                room.min(ENVELOPE_TURN_BYTES)
            }
            (Phase::Open(bridge), Side::Peer)
                if bridge.encoding == PeerEncoding::Datagram && room > 0 =>
            {
                TURN_BYTES
            }
            (Phase::Open(_), _) => room,
            _ => 0,
        }
    }

    /// Whether messages of `side`'s socket are datagrams.
    #[must_use]
    pub fn is_datagram(&self, side: Side) -> bool {
        side == Side::Peer
            && matches!(&self.phase, Phase::Open(bridge) if bridge.encoding == PeerEncoding::Datagram)
    }

    /// Puts what `side` gave before, and no message was found in yet, at the front of the turn's
    /// buffer; returns how many bytes that are. The next read goes behind it.
    pub fn prefill(&self, side: Side, buffer: &mut [u8]) -> usize {
        match (&self.phase, side, self.peer.intake) {
            (Phase::Open(bridge), Side::Peer, Intake::Live) => {
                let kept = bridge.to_client.kept();
                buffer[..kept.len()].copy_from_slice(kept);
                kept.len()
            }
            _ => 0,
        }
    }

    /// What waits to be written to `side`: a stream's bytes, or the first datagram.
    #[must_use]
    pub fn waiting(&self, side: Side) -> Option<&[u8]> {
        let queue = &self.half(side).egress.queue;
        (!queue.is_empty()).then(|| queue.front())
    }

    /// Whether `side`'s write end is to be shut down now; tell with [`shut`](Self::shut).
    #[must_use]
    pub fn shutdown_due(&self, side: Side) -> bool {
        let egress = &self.half(side).egress;
        egress.end == End::Due && egress.queue.is_empty()
    }

    /// Whether nothing follows what is on its way to `side` now but the end of the stream.
    #[must_use]
    pub fn ends_with_this(&self, side: Side) -> bool {
        self.half(side).egress.end == End::Due
    }

    /// Whether `side` is still to be last_heard to its end.
    #[must_use]
    pub fn is_read(&self, side: Side) -> bool {
        self.half(side).intake != Intake::Ended
    }

    /// `side`'s write end is shut down.
    pub fn shut(&mut self, side: Side) {
        self.half_mut(side).egress.end = End::Done;
    }

    /// Nothing is left to do: the sockets can be closed.
    #[must_use]
    pub fn finished(&self) -> bool {
        let done = |half: &Half| half.intake == Intake::Ended && half.egress.end == End::Done;
        self.done || done(&self.client) && done(&self.peer)
    }

    /// Why it ended, once it does.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Whether the client was let in: bridged now or before its end.
    #[must_use]
    pub fn was_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// Bytes read from `side` while bridged.
    #[must_use]
    pub fn received_bytes(&self, side: Side) -> u64 {
        self.half(side).received
    }

    /// What the connection asks for, once.
    pub fn take_action(&mut self) -> Option<Action> {
        self.action.take()
    }

    fn half(&self, side: Side) -> &Half {
        match side {
            Side::Client => &self.client,
            Side::Peer => &self.peer,
        }
    }

    fn half_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Peer => &mut self.peer,
        }
    }
}

impl Side {
    /// The one across.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Peer,
            Self::Peer => Self::Client,
        }
    }
}

/// What the peer wants to see of the client's messages.
fn encoding(target: &Target, framer: &Framer) -> Result<PeerEncoding, FramingFault> {
    Ok(match target {
        Target::Udp { .. } | Target::UnixDatagram(_) => PeerEncoding::Datagram,
        Target::FifoRx(_) => PeerEncoding::ReadOnly,
        _ if framer.is_two_way_frames() => PeerEncoding::Frames,
        _ => match framer.envelope_mode()? {
            EnvelopeMode::None => PeerEncoding::Bare,
            mode => PeerEncoding::Envelope(mode),
        },
    })
}
