//! A session's lines in the log: its start, its end, or why it never began.
//!
//! The words are for people, the fields behind them for programs: docs/operations.md lists both.

use std::fmt::{self, Write as _};
use std::time::Instant;

use log::kv::Value;
use log::{Level, Record, debug, log_enabled};

use super::session::{PeerState, Session};
use super::system::System;
use crate::conn::{Ending, Side};
use crate::logging::Escaped;
use crate::net::Channel;
use crate::proto::summary::Summary;

/// What a line has beside its words.
type Fields<'a> = Vec<(&'static str, Value<'a>)>;
/// As many as a line has at most.
const FIELDS: usize = 20;

impl<S: System> Session<S> {
    /// The start of a bridged session.
    pub(super) fn log_start(&mut self, now: Instant) {
        self.announced = true;
        self.since = now;
        if !log_enabled!(Level::Info) {
            return;
        }
        let (client, peer) = self.ends();
        let [proxy, tls, user] = self.client_shown();
        let mut fields = Fields::with_capacity(FIELDS);
        fields.push(("event", Value::from("start")));
        let fields = with(fields, &[("client", &client), ("proxy", &proxy), ("tls", &tls)]);
        let fields = with(fields, &[("user", &user), ("peer", &peer)]);
        log(format_args!("{self}: started"), fields);
    }

    /// Its end, or why it was refused.
    pub(super) fn log_end(&self, now: Instant) {
        let Some(ending) = self.connection.ending() else { return };
        let is_nothing = self.is_health_check() && matches!(ending, Ending::Left);
        if self.is_admin() || matches!(ending, Ending::Answered) {
            // Health checks and scrapes come every second.
            return debug!("{self}: {ending}");
        }
        if is_nothing || !log_enabled!(Level::Info) {
            return;
        }
        let (client, peer) = self.ends();
        let reason = ending.to_string();
        let event = match (self.announced, ending.status()) {
            (true, _) => "end",
            (false, Some(_)) => "refused",
            (false, None) => "left",
        };
        let mut fields = Fields::with_capacity(FIELDS);
        fields.extend([("event", Value::from(event)), ("ending", ending.name().into())]);
        let [proxy, tls, user] = self.client_shown();
        fields = with(fields, &[("reason", &reason), ("client", &client), ("proxy", &proxy)]);
        fields = with(fields, &[("tls", &tls), ("user", &user), ("peer", &peer)]);
        let [path, origin, offered, agreed, framing] =
            self.connection.summary().map(said).unwrap_or_default();
        fields = with(fields, &[("path", &path), ("origin", &origin), ("offered", &offered)]);
        fields = with(fields, &[("agreed", &agreed), ("framing", &framing)]);
        let remarks = self.remarks();
        fields = with(fields, &[("remarks", &remarks)]);
        let remarks = Behind(&remarks);
        let time = now.saturating_duration_since(self.since);
        fields.push(("seconds", Value::from(time.as_millis() as f64 / 1000.0)));
        let status = ending.status().filter(|_| !self.announced);
        match status {
            // Nobody was told anything.
            Some(_) if !self.client.understands() => {
                log(format_args!("{self}: hung up on: {ending}{remarks}"), fields);
            }
            Some(status) => {
                fields.push(("status", Value::from(u64::from(status.code()))));
                let code = status.code();
                log(format_args!("{self}: refused with {code}: {ending}{remarks}"), fields);
            }
            None if self.announced => {
                let read =
                    [Side::Client, Side::Peer].map(|side| self.connection.received_bytes(side));
                let [received, sent] =
                    [Side::Client, Side::Peer].map(|side| self.connection.messages(side));
                fields.extend([
                    ("bytes_in", read[0].into()),
                    ("bytes_out", read[1].into()),
                    ("messages_in", received.into()),
                    ("messages_out", sent.into()),
                ]);
                let [read, written] = read;
                let words = format_args!("{read} bytes in, {written} bytes out");
                log(format_args!("{self}: ended: {ending}; {words}{remarks}"), fields);
            }
            None => log(format_args!("{self}: {ending}{remarks}"), fields),
        }
    }

    /// What was remarkable about its sockets; empty as a rule.
    pub(super) fn remarks(&self) -> String {
        let peer = match &self.peer {
            PeerState::Connected(peer, _) => peer.remark(),
            _ => None,
        };
        let remarks = [("client", self.client.remark()), ("peer", peer)];
        let said =
            remarks.iter().filter_map(|(whose, what)| Some(format!("{whose}: {}", (*what)?)));
        said.collect::<Vec<_>>().join("; ")
    }

    /// The proxy that the client came by if that is another, the TLS that it speaks, and who it is if
    /// that was asked.
    fn client_shown(&self) -> [String; 3] {
        let proxy = self.proxy().map_or_else(String::new, |proxy| proxy.to_string());
        let tls = self.client.tls_version().unwrap_or_default().into();
        let user = self.user.as_ref();
        [proxy, tls, user.map_or_else(String::new, |user| Escaped(&user.0).to_string())]
    }

    /// Client and peer; the latter is empty if none was named.
    fn ends(&self) -> (String, String) {
        let peer = self.target.as_ref().map_or_else(String::new, |target| text(target));
        (text(&self.address), peer)
    }
}

/// What stands behind a line, if anything does.
pub(super) struct Behind<'a>(pub(super) &'a str);

impl fmt::Display for Behind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; {}", self.0) }
    }
}

/// What `to_string` gives, without growing a few bytes at a time.
fn text(shown: &dyn fmt::Display) -> String {
    let mut text = String::with_capacity(48);
    let _ = write!(text, "{shown}"); // writing to a string does not fail
    text
}

/// The fields, and those of `more` that say something.
fn with<'a>(mut fields: Fields<'a>, more: &[(&'static str, &'a String)]) -> Fields<'a> {
    let said = more.iter().filter(|(_, text)| !text.is_empty());
    fields.extend(said.map(|(name, text)| (*name, Value::from(text.as_str()))));
    fields
}

/// What the client asked for and was given, safe to print.
fn said(summary: &Summary) -> [String; 5] {
    let request = [summary.path(), summary.origin(), summary.offered()];
    let [path, origin, offered] = request.map(|part| Escaped(part).to_string());
    let answer = [summary.agreed(), summary.framing()];
    let [agreed, framing] = answer.map(|part| Escaped(part).to_string());
    [path, origin, offered, agreed, framing]
}

fn log(words: fmt::Arguments<'_>, fields: Fields<'_>) {
    let fields = fields.as_slice();
    let mut record = Record::builder();
    record.level(Level::Info).target(module_path!()).module_path_static(Some(module_path!()));
    log::logger().log(&record.args(words).key_values(&fields).build());
}
