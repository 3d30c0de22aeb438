//! Plain requests: one after the other on a connection, each answered at the client's speed.
//!
//! What the client sends behind a request waits in the slot and in the kernel until the answer is
//! out, so however much it asks for at once, one answer's piece is all that is held for it.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::lifecycle::Phase;
use super::responding::{Progress, Responding};
use super::{Action, Connection, Ending, Scratch};
use crate::config::Config;
use crate::http::{self, Need, Request, Response, Route, Sending};
use crate::proto::http::HeadParser;
use crate::slab::Slot;

/// How long whoever answers may take for it, or for a piece of it: a disk that does not answer in
/// this time is as good as broken.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long a client may be silent between two requests. A page's next file is asked for within a
/// second; who comes back later opens a connection anew. Each holds a client's place.
const SILENCE: Duration = Duration::from_secs(15);

impl Connection {
    /// A parser for the next request.
    pub(super) fn parser(config: &Config) -> Box<HeadParser> {
        let plain = http::answers_plain(config);
        Box::new(if plain { HeadParser::of_any_request() } else { HeadParser::new() })
    }

    /// A request is to be answered by whoever has the route.
    pub(super) fn requested(
        &mut self,
        route: Route,
        request: Box<Request>,
        slot: Slot,
        now: Instant,
    ) {
        let responding = Responding { slot, asked: request.asked(), progress: Progress::Asked };
        self.lifecycle.advance(Phase::Responding(Box::new(responding)), Some(now + ANSWER_TIME));
        self.action = Some(Box::new(Action::Respond(route, request)));
    }

    /// The answer to [`Action::Respond`]. One that comes too late is forgotten.
    pub fn respond(&mut self, response: Response, scratch: &mut Scratch) {
        let Phase::Responding(responding) = self.lifecycle.phase_mut() else { return };
        let Progress::Asked = responding.progress else { return };
        let mut head = Vec::with_capacity(512);
        let date = scratch.clock.map(|clock| clock());
        let (sending, persistent) = Sending::begin(response, responding.asked, date, &mut head);
        responding.asked.persistent = persistent;
        responding.progress = Progress::Sending(sending);
        self.lifecycle.await_until(None);
        scratch.to_client.stage(&head);
    }

    /// The answer to [`Action::Fetch`]: the next bytes, at least one, or why there are none.
    pub fn fetched(&mut self, piece: Result<&[u8], String>, scratch: &mut Scratch) {
        let Phase::Responding(responding) = self.lifecycle.phase_mut() else { return };
        let awaited = std::mem::replace(&mut responding.progress, Progress::Asked);
        let Progress::Fetching(mut sending) = awaited else {
            responding.progress = awaited;
            return;
        };
        let fits = |piece: &&[u8]| sending.fetched(piece);
        let shorter = || Err("it has become shorter".into());
        let fetched = piece.and_then(|piece| Some(piece).filter(fits).map_or_else(shorter, Ok));
        match fetched {
            Ok(piece) => {
                scratch.to_client.stage(piece);
                responding.progress = Progress::Sending(sending);
                self.lifecycle.await_until(None);
            }
            Err(why) => self.break_off(why, scratch.now),
        }
    }

    /// Whether the answer, or the next request, can go on.
    #[must_use]
    pub(super) fn can_go_on(&self) -> bool {
        if !self.client.egress.is_drained() || !self.client.egress.is_open() {
            return false;
        }
        match self.lifecycle.phase() {
            Phase::Responding(responding) => matches!(responding.progress, Progress::Sending(_)),
            Phase::Head(_, slot) => !slot.read_bytes().is_empty(),
            Phase::Verifying(_) | Phase::Asking | Phase::Dialling(_) | Phase::Open(_) => false,
            Phase::Closing(_) | Phase::Refused | Phase::Over { .. } => false,
        }
    }

