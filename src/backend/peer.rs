//! What a back end is asked about a client, and what it answers.

use super::target::Target;
use crate::framing::Selection;
use crate::proto::client_addr::ClientAddr;
use crate::proto::handshake::Upgrade;
use crate::slab::Loan;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// All that a plug-in's query needs, to be sent to the thread that makes it and back.
#[derive(Debug)]
pub struct Request {
    /// What the client asks for. A plug-in works on a copy: what it writes there does not reach
    /// the answer to the client.
    pub upgrade: Box<Upgrade>,
    /// The client's socket, a duplicate for the plug-in's eyes: closed when the query is over.
    pub socket: Option<OwnedFd>,
    /// Who the client is.
    pub client: ClientAddr,
    /// The listener that it came in by, as the log names it.
    pub listener: Arc<str>,
    /// The client's slot, where the plug-in sees all this.
    pub loan: Loan,
}

/// A client's peer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it is.
    pub target: Target,
    /// What cuts its stream.
    pub framing: Selection,
    /// Which of the offered subprotocols the bridge speaks.
    pub protocol: Option<usize>,
}
