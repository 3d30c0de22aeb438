//! What a socket is: the ways to either side of a session, and what the system says of them.

mod channel;
pub(crate) mod limits;
pub(crate) mod liveness;
pub(crate) mod notify;
mod pieces;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
mod unacked;

pub use channel::{Channel, Readiness};
pub(crate) use transport::Transport;
