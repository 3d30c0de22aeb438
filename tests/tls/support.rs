//! A small authority, clients and servers of TLS, and a daemon with a TLS listener.

use crate::common::{BASE, Daemon, PATIENCE, Peer, frame, open};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A year that is far off.
pub(crate) const LATER: i32 = 4000;

/// An authority, and a directory for what it signs.
pub(crate) struct Authority {
    directory: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tls-{}-{number}", std::process::id());
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { directory, issuer };
        authority.write("root.pem", &authority.issuer.pem());
        authority
    }

    /// Writes a file that nobody else may read; its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Its own certificate.
    pub(crate) fn root(&self) -> String {
        self.directory.join("root.pem").to_str().unwrap().to_owned()
    }

    /// A certificate for `name` with its key, in one file, good until a year.
    pub(crate) fn pair(&self, name: &str, until: i32) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let text = certificate.pem() + &key.serialize_pem();
        self.write(&format!("{name}-{until}.pem"), &text)
    }

    /// A certificate of an authority, with its key, in one file.
    pub(crate) fn pair_of_authority(&self) -> String {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.write("authority.pem", &(certificate.pem() + &key.serialize_pem()))
    }

    /// Who is trusted by those who trust it.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.root()).unwrap()).unwrap();
        roots
    }

    /// A client of the versions, that shows the certificate in a file if there is one.
    pub(crate) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        shown: Option<&str>,
    ) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(self.roots());
        let mut config = match shown {
            Some(file) => builder.with_client_auth_cert(chain(file), key(file)).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn chain(file: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
}

fn key(file: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(file).unwrap()
}

/// A daemon that listens without TLS and with it, and the port where it has it.
pub(crate) fn daemon(peer: &Peer, arguments: &[&str]) -> (Daemon, u16) {
    listening("127.0.0.1:0 tls", peer, arguments)
}

/// The same, where its TLS is as `listen` says.
pub(crate) fn listening(listen: &str, peer: &Peer, arguments: &[&str]) -> (Daemon, u16) {
    let first = ["-l", listen];
    let daemon = Daemon::before(peer, "binary", &[&first[..], arguments].concat());
    let port = tls_port(&daemon);
    (daemon, port)
}

/// The port of its listener with TLS.
pub(crate) fn tls_port(daemon: &Daemon) -> u16 {
    let line = daemon.wait_for_log(" with TLS, back end");
    let port = line.split(" with TLS").next().and_then(|before| before.rsplit(':').next());
    port.unwrap().parse().unwrap()
}

/// A stream over TLS.
pub(crate) type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Shakes hands with whoever is behind `port` and should be `name`.
pub(crate) fn secure(port: u16, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<Secure> {
    secure_over(open(port), name, config)
}

/// Shakes hands over `stream` with whoever should be `name`.
pub(crate) fn secure_over(
    stream: TcpStream,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<Secure> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A WebSocket over TLS.
pub(crate) struct Wss(pub(crate) Secure);

impl Wss {
    pub(crate) fn connect(port: u16, name: &str, config: &Arc<ClientConfig>) -> Self {
        Self::over(secure(port, name, config).unwrap())
    }

    pub(crate) fn over(mut stream: Secure) -> Self {
        stream.write_all(BASE.as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self(stream)
    }

    pub(crate) fn send(&mut self, payload: &[u8]) {
        self.0.write_all(&frame(0x82, payload)).unwrap();
    }

    /// The next frame: its first byte and payload.
    pub(crate) fn next(&mut self) -> (u8, Vec<u8>) {
        let mut start = [0; 2];
        self.0.read_exact(&mut start).unwrap();
        let length = match start[1] {
            126 => u64::from(u16::from_be_bytes(self.take())),
            127 => u64::from_be_bytes(self.take()),
            short => u64::from(short),
        };
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).unwrap();
        (start[0], payload)
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Payload bytes of data frames, as many as asked for.
    pub(crate) fn data(&mut self, length: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < length {
            let (first, payload) = self.next();
            assert!(first & 0x0f < 3, "{first:#x}");
            data.extend(payload);
        }
        data
    }

    #[track_caller]
    pub(crate) fn echoes(&mut self, payload: &[u8]) {
        self.send(payload);
        assert!(self.data(payload.len()) == payload);
    }

    /// Says goodbye, and hears it; how the stream ended.
    pub(crate) fn close(mut self) -> std::io::Result<usize> {
        self.0.write_all(&frame(0x88, &1000u16.to_be_bytes())).unwrap();
        assert_eq!(self.next(), (0x88, 1000u16.to_be_bytes().to_vec()));
        self.0.read(&mut [0; 1])
    }
}

/// A response's head.
pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A peer with TLS, which `script` talks to once hands are shaken.
pub(crate) fn tls_peer(
    config: ServerConfig,
    script: impl Fn(StreamOwned<ServerConnection, TcpStream>) + Send + Sync + 'static,
) -> Peer {
    let config = Arc::new(config);
    Peer::serve(move |stream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            if stream.conn.complete_io(&mut stream.sock).is_err() {
                return;
            }
        }
        script(stream);
    })
}

/// What a server with the certificate in `file` is like.
pub(crate) fn server_config(file: &str) -> ServerConfig {
    let builder = ServerConfig::builder().with_no_client_auth();
    builder.with_single_cert(chain(file), key(file)).unwrap()
}

/// Sends back what it gets, then `close_notify` and FIN after the client's.
pub(crate) fn echo(mut stream: StreamOwned<ServerConnection, TcpStream>) {
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => stream.write_all(&buffer[..n]).unwrap(),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => panic!("{error}"),
        }
    }
    stream.conn.send_close_notify();
    let _ = stream.flush();
}
