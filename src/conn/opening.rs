//! From the first byte to the 101: head, back end, peer (RFC 6455 §4.2).

use std::net::IpAddr;

use super::bridge::Bridge;
use super::inflating::Codec;
use super::lifecycle::{Opening, Phase};
use super::liveness::after;
use super::to_peer::PeerEncoding;
use super::{Action, Arrived, Connection, Ending, Scratch};
use crate::access::{Barred, NotAdmitted};
use crate::backend::{Answer, QueryError, SendProxy};
use crate::config::SourceAddress;
use crate::framing::{EnvelopeMode, Framer};
use crate::http::{self, Routed};
use crate::proto::client_addr::Address;
use crate::proto::forwarded::{Located, locate};
use crate::proto::handshake::{self, Refused, Upgrade};
use crate::proto::http::{Head, Method};
use crate::proto::proxy::Version;
use crate::proto::summary::Summary;
use crate::slab::Slot;

impl Connection {
    /// The next bytes of the request head are in the slot.
    pub(super) fn head_received(&mut self, length: usize, scratch: &mut Scratch) {
        self.head_begins(scratch.now);
        let Phase::Head(parser, slot) = self.lifecycle.phase_mut() else { return };
        let mut buffer = slot.read_buffer();
        let pushed = parser.push(buffer.arrived(length));
        self.head_only = parser.method() == Method::Head;
        match pushed {
            // Frames may have come behind it.
            Ok(Some(end)) => buffer.keep(end, length),
            Ok(None) => return buffer.clear(),
            Err(error) => {
                let target = parser.target();
                let shown = target.map(|path| Summary::of_target(path, self.config.log_query));
                self.summary = shown;
                return self.refuse(Ending::Head(error), scratch);
            }
        }
        let Phase::Head(parser, slot) = self.lifecycle.leave() else { return };
        let head = parser.finish();
        self.summary = Some(Summary::of(&head, self.config.log_query));
        self.prepare_explanation(&head);
        if let Some(why) = self.condemned() {
            return self.refuse(Ending::NotAdmitted(why), scratch);
        }
        match self.located(&head) {
            Some(located) => {
                let arrived = Arrived { head, slot, located };
                self.action = Some(Box::new(Action::Admit(arrived)));
            }
            None => self.judge(head, slot, scratch),
        }
    }

    /// Whose request a trusted proxy sent; none if the client is no proxy.
    fn located(&self, head: &Head) -> Option<Located> {
        let proxy = *self.proxy.as_deref()?;
        let header = self.config.forwarded_header;
        let is_header = |name: &[u8]| name.eq_ignore_ascii_case(header.name().as_bytes());
        let lines = head.fields().filter(|(name, _)| is_header(name));
        let lines: Vec<_> = lines.map(|(_, value)| value).collect();
        let trusts = |address: Address| self.config.proxies.trusts(address.ip());
        Some(locate(header, lines.into_iter(), proxy, trusts))
    }

    /// The answer to [`Action::Admit`], with the request and the slot.
    pub fn admitted(
        &mut self,
        head: Head,
        slot: Slot,
        outcome: Result<(), NotAdmitted>,
        scratch: &mut Scratch,
    ) {
        // Otherwise it is too late: the client left.
        let Phase::Asking = self.lifecycle.phase() else { return };
        match outcome {
            Ok(()) => self.judge(head, slot, scratch),
            Err(why) => self.refuse(Ending::NotAdmitted(why), scratch),
        }
    }

    fn judge(&mut self, head: Head, slot: Slot, scratch: &mut Scratch) {
        let routed = match http::route(head, &self.config) {
            Ok(Routed::Plain(route, request)) => {
                return match self.config.auth_file {
                    Some(_) if route.asks_who() => {
                        self.identify_for_answer(route, request, slot, scratch);
                    }
                    _ => self.requested(route, request, slot, scratch.now),
                };
            }
            Ok(Routed::Upgrade(head)) => self.judge_upgrade(head),
            Err(refused) => Err(refused),
        };
        match routed {
            Ok(upgrade) if self.config.auth_file.is_some() => {
                self.identify(Box::new(upgrade), slot, scratch);
            }
            Ok(upgrade) => self.ask(Box::new(upgrade), slot, scratch),
            Err(refused) => self.refuse(Ending::Handshake(refused), scratch),
        }
    }

    fn judge_upgrade(&self, head: Head) -> Result<Upgrade, Refused> {
        let mut upgrade = handshake::judge(head, &self.config.origins)?;
        if self.config.deflate.is_some() {
            upgrade.negotiate_deflate()?;
        }
        Ok(upgrade)
    }

    /// The back end is to say who the peer is.
    pub(super) fn ask(&mut self, upgrade: Box<Upgrade>, slot: Slot, scratch: &Scratch) {
        let deadline = scratch.now + self.config.deadlines.query;
        self.lifecycle.advance(Phase::Asking, Some(deadline));
        self.action = Some(Box::new(Action::Ask(upgrade, slot)));
    }

    /// The back end's answer to [`Action::Ask`], with the handshake it was asked about and the slot
    /// that it was shown.
    pub fn answered(
        &mut self,
        upgrade: Box<Upgrade>,
        slot: Slot,
        answer: Result<Answer, QueryError>,
        scratch: &mut Scratch,
    ) {
        // Otherwise it is too late: the client left, or was given an answer.
        let Phase::Asking = self.lifecycle.phase() else { return };
        match answer {
            Ok(answer) => {
                self.action = Some(Box::new(Action::Dial(answer.target.clone())));
                let (since, until) = (scratch.now, scratch.now + self.config.deadlines.connect);
                let opening = Opening { upgrade, slot, answer, since, until, unreached: None };
                let deadline = opening.share(scratch.now);
                self.lifecycle.advance(Phase::Dialling(Box::new(opening)), Some(deadline));
            }
            Err(error) => self.refuse(Ending::Query(error), scratch),
        }
    }

