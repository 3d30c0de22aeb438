//! Worker processes: how many, and what is done with one that is stuck.

use std::thread;
use std::time::Duration;

use super::error::Origin;

/// How many worker processes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// So many.
    Count(usize),
    /// One for each processor that the daemon may use.
    PerProcessor,
}

/// What the operator says of worker processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerSettings {
    /// How many there are; none for one process that does everything.
    pub count: Option<Workers>,
    /// Whether each stays on one processor.
    pub pin: bool,
    /// A worker that is in one turn of its loop for so long is replaced; zero for never.
    pub stall_timeout: Duration,
    /// Sessions of workers that a new binary follows end after so long; zero for never.
    pub upgrade_drain: Duration,
    /// Where the first of those was written that mean nothing without workers.
    pub(super) needed_by: Option<Origin>,
}

impl WorkerSettings {
    /// How many processes serve clients: one where there are no workers.
    #[must_use]
    pub fn processes(&self) -> usize {
        match self.count {
            None => 1,
            Some(Workers::Count(count)) => count,
            Some(Workers::PerProcessor) => thread::available_parallelism().map_or(1, Into::into),
        }
    }
}
