//! The bridge, sans-I/O: bytes and the time in, bytes, wants and one action out.
//!
//! A [`Connection`] is one client and its peer. The reactor (or a simulation) tells it what
//! happened; what it has to say to either side stands in the [`Scratch`] afterwards, and
//! [`Pump`](pump::Pump) carries bytes between it and two [`Socket`](socket::Socket)s.
//!
//! What holds at every moment:
//! - A side is read only while the other has taken all it was given ([`Connection::room`]): at
//!   most one turn's bytes wait in a queue, and backpressure is what the state says.
//! - Queues hold whole frames after the bytes already under way, so that a control frame may
//!   follow at any time.
//! - The first [`Ending`] stands. After it no parsing code is reached by the side at fault.
//! - Every connection that waits for a stranger has a deadline ([`Connection::deadline`]).

mod batch;
mod bridge;
mod client_frames;
mod closing;
mod data_frames;
mod datagram;
mod deadline;
mod egress;
mod ending;
mod explain;
mod explanation;
mod flow;
mod half;
mod inflating;
mod lifecycle;
mod liveness;
mod message;
mod opening;
mod peer_frames;
mod plain;
pub mod pump;
mod queue;
mod relay;
mod responding;
mod scratch;
mod side;
pub mod socket;
#[cfg(test)]
mod tests;
mod text;
mod to_client;
mod to_peer;
mod traffic;
mod verifying;

use std::rc::Rc;
use std::time::{Duration, Instant};

pub use deadline::earliest;
pub use ending::Ending;
use explanation::Explanation;
use half::Half;
use lifecycle::{Lifecycle, Phase};
use liveness::Liveness;
pub use liveness::respite;
pub use scratch::{Scratch, TURN_BYTES};
pub use side::Side;
use to_peer::PeerEncoding;
pub use traffic::Traffic;

use crate::backend::Target;
use crate::config::Config;
use crate::http::{Request, Route};
use crate::proto::basic::Credentials;
use crate::proto::client_addr::Address;
use crate::proto::forwarded::Located;
use crate::proto::handshake::Upgrade;
use crate::proto::http::Head;
use crate::proto::summary::Summary;
use crate::slab::Slot;
use websocksy_abi::WS_MAX_LINE;

/// What a turn may read when an encoder puts up to 80 bytes around messages of no bytes.
const ENVELOPE_TURN_BYTES: usize = 16 * 1024;

/// What a turn may read to compress it: a few milliseconds at the slowest level.
const COMPRESSED_TURN_BYTES: usize = 64 * 1024;

/// What a connection asks of the world; taken with [`Connection::take_action`].
pub enum Action {
    /// Say whether this client of a proxy's may come; answer with [`Connection::admitted`].
    Admit(Arrived),
    /// Verify this name and password; answer with [`Connection::verified`].
    Verify(Credentials),
    /// Ask the back end about this handshake, and show it the slot; answer with
    /// [`Connection::answered`].
    Ask(Box<Upgrade>, Slot),
    /// Reach this peer; answer with [`Connection::connected`] or [`Connection::not_connected`].
    Dial(Target),
    /// Answer this request with [`Connection::respond`].
    Respond(Route, Box<Request>),
    /// Fetch so many bytes of what the answer said is [stored](crate::http::Body::Stored), or some of
    /// them; answer with [`Connection::fetched`].
    Fetch {
        /// Where they start.
        at: u64,
        /// How many.
        length: usize,
    },
}

/// A request by a trusted proxy, and whose it is.
pub struct Arrived {
    /// The request.
    pub head: Head,
    /// The session's slot.
    pub slot: Slot,
    /// Who the client is, as far as can be known.
    pub located: Located,
}

/// One client and its peer.
pub struct Connection {
    config: Rc<Config>,
    lifecycle: Lifecycle,
    liveness: Liveness,
    client: Half,
    peer: Half,
    /// Boxed, for it is there in a few turns of all.
    action: Option<Box<Action>>,
    /// What the log says of the request, once there is one.
    summary: Option<Summary>,
    /// What is needed to explain a refusal, if that is asked for; boxed, since few ask.
    explanation: Option<Box<Explanation>>,
    /// The proxy whose requests say who its clients are; boxed, since few come by one.
    proxy: Option<Box<Address>>,
    /// Whether the request that is read or answered is a HEAD: its answer has no content (RFC 9110
    /// §9.3.2).
    head_only: bool,
    /// How many plain requests were answered.
    answered: u32,
    /// Whether a pong has come, and nobody has looked what it means.
    ponged: bool,
}

