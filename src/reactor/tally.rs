//! What is counted of a session, as far as it is not with the numbers yet.

use std::time::Instant;

use crate::metrics::Place;

/// What is counted of a session.
pub(super) struct Tally {
    /// When it was accepted, or the last step to its peer was made.
    pub(super) step_since: Instant,
    /// Where; an operator is nowhere.
    pub(super) place: Option<Place>,
    /// How long its client's TLS handshake took is counted, or there is none.
    pub(super) is_secured: bool,
    /// How many bytes that wait in it are counted.
    pub(super) queued: u32,
}

impl Tally {
    /// That of one that was just accepted.
    pub(super) fn new(now: Instant) -> Self {
        Self { step_since: now, place: None, is_secured: false, queued: 0 }
    }
}
