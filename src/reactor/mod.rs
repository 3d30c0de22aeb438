//! The loop: events to sessions to deadlines, on one thread.
//!
//! A turn of the loop: wait for events, remember what they say, give each session that has
//! something to do its turn, serve the deadlines, take in what came back from the offload, close
//! what is finished. Sessions with more to do than one turn allows are listed for the next, and
//! then the wait is no wait.
//!
//! A session is looked up once for each of its turns (`sessions`); its steps work on the session
//! and on the context, which is what all share. A session's sockets are registered once,
//! edge-triggered, for both directions. Tokens carry the slot's generation, so that an event of a
//! closed socket reaches no new tenant.
//!
//! What the loop asks of the operating system stands in [`System`]. In the daemon that is
//! `kernel`, by mio; a test can make one up, and then the clock is made up, too.

mod accept;
mod connect;
mod context;
mod dial;
mod event_loop;
mod kernel;
mod listen;
mod passwords;
mod proxied;
mod report;
mod respond;
mod session;
mod sessions;
mod setup;
mod slots;
mod system;
mod timer_wheel;

pub use crate::net::{Channel, Readiness};
pub use crate::offload::{Done, FileDone, FileJob, LookedUp, Ticket, Workers};
pub use event_loop::{Counts, Reactor};
pub use listen::Entrance;
pub use mio::Token;
pub use setup::{Ended, StartError, Started, start};
pub use slots::Key;
pub use system::{Event, OFFLOAD, SIGNALS, Signal, System};
