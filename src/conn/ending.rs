//! Why a session ended, who is at fault, and what the client is told about it.

use std::fmt;
use std::io::ErrorKind;

use super::Side;
use super::client_frames::ClientFault;
use super::peer_frames::PeerFrameFault;
use super::to_client::PeerFault;
use crate::backend::QueryError;
use crate::framing::FramingFault;
use crate::proto::frame::CloseCode;
use crate::proto::handshake::{Refused, Status};
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
    /// Nor within the deadline.
    DialTimeout,
    /// The client left before it had its answer.
    Left,
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
    /// There are as many clients as the operator allows; in words.
    Full(&'static str),
    /// The daemon ends.
    Shutdown,
}

impl Ending {
    /// The status of the answer when this happens before the 101.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        Some(match self {
            Self::Head(error) => error.status(),
            Self::Handshake(refused) => refused.status,
            Self::HeadTimeout => Status::RequestTimeout,
            Self::Query(QueryError::NoPeer) => Status::NotFound,
            Self::Query(QueryError::Address(_)) | Self::Dial(_) => Status::BadGateway,
            Self::Query(QueryError::Bad(_)) | Self::Framing(_) => Status::Internal,
            Self::QueryTimeout | Self::DialTimeout => Status::GatewayTimeout,
            Self::Full(_) | Self::Exhausted(_) | Self::Shutdown => Status::Unavailable,
            _ => return None,
        })
    }

    /// The code and reason of the close frame when this happens after the 101
    /// (RFC 6455 §7.4.1); none for a client that is gone.
    #[must_use]
    pub fn close(&self) -> Option<(CloseCode, &'static str)> {
        Some(match self {
            Self::ClientClosed(code) => (code.unwrap_or(CloseCode::NORMAL), ""),
            Self::ClientFault(fault) => match fault {
                ClientFault::Frame(error) => (error.close_code(), "protocol error"),
                ClientFault::TooBig => (CloseCode::TOO_BIG, "message too big for this peer"),
                ClientFault::ReadOnly => (CloseCode::UNSUPPORTED, "this peer only sends"),
                ClientFault::Framing(_) => (CloseCode::UNEXPECTED, "framing failed"),
            },
            Self::PeerEnded => (CloseCode::NORMAL, "peer closed the connection"),
            Self::PeerClosed(code) => (*code, ""),
            Self::PeerFailed(_) => (CloseCode::UNEXPECTED, "peer connection failed"),
            Self::PeerFault(fault) => match fault {
                PeerFault::Framing(_) => (CloseCode::UNEXPECTED, "framing failed"),
                PeerFault::Unframed => (CloseCode::TOO_BIG, "peer message too big to frame"),
                PeerFault::Frames(_) => (CloseCode::UNEXPECTED, "peer broke the framing"),
            },
            Self::Stalled(Side::Peer) => (CloseCode::UNEXPECTED, "peer takes nothing"),
            Self::Idle => (CloseCode::NORMAL, "idle"),
            Self::Shutdown => (CloseCode::GOING_AWAY, "shutting down"),
            _ => return None,
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "bad request: {error}"),
            Self::Handshake(refused) => write!(f, "bad handshake: {}", refused.why),
            Self::HeadTimeout => f.write_str("no complete request in time"),
            Self::Query(error) => write!(f, "back end: {error}"),
            Self::Exhausted(why) => write!(f, "out of resources: {why}"),
            Self::Framing(fault) => write!(f, "framing fault: {fault}"),
            Self::QueryTimeout => f.write_str("back end: no answer in time"),
            Self::Dial(why) => write!(f, "peer not reached: {why}"),
            Self::DialTimeout => f.write_str("peer not reached in time"),
            Self::Left => f.write_str("client left during the handshake"),
            Self::ClientClosed(Some(code)) => write!(f, "client closed with {}", code.get()),
            Self::ClientClosed(None) => f.write_str("client closed without a code"),
            Self::ClientVanished => f.write_str("client ended without a close frame"),
            Self::ClientFailed(kind) => write!(f, "client connection failed: {kind}"),
            Self::ClientFault(fault) => match fault {
                ClientFault::Frame(error) => write!(f, "client fault: {error}"),
                ClientFault::TooBig => f.write_str("client message too big for this peer"),
                ClientFault::ReadOnly => f.write_str("client sent data, but the peer only sends"),
                ClientFault::Framing(fault) => write!(f, "framing fault: {fault}"),
            },
            Self::Silent => f.write_str("client does not answer pings"),
            Self::PeerEnded => f.write_str("peer closed"),
            Self::PeerClosed(code) => write!(f, "peer closed with {}", code.get()),
            Self::PeerFailed(kind) => write!(f, "peer connection failed: {kind}"),
            Self::PeerFault(fault) => match fault {
                PeerFault::Framing(fault) => write!(f, "framing fault: {fault}"),
                PeerFault::Unframed => f.write_str("peer buffer full without a message"),
                PeerFault::Frames(PeerFrameFault::Frame(error)) => {
                    write!(f, "peer fault: {error}")
                }
                PeerFault::Frames(PeerFrameFault::Cut) => {
                    f.write_str("peer fault: ended inside a message")
                }
            },
            Self::Stalled(Side::Client) => f.write_str("client takes nothing"),
            Self::Stalled(Side::Peer) => f.write_str("peer takes nothing"),
            Self::Idle => f.write_str("idle"),
            Self::Full(what) => f.write_str(what),
            Self::Shutdown => f.write_str("shutting down"),
        }
    }
}
