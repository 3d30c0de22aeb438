//! TLS 1.2 and 1.3 over a stream socket, both ends (RFC 5246, RFC 8446), by `rustls` and `ring`.
//!
//! [`Layer`] is a socket over a socket; `engine` alone knows how `rustls` is asked, the other files how
//! it is set up.

mod account;
mod certificates;
mod client;
mod der;
mod engine;
mod files;
mod layer;
mod memory;
mod server;
mod subject;
#[cfg(test)]
mod tests;
mod tickets;
mod validity;
mod versions;
mod words;

use std::cell::Cell;
use std::io::{Error, ErrorKind, Result};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use log::info;
use rustls::client::ClientConfig;
use rustls::crypto::ring as provider;
use rustls::server::ServerConfig;

use crate::config::{ConfigError, TlsSettings};
use crate::conn::socket::Socket;
use engine::Engine;
pub use layer::Layer;
use memory::Memory;

/// How clients and peers are met, as the operator's files say.
pub struct TlsConfigs {
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
    /// Who is trusted to know peers.
    trusted: Option<String>,
    /// The certificates that clients are shown, and their ends.
    shown: Vec<(String, u64)>,
}

/// What a loop needs to speak TLS.
#[derive(Default)]
pub struct Tls {
    memory: Rc<Memory>,
    /// Who is trusted to know peers; said once, when there is one.
    trusted: Cell<Option<String>>,
    /// The certificates that clients are shown, and their ends.
    shown: Vec<(String, u64)>,
}

impl TlsConfigs {
    /// Reads the files that the operator named; `to_peers` if there may be peers that speak TLS.
    ///
    /// # Errors
    /// The first that is not good.
    pub fn load(
        settings: &TlsSettings,
        to_peers: bool,
        now: SystemTime,
    ) -> std::result::Result<Self, ConfigError> {
        let crypto = Arc::new(provider::default_provider());
        let mut shown = Vec::new();
        let server = server::config(settings, &crypto, now, &mut shown)?;
        let (client, trusted) = match to_peers || settings.names_peers() {
            true => {
                let (client, trusted) = client::config(settings, &crypto, now)?;
                (Some(client), Some(trusted))
            }
            false => (None, None),
        };
        Ok(Self { server, client, trusted, shown })
    }
}

impl Tls {
    /// From now on, handshakes are as these say; where they say nothing, those that were begun before
    /// end as they would have.
    pub fn renew(&mut self, configs: TlsConfigs) {
        let TlsConfigs { server, client, trusted, shown } = configs;
        if server.is_some() {
            self.memory.server.replace(server);
        }
        if client.is_some() {
            self.memory.client.replace(client);
        }
        self.trusted.set(trusted);
        self.shown = shown;
    }

    /// The certificates that clients are shown, and when each ends, seconds from 1970.
    pub(crate) fn certificates(&self) -> &[(String, u64)] {
        &self.shown
    }

    /// TLS with the client behind `socket`.
    pub fn accept<S: Socket>(&self, socket: S) -> Layer<S> {
        Layer::server(socket, Rc::clone(&self.memory))
    }

    /// TLS with the peer behind `socket`, which is to be `host`; the handshake has begun.
    ///
    /// # Errors
    /// No peer can have such a name, or it is gone.
    pub fn connect<S: Socket>(&self, socket: S, host: &str) -> Result<Layer<S>> {
        if let Some(trusted) = self.trusted.take() {
            info!("peers over TLS are verified by {trusted}");
        }
        let config = self.memory.client.borrow().clone().ok_or(ErrorKind::Unsupported)?;
        let name = client::name(host).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "no certificate can be for its name")
        })?;
        let engine = Engine::client(config, name)
            .map_err(|error| Error::new(ErrorKind::InvalidInput, words::of(&error)))?;
        let mut layer = Layer::client(socket, engine, Rc::clone(&self.memory));
        layer.begin()?;
        Ok(layer)
    }
}
