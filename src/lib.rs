//! websocksy bridges WebSocket clients to ordinary sockets.
//!
//! The house, one room a module; arrows point one way only:
//!
//! ```text
//! main -> {config, reactor}
//! reactor -> {conn, backend, config}     the only room that touches a socket or reads the clock
//! backend -> {framing, abi}              who is the peer? always through the C table
//! conn -> {proto, framing, abi}          the bridge, sans-I/O: bytes and `now` in, bytes and wants out
//! framing -> abi                         when is a peer's stream a message?
//! proto -> nothing                       HTTP/1.1 and RFC 6455, &[u8] to values
//! config -> logging -> nothing           the operator's words; a log that holds nobody up
//! ```
//!
//! `docs/architecture.md` draws it, with the way of one byte and the invariants.

pub mod backend;
pub mod config;
pub mod conn;
pub mod framing;
pub mod logging;
mod net;
mod offload;
pub mod proto;
pub mod reactor;
pub mod slab;
