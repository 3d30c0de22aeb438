//! What a socket is: the ways to either side of a session, and what the system says of them.

pub(crate) mod limits;
mod transport;
mod unacked;

pub(crate) use transport::{ALL, Transport};
