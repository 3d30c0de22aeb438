//! How far a reload of all workers is.

use std::time::Instant;

use super::accepting::Accepted;
use super::check::Check;
use super::errand::Errand;
use super::rounds::Rounds;
use crate::reactor::{StartError, WorkerSockets};

/// Reloads, one at a time.
pub(super) struct Reload {
    /// The number of the configuration that is in force; that of the start is 1.
    pub(super) configuration: u64,
    /// How many reloads there were.
    pub(super) count: u64,
    /// SIGHUP came, and was not heeded yet.
    pub(super) wanted: bool,
    /// Reads all files.
    pub(super) reading: Option<Errand<Result<Accepted, StartError>>>,
    pub(super) check: Option<Check>,
    /// Listens where nobody does yet.
    pub(super) opening: Option<Errand<Result<WorkerSockets, StartError>>>,
    pub(super) rounds: Option<Rounds>,
    /// What workers are to serve by, and is not in force yet.
    pub(super) fresh: Option<Accepted>,
    pub(super) sockets: Option<WorkerSockets>,
}

impl Reload {
    pub(super) fn new() -> Self {
        Self {
            configuration: 1,
            count: 0,
            wanted: false,
            reading: None,
            check: None,
            opening: None,
            rounds: None,
            fresh: None,
            sockets: None,
        }
    }

    /// Whether one is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.reading.is_some()
            || self.check.is_some()
            || self.opening.is_some()
            || self.rounds.is_some()
    }

    /// It is over, whichever way.
    pub(super) fn end(&mut self) {
        if let Some(mut check) = self.check.take() {
            check.give_up();
        }
        (self.reading, self.opening, self.rounds) = (None, None, None);
        (self.fresh, self.sockets) = (None, None);
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let reading = self.reading.as_ref().map(|reading| reading.until);
        let check = self.check.as_ref().map(|check| check.until);
        let opening = self.opening.as_ref().map(|opening| opening.until);
        let rounds = self.rounds.as_ref().map(Rounds::wake_up);
        [reading, check, opening, rounds].into_iter().flatten().min()
    }
}
