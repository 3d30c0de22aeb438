//! The operator's own pages: what is counted, who is there, and an end for one of them.
//!
//! A request is answered at the end of a turn, when all sessions can be looked at. A list of them
//! is made over several turns, some sessions in each, so that nobody waits for it.

use std::borrow::Cow;
use std::fmt;

use log::info;

use super::desk::List;
use super::event_loop::Reactor;
use super::inquiry::Gathered;
use super::json::Object;
use super::page;
use super::respond::health;
use super::session::Session;
use super::slots::Key;
use super::system::System;
use crate::conn::Side;
use crate::http::{Body, Request, Response};
use crate::logging::Escaped;
use crate::metrics;
use crate::net::Channel;
use crate::proto::http::{Method, Status};

/// Lists that are made or wait for that; each may be megabytes.
const LISTS: usize = 4;
/// The version of Prometheus' text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// What a request asks for.
enum Asked {
    Page,
    Metrics,
    Health,
    Ready,
    Sessions,
    Refusals,
    History,
    Close(Id),
}

impl<S: System> Reactor<S> {
    /// Answers what was asked, and goes on with a list.
    pub(super) fn serve_desk(&mut self) {
        self.hear_others();
        for (key, request) in std::mem::take(&mut self.context.desk.requests) {
            let answer = match self.judge(&request) {
                Ok(Asked::Sessions) if self.context.desk.lists.len() < LISTS => {
                    let list = List { key, request, next: 0, text: String::new() };
                    self.context.desk.lists.push_back(list);
                    continue;
                }
                Ok(Asked::Sessions) => {
                    Response::text(Status::Unavailable, "There are too many lists at once.\n")
                }
                Ok(Asked::Page) => page::page(),
                Ok(Asked::Metrics) => {
                    self.look();
                    said(PROMETHEUS, metrics::render(&self.totals()))
                }
                Ok(Asked::Health) => health(None),
                Ok(Asked::Ready) => health(self.all_unready()),
                Ok(Asked::Refusals) => {
                    let own = Gathered::Refusals(self.context.refusals.all());
                    self.gather((key, request), own);
                    continue;
                }
                Ok(Asked::History) if self.meter.history.is_whole() => {
                    said(JSON, self.meter.history.json())
                }
                Ok(Asked::History) => {
                    let own = Gathered::History(self.meter.history.json());
                    self.gather((key, request), own);
                    continue;
                }
                Ok(Asked::Close(id)) if id.is_of_other(self.context.desk.worker) => {
                    self.have_closed((key, request), (id.process.unwrap_or_default(), id.key));
                    continue;
                }
                Ok(Asked::Close(id)) if self.close_for_operator(id.key) => closed(&request),
                Ok(Asked::Close(_)) => no_such_session(),
                Err(refusal) => refusal,
            };
            self.give(key, &request, answer);
        }
        self.list_some();
    }

    /// What the request asks for, if it may.
    fn judge(&self, request: &Request) -> Result<Asked, Response> {
        // A check in HTTP/1.0 may have none, and no browser leaves it out.
        let has_none = request.values("host").next().is_none();
        let host = request.value("host").unwrap_or_default();
        let is_ours = self.service.config.admin.as_ref().is_some_and(|own| own.answers_to(host));
        if !has_none && !is_ours {
            info!("admin: refused with 403: Host {} is not ours", Escaped(host));
            return Err(Response::text(Status::Forbidden, "This is not a name of this address.\n"));
        }
        if let Some(origin) = request.values("origin").find(|origin| !is_own(origin, host)) {
            info!("admin: refused with 403: Origin {} is foreign", Escaped(origin));
            return Err(Response::text(Status::Forbidden, "Pages of this origin may not ask.\n"));
        }
        let (asked, method) = match request.path() {
            b"/" => (Asked::Page, Method::Get),
            b"/metrics" => (Asked::Metrics, Method::Get),
            b"/healthz" => (Asked::Health, Method::Get),
            b"/readyz" => (Asked::Ready, Method::Get),
            b"/sessions" => (Asked::Sessions, Method::Get),
            b"/refusals" => (Asked::Refusals, Method::Get),
            b"/history" => (Asked::History, Method::Get),
            path => match closes(path) {
                Some(id) => (Asked::Close(id), Method::Post),
                None => return Err(Response::text(Status::NotFound, "There is no such page.\n")),
            },
        };
        let is_read = matches!(request.method(), Method::Get | Method::Head);
        match method {
            Method::Post if request.method() == Method::Post => Ok(asked),
            Method::Post => Err(not_allowed("POST")),
            _ if is_read => Ok(asked),
            _ => Err(not_allowed("GET, HEAD")),
        }
    }

    pub(super) fn give(&mut self, key: Key, request: &Request, answer: Response) {
        let answer = answer
            .with("X-Content-Type-Options", "nosniff")
            .with("Cross-Origin-Resource-Policy", "same-origin");
        self.sessions.serve(key, &mut self.context, |session, context| {
            session.respond(request, answer, context);
            session.turn(context)
        });
    }

    /// Ends a session; returns whether it was there.
    pub(super) fn close_for_operator(&mut self, key: Key) -> bool {
        let mut found = false;
        self.sessions.serve(key, &mut self.context, |session, context| {
            found = !session.is_admin();
            if found { session.end_for_operator(context) } else { session.turn(context) }
        });
        found
    }

