//! TLS 1.2 and 1.3 over a stream socket, both ends (RFC 5246, RFC 8446), by `rustls` and `ring`.
//!
//! [`Layer`] is a socket over a socket; `engine` alone knows how `rustls` is asked, the other files how
//! it is set up.

mod account;
mod certificates;
mod client;
mod engine;
mod files;
mod layer;
mod memory;
mod server;
#[cfg(test)]
mod tests;
mod tickets;
mod versions;
mod words;

use std::cell::Cell;
use std::io::{Error, ErrorKind, Result};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use log::info;
use rustls::crypto::ring as provider;

use crate::config::{ConfigError, TlsSettings};
use crate::conn::socket::Socket;
use engine::Engine;
pub(crate) use layer::Layer;
use memory::Memory;

/// What a loop needs to speak TLS.
#[derive(Default)]
pub(crate) struct Tls {
    memory: Rc<Memory>,
    /// Who is trusted to know peers; said once, when there is one.
    trusted: Cell<Option<String>>,
}

impl Tls {
    /// Reads the files that the operator named; `to_peers` if there may be peers that speak TLS.
    ///
    /// # Errors
    /// The first that is not good.
    pub(crate) fn load(
        settings: &TlsSettings,
        to_peers: bool,
        now: SystemTime,
    ) -> std::result::Result<Self, ConfigError> {
        let crypto = Arc::new(provider::default_provider());
        let server = server::config(settings, &crypto, now)?;
        let (client, trusted) = match to_peers || settings.names_peers() {
            true => {
                let (client, trusted) = client::config(settings, &crypto, now)?;
                (Some(client), Some(trusted))
            }
            false => (None, None),
        };
        let memory = Rc::new(Memory { server, client, ..Memory::default() });
        Ok(Self { memory, trusted: Cell::new(trusted) })
    }

    /// TLS with the client behind `socket`.
    pub(crate) fn accept<S: Socket>(&self, socket: S) -> Layer<S> {
        Layer::server(socket, Rc::clone(&self.memory))
    }

    /// TLS with the peer behind `socket`, which is to be `host`; the handshake has begun.
    ///
    /// # Errors
    /// No peer can have such a name, or it is gone.
    pub(crate) fn connect<S: Socket>(&self, socket: S, host: &str) -> Result<Layer<S>> {
        if let Some(trusted) = self.trusted.take() {
            info!("peers over TLS are verified by {trusted}");
        }
        let config = self.memory.client.clone().ok_or(ErrorKind::Unsupported)?;
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
