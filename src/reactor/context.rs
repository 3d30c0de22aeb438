//! What all sessions share while they have their turns.

use super::desk::Desk;
use super::dial::{Backlogs, Turns};
use super::listen::service::Outgoing;
use super::listen::{Admission, HangUps};
use super::refusals::Refusals;
use super::slots::Key;
use super::system::System;
use super::timer_wheel::{Tick, TimerWheel};
use crate::conn::Scratch;
use crate::metrics::Block;
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
    /// Which of our addresses the next peer is dialled from.
    pub(super) sources: Turns,
    /// The operators who are there.
    pub(super) operators: Admission,
    /// Back ends that end when who is there has asked them.
    pub(super) outgoing: Outgoing,
    /// Whether the daemon ends.
    pub(super) draining: bool,
    /// What the operator asked for.
    pub(super) desk: Desk,
    /// What is counted.
    pub(super) metrics: Block,
    /// Who was refused last.
    pub(super) refusals: Refusals,
    /// Bytes that wait in all sessions.
    pub(super) queued: u64,
    /// Sessions whose query goes on, though their time for it is over.
    pub(super) overdue: Vec<Key>,
    /// The loop's buffers, and its clock: read once a wake-up.
    pub(super) scratch: Scratch,
}

impl<S: System> Context<S> {
    /// Where an operator, or anybody else, is counted.
    pub(super) fn admission_of(&mut self, is_admin: bool) -> &mut Admission {
        if is_admin { &mut self.operators } else { &mut self.admission }
    }
}