impl Connection {
    /// A client that was just accepted; what it sends, and what its peer does, is kept in `slot`.
    #[must_use]
    pub fn new(config: Rc<Config>, slot: Slot, now: Instant) -> Self {
        Self {
            lifecycle: Lifecycle::new(
                Self::parser(&config),
                slot,
                now + config.deadlines.handshake,
            ),
            config,
            liveness: Liveness::new(now),
            client: Half::live(now),
            peer: Half::absent(now),
            action: None,
            explanation: None,
            proxy: None,
            summary: None,
            head_only: false,
            answered: 0,
            ponged: false,
        }
    }

    /// The client is a trusted proxy: its requests say who its own clients are.
    pub fn behind(&mut self, proxy: Address) {
        self.proxy = Some(Box::new(proxy));
    }

    /// What it is served by.
    #[must_use]
    pub fn config(&self) -> &Rc<Config> {
        &self.config
    }

    /// How many bytes of `side` are wanted now.
    #[must_use]
    pub fn room(&self, side: Side) -> usize {
        self.half(side).room(|| self.live_room(side))
    }

    fn live_room(&self, side: Side) -> usize {
        let room = self.half(side.other()).egress.room();
        match (self.lifecycle.phase(), side) {
            // What came behind the request before is read first.
            (Phase::Head(_, slot), Side::Client) if !slot.read_bytes().is_empty() => 0,
            (Phase::Head(..), Side::Client) => WS_MAX_LINE,
            (Phase::Open(bridge) | Phase::Closing(bridge), _) => match (bridge.encoding, side) {
                (_, Side::Client) if bridge.holds_client_back() => 0,
                (PeerEncoding::Envelope(_), Side::Client) => room.min(ENVELOPE_TURN_BYTES),
                (PeerEncoding::Datagram, Side::Peer) if room > 0 => TURN_BYTES,
                (_, Side::Peer) if bridge.codec.is_some() => room.min(COMPRESSED_TURN_BYTES),
                _ => room,
            },
            (Phase::Head(..), Side::Peer)
            | (Phase::Verifying(_) | Phase::Asking | Phase::Dialling(_), _)
            | (Phase::Responding(_) | Phase::Refused | Phase::Over { .. }, _) => 0,
        }
    }

    /// Whether messages of `side`'s socket are datagrams.
    #[must_use]
    pub fn is_datagram(&self, side: Side) -> bool {
        side == Side::Peer && self.lifecycle.bridge().is_some_and(bridge::Bridge::is_datagram)
    }

