//! One answer made of what all workers have: questions to others, and answers to theirs.

use std::time::Instant;

use log::warn;

use super::admin::{JSON, closed, no_such_session, said};
use super::event_loop::Reactor;
use super::inquiry::{CLOSED, Gathered, Inquiry, Step};
use super::refusals;
use super::slots::Key;
use super::system::System;
use crate::http::{Request, Response};
use crate::logging::Escaped;
use crate::proto::http::Status;
use crate::worker::{Message, Said, Wanted};

/// Messages that are taken in one turn.
const HEARD: usize = 16;
/// Bytes of a part, after which it gets no longer: with what was added last it fits in a message.
const PART: usize = 24 * 1024;
/// Slots that are looked at for a list in one turn: a third of a millisecond.
const LISTED: usize = 128;

impl<S: System> Reactor<S> {
    /// Takes what others say, and has done what is due of what they are asked.
    pub(super) fn hear_others(&mut self) {
        for _ in 0..HEARD {
            if !self.context.desk.heard {
                break;
            }
            match self.context.system.hear_other() {
                Some(message) => self.hear_other(message),
                None => self.context.desk.heard = false,
            }
        }
        let now = self.context.scratch.now;
        for mut inquiry in std::mem::take(&mut self.context.desk.inquiries) {
            // Who left is not asked for.
            if self.sessions.is_there(inquiry.key) {
                let step = inquiry.serve(now);
                self.follow(inquiry, step);
            }
        }
    }

    /// When something is due of what others are asked.
    pub(super) fn others_are_late_at(&self) -> Option<Instant> {
        self.context.desk.inquiries.iter().map(Inquiry::wake_up).min()
    }

    fn hear_other(&mut self, message: Message) {
        let Message { peer, number, .. } = message;
        if let Said::Ask(wanted) = message.said {
            let said = self.part(wanted);
            return self.context.system.tell_other(&Message { peer, number, said });
        }
        if let (0, Said::Prepare(_) | Said::Change | Said::Stay) = (peer, &message.said) {
            return self.context.desk.orders.push((number, message.said));
        }
        if let (0, Said::Retire) = (peer, &message.said) {
            return self.retire();
        }
        let inquiries = &mut self.context.desk.inquiries;
        let Some(at) = inquiries.iter().position(|own| own.is_answer(&message)) else { return };
        let mut inquiry = inquiries.swap_remove(at);
        let step = inquiry.hear(message.said, self.context.scratch.now);
        self.follow(inquiry, step);
    }

    /// What this worker has of what another one wants.
    fn part(&mut self, wanted: Wanted) -> Said {
        match wanted {
            Wanted::Sessions(from) => {
                let mut text = String::new();
                let next = self.list(usize::try_from(from).unwrap_or(usize::MAX), PART, &mut text);
                Said::Part { next: next.map(|next| next as u64), text }
            }
            Wanted::Refusals(from) => {
                let (text, next) = self.context.refusals.part(from, PART);
                Said::Part { next, text }
            }
            Wanted::History => Said::Part { next: None, text: self.meter.history.json() },
            Wanted::Close(index, generation) => {
                let closed = self.close_for_operator(Key { index, generation });
                Said::Part { next: None, text: if closed { CLOSED } else { "" }.into() }
            }
        }
    }

    /// Appends the sessions from a place on, as JSON objects with commas between them, as many as a
    /// turn has time for; returns where the next ones are.
    pub(super) fn list(&self, from: usize, most: usize, out: &mut String) -> Option<usize> {
        let places = self.sessions.places();
        let begin = out.len();
        for place in from..from.saturating_add(LISTED).min(places) {
            if out.len() - begin >= most {
                return Some(place);
            }
            if let Some(session) = self.sessions.at(place).filter(|session| !session.is_admin()) {
                out.push_str(if out.is_empty() { "" } else { "," });
                self.describe(session, out);
            }
        }
        let next = from.saturating_add(LISTED);
        (next < places).then_some(next)
    }

    /// Asks all others for what they have beside what is gathered, if there are others.
    pub(super) fn gather(&mut self, of: (Key, Box<Request>), gathered: Gathered) {
        if self.context.desk.worker.is_none() {
            return self.give_gathered(of, gathered, &[]);
        }
        let serial = self.context.desk.next_serial();
        let (inquiry, first) = Inquiry::of_all(of, gathered, serial, self.context.scratch.now);
        self.follow(inquiry, Step::Say(first));
    }

    /// Has another process close a session of its own.
    pub(super) fn have_closed(&mut self, of: (Key, Box<Request>), session: (u32, Key)) {
        let serial = self.context.desk.next_serial();
        let (inquiry, first) = Inquiry::of_one(of, session, serial, self.context.scratch.now);
        self.follow(inquiry, Step::Say(first));
    }

    fn follow(&mut self, inquiry: Inquiry, step: Step) {
        match step {
            Step::Wait => {}
            Step::Say(message) => self.context.system.tell_other(&message),
            Step::Done => {
                let (of, gathered, missing) = inquiry.take();
                return self.give_gathered(of, gathered, &missing);
            }
        }
        self.context.desk.inquiries.push(inquiry);
    }

    /// Answers with what all have, but for `missing` workers.
    fn give_gathered(&mut self, of: (Key, Box<Request>), gathered: Gathered, missing: &[usize]) {
        let (key, request) = of;
        let path = request.path().to_vec();
        let mut answer = match gathered {
            Gathered::Sessions(text) => said(JSON, format!("[{text}]\n")),
            Gathered::Refusals(all) => said(JSON, refusals::latest(all)),
            Gathered::History(text) => said(JSON, text),
            Gathered::Closed(Some(true)) => closed(&request),
            Gathered::Closed(None) if !missing.is_empty() => {
                Response::text(Status::Unavailable, "Its worker does not answer.\n")
            }
            Gathered::Closed(_) => no_such_session(),
        };
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|worker| name(*worker)).collect();
            let names = names.join(", ");
            warn!("admin: {} without worker {names}: no answer", Escaped(path));
            answer = answer.with("Websocksy-Left-Out", names);
        }
        self.give(key, &request, answer);
    }
}

/// A worker's number, or a word for those whose numbers are not known.
fn name(worker: usize) -> String {
    if worker == 0 { "?".into() } else { worker.to_string() }
}
