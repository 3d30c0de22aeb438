//! Plain requests of a session: who answers, and with what.

use std::sync::Arc;

use log::{debug, warn};

use super::context::Context;
use super::session::{Next, Session, Stored};
use super::system::System;
use crate::http::files::not_found;
use crate::http::{Request, Response, Route};
use crate::logging::Escaped;
use crate::offload::{FileDone, FileJob};
use crate::proto::http::Status;

impl<S: System> Session<S> {
    /// Sees to it that a request is answered.
    pub(super) fn asked(&mut self, route: Route, request: Box<Request>, context: &mut Context<S>) {
        let response = match route {
            Route::Health => health(context.draining.then_some("ending\n")),
            Route::Method => Response::read_only(),
            Route::Redirect => {
                let place = self.connection.config().web_redirect.clone();
                Response::redirect(place.unwrap_or_default())
            }
            Route::Admin => return context.desk.ask(self.key, request),
            Route::File => return self.open_file(request, context),
        };
        self.respond(&request, response, context);
    }

    fn open_file(&mut self, request: Box<Request>, context: &mut Context<S>) {
        let (Some(root), Some(now)) = (&self.connection.config().web, context.scratch.date())
        else {
            return self.respond(&request, not_found(), context);
        };
        let job = FileJob::Open { root: Arc::clone(root), request, now };
        match context.offload.file(self.key, job) {
            Ok(ticket) => {
                let stored = Stored { job: Some(ticket), ..Stored::default() };
                self.stored = Some(Box::new(stored));
            }
            Err(_) => {
                let busy = Response::text(Status::Unavailable, "Too many ask for files.\n");
                self.connection.respond(busy, &mut context.scratch);
            }
        }
    }

    /// Fetches the next piece of the file that is sent.
    pub(super) fn fetch(&mut self, at: u64, length: usize, context: &mut Context<S>) {
        let Some(stored) = &mut self.stored else { return };
        if let Some(ahead) = stored.ahead.take() {
            return self.connection.fetched(Ok(&ahead), &mut context.scratch);
        }
        let Some(file) = stored.file.clone() else { return };
        match context.offload.file(self.key, FileJob::Read { file, at, length }) {
            Ok(ticket) => stored.job = Some(ticket),
            Err(error) => {
                self.connection.fetched(Err(error.to_string()), &mut context.scratch);
            }
        }
    }

    /// The turn in which a file is open, or a piece of it there.
    pub(super) fn brought(&mut self, done: FileDone, context: &mut Context<S>) -> Next {
        let Some(stored) = &mut self.stored else { return Next::Wait };
        stored.job = None;
        match done {
            FileDone::Opened { request, response, file, ahead, problem } => {
                stored.file = file;
                stored.ahead = (!ahead.is_empty()).then_some(ahead);
                if let Some(problem) = problem {
                    warn!("{self}: {}: {problem}", Escaped(request.path()));
                }
                self.respond(&request, response, context);
            }
            FileDone::Read(Ok(piece)) => {
                self.connection.fetched(Ok(&piece), &mut context.scratch);
            }
            FileDone::Read(Err(error)) => {
                warn!("{self}: a file cannot be read: {error}");
                self.connection.fetched(Err(error.to_string()), &mut context.scratch);
            }
        }
        self.turn(context)
    }

    /// Nobody waits for a file any more.
    pub(super) fn stop_reading(&mut self, context: &mut Context<S>) {
        if let Some(ticket) = self.stored.take().and_then(|stored| stored.job) {
            context.offload.forget_file(ticket);
        }
    }

    /// Answers a request.
    pub(super) fn respond(
        &mut self,
        request: &Request,
        response: Response,
        context: &mut Context<S>,
    ) {
        let (path, status) = (Escaped(request.path()), response.status.code());
        debug!("{self}: {:?} {path}: {status}", request.method());
        self.count_answer(status, context);
        self.connection.respond(response, &mut context.scratch);
    }
}

/// What a health check is told.
pub(super) fn health(problem: Option<&'static str>) -> Response {
    match problem {
        Some(problem) => Response::text(Status::Unavailable, problem).with("Retry-After", "5"),
        None => Response::text(Status::Ok, "OK\n"),
    }
}