    /// Goes on with the list that was asked for first.
    fn list_some(&mut self) {
        let Some(mut list) = self.context.desk.lists.pop_front() else { return };
        match self.list(list.next, usize::MAX, &mut list.text) {
            Some(next) => {
                list.next = next;
                // Who left is not listed for.
                if self.sessions.is_there(list.key) {
                    self.context.desk.lists.push_front(list);
                }
            }
            None => self.gather((list.key, list.request), Gathered::Sessions(list.text)),
        }
    }

    /// A session as a JSON object.
    pub(super) fn describe(&self, session: &Session<S>, out: &mut String) {
        let connection = &session.connection;
        let now = self.context.scratch.now;
        let time = now.saturating_duration_since(session.since).as_secs_f64();
        let state = match (connection.ending(), connection.was_open()) {
            (Some(_), _) => "closing",
            (None, true) => "bridged",
            (None, false) => "opening",
        };
        let shown = |bytes| Escaped(bytes).to_string();
        let worker = self.context.desk.worker;
        let process = worker.map(|_| std::process::id());
        let mut object = Object::begin(out)
            .text("id", &Id { process, key: session.key }.to_string())
            .text("state", state)
            .text("client", &session.address.to_string())
            .text("listener", &session.entrance.name)
            .text("tls", session.client.tls_version().unwrap_or_default());
        if let Some(worker) = worker {
            object = object.number("worker", worker);
        }
        if let Some(proxy) = session.proxy() {
            object = object.text("proxy", &proxy.to_string());
        }
        if let Some(user) = &session.user {
            object = object.text("user", &Escaped(&user.0).to_string());
        }
        if let Some(target) = &session.target {
            object = object.text("peer", &target.to_string());
        }
        if let Some(summary) = connection.summary() {
            object = object
                .text("path", &shown(summary.path()))
                .text("origin", &shown(summary.origin()))
                .text("agreed", &shown(summary.agreed()))
                .text("framing", &shown(summary.framing()));
        }
        let since = self.context.seconds() - time;
        object
            .number("since", format_args!("{since:.3}"))
            .number("seconds", format_args!("{time:.3}"))
            .number("bytes_in", connection.received_bytes(Side::Client))
            .number("bytes_out", connection.received_bytes(Side::Peer))
            .number("messages_in", connection.messages(Side::Client))
            .number("messages_out", connection.messages(Side::Peer))
            .number("queued", connection.queued())
            .end();
    }
}

pub(super) fn said(kind: &'static str, text: String) -> Response {
    let body = Body::Bytes(Cow::Owned(text.into_bytes()));
    let response = Response { status: Status::Ok, fields: Vec::new(), body };
    response.with("Content-Type", kind).with("Cache-Control", "no-store")
}

/// The answer to who had a session closed: its name, as the request has it.
pub(super) fn closed(request: &Request) -> Response {
    let id = request.path().split(|byte| *byte == b'/').nth(2).unwrap_or_default();
    said(JSON, format!("{{\"closed\":\"{}\"}}\n", Escaped(id)))
}

pub(super) fn no_such_session() -> Response {
    Response::text(Status::NotFound, "There is no such session.\n")
}

fn not_allowed(methods: &'static str) -> Response {
    Response::text(Status::MethodNotAllowed, "That is not how to ask for it.\n")
        .with("Allow", methods)
}

/// Whether an origin is of the page that was asked for as `host`: RFC 6454 §6.2, whatever speaks TLS
/// in front of us.
fn is_own(origin: &[u8], host: &[u8]) -> bool {
    let own = |scheme: &[u8]| origin.strip_prefix(scheme).is_some_and(|rest| rest == host);
    own(b"http://") || own(b"https://")
}

/// A session's name for the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Id {
    /// Whose session it is, where there are several processes.
    process: Option<u32>,
    key: Key,
}

impl Id {
    /// Whether another process has it.
    fn is_of_other(self, worker: Option<usize>) -> bool {
        worker.is_some() && self.process != Some(std::process::id())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, key } = self;
        if let Some(process) = process {
            write!(f, "{process}-")?;
        }
        write!(f, "{}-{}", key.index, key.generation)
    }
}

/// The session that `/sessions/ID/close` names.
fn closes(path: &[u8]) -> Option<Id> {
    let id = path.strip_prefix(b"/sessions/")?.strip_suffix(b"/close")?;
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
    let numbers = std::str::from_utf8(id).ok()?.split('-').map(number);
    let (process, index, generation) = match *numbers.collect::<Option<Vec<u32>>>()? {
        [index, generation] => (None, index, generation),
        [process, index, generation] => (Some(process), index, generation),
        _ => return None,
    };
    Some(Id { process, key: Key { index, generation } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_of_the_host_that_was_asked() {
        for (origin, own) in [
            ("http://localhost:9101", true),
            ("https://localhost:9101", true),
            ("http://localhost", false),
            ("http://evil.test", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(is_own(origin.as_bytes(), b"localhost:9101"), own, "{origin}");
        }
    }

    #[test]
    fn ids_name_sessions() {
        let key = Key { index: 12, generation: 3 };
        for process in [None, Some(4019)] {
            let id = Id { process, key };
            assert_eq!(closes(format!("/sessions/{id}/close").as_bytes()), Some(id));
        }
        for id in ["12", "+1-2", "-", "1-2-3-4", "1--2", "99999999999-1", "1-2-"] {
            assert_eq!(closes(format!("/sessions/{id}/close").as_bytes()), None, "{id}");
        }
        assert_eq!(closes(b"/sessions/1-2"), None);
        assert!(!Id { process: None, key }.is_of_other(None));
        assert!(!Id { process: Some(std::process::id()), key }.is_of_other(Some(1)));
        assert!(Id { process: Some(1), key }.is_of_other(Some(1)));
    }
}
