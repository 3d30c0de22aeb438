//! Why a session ended, who is at fault, and what the client is told about it.

use std::fmt;
use std::io::ErrorKind;

use super::peer_frames::PeerFrameFault;
use super::side::Side;
use super::to_client::PeerFault;
use super::to_peer::ClientFault;
use crate::access::{Barred, NotAdmitted, NotVerified};
use crate::backend::{QueryError, RefusalStatus};
use crate::framing::FramingFault;
use crate::proto::basic::CHALLENGE;
use crate::proto::close::CloseCode;
use crate::proto::frame::FrameError;
use crate::proto::handshake::{Refusal, Refused, Status};
use crate::proto::http::HttpError;

/// Why a session ended. The first reason stands; what follows from it does not replace it.
#[derive(Debug)]
pub enum Ending {
    /// The client's request head is not HTTP/1.1 as we take it.
    Head(HttpError),
    /// The client's request is no handshake we accept.
    Handshake(Refused),
    /// The request head did not come in time.
    HeadTimeout,
    /// Its TLS handshake failed, or TLS did before there was a request.
    ClientTls,
    /// The back end named no peer.
    Query(QueryError),
    /// What it takes to let the client in is used up; in words.
    Exhausted(String),
    /// The framing that the back end chose does not work.
    Framing(FramingFault),
    /// The back end did not answer in time.
    QueryTimeout,
    /// The peer could not be reached; in words.
    Dial(String),
    /// The peer has no address that may be dialled.
    PeerBarred(Barred),
    /// The peer could not be reached within the deadline.
    DialTimeout,
    /// The client left before it had its answer.
    Left,
    /// All that the client asked for, without a WebSocket, was answered.
    Answered,
    /// Whoever should have answered a plain request did not in time.
    Unanswered,
    /// The rest of an answer could not be given; in words.
    BrokenOff(String),
    /// The client's close frame, with its code if it had one.
    ClientClosed(Option<CloseCode>),
    /// The client's stream ended without a close frame.
    ClientVanished,
    /// The client's connection failed.
    ClientFailed(ErrorKind),
    /// The client's frames were wrong, or too much for this peer.
    ClientFault(ClientFault),
    /// The client answered nothing for a whole ping interval.
    Silent,
    /// The peer ended the stream.
    PeerEnded,
    /// The peer ended it with a close frame of its own, in the two-way framing.
    PeerClosed(CloseCode),
    /// The peer's connection failed.
    PeerFailed(ErrorKind),
    /// The peer's bytes could not be made into messages.
    PeerFault(PeerFault),
    /// This side took nothing for too long.
    Stalled(Side),
    /// No data either way for the time the operator allows.
    Idle,
    /// Others waited while the client was inside one compressed message.
    Dawdled,
    /// The session lasted as long as the operator allows.
    Expired,
    /// It lasted as long as the back end allows, which ends it with this code.
    Lapsed(CloseCode),
    /// It is not known who the client is.
    NotVerified(NotVerified),
    /// The client is not let in.
    NotAdmitted(NotAdmitted),
    /// The daemon ends.
    Shutdown,
    /// The daemon goes on in another process.
    Restart,
    /// The operator ended it.
    Operator,
}

