//! What the loop counts of itself, and when it looks at what it cannot count.

use std::time::Instant;

use super::event_loop::Reactor;
use super::goodbyes::Stage;
use super::system::{System, Usage};
use crate::backend;
use crate::logging;
use crate::metrics::{Block, CELLS, Number, Times, Totals, layout_id};
use crate::offload::Jobs;
use crate::worker::{self, Table};

// A block fits in a worker's row.
const _: () = assert!(CELLS <= worker::CELLS);

impl<S: System> Reactor<S> {
    /// Counts in a row of a table, and shows all rows together; to be called before there are
    /// listeners.
    #[must_use]
    pub(super) fn counting_together(self, table: &'static Table, row: usize) -> Self {
        let Some(block) = Block::over(table.take_cells(row, layout_id())) else { return self };
        let mut own = self.counting_in(block);
        own.meter.together = Some(table);
        own
    }

    /// What this process has counted, and those that count together with it.
    #[must_use]
    pub fn totals(&self) -> Totals {
        match self.meter.together {
            None => Totals::of(&[&self.context.metrics]),
            Some(table) => {
                let all: Vec<_> = table.all_cells(layout_id()).filter_map(Block::over).collect();
                Totals::of(&all.iter().collect::<Vec<_>>())
            }
        }
    }

    /// Counts in `block`, which somebody else reads; to be called before there are listeners.
    #[must_use]
    pub fn counting_in(mut self, block: Block) -> Self {
        self.context.metrics = block;
        self.meter.is_read = true;
        self.meter.counters.clear();
        self.begin_counting();
        self
    }

    /// What there is to say before anything has happened.
    pub(super) fn begin_counting(&mut self) {
        let seconds = self.context.seconds();
        let metrics = &self.context.metrics;
        metrics.begin();
        metrics.set(Number::Started, (seconds * 1e3) as u64);
        metrics.set(Number::Generation, 0);
        metrics.set(Number::Draining, 0);
        metrics.reloaded(true, seconds as u64);
        self.look();
    }

    /// A turn begins: there are events, or it is time.
    pub(super) fn turn_begins(&mut self) {
        self.meter.working_since = Some(self.context.scratch.now);
    }

    /// The turn that began last is over.
    pub(super) fn turn_is_over(&mut self, now: Instant) {
        let Some(since) = self.meter.working_since.take() else { return };
        let metrics = &self.context.metrics;
        metrics.took(Times::Turn, now.saturating_duration_since(since));
        let traffic = self.context.scratch.traffic;
        let [before_in, before_out] = std::mem::replace(&mut self.meter.traffic, traffic);
        let [client, peer] = traffic;
        metrics.add(Number::BytesIn, client.bytes - before_in.bytes);
        metrics.add(Number::MessagesIn, client.messages - before_in.messages);
        metrics.add(Number::BytesOut, peer.bytes - before_out.bytes);
        metrics.add(Number::MessagesOut, peer.messages - before_out.messages);
    }

    /// Why no client would find a peer now, if that is so.
    pub(super) fn unready(&self) -> Option<&'static str> {
        if self.context.draining {
            return Some("ending\n");
        }
        if let Stage::Retired(_) = self.drain.stage {
            return Some("others take new clients\n");
        }
        if self.context.offload.is_out(*self.service.backend, self.context.scratch.now) {
            return Some("no peer could be reached\n");
        }
        // Each of the threads that could answer is still at a query that is over for its client.
        let stuck = self.context.overdue.len() >= self.service.config.query_threads;
        stuck.then_some("the back end does not answer\n")
    }

    /// The same of all that count together: one that is ready will do, but where they end.
    pub(super) fn all_unready(&mut self) -> Option<&'static str> {
        let why = self.unready()?;
        self.look();
        let others = self.meter.together.is_some() && !self.context.draining;
        (!others || self.totals().number(Number::Ready) == 0).then_some(why)
    }

    /// Looks at what is not counted as it happens.
    pub(super) fn look(&mut self) {
        let is_ready = self.unready().is_none();
        let context = &self.context;
        let metrics = &context.metrics;
        let Jobs { names, queries, passwords, files } = context.offload.jobs();
        let Usage { resident, descriptors, most_descriptors } = context.system.usage();
        let missing = logging::missing();
        let before = std::mem::replace(&mut self.meter.missing, missing);
        metrics.add(Number::LogLost, missing.lost.saturating_sub(before.lost));
        metrics.add(Number::LogLeftOut, missing.left_out.saturating_sub(before.left_out));
        for (number, value) in [
            (Number::LookUps, names as u64),
            (Number::Queries, queries as u64),
            (Number::Passwords, passwords as u64),
            (Number::Files, files as u64),
            (Number::Queued, context.queued),
            (Number::Resident, resident),
            (Number::Descriptors, descriptors),
            (Number::MostDescriptors, most_descriptors),
            (Number::Ready, u64::from(is_ready)),
            (Number::Draining, u64::from(context.draining)),
        ] {
            metrics.set(number, value);
        }
        // In the block there may be what a process before this one counted.
        for (at, (name, count)) in backend::counters().into_iter().enumerate() {
            let before = self.meter.counters.get(at).copied();
            metrics.counted(&name, count.wrapping_sub(before.unwrap_or_default()));
            match self.meter.counters.get_mut(at) {
                Some(own) => *own = count,
                None => self.meter.counters.push(count),
            }
        }
        let certificates = context.system.certificates().iter();
        metrics.certificates(certificates.map(|(name, end)| (name.as_str(), *end)));
    }

    /// When the next sample of the last ten minutes is due; never if nobody can ask for it.
    pub(super) fn look_back_at(&self) -> Option<Instant> {
        self.meter.is_read.then(|| self.meter.history.due().unwrap_or(self.context.scratch.now))
    }

    /// Takes a sample if it is due.
    pub(super) fn look_back(&mut self) {
        let now = self.context.scratch.now;
        if self.meter.is_read && self.meter.history.is_due(now) {
            self.look();
            let totals = self.totals();
            self.meter.history.sample(&totals, self.context.seconds(), now);
        }
    }
}
