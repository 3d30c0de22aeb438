//! TLS on the real binary: to clients by `rustls` and `openssl`, to peers both good and bad.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

#[path = "tls/clients.rs"]
mod clients;
mod common;
#[path = "tls/files.rs"]
mod files;
#[path = "tls/flood.rs"]
mod flood;
#[path = "tls/introduced.rs"]
mod introduced;
#[path = "tls/peers.rs"]
mod peers;
#[path = "tls/support.rs"]
mod support;
#[path = "tls/tickets.rs"]
mod tickets;
