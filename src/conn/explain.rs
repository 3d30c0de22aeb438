//! Refusals that a page can read. Browsers show pages nothing of a response but a 101, so that with
//! `--explain-refusals` a good handshake is opened to be closed at once, with a code that says why.

use super::batch::stage_frame;
use super::{Connection, Ending, Scratch};
use crate::access::NotAdmitted;
use crate::proto::close::{self, CloseCode};
use crate::proto::frame::Opcode;
use crate::proto::handshake::{self, Refusal, Status};
use crate::proto::http::Head;

impl Connection {
    /// The client is refused once its handshake is there.
    pub(super) fn condemn(&mut self, why: NotAdmitted) {
        self.explanation.get_or_insert_default().condemned = Some(why);
    }

    /// Why it is refused now that its handshake is there, if it is.
    pub(super) fn condemned(&self) -> Option<NotAdmitted> {
        self.explanation.as_ref()?.condemned
    }

    /// Keeps what opens this handshake, in case that it is refused later.
    pub(super) fn prepare_explanation(&mut self, head: &Head) {
        if self.config.explain_refusals {
            self.explanation.get_or_insert_default().response = handshake::open_at_once(head);
        }
    }

    /// Answers with a 101 and a close frame if there is one to answer with; returns whether it did.
    pub(super) fn explain(&mut self, ending: &Ending, scratch: &mut Scratch) -> bool {
        let Some(refusal) = ending.refusal() else { return false };
        let response = self.explanation.take().and_then(|explanation| explanation.response);
        let Some(response) = response else { return false };
        let payload = close::payload(close_code(refusal.status), &words(&refusal));
        scratch.to_client.stage(&response);
        stage_frame(&mut scratch.to_client, Opcode::Close, payload.as_slice());
        true
    }
}

/// The code in place of a status: IANA's registered ones where there are any, else 4000 and the
/// status (RFC 6455 §7.4.2 leaves those to applications).
fn close_code(status: Status) -> CloseCode {
    match status {
        Status::Unauthorized => CloseCode::UNAUTHORIZED,
        Status::Forbidden => CloseCode::FORBIDDEN,
        Status::NotFound => CloseCode::NOT_FOUND,
        Status::RequestTimeout | Status::GatewayTimeout => CloseCode::TIMEOUT,
        Status::TooManyRequests | Status::Unavailable => CloseCode::TRY_AGAIN_LATER,
        Status::BadGateway => CloseCode::BAD_GATEWAY,
        Status::Internal => CloseCode::UNEXPECTED,
        // Of requests that are no good handshake, which are not opened.
        Status::BadRequest | Status::MethodNotAllowed | Status::UpgradeRequired => {
            CloseCode::PROTOCOL
        }
        Status::FieldsTooLarge | Status::VersionNotSupported => CloseCode::PROTOCOL,
        // Of plain requests.
        Status::Ok | Status::PartialContent | Status::MovedPermanently => CloseCode::PROTOCOL,
        Status::Found | Status::NotModified | Status::PreconditionFailed => CloseCode::PROTOCOL,
        Status::RangeNotSatisfiable | Status::NotImplemented => CloseCode::PROTOCOL,
    }
}

/// The reason of the close frame.
fn words(refusal: &Refusal<'_>) -> String {
    let reason = refusal.reason.unwrap_or(refusal.status.reason());
    match refusal.retry_after {
        Some(seconds) => format!("{reason}; retry after {seconds} s"),
        None => reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_words_for_each_refusal() {
        for (status, retry_after, reason, code, expected) in [
            (Status::Unauthorized, None, None, 3000, "Unauthorized"),
            (Status::Forbidden, None, Some("not you"), 3003, "not you"),
            (Status::NotFound, None, None, 4404, "Not Found"),
            (Status::TooManyRequests, Some(3), None, 1013, "Too Many Requests; retry after 3 s"),
            (Status::Unavailable, None, None, 1013, "Service Unavailable"),
            (Status::BadGateway, None, None, 1014, "Bad Gateway"),
            (Status::GatewayTimeout, None, None, 3008, "Gateway Timeout"),
            (Status::Internal, None, None, 1011, "Internal Server Error"),
        ] {
            let refusal = Refusal { retry_after, reason, ..status.into() };
            assert_eq!(close_code(status).get(), code);
            assert!(CloseCode::may_be_sent(code));
            assert_eq!(words(&refusal), expected);
        }
    }
}
