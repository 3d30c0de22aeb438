//! The response that refuses a request (RFC 9110 §15).

use std::time::SystemTime;

use httpdate::fmt_http_date;

use crate::proto::http::Status;

/// What a request is refused with.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The status.
    pub status: Status,
    /// Seconds after which it may be tried again (RFC 9110 §10.2.3); none for what is usual.
    pub retry_after: Option<u32>,
    /// The value of WWW-Authenticate, which a 401 must have (RFC 9110 §15.5.2).
    pub challenge: Option<&'a str>,
    /// Why, as text without control characters; none for the status's own explanation.
    pub reason: Option<&'a str>,
}

impl From<Status> for Refusal<'_> {
    fn from(status: Status) -> Self {
        Self { status, retry_after: None, challenge: None, reason: None }
    }
}

/// Appends the complete response that refuses a request; dated if the time of day is known, as
/// RFC 9110 §6.6.1 asks of a server that has a clock.
pub fn refuse(refusal: &Refusal<'_>, date: Option<SystemTime>, out: &mut Vec<u8>) {
    let Refusal { status, retry_after, challenge, reason } = *refusal;
    let field = |name, value: Option<String>| {
        value.map_or_else(String::new, |value| format!("{name}: {value}\r\n"))
    };
    let retry_after = retry_after.or(usual_retry_after(status)).map(|after| after.to_string());
    let retry = field("Retry-After", retry_after);
    let challenge = field("WWW-Authenticate", challenge.map(str::to_owned));
    let date = date.map_or_else(String::new, |now| format!("Date: {}\r\n", fmt_http_date(now)));
    let charset = if reason.is_some() { "; charset=utf-8" } else { "" };
    // RFC 9110 §7.8: who sends `Upgrade` names it here.
    let connection = if status == Status::UpgradeRequired { "Upgrade, close" } else { "close" };
    let body = reason.map_or_else(|| explanation(status).into(), |reason| format!("{reason}\n"));
    let response = format!(
        "HTTP/1.1 {} {}\r\n\
         {date}\
         Content-Length: {}\r\n\
         Content-Type: text/plain{charset}\r\n\
         Connection: {connection}\r\n\
         {retry}{challenge}{}\r\n\
         {body}",
        status.code(),
        status.reason(),
        body.len(),
        required_fields(status),
    );
    out.extend_from_slice(response.as_bytes());
}

/// The fields that a status obliges the server to send, or that help the client.
fn required_fields(status: Status) -> &'static str {
    match status {
        // RFC 9110 §15.5.6.
        Status::MethodNotAllowed => "Allow: GET\r\n",
        // RFC 9110 §15.5.22, RFC 6455 §4.4.
        Status::UpgradeRequired => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        Status::BadRequest | Status::Unauthorized | Status::Forbidden | Status::NotFound => "",
        Status::RequestTimeout | Status::TooManyRequests | Status::FieldsTooLarge => "",
        Status::Internal | Status::NotImplemented | Status::BadGateway => "",
        Status::Unavailable => "",
        Status::GatewayTimeout | Status::VersionNotSupported => "",
        // Of plain requests, which are answered elsewhere.
        Status::Ok | Status::PartialContent | Status::MovedPermanently | Status::Found => "",
        Status::NotModified | Status::PreconditionFailed | Status::RangeNotSatisfiable => "",
    }
}

/// RFC 9110 §15.6.4: long enough for a restart or a crowd to pass.
fn usual_retry_after(status: Status) -> Option<u32> {
    (status == Status::Unavailable).then_some(5)
}

fn explanation(status: Status) -> &'static str {
    match status {
        Status::BadRequest => "This is not a well-formed request.\n",
        Status::Unauthorized => "Say who you are: a name and a password are needed.\n",
        Status::Forbidden => "This may not connect from there.\n",
        Status::NotFound => "There is nothing to connect to at this address.\n",
        // RFC 9110 §9.3.2: the answer to a HEAD, which is one of the methods refused, is bare.
        Status::MethodNotAllowed => "",
        Status::RequestTimeout => "The request took too long to arrive.\n",
        Status::UpgradeRequired => "This is a WebSocket endpoint: connect with version 13.\n",
        Status::TooManyRequests => "Too many requests: try again later.\n",
        Status::FieldsTooLarge => "The request's head is too large.\n",
        Status::Internal => "The bridge failed to serve this request.\n",
        Status::NotImplemented => "This server does not know the coding of this request.\n",
        Status::BadGateway => "The server behind this bridge cannot be reached.\n",
        Status::Unavailable => "The bridge is busy: try again later.\n",
        Status::GatewayTimeout => "The server behind this bridge did not answer in time.\n",
        Status::VersionNotSupported => "This server speaks HTTP/1.1 only.\n",
        // Of plain requests, which are answered elsewhere.
        Status::Ok | Status::PartialContent | Status::MovedPermanently | Status::Found => "",
        Status::NotModified | Status::PreconditionFailed | Status::RangeNotSatisfiable => "",
    }
}
