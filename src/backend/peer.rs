//! What a back end is asked about a client, and what it answers.

use super::target::Target;
use crate::framing::Selection;
use crate::proto::client_addr::ClientAddr;
use crate::proto::client_tls::ClientTls;
use crate::proto::close::CloseCode;
use crate::proto::handshake::Upgrade;
use crate::proto::proxy::Version;
use crate::slab::Loan;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the built-in back end needs to answer at once.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What the client asks for.
    pub upgrade: &'a Upgrade,
    /// Its IP address, if it has one that is known.
    pub client: Option<IpAddr>,
    /// When it is asked.
    pub now: Instant,
}

/// All that a plug-in's query needs, to be sent to the thread that makes it and back.
#[derive(Debug)]
pub struct Request {
    /// The session's number: no other has had it, nor will have.
    pub session: u64,
    /// What the client asks for. A plug-in works on a copy: what it writes there does not reach
    /// the answer to the client.
    pub upgrade: Box<Upgrade>,
    /// The client's socket, a duplicate for the plug-in's eyes: closed when the query is over.
    pub socket: Option<OwnedFd>,
    /// Who the client is.
    pub client: ClientAddr,
    /// The trusted proxy that it comes by, if it does.
    pub proxy: Option<ClientAddr>,
    /// The TLS that it speaks, if it does.
    pub tls: Option<Box<ClientTls>>,
    /// The listener that it came in by, as the log names it.
    pub listener: Arc<str>,
    /// The client's slot, where the plug-in sees all this.
    pub loan: Loan,
    /// What the plug-in wants concealed of the client's request, once it has answered.
    pub secrets: Vec<Vec<u8>>,
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
        let tls = self.tls.as_deref();
        let properties = [
            ("address", text(address.ip().as_ref().map(|ip| ip as _))),
            ("port", text(address.port().as_ref().map(|port| port as _))),
            ("proxy", text(self.proxy.as_ref().map(|proxy| proxy as _))),
            ("user", self.upgrade.user().map(str::to_owned)),
            ("listener", Some(self.listener.to_string())),
            ("tls-version", tls.map(|tls| tls.version.to_owned())),
            ("tls-server-name", tls.and_then(|tls| tls.server_name.clone())),
            ("tls-subject", tls.and_then(|tls| Some(tls.subject.as_ref()?.name.clone()))),
        ];
        properties.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// A client's peer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it is.
    pub target: Target,
    /// Others, to be tried in this order if it cannot be reached.
    pub further: VecDeque<Target>,
    /// What cuts its stream.
    pub framing: Selection,
    /// Which of the offered subprotocols the bridge speaks.
    pub protocol: Option<usize>,
    /// Whether it is told first who the client is.
    pub send_proxy: SendProxy,
    /// How long the session may last, and the close code at its end.
    pub lasts: Option<(Duration, CloseCode)>,
}

impl Answer {
    /// One peer, of which nothing else is said.
    #[must_use]
    pub fn new(target: Target, framing: Selection, protocol: Option<usize>) -> Self {
        let (further, send_proxy) = (VecDeque::new(), SendProxy::AsConfigured);
        Self { target, further, framing, protocol, send_proxy, lasts: None }
    }
}
