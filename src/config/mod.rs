//! What the operator chose: flags and the `key = value` file to a [`Config`]. Strings die here.
//!
//! One table (`options`) names every option; the command line (`args`), the file (`file`),
//! the help text and the man page's test read it.

mod access;
mod admin;
mod args;
mod completions;
mod error;
mod file;
mod help;
mod listen;
mod nearest;
mod option;
mod options;
mod proxies;
mod regular;
mod sandbox;
mod sandbox_options;
mod setting;
mod show;
mod source;
mod steps;
#[cfg(test)]
mod tests;
mod tls;
mod tls_options;
mod values;
mod words;
mod worker_options;
mod workers;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::access::{AccessList, PeerList, Rate, TrustedProxies};
use crate::logging;
use crate::proto::forwarded::ForwardedHeader;
use crate::proto::origin::OriginPattern;
use crate::proto::proxy;
pub use admin::{Admin, AdminAddress};
pub use args::{Command, again, from_args, read};
pub use error::{ConfigError, Origin};
pub use file::{from_file, is_core_key};
pub use listen::{Listen, ListenAddress};
pub(crate) use regular::read_regular;
pub use sandbox::SandboxSettings;
pub use tls::{CertificatePair, ClientAuth, PlacedPath, TlsSettings, TlsVersion};
pub use words::ListenWords;
pub use workers::{WorkerSettings, Workers};

/// A step of setting up the back end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendStep {
    /// Load `backend_NAME.so`.
    Load(String),
    /// Hand a key and a value to the back end loaded at that moment.
    Configure(String, String),
}

/// A back-end step and where the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedStep {
    /// What to do.
    pub step: BackendStep,
    /// Whom to point at when it fails.
    pub origin: Origin,
}

/// A user or a group of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name or number.
    pub name: String,
    /// Where that was written.
    pub origin: Origin,
}

/// An address of this machine that peers are dialled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAddress {
    /// The address; none that all machines have.
    pub address: IpAddr,
    /// Where that was written.
    pub origin: Origin,
}

/// The configuration of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that some of it was read from.
    pub file: Option<PathBuf>,
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// The TCP port where none is written; 0 lets the kernel choose.
    pub port: u16,
    /// Where plug-ins are looked for.
    pub plugins: Option<PathBuf>,
    /// Where that was written; none for the directory that is compiled in.
    pub plugins_origin: Option<Origin>,
    /// How the back end is set up, in the operator's order.
    pub backend: Vec<PlacedStep>,
    /// The `Origin` values that may connect (RFC 6455 §10.2); empty for any.
    pub origins: Vec<OriginPattern>,
    /// The addresses that may connect.
    pub access: AccessList,
    /// How many sessions an address may begin in which time; none for no limit.
    pub rate: Option<Rate>,
    /// The addresses that peers may have.
    pub peers: PeerList,
    /// The addresses of this machine that peers are dialled from; none for what the kernel chooses.
    pub sources: Vec<SourceAddress>,
    /// The proxies that are believed who their clients are.
    pub proxies: TrustedProxies,
    /// The field of a request in which they say so.
    pub forwarded_header: ForwardedHeader,
    /// Where that was written; none for the default.
    pub forwarded_header_origin: Option<Origin>,
    /// The PROXY header that peers are sent, unless the back end says otherwise; none for none.
    pub send_proxy: Option<proxy::Version>,
    /// Where that was written.
    pub send_proxy_origin: Option<Origin>,
    /// The users that may connect and the hashes of their passwords; none for everybody.
    pub auth_file: Option<PathBuf>,
    /// Where that was written.
    pub auth_file_origin: Option<Origin>,
    /// Whether good handshakes are refused by a 101 and a close frame, which pages can read.
    pub explain_refusals: bool,
    /// The path of the health check; none for no such check.
    pub health: Option<String>,
    /// The directory whose files are served to whoever asks for no WebSocket.
    pub web: Option<Arc<Path>>,
    /// Where that was written.
    pub web_origin: Option<Origin>,
    /// Where clients that ask for `/` and for no WebSocket are sent.
    pub web_redirect: Option<String>,
    /// The level that messages to clients are compressed with, 1 to 9; none for no compression.
    pub deflate: Option<u8>,
    /// The longest message of `auto` and `binary`, bytes.
    pub max_message: usize,
    /// Threads that run a plug-in's `query`; more than one only for plug-ins that allow it.
    pub query_threads: usize,
    /// Worker processes.
    pub workers: WorkerSettings,
    /// The most clients at once.
    pub max_connections: usize,
    /// Where that was written; none for the default.
    pub max_connections_origin: Option<Origin>,
    /// The most clients at once from one address; 0 for no limit.
    pub max_per_address: usize,
    /// How long a reload may take to read and load what the next configuration names.
    pub reload_timeout: Duration,
    /// How long the sessions that are left may take to end after SIGTERM.
    pub drain_timeout: Duration,
    /// How long clients are still let in after SIGTERM, while health checks say 503.
    pub drain_grace: Duration,
    /// Over how long goodbyes are spread.
    pub drain_spread: Duration,
    /// The deadlines of a session.
    pub deadlines: Deadlines,
    /// How lines of the log are written, and how many.
    pub log: logging::Settings,
    /// Whether the log shows the values of a request's query.
    pub log_query: bool,
    /// TLS, to clients and to peers.
    pub tls: TlsSettings,
    /// Whom the daemon becomes once it listens.
    pub user: Option<Account>,
    /// And of which group.
    pub group: Option<Account>,
    /// Whether there may be core dumps that hold keys.
    pub core_dumps: bool,
    /// What the daemon gives up of what its user may do.
    pub sandbox: SandboxSettings,
    /// Where the operator's own pages are.
    pub admin: Option<Admin>,
    /// Whether this is how the clients of those pages are served.
    pub is_admin: bool,
}

