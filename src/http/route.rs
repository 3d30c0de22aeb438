//! Who answers a request?

use super::request::{Request, path_of};
use crate::config::Config;
use crate::proto::handshake::Refused;
use crate::proto::http::{Head, Method, Version};

/// Who answers a plain request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The path of `--health`: 200, or 503 while the daemon ends.
    Health,
}

/// Where a request goes.
#[derive(Debug)]
pub enum Routed {
    /// To the bridge, which judges it as a handshake.
    Upgrade(Head),
    /// It is answered without a WebSocket.
    Plain(Route, Box<Request>),
}

/// Whether some request would be answered without a WebSocket: elsewhere methods and versions that
/// are no handshake's are refused as soon as they were read.
#[must_use]
pub fn answers_plain(config: &Config) -> bool {
    config.health.is_some()
}

/// Decides who answers this request.
///
/// # Errors
/// It is malformed, whoever would answer it.
pub fn route(head: Head, config: &Config) -> Result<Routed, Refused> {
    match plain(&head, config) {
        Some(route) => Ok(Routed::Plain(route, Box::new(Request::new(head)?))),
        None => Ok(Routed::Upgrade(head)),
    }
}

fn plain(head: &Head, config: &Config) -> Option<Route> {
    let is_read = matches!(head.method(), Method::Get | Method::Head);
    if wants_websocket(head) || !is_read {
        return None;
    }
    let path = path_of(head.target());
    let is_health = config.health.as_ref().is_some_and(|health| health.as_bytes() == path);
    is_health.then_some(Route::Health)
}

/// Whether the client means a WebSocket: it asks for one, or did before something on the way took
/// the Upgrade off, which the handshake's own words then say. RFC 9110 §7.8: an Upgrade in HTTP/1.0
/// is ignored.
fn wants_websocket(head: &Head) -> bool {
    head.version() == Version::Http11
        && (head.lists("upgrade", b"websocket")
            || head.values("sec-websocket-key").next().is_some())
}
