//! What the loop has counted of itself so far.

use std::time::Instant;

use crate::conn::Traffic;
use crate::logging::Missing;
use crate::metrics::History;
use crate::worker::Table;

/// What is in the block already, and what was so in the last ten minutes.
pub(super) struct Meter {
    /// When the turn began that is not counted yet.
    pub(super) working_since: Option<Instant>,
    pub(super) traffic: [Traffic; 2],
    pub(super) missing: Missing,
    /// What plug-ins had counted, in the order in which they began to.
    pub(super) counters: Vec<u64>,
    pub(super) history: History,
    /// Whether anybody can ask.
    pub(super) is_read: bool,
    /// Where other processes count that are to be shown together with this one.
    pub(super) together: Option<&'static Table>,
}

impl Meter {
    pub(super) fn new(is_read: bool) -> Self {
        Self {
            working_since: None,
            traffic: <[Traffic; 2]>::default(),
            missing: Missing::default(),
            counters: Vec::new(),
            history: History::default(),
            is_read,
            together: None,
        }
    }
}
