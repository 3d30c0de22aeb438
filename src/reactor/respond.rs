//! Plain requests of a session: who answers, and with what.

use log::debug;

use super::context::Context;
use super::session::Session;
use super::system::System;
use crate::http::{Request, Response};
use crate::logging::Escaped;
use crate::proto::http::Status;

impl<S: System> Session<S> {
    /// Answers a request.
    pub(super) fn respond(
        &mut self,
        request: &Request,
        response: Response,
        context: &mut Context<S>,
    ) {
        let path = Escaped(request.path());
        debug!("{self}: {:?} {path}: {}", request.method(), response.status.code());
        self.connection.respond(response, &mut context.scratch);
    }
}

/// What a health check is told.
pub(super) fn health(draining: bool) -> Response {
    if draining {
        Response::text(Status::Unavailable, "ending\n")
    } else {
        Response::text(Status::Ok, "OK\n")
    }
}