    /// One step: the next piece of an answer, or what follows when all of it is out.
    pub(super) fn go_on(&mut self, scratch: &mut Scratch) {
        if !self.can_go_on() {
            return;
        }
        match self.lifecycle.phase_mut() {
            Phase::Responding(responding) => {
                if let Some(need) = responding.step(scratch) {
                    self.needs(need, scratch);
                }
            }
            Phase::Head(..) => self.pipelined(scratch),
            Phase::Verifying(_) | Phase::Asking | Phase::Dialling(_) | Phase::Open(_) => {}
            Phase::Closing(_) | Phase::Refused | Phase::Over { .. } => {}
        }
    }

    fn needs(&mut self, need: Need, scratch: &mut Scratch) {
        match need {
            Need::Make => {}
            Need::Fetch { at, length } => {
                self.lifecycle.await_until(Some(scratch.now + ANSWER_TIME));
                self.action = Some(Box::new(Action::Fetch { at, length }));
            }
            Need::Done => self.answered_all(scratch),
        }
    }

    /// The answer is out: the next request is awaited, or the connection ends.
    fn answered_all(&mut self, scratch: &mut Scratch) {
        let Phase::Responding(responding) = self.lifecycle.leave() else { return };
        self.answered += 1;
        let Responding { slot, asked, .. } = *responding;
        let parser = Self::parser(&self.config);
        let deadline = Some(scratch.now + SILENCE);
        self.lifecycle.advance(Phase::Head(parser, slot), deadline);
        if asked.persistent {
            // What the log says of the next request is no word of this one.
            self.summary = None;
        } else {
            self.end(Ending::Answered, scratch.now);
            self.client.discard();
            self.client.egress.finish();
            self.peer.egress.give_up();
        }
    }

    /// Reads the request that came behind the one before.
    fn pipelined(&mut self, scratch: &mut Scratch) {
        let Phase::Head(_, slot) = self.lifecycle.phase_mut() else { return };
        let bytes = slot.read_bytes().to_vec();
        slot.read_buffer().clear();
        let length = bytes.len();
        slot.read_buffer().arrived(length).copy_from_slice(&bytes);
        self.head_received(length, scratch);
    }

    /// The head has its own time from its first byte on.
    pub(super) fn head_begins(&mut self, now: Instant) {
        if self.is_between_requests() {
            self.lifecycle.await_until(Some(now + self.config.deadlines.handshake));
        }
    }

    /// Whether the client was answered, and nothing of a further request came.
    pub(super) fn is_between_requests(&self) -> bool {
        match self.lifecycle.phase() {
            Phase::Head(parser, slot) => {
                self.answered > 0 && parser.is_untouched() && slot.read_bytes().is_empty()
            }
            Phase::Responding(_)
            | Phase::Verifying(_)
            | Phase::Asking
            | Phase::Dialling(_)
            | Phase::Open(_) => false,
            Phase::Closing(_) | Phase::Refused | Phase::Over { .. } => false,
        }
    }

    /// Whoever answers takes too long.
    pub(super) fn answer_is_late(&mut self, scratch: &mut Scratch) {
        let Phase::Responding(responding) = self.lifecycle.phase() else { return };
        match responding.progress {
            Progress::Asked => self.refuse(Ending::Unanswered, scratch),
            Progress::Sending(_) | Progress::Fetching(_) => {
                self.break_off("nothing more in time".into(), scratch.now);
            }
        }
    }

    /// The rest of an answer cannot be given. Its length was promised, so a connection that ends too
    /// early says so.
    fn break_off(&mut self, why: String, now: Instant) {
        self.end(Ending::BrokenOff(why), now);
        self.client.stop();
        self.client.egress.give_up();
        self.peer.egress.give_up();
    }

    /// The daemon ends: the answer that is on its way is the last.
    pub(super) fn answer_no_more(&mut self) {
        if let Phase::Responding(responding) = self.lifecycle.phase_mut() {
            responding.asked.persistent = false;
        }
    }
}
