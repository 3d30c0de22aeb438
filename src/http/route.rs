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
    /// The path `/`, where `--web-redirect` sends its clients somewhere else.
    Redirect,
    /// A file of `--web`.
    File,
    /// None of these takes such a method.
    Method,
    /// The operator's pages.
    Admin,
}

impl Route {
    /// Whether it is for those only who have a password, where the operator asks for one. A load
    /// balancer that looks whether we are well has none.
    #[must_use]
    pub fn asks_who(self) -> bool {
        match self {
            Self::Health | Self::Admin => false,
            Self::Redirect | Self::File | Self::Method => true,
        }
    }
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
    let has_files = config.web.is_some() || config.web_redirect.is_some();
    config.health.is_some() || has_files || config.is_admin
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
    if config.is_admin {
        return Some(Route::Admin);
    }
    let is_read = matches!(head.method(), Method::Get | Method::Head);
    if wants_websocket(head) {
        return None;
    }
    let path = path_of(head.target());
    if config.health.as_ref().is_some_and(|health| health.as_bytes() == path) {
        return Some(if is_read { Route::Health } else { Route::Method });
    }
    if config.web_redirect.is_some() && path == b"/" {
        return Some(if is_read { Route::Redirect } else { Route::Method });
    }
    let other = if is_read { Route::File } else { Route::Method };
    config.web.is_some().then_some(other)
}

/// Whether the client means a WebSocket: it asks for one, or did before something on the way took
/// the Upgrade off, which the handshake's own words then say. RFC 9110 §7.8: an Upgrade in HTTP/1.0
/// is ignored.
fn wants_websocket(head: &Head) -> bool {
    head.version() == Version::Http11
        && (head.lists("upgrade", b"websocket")
            || head.values("sec-websocket-key").next().is_some())
}
