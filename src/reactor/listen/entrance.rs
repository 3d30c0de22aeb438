//! What listeners of all kinds have in common.

use std::sync::Arc;

use crate::config::ListenWords;

/// Connections that the kernel holds until we accept them; it cuts the number to its own limit.
pub(in crate::reactor) const BACKLOG: i32 = 4096;

/// What is known of a listener, and what its clients are to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// Where it listens, as the log says it: `[::]:8001`, `unix:/run/x.sock`.
    pub name: Arc<str>,
    /// What the words behind its address say.
    pub words: ListenWords,
}
