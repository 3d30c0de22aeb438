//! What a back end is asked about a client, and what it answers.

use super::target::Target;
use crate::framing::Selection;
use crate::proto::client_addr::ClientAddr;
use crate::proto::handshake::Upgrade;
use crate::proto::proxy::Version;
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
    /// The trusted proxy that it comes by, if it does.
    pub proxy: Option<ClientAddr>,
    /// The version of TLS that it speaks, if it does.
    pub tls_version: Option<&'static str>,
    /// The listener that it came in by, as the log names it.
    pub listener: Arc<str>,
    /// The client's slot, where the plug-in sees all this.
    pub loan: Loan,
}

/// What a back end says of the PROXY header in front of a peer's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendProxy {
    /// Nothing: it is as the operator configured.
    #[default]
    AsConfigured,
    /// This one, or none.
    Chosen(Option<Version>),
}

impl Request {
    /// What is known of the client, by the names of `core_client`.
    pub(super) fn properties(&self) -> Vec<(&'static str, String)> {
        let text = |value: Option<&dyn ToString>| value.map(ToString::to_string);
        let address = self.client.address();
        let properties = [
            ("address", text(address.ip().as_ref().map(|ip| ip as _))),
            ("port", text(address.port().as_ref().map(|port| port as _))),
            ("proxy", text(self.proxy.as_ref().map(|proxy| proxy as _))),
            ("user", self.upgrade.user().map(str::to_owned)),
            ("listener", Some(self.listener.to_string())),
            ("tls-version", self.tls_version.map(str::to_owned)),
        ];
        properties.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
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
    /// Whether it is told first who the client is.
    pub send_proxy: SendProxy,
}
