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
mod admin;
mod behind;
mod check;
mod connect;
mod context;
mod counting;
mod deadlines;
mod desk;
mod dial;
mod drain;
mod event_loop;
mod fixed;
mod goodbyes;
mod handshakes;
mod inquiry;
mod json;
mod kernel;
mod line;
mod listen;
mod meter;
mod metering;
mod orders;
mod page;
mod passwords;
mod prepare;
mod proxied;
mod refusals;
mod reload;
mod renew;
mod report;
mod respond;
mod rights;
mod sandbox;
mod session;
mod sessions;
mod setup;
mod slots;
mod start_error;
mod system;
mod tally;
mod timer_wheel;
mod together;

pub use crate::net::{Channel, Readiness};
pub use crate::offload::{Done, FileDone, FileJob, Instance, Jobs, LookedUp, Ticket, Workers};
pub use check::check;
pub use event_loop::{Counts, Reactor};
pub use listen::{Entrance, WorkerSockets};
pub use mio::Token;
pub use reload::Source;
pub use rights::{keep_files_private, protect_keys, refuse_new_privileges};
pub use setup::{Ended, Started, open_for_workers, renew_for_workers, resume_for_workers, start};
pub use slots::Key;
pub use start_error::StartError;
pub use system::{Event, OFFLOAD, OTHERS, SIGNALS, Signal, System, Usage};
