//! Who is the peer? The built-in back end knows one for all; a plug-in is asked for each client.
//!
//! The life of a back end: [`Backend::builtin`] or [`Backend::load`], [`Backend::configure`] for
//! each key, [`Backend::check`], any number of [`Backend::query`], [`Backend::cleanup`].

mod builtin;
mod error;
mod load;
mod object;
mod query_args;
mod target;
mod vtable;

pub use error::{BadAnswer, ConfigureError, LoadError, QueryError};
pub use load::load_framings;
pub use target::{AddressError, Scheme, Target};

use crate::framing::Selection;
use crate::proto::handshake::Upgrade;
use builtin::Settings;
use std::os::fd::OwnedFd;
use std::path::Path;
use vtable::Vtable;

/// All that a query needs, to be sent to the thread that makes it and back.
#[derive(Debug)]
pub struct Request {
    /// What the client asks for. A plug-in works on a copy: what it writes there does not reach
    /// the answer to the client.
    pub upgrade: Upgrade,
    /// The client's socket, a duplicate for the plug-in's eyes; not needed by the built-in.
    pub socket: Option<OwnedFd>,
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

/// The back end that the operator chose.
pub struct Backend(Kind);

enum Kind {
    Builtin(Settings),
    Plugin(Plugin),
}

struct Plugin {
    name: String,
    table: Vtable,
    cleaned: bool,
}

impl Backend {
    /// The back end without a plug-in: the same peer for everybody, `tcp://localhost:5900` until
    /// `host`, `port`, `protocol`, `framing` and `framing-config` say otherwise.
    pub fn builtin() -> Self {
        Self(Kind::Builtin(Settings::default()))
    }

    /// Loads `backend_NAME.so` from `dir` and calls its `init`.
    ///
    /// `dir` is an absolute path, and neither it nor the file may be writable for everybody: who
    /// can put a plug-in there is this program.
    ///
    /// # Errors
    /// What keeps the file from being a back end.
    pub fn load(dir: &Path, name: &str) -> Result<Self, LoadError> {
        let table = load::backend(dir, name)?;
        Ok(Self(Kind::Plugin(Plugin { name: name.into(), table, cleaned: false })))
    }

    /// The name that it was loaded by; `builtin` for ours.
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::Builtin(_) => "builtin",
            Kind::Plugin(plugin) => &plugin.name,
        }
    }

    /// Hands over a key and a value of the operator's.
    ///
    /// # Errors
    /// The back end refuses them.
    pub fn configure(&mut self, key: &str, value: &str) -> Result<(), ConfigureError> {
        match &mut self.0 {
            Kind::Builtin(settings) => settings.set(key, value),
            Kind::Plugin(plugin) => plugin.table.configure(key, value),
        }
    }

    /// Judges the configuration as a whole; to be called when all keys are in, and the plug-ins'
    /// framings registered.
    ///
    /// # Errors
    /// The built-in back end could answer no query.
    pub fn check(&self) -> Result<(), ConfigureError> {
        match &self.0 {
            Kind::Builtin(settings) => settings.check(),
            Kind::Plugin(_) => Ok(()),
        }
    }

    /// Whether [`Backend::query`] returns at once. A plug-in's may block.
    pub fn is_instant(&self) -> bool {
        matches!(self.0, Kind::Builtin(_))
    }

    /// Asks for a client's peer.
    ///
    /// # Errors
    /// There is none, or what the back end says is no answer.
    pub fn query(&self, request: &Request) -> Result<Answer, QueryError> {
        match &self.0 {
            Kind::Builtin(settings) => settings.query(&request.upgrade),
            Kind::Plugin(plugin) => plugin.table.query(request),
        }
    }

    /// Lets the back end release what it holds: once, here or when the value is dropped.
    pub fn cleanup(&mut self) {
        if let Kind::Plugin(plugin) = &mut self.0
            && !std::mem::replace(&mut plugin.cleaned, true)
        {
            plugin.table.cleanup();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.cleanup();
    }
}