/// The most clients of the operator's pages at once.
pub const MAX_OPERATORS: usize = 16;

impl Config {
    /// The files that are read at a start, and which it itself was read from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = [self.file.as_deref(), self.auth_file.as_deref()];
        own.into_iter().flatten().chain(self.tls.files())
    }

    /// How clients of the operator's pages are served.
    #[must_use]
    pub fn for_operators(&self) -> Self {
        let (deadlines, log_query) = (self.deadlines.clone(), self.log_query);
        let (max_connections, is_admin) = (MAX_OPERATORS, true);
        Self { deadlines, log_query, max_connections, is_admin, ..Self::default() }
    }
}

/// The deadlines of one session; zero switches off those that say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the whole request head.
    pub handshake: Duration,
    /// For the back end's answer.
    pub query: Duration,
    /// For the name look-up and the connect together.
    pub connect: Duration,
    /// A ping goes out after this long without a byte from the client, and the client is dropped
    /// after as long again; zero for no pings.
    pub ping: Duration,
    /// For the client's close frame after ours, and for the goodbye of either socket; anew with
    /// data that still moves.
    pub close: Duration,
    /// A side that has bytes waiting and takes none for this long is given up; zero for never.
    pub write: Duration,
    /// A session without data either way for this long ends; zero for never.
    pub idle: Duration,
    /// A session that was opened so long ago ends; zero for never.
    pub session: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            query: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            ping: Duration::from_secs(30),
            close: Duration::from_secs(5),
            write: Duration::from_secs(120),
            idle: Duration::ZERO,
            session: Duration::ZERO,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            listen: vec![Listen::default()],
            port: 8001,
            // Packagers say at compile time where they install plug-ins.
            plugins: option_env!("PLUGINPATH").map(PathBuf::from),
            plugins_origin: None,
            backend: Vec::new(),
            origins: Vec::new(),
            access: AccessList::default(),
            rate: None,
            peers: PeerList::default(),
            sources: Vec::new(),
            proxies: TrustedProxies::default(),
            forwarded_header: ForwardedHeader::default(),
            forwarded_header_origin: None,
            send_proxy: None,
            send_proxy_origin: None,
            auth_file: None,
            auth_file_origin: None,
            explain_refusals: false,
            health: None,
            web: None,
            web_origin: None,
            web_redirect: None,
            deflate: None,
            max_message: 64 * 1024,
            query_threads: 1,
            workers: WorkerSettings::default(),
            max_connections: 10_000,
            max_connections_origin: None,
            max_per_address: 0,
            reload_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            drain_grace: Duration::ZERO,
            drain_spread: Duration::ZERO,
            deadlines: Deadlines::default(),
            log: logging::Settings::default(),
            log_query: false,
            tls: TlsSettings::default(),
            user: None,
            group: None,
            core_dumps: false,
            sandbox: SandboxSettings::default(),
            admin: None,
            is_admin: false,
        }
    }
}