impl Ending {
    /// Its name for logs and metrics: lower case, stable over versions, one for each kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Head(_) => "bad-request",
            Self::Handshake(_) => "bad-handshake",
            Self::HeadTimeout => "request-timeout",
            Self::ClientTls => "client-tls-failed",
            Self::Query(QueryError::NoPeer) => "no-peer",
            Self::Query(QueryError::Refused(why)) => why.status.name(),
            Self::Query(QueryError::Bad(_)) => "backend-invalid-answer",
            Self::Query(QueryError::Address(_)) => "backend-invalid-address",
            Self::Exhausted(_) => "out-of-resources",
            Self::Framing(_) => "framing-unusable",
            Self::QueryTimeout => "backend-timeout",
            Self::Dial(_) => "peer-unreachable",
            Self::PeerBarred(why) => why.name(),
            Self::DialTimeout => "peer-connect-timeout",
            Self::Left => "client-left",
            Self::Answered => "answered",
            Self::Unanswered => "answer-timeout",
            Self::BrokenOff(_) => "answer-failed",
            Self::ClientClosed(_) => "client-closed",
            Self::ClientVanished => "client-eof",
            Self::ClientFailed(_) => "client-failed",
            Self::ClientFault(ClientFault::Frame(_)) => "client-protocol-error",
            Self::ClientFault(ClientFault::TooBig) => "client-message-too-big",
            Self::ClientFault(ClientFault::ReadOnly) => "peer-read-only",
            Self::ClientFault(ClientFault::Framing(_)) => "encoder-failed",
            Self::Silent => "client-silent",
            Self::PeerEnded => "peer-closed",
            Self::PeerClosed(_) => "peer-close-frame",
            Self::PeerFailed(_) => "peer-failed",
            Self::PeerFault(PeerFault::Framing(_)) => "framing-failed",
            Self::PeerFault(PeerFault::Unframed) => "peer-message-too-big",
            Self::PeerFault(PeerFault::NotText) => "peer-message-not-utf8",
            Self::PeerFault(PeerFault::Frames(_)) => "peer-protocol-error",
            Self::Stalled(Side::Client) => "client-stalled",
            Self::Stalled(Side::Peer) => "peer-stalled",
            Self::Idle => "idle",
            Self::Dawdled => "client-dawdled",
            Self::Expired => "session-expired",
            Self::Lapsed(_) => "session-lapsed",
            Self::NotVerified(why) => why.name(),
            Self::NotAdmitted(why) => why.name(),
            Self::Shutdown => "shutdown",
            Self::Restart => "restart",
            Self::Operator => "operator",
        }
    }

    /// Whether its peer was not to be reached, so that another may be the better one.
    #[must_use]
    pub fn is_of_unreached_peer(&self) -> bool {
        match self {
            Self::Dial(_) | Self::DialTimeout | Self::PeerBarred(_) => true,
            Self::Head(_)
            | Self::Handshake(_)
            | Self::HeadTimeout
            | Self::ClientTls
            | Self::Query(_)
            | Self::Exhausted(_)
            | Self::Framing(_)
            | Self::QueryTimeout
            | Self::Left
            | Self::Answered
            | Self::Unanswered
            | Self::BrokenOff(_)
            | Self::ClientClosed(_)
            | Self::ClientVanished
            | Self::ClientFailed(_)
            | Self::ClientFault(_)
            | Self::Silent
            | Self::PeerEnded
            | Self::PeerClosed(_)
            | Self::PeerFailed(_)
            | Self::PeerFault(_)
            | Self::Stalled(_)
            | Self::Idle
            | Self::Dawdled
            | Self::Expired
            | Self::Lapsed(_)
            | Self::NotVerified(_)
            | Self::NotAdmitted(_)
            | Self::Shutdown
            | Self::Restart
            | Self::Operator => false,
        }
    }

    /// The status of the answer when this happens before the 101; none where nobody waits for one.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Head(error) => Some(error.status()),
            Self::Handshake(refused) => Some(refused.status),
            Self::ClientTls => Some(Status::BadRequest),
            Self::HeadTimeout => Some(Status::RequestTimeout),
            Self::Query(QueryError::NoPeer) => Some(Status::NotFound),
            Self::Query(QueryError::Refused(why)) => Some(match why.status {
                RefusalStatus::Unauthorized => Status::Unauthorized,
                RefusalStatus::Forbidden => Status::Forbidden,
                RefusalStatus::NotFound => Status::NotFound,
                RefusalStatus::TooMany => Status::TooManyRequests,
                RefusalStatus::Unavailable => Status::Unavailable,
            }),
            Self::Query(QueryError::Address(_)) | Self::Dial(_) => Some(Status::BadGateway),
            Self::Query(QueryError::Bad(_)) | Self::Framing(_) => Some(Status::Internal),
            Self::PeerBarred(_) => Some(Status::Forbidden),
            Self::QueryTimeout | Self::DialTimeout => Some(Status::GatewayTimeout),
            Self::NotVerified(why) => Some(match why {
                NotVerified::Missing | NotVerified::Malformed => Status::Unauthorized,
                NotVerified::TooLong | NotVerified::Wrong => Status::Unauthorized,
                NotVerified::Busy | NotVerified::Late => Status::Unavailable,
            }),
            Self::NotAdmitted(why) => Some(match why {
                NotAdmitted::Denied => Status::Forbidden,
                NotAdmitted::TooFast { .. } => Status::TooManyRequests,
                NotAdmitted::Full | NotAdmitted::FullForAddress => Status::Unavailable,
                NotAdmitted::Unwatched | NotAdmitted::Displaced => Status::Unavailable,
            }),
            Self::Shutdown | Self::Restart => Some(Status::Unavailable),
            Self::Exhausted(_) | Self::Unanswered => Some(Status::Unavailable),
            Self::Operator => Some(Status::Unavailable),
            Self::Left | Self::ClientVanished | Self::ClientFailed(_) => None,
            Self::ClientClosed(_) | Self::ClientFault(_) | Self::Silent => None,
            Self::Idle | Self::Dawdled | Self::Expired | Self::Lapsed(_) => None,
            Self::Answered | Self::BrokenOff(_) => None,
            Self::PeerEnded | Self::PeerClosed(_) | Self::PeerFailed(_) => None,
            Self::PeerFault(_) | Self::Stalled(_) => None,
        }
    }

    /// What the client is answered with when this happens before the 101; none where nobody waits
    /// for an answer.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal<'_>> {
        let mut refusal = Refusal::from(self.status()?);
        if let Self::NotAdmitted(NotAdmitted::TooFast { retry_after }) = self {
            refusal.retry_after = Some(*retry_after);
        }
        if let Self::NotVerified(_) = self {
            refusal.challenge = Some(CHALLENGE).filter(|_| refusal.status == Status::Unauthorized);
        }
        if let Self::Query(QueryError::Refused(why)) = self {
            refusal.retry_after = why.retry_after;
            refusal.reason = Some(&why.reason).filter(|reason| !reason.is_empty()).map(|r| &**r);
            // No browser asks its user at this scheme, since who checks is not known here.
            refusal.challenge = (why.status == RefusalStatus::Unauthorized).then_some("Bearer");
        }
        Some(refusal)
    }

    /// The code and reason of the close frame when this happens after the 101
    /// (RFC 6455 §7.4.1); none for a client that is gone.
    #[must_use]
    pub fn close(&self) -> Option<(CloseCode, &'static str)> {
        match self {
            Self::ClientClosed(code) => Some((code.unwrap_or(CloseCode::NORMAL), "")),
            Self::ClientFault(fault) => Some(match fault {
                ClientFault::Frame(FrameError::NotUtf8) => {
                    (FrameError::NotUtf8.close_code(), "invalid UTF-8")
                }
                ClientFault::Frame(error @ FrameError::NotDeflate) => {
                    (error.close_code(), "invalid compressed data")
                }
                ClientFault::Frame(error) => (error.close_code(), "protocol error"),
                ClientFault::TooBig => (CloseCode::TOO_BIG, "message too big for this peer"),
                ClientFault::ReadOnly => (CloseCode::UNSUPPORTED, "this peer only sends"),
                ClientFault::Framing(_) => (CloseCode::UNEXPECTED, "framing failed"),
            }),
            Self::PeerEnded => Some((CloseCode::NORMAL, "peer closed the connection")),
            Self::PeerClosed(code) => Some((*code, "")),
            Self::PeerFailed(_) => Some((CloseCode::UNEXPECTED, "peer connection failed")),
            Self::PeerFault(fault) => Some(match fault {
                PeerFault::Framing(_) => (CloseCode::UNEXPECTED, "framing failed"),
                PeerFault::Unframed => (CloseCode::TOO_BIG, "peer message too big to frame"),
                PeerFault::NotText => (CloseCode::UNEXPECTED, "peer message is not UTF-8"),
                PeerFault::Frames(_) => (CloseCode::UNEXPECTED, "peer broke the framing"),
            }),
            Self::Stalled(Side::Peer) => Some((CloseCode::UNEXPECTED, "peer stopped reading")),
            Self::Idle => Some((CloseCode::NORMAL, "idle")),
            Self::Dawdled => Some((CloseCode::TRY_AGAIN_LATER, "message took too long")),
            Self::Expired => Some((CloseCode::NORMAL, "session time is over")),
            Self::Lapsed(code) => Some((*code, "session time is over")),
            Self::Shutdown => Some((CloseCode::GOING_AWAY, "shutting down")),
            Self::Restart => Some((CloseCode::SERVICE_RESTART, "restarting")),
            Self::Operator => Some((CloseCode::GOING_AWAY, "closed by the operator")),
            Self::ClientVanished | Self::ClientFailed(_) | Self::Silent | Self::Left => None,
            Self::Stalled(Side::Client) => None,
            Self::Head(_) | Self::Handshake(_) | Self::HeadTimeout | Self::ClientTls => None,
            Self::NotVerified(_) | Self::NotAdmitted(_) => None,
            Self::Query(_) | Self::QueryTimeout | Self::Framing(_) | Self::Exhausted(_) => None,
            Self::Dial(_) | Self::PeerBarred(_) | Self::DialTimeout => None,
            Self::Answered | Self::Unanswered | Self::BrokenOff(_) => None,
        }
    }
}

