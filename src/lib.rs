//! websocksy bridges WebSocket clients to ordinary sockets.
//!
//! `docs/architecture.md` has the modules from the top down and what each may import, the way of one
//! byte, and what always holds; `tests/architecture.rs` keeps the sources to it.

pub mod access;
pub mod backend;
pub mod config;
pub mod conn;
pub mod deflate;
pub mod framing;
pub mod http;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod net;
mod offload;
pub mod proto;
pub mod reactor;
pub mod slab;
pub mod supervisor;
pub mod worker;
