//! The made-up world of the simulation and of the fuzz targets: a system, sockets, and a ledger.
//!
//! A [`Session`] is the daemon's own connection and pump between two sockets that are made up, and
//! a [`Ledger`] that is checked after every turn: each payload byte that was read from one side was
//! written to the other, waits in its queue, or is missing for a reason that came from outside.
//! What the bytes of either side mean is found out by readers that share no code with what they
//! judge. `tests/simulate` moves such sessions by chance, `fuzz` by a script.

// An assertion that fails is what this is for.
#![allow(clippy::expect_used, clippy::panic)]

mod agenda;
mod chance;
mod client_sent;
mod descriptors;
pub mod frames;
mod ledger;
pub mod machine;
mod options;
mod peer_sent;
mod received;
mod response;
mod route;
mod session;
mod socket;
mod system;
mod text;
mod witness;

pub use chance::Random;
pub use client_sent::{ClientSent, MAX_DATAGRAM};
pub use descriptors::Descriptor;
pub use ledger::{Ledger, View};
pub use options::{Faults, Latencies};
pub use peer_sent::PeerSent;
pub use received::{ClientReceived, PeerReceived, Pongs};
pub use response::Response;
pub use route::{ClientGets, PeerGets, Route};
pub use session::{Session, Wanted};
pub use socket::{FakeSocket, Plug};
pub use system::{Event, System};
pub use text::TextCheck;
