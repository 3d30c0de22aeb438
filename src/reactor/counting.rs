//! A session as the operator sees it: what is counted of it, and its end by hand.

use std::fmt::Display;
use std::time::UNIX_EPOCH;

use super::context::Context;
use super::listen::Listener;
use super::refusals::Refused;
use super::report::Behind;
use super::session::{Next, Session};
use super::system::System;
use crate::logging::Escaped;
use crate::metrics::Times;
use crate::net::Channel;
use crate::proto::client_addr::ClientAddr;
use crate::proto::http::Status;

impl<S: System> Session<S> {
    /// It came in by this listener, with TLS to come or without.
    pub(super) fn count_in(&mut self, listener: &Listener<S>) {
        self.tally.place = listener.counted();
        self.tally.is_secured = !listener.entrance().words.tls;
    }

    /// A step on the way to its peer is done.
    pub(super) fn stepped(&mut self, step: Times, context: &mut Context<S>) {
        let now = context.scratch.now;
        let since = std::mem::replace(&mut self.tally.step_since, now);
        context.metrics.took(step, now.saturating_duration_since(since));
    }

    /// Its peer is there.
    pub(super) fn count_open(&mut self, context: &mut Context<S>) {
        self.stepped(Times::Dial, context);
        self.tally.place.into_iter().for_each(|place| context.metrics.opened(place));
    }

    /// A plain request was answered, and the next step begins now.
    pub(super) fn count_answer(&mut self, status: u16, context: &mut Context<S>) {
        self.tally.step_since = context.scratch.now;
        if self.tally.place.is_some() {
            context.metrics.answered(status);
        }
    }

    /// It had a turn.
    pub(super) fn count_turn(&mut self, context: &mut Context<S>) {
        let queued = u32::try_from(self.connection.queued()).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut self.tally.queued, queued);
        context.queued = context.queued + u64::from(queued) - u64::from(before);
        if !self.tally.is_secured && self.client.tls_version().is_some() {
            self.tally.is_secured = true;
            let time = context.scratch.now.saturating_duration_since(self.since);
            context.metrics.took(Times::Tls, time);
        }
    }

    /// It is gone.
    pub(super) fn count_out(&mut self, context: &mut Context<S>) {
        context.queued -= u64::from(std::mem::take(&mut self.tally.queued));
        let Some(place) = self.tally.place.take() else { return };
        context.metrics.gone(place);
        let Some(ending) = self.connection.ending() else { return };
        context.metrics.ended(ending.name());
        if self.announced {
            context.metrics.closed(place);
            let time = context.scratch.now.saturating_duration_since(self.since);
            context.metrics.took(Times::Session, time);
        } else if let Some(status) = ending.status() {
            let status = Some(status.code()).filter(|_| self.client.understands());
            status.into_iter().for_each(|status| context.metrics.answered(status));
            let remarks = self.remarks();
            let why = format_args!("{ending}{}", Behind(&remarks));
            self.keep_refusal(status, ending.name(), &why, context);
        }
    }

    /// It is hung up on before it can be told anything.
    pub(super) fn count_hang_up(&self, name: &str, why: &dyn Display, context: &mut Context<S>) {
        context.metrics.ended(name);
        self.keep_refusal(None, name, why, context);
    }

    fn keep_refusal(
        &self,
        status: Option<u16>,
        ending: &str,
        why: &dyn Display,
        context: &mut Context<S>,
    ) {
        if !context.refusals.are_kept() {
            return;
        }
        let proxy = self.proxy().map_or_else(String::new, |proxy| proxy.to_string());
        let summary = self.connection.summary();
        let shown = |bytes| Escaped(bytes).to_string();
        let path = summary.map_or_else(String::new, |summary| shown(summary.path()));
        let origin = summary.map_or_else(String::new, |summary| shown(summary.origin()));
        context.keep_refusal(&Refused {
            client: &self.address.to_string(),
            proxy: &proxy,
            listener: &self.entrance.name,
            status,
            ending,
            reason: &why.to_string(),
            path: &path,
            origin: &origin,
            time: 0.0,
        });
    }

    /// Whether its client is an operator.
    pub(super) fn is_admin(&self) -> bool {
        self.connection.is_admin()
    }

    /// The turn in which the operator ends it.
    pub(super) fn end_for_operator(&mut self, context: &mut Context<S>) -> Next {
        self.connection.close_for_operator(&mut context.scratch);
        self.turn(context)
    }
}

impl<S: System> Context<S> {
    /// Hangs up on a client before there is a session for it: says why, and counts it.
    pub(super) fn hang_up(
        &mut self,
        client: &ClientAddr,
        listener: &Listener<S>,
        (ending, why): (&str, &dyn Display),
    ) {
        self.hang_ups.say(client, None, why, self.scratch.now);
        let Some(place) = listener.counted() else { return };
        self.metrics.gone(place);
        self.metrics.ended(ending);
        if self.refusals.are_kept() {
            let (client, reason) = (client.to_string(), why.to_string());
            let listener = &listener.entrance().name;
            self.keep_refusal(&Refused {
                client: &client,
                listener,
                ending,
                reason: &reason,
                ..Refused::default()
            });
        }
    }

    /// There was no memory for a client's session.
    pub(super) fn count_lost(&mut self, listener: &Listener<S>) {
        let Some(place) = listener.counted() else { return };
        self.metrics.gone(place);
        self.metrics.ended("out-of-resources");
        self.metrics.answered(Status::Unavailable.code());
    }

    fn keep_refusal(&mut self, refused: &Refused<'_>) {
        let time = self.seconds();
        self.refusals.add(&Refused { time, ..*refused });
    }

    /// Seconds from 1970.
    pub(super) fn seconds(&self) -> f64 {
        let time = self.scratch.date().and_then(|now| now.duration_since(UNIX_EPOCH).ok());
        time.map_or(0.0, |time| time.as_secs_f64())
    }
}