/// Why a socket failed. That what it reads cannot be understood, TLS alone says, and its own words stand
/// behind the line.
struct Failure(ErrorKind);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ErrorKind::InvalidData => f.write_str("TLS failed"),
            kind => kind.fmt(f),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "bad request: {error}"),
            Self::Handshake(refused) => write!(f, "bad handshake: {}", refused.why),
            Self::HeadTimeout => f.write_str("no complete request in time"),
            Self::ClientTls => f.write_str("its TLS failed"),
            Self::Query(error) => write!(f, "back end: {error}"),
            Self::Exhausted(why) => write!(f, "out of resources: {why}"),
            Self::Framing(fault) => write!(f, "framing fault: {fault}"),
            Self::QueryTimeout => f.write_str("back end: no answer in time"),
            Self::Dial(why) => write!(f, "peer not reached: {why}"),
            Self::PeerBarred(why) => write!(f, "peer not allowed: {why}"),
            Self::DialTimeout => f.write_str("peer not reached in time"),
            Self::Left => f.write_str("client left during the handshake"),
            Self::Answered => f.write_str("answered"),
            Self::Unanswered => f.write_str("no answer in time"),
            Self::BrokenOff(why) => write!(f, "answer broken off: {why}"),
            Self::ClientClosed(Some(code)) => write!(f, "client closed with {}", code.get()),
            Self::ClientClosed(None) => f.write_str("client closed without a code"),
            Self::ClientVanished => f.write_str("client ended without a close frame"),
            Self::ClientFailed(kind) => write!(f, "client connection failed: {}", Failure(*kind)),
            Self::ClientFault(fault) => match fault {
                ClientFault::Frame(error) => write!(f, "client fault: {error}"),
                ClientFault::TooBig => f.write_str("client message too big for this peer"),
                ClientFault::ReadOnly => f.write_str("client sent data, but the peer only sends"),
                ClientFault::Framing(fault) => write!(f, "framing fault: {fault}"),
            },
            Self::Silent => f.write_str("client does not answer pings"),
            Self::PeerEnded => f.write_str("peer closed"),
            Self::PeerClosed(code) => write!(f, "peer closed with {}", code.get()),
            Self::PeerFailed(kind) => write!(f, "peer connection failed: {}", Failure(*kind)),
            Self::PeerFault(fault) => match fault {
                PeerFault::Framing(fault) => write!(f, "framing fault: {fault}"),
                PeerFault::Unframed => f.write_str("peer buffer full without a message"),
                PeerFault::NotText => f.write_str(
                    "peer message began as text and is not UTF-8; use a framing that is always \
                     `binary`, or the option `text`",
                ),
                PeerFault::Frames(PeerFrameFault::Frame(error)) => {
                    write!(f, "peer fault: {error}")
                }
                PeerFault::Frames(PeerFrameFault::Cut) => {
                    f.write_str("peer fault: ended inside a message")
                }
            },
            Self::Stalled(Side::Client) => f.write_str("client stopped reading"),
            Self::Stalled(Side::Peer) => f.write_str("peer stopped reading"),
            Self::Idle => f.write_str("idle"),
            Self::Dawdled => {
                f.write_str("client was inside a compressed message for long while others waited")
            }
            Self::Expired => f.write_str("session time is over"),
            Self::Lapsed(code) => write!(f, "the back end's time for it is over, {}", code.get()),
            Self::NotVerified(why) => why.fmt(f),
            Self::NotAdmitted(why) => why.fmt(f),
            Self::Shutdown => f.write_str("shutting down"),
            Self::Restart => f.write_str("restarting"),
            Self::Operator => f.write_str("closed by the operator"),
        }
    }
}
