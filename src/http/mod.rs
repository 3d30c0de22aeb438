//! What a request is answered with, when it is not a WebSocket that opens (RFC 9110).
//!
//! [`route`] decides before the handshake is judged. A [`Request`] that is not for the bridge goes
//! to whoever has the [`Route`], who gives a [`Response`]; the connection makes bytes of it and
//! carries them to the client, at the client's speed.

pub mod files;
mod request;
mod response;
mod route;
#[cfg(test)]
mod tests;

pub use request::{Asked, Request};
pub use response::{Body, Pieces, Response};
pub(crate) use response::{Need, Sending};
pub use route::{Route, Routed, answers_plain, route};
