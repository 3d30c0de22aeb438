//! What the operator chose: flags and the `key = value` file to a [`Config`]. Strings die here.

use std::path::PathBuf;
use std::time::Duration;

/// A step of setting up the back end, in the operator's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendStep {
    /// Load `backend_NAME.so`.
    Load(String),
    /// Hand a key and a value to the back end loaded at that moment.
    Configure(String, String),
}

/// The configuration of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen: an address or a host name.
    pub listen: String,
    /// TCP port; 0 lets the kernel choose.
    pub port: u16,
    /// Where plug-ins are looked for.
    pub plugins: Option<PathBuf>,
    /// How the back end is set up.
    pub backend: Vec<BackendStep>,
    /// The `Origin` values that may connect (RFC 6455 §10.2); empty for any.
    pub origins: Vec<String>,
    /// Threads that run a plug-in's `query`; more than one only for plug-ins that allow it.
    pub query_threads: usize,
    /// The most clients at once.
    pub max_connections: usize,
    /// The most clients at once from one address; 0 for no limit.
    pub max_per_address: usize,
    /// How long the sessions that are left may take to end after SIGTERM.
    pub drain_timeout: Duration,
    /// The deadlines of a session.
    pub deadlines: Deadlines,
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
    /// For the client's close frame after ours, and for the goodbye of either socket.
    pub close: Duration,
    /// A side that has bytes waiting and takes none for this long is given up; zero for never.
    pub write: Duration,
    /// A session without data either way for this long ends; zero for never.
    pub idle: Duration,
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
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "::".into(),
            port: 8001,
            plugins: None,
            backend: Vec::new(),
            origins: Vec::new(),
            query_threads: 1,
            max_connections: 10_000,
            max_per_address: 0,
            drain_timeout: Duration::from_secs(10),
            deadlines: Deadlines::default(),
        }
    }
}
