//! What all sessions share while they have their turns.

use super::dial::Backlogs;
use super::listen::{Admission, HangUps};
use super::slots::Key;
use super::system::System;
use super::timer_wheel::{Tick, TimerWheel};
use crate::conn::Scratch;
use crate::offload::Offload;
use crate::slab::Slab;

/// All that a session's turn needs beside the session.
pub(super) struct Context<S: System> {
    pub(super) system: S,
    pub(super) offload: Offload<Key, S::Workers>,
    /// The C structs, one at the index of each session.
    pub(super) slab: Slab,
    pub(super) wheel: TimerWheel,
    /// What a turn of an open session begins is due after so many ticks, or later.
    pub(super) respite: Tick,
    /// Who is let in, and how many.
    pub(super) admission: Admission,
    pub(super) hang_ups: HangUps,
    /// Who waits for room in a Unix peer's backlog.
    pub(super) backlogs: Backlogs<Key>,
    /// Whether the daemon ends.
    pub(super) draining: bool,
    /// The loop's buffers, and its clock: read once a wake-up.
    pub(super) scratch: Scratch,
}