    /// Where the next `room` bytes of `side` go, and how many there are before them: those that it
    /// gave earlier, and no message was found in yet. That is the turn's `buffer`, where bulk goes
    /// by, but for a request head.
    pub(super) fn space<'a>(
        &'a mut self,
        side: Side,
        room: usize,
        buffer: &'a mut [u8],
    ) -> (usize, &'a mut [u8]) {
        let live = self.half(side).is_live();
        let kept = match self.lifecycle.bridge() {
            Some(bridge) if live && side == Side::Peer => {
                let kept = bridge.to_client.kept();
                buffer[..kept.len()].copy_from_slice(kept);
                kept.len()
            }
            _ => 0,
        };
        match self.lifecycle.phase_mut() {
            // Nobody but the client is read then.
            Phase::Head(_, slot) => (0, slot.read_buffer().into_space()),
            _ => (kept, &mut buffer[kept..kept + room]),
        }
    }

    /// What waits to be written to `side`: a stream's bytes, or the first datagram.
    #[must_use]
    pub fn waiting(&self, side: Side) -> Option<&[u8]> {
        self.half(side).egress.waiting()
    }

    /// What is to be done with `side`'s socket now, beside reads and writes.
    #[must_use]
    pub fn ending_of(&self, side: Side) -> SocketEnd {
        let half = self.half(side);
        match (half.egress.shutdown_due(), half.is_read()) {
            (true, true) => SocketEnd::Shutdown,
            (true, false) => SocketEnd::Close,
            (false, false) if half.egress.close_due() => SocketEnd::Close,
            (false, _) => SocketEnd::None,
        }
    }

    /// Whether the client is an operator, and there is no bridge for it.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.config.is_admin
    }

    /// How many bytes wait to be written to either side.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.client.egress.queued() + self.peer.egress.queued()
    }

    /// Whether nothing follows what is on its way to `side` now but the end of the stream.
    #[must_use]
    pub fn ends_with_this(&self, side: Side) -> bool {
        self.half(side).egress.is_ending()
    }

    /// `side`'s write end is shut down.
    pub fn shut(&mut self, side: Side) {
        self.half_mut(side).egress.shut();
    }

    /// Nothing is left to do: the sockets can be closed.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.lifecycle.is_over() || self.client.is_done() && self.peer.is_done()
    }

    /// Why it ended, once it does.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.lifecycle.ending()
    }

    /// Whether the client's request head is not complete yet.
    #[must_use]
    pub fn awaits_head(&self) -> bool {
        matches!(self.lifecycle.phase(), Phase::Head(..))
    }

    /// Whether it is bridged, and nothing ends it yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lifecycle.is_open()
    }

    /// Whether the client was let in: bridged now or before its end.
    #[must_use]
    pub fn was_open(&self) -> bool {
        self.lifecycle.was_open()
    }

    /// How long a bridged side may be silent before it is probed whether it is there; none for a
    /// session that is not open, or when the operator wants no pings.
    #[must_use]
    pub fn probe_interval(&self) -> Option<Duration> {
        let interval = self.config.deadlines.ping;
        (self.lifecycle.is_open() && !interval.is_zero()).then_some(interval)
    }

    /// Whether the client has answered a ping since this was asked last.
    pub fn take_pong(&mut self) -> bool {
        std::mem::take(&mut self.ponged)
    }

    /// Bytes read from `side` while bridged.
    #[must_use]
    pub fn received_bytes(&self, side: Side) -> u64 {
        self.half(side).received()
    }

    /// Whole messages of `side` while bridged.
    #[must_use]
    pub fn messages(&self, side: Side) -> u64 {
        self.half(side).messages
    }

    /// What there is to say of the client's request.
    #[must_use]
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// Whether the client has sent something, with us or in a socket that is `readable`, that is not looked
    /// at since too many others are inside a compressed message.
    #[must_use]
    pub fn awaits_inflater(&self, readable: bool) -> bool {
        let codec = self.lifecycle.bridge().and_then(|bridge| bridge.codec.as_ref());
        let codec = codec.filter(|codec| self.client.is_live() && !codec.can_read());
        codec.is_some_and(|codec| readable || codec.has_unread())
    }

    /// Whether it may begin a compressed message though others wait until they can.
    pub fn call(&mut self, called: bool) {
        let codec = self.lifecycle.bridge_mut().and_then(|bridge| bridge.codec.as_mut());
        codec.into_iter().for_each(|codec| codec.decoder.call(called));
    }

    /// Whether it has begun a compressed message since this was asked last.
    pub fn take_beginning(&mut self) -> bool {
        let codec = self.lifecycle.bridge_mut().and_then(|bridge| bridge.codec.as_mut());
        codec.is_some_and(|codec| codec.decoder.take_beginning())
    }

    /// Whether it is inside a compressed message, for which others may wait.
    #[must_use]
    pub fn has_inflater(&self) -> bool {
        let codec = self.lifecycle.bridge().and_then(|bridge| bridge.codec.as_ref());
        codec.is_some_and(|codec| codec.decoder.is_inside())
    }

    /// How many plain requests were answered.
    #[must_use]
    pub fn answers(&self) -> u32 {
        self.answered
    }

    /// Whether a plain request is being answered.
    #[must_use]
    pub fn is_responding(&self) -> bool {
        matches!(self.lifecycle.phase(), Phase::Responding(_))
    }

    /// What the connection asks for, once.
    pub fn take_action(&mut self) -> Option<Action> {
        self.action.take().map(|action| *action)
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

/// See [`Connection::ending_of`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketEnd {
    /// Nothing.
    None,
    /// Its write end is to be shut down; it is still read.
    Shutdown,
    /// It is of no use any more.
    Close,
}
