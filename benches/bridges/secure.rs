//! TLS between the load and the bridges: one version, one cipher suite, one curve and one
//! certificate for all, so that what differs is what a bridge makes of them.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring as provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The name in the certificate.
const NAME: &str = "localhost";

/// How a case's connections begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// Without TLS.
    Plain,
    /// With a whole handshake each.
    Tls,
    /// With a ticket of the connection before.
    Resumed,
}

/// What the load knows of the certificate that all bridges show.
pub(crate) struct Secure {
    whole: Arc<ClientConfig>,
    resuming: Arc<ClientConfig>,
}

impl Secure {
    /// Makes a certificate (P-256) and writes it, with its key, where the bridges look for it.
    pub(crate) fn new() -> io::Result<Self> {
        let made =
            rcgen::generate_simple_self_signed([NAME.to_owned()]).map_err(io::Error::other)?;
        let path = certificate_file()?;
        let pem = made.cert.pem() + &made.signing_key.serialize_pem();
        // For none but this user: the daemon refuses a key that others may read.
        let _ = fs::remove_file(&path);
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?
            .write_all(pem.as_bytes())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).map_err(io::Error::other)?;
        let whole = client_config(&roots, Resumption::disabled())?;
        let resuming = client_config(&roots, Resumption::in_memory_sessions(16))?;
        Ok(Self { whole: whole.into(), resuming: resuming.into() })
    }

    /// Puts the blocking `socket` under what `security` asks for.
    pub(crate) fn wrap<S: Read + Write>(
        &self,
        mut socket: S,
        security: Security,
    ) -> io::Result<Stream<S>> {
        let config = match security {
            Security::Plain => return Ok(Stream::Plain(socket)),
            Security::Tls => &self.whole,
            Security::Resumed => &self.resuming,
        };
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let mut connection =
            ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, socket))))
    }
}

/// Where the bridges find certificate and key, in one file.
pub(crate) fn certificate_file() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("bench-certificate.pem"))
}

fn client_config(roots: &RootCertStore, resumption: Resumption) -> io::Result<ClientConfig> {
    let mut crypto = provider::default_provider();
    crypto.cipher_suites = vec![provider::cipher_suite::TLS13_AES_128_GCM_SHA256];
    crypto.kx_groups = vec![provider::kx_group::X25519];
    let mut config = ClientConfig::builder_with_provider(crypto.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.resumption = resumption;
    Ok(config)
}

/// A socket, with TLS over it or without.
pub(crate) enum Stream<S: Read + Write> {
    Plain(S),
    Tls(Box<StreamOwned<ClientConnection, S>>),
}

impl<S: Read + Write> Stream<S> {
    /// The socket itself.
    pub(crate) fn socket(&self) -> &S {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// The socket itself, for a poll.
    pub(crate) fn socket_mut(&mut self) -> &mut S {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// The same connection over what `change` makes of the socket.
    pub(crate) fn map<T: Read + Write>(self, change: impl FnOnce(S) -> T) -> Stream<T> {
        match self {
            Self::Plain(socket) => Stream::Plain(change(socket)),
            Self::Tls(stream) => {
                let StreamOwned { conn, sock } = *stream;
                Stream::Tls(Box::new(StreamOwned::new(conn, change(sock))))
            }
        }
    }

    /// Whether the handshake went by a ticket.
    pub(crate) fn is_resumed(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => {
                stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
            }
        }
    }
}

impl<S: Read + Write> Read for Stream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl<S: Read + Write> Write for Stream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