    /// Descriptors, memory or threads are used up, so the back end cannot be asked or the peer not
    /// be dialled; `why` in words.
    pub fn exhausted(&mut self, why: String, scratch: &mut Scratch) {
        self.not_open(Ending::Exhausted(why), scratch);
    }

    /// The peer cannot be reached; `why` in words.
    pub fn not_connected(&mut self, why: String, scratch: &mut Scratch) {
        self.fail_over(Ending::Dial(why), scratch);
    }

    /// The peer is given up: the next one is reached, if the back end named another and there is time.
    pub(super) fn fail_over(&mut self, ending: Ending, scratch: &mut Scratch) {
        if let Phase::Dialling(opening) = self.lifecycle.phase_mut()
            && scratch.now < opening.until
            && let Some(target) = opening.answer.further.pop_front()
        {
            opening.answer.target = target.clone();
            opening.unreached = Some(ending.to_string());
            let deadline = opening.share(scratch.now);
            self.action = Some(Box::new(Action::Dial(target)));
            return self.lifecycle.await_until(Some(deadline));
        }
        self.not_open(ending, scratch);
    }

    /// Why the peer before the one that is being reached could not be.
    #[must_use]
    pub fn unreached(&self) -> Option<&str> {
        let Phase::Dialling(opening) = self.lifecycle.phase() else { return None };
        opening.unreached.as_deref()
    }

    /// The log is not to have this part of the client's request.
    pub fn conceal(&mut self, part: &[u8]) {
        self.summary.iter_mut().for_each(|summary| summary.conceal(part));
    }

    /// Whether the peer may have this address.
    ///
    /// # Errors
    /// Why not.
    pub fn check_peer(&self, address: IpAddr) -> Result<(), Barred> {
        self.config.peers.check(address)
    }

    /// The addresses that the peer is dialled from.
    #[must_use]
    pub fn sources(&self) -> &[SourceAddress] {
        &self.config.sources
    }

    /// The version of the PROXY header that the peer, which is about to be told of its client, is sent,
    /// and the name of the host that the client asked for.
    #[must_use]
    pub fn introduction(&self) -> Option<(Version, Option<&str>)> {
        let Phase::Dialling(opening) = self.lifecycle.phase() else { return None };
        let version = match opening.answer.send_proxy {
            SendProxy::AsConfigured => self.config.send_proxy,
            SendProxy::Chosen(version) => version,
        };
        Some((version?, opening.upgrade.host_name()))
    }

    /// None of the peer's addresses may be dialled.
    pub fn peer_barred(&mut self, why: Barred, scratch: &mut Scratch) {
        self.fail_over(Ending::PeerBarred(why), scratch);
    }

    /// Refuses a client that waits for its peer; one that left meanwhile does not care.
    fn not_open(&mut self, ending: Ending, scratch: &mut Scratch) {
        if self.lifecycle.is_connecting() {
            self.refuse(ending, scratch);
        }
    }

    /// The peer is there: the client gets its 101 and what it sent early is forwarded.
    pub fn connected(&mut self, scratch: &mut Scratch) {
        let Phase::Dialling(_) = self.lifecycle.phase() else { return };
        let Phase::Dialling(opening) = self.lifecycle.leave() else { return };
        let Opening { mut upgrade, mut slot, answer, since, .. } = *opening;
        let early = slot.read_bytes().len();
        scratch.buffer[..early].copy_from_slice(slot.read_bytes());
        slot.read_buffer().clear();
        let framer = Framer::new(&answer.framing).with_longest(self.config.max_message);
        let framing = framer.name();
        let mut bridge = match Bridge::new(&answer.target, framer, slot) {
            Ok(bridge) => bridge,
            Err(fault) => return self.refuse(Ending::Framing(fault), scratch),
        };
        bridge.lapses =
            answer.lasts.and_then(|(time, code)| Some((since.checked_add(time)?, code).into()));
        if bridge.encoding == PeerEncoding::Envelope(EnvelopeMode::Sized) {
            // A message's length goes first, and one that is compressed does not say it.
            upgrade.decline_deflate();
        }
        if let (Some(agreed), Some(level)) = (upgrade.deflate(), self.config.deflate) {
            bridge.codec = Some(Box::new(Codec::new(agreed, level, &mut scratch.engines)));
        }
        self.explanation = None;
        let mut response = Vec::with_capacity(256);
        handshake::accept(&upgrade, answer.protocol, &mut response);
        let agreed = answer.protocol.and_then(|index| upgrade.protocols().nth(index));
        if let Some(summary) = &mut self.summary {
            summary.agree(agreed.unwrap_or_default().to_bytes(), framing.as_bytes());
        }
        scratch.to_client.stage(&response);
        self.open(bridge, scratch);
        if early > 0 {
            self.client.count(early);
            self.client_received(early, scratch);
        }
    }

    fn open(&mut self, bridge: Bridge, scratch: &Scratch) {
        self.peer.open();
        if bridge.encoding == PeerEncoding::ReadOnly {
            self.peer.egress.shut();
        }
        let expires = after(scratch.now, self.config.deadlines.session);
        let expires =
            expires.into_iter().chain(bridge.lapses.as_ref().map(|lapses| lapses.0)).min();
        self.lifecycle.advance(Phase::Open(Box::new(bridge)), expires);
        self.liveness.opened(scratch.now);
    }
}
