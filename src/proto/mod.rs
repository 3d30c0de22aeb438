//! The protocols, pure: `&[u8]` to values and values to bytes.
//!
//! Nothing here knows a socket, a clock or a connection.

pub mod basic;
pub mod client_addr;
pub mod client_tls;
pub mod close;
pub mod extensions;
pub mod forwarded;
pub mod frame;
pub mod handshake;
pub mod http;
pub mod mask;
pub mod origin;
pub mod proxy;
pub mod summary;
pub mod utf8;
