//! Who is the peer? The built-in back end knows one for all; a plug-in is asked for each client.
//!
//! The life of a back end: [`Backend::builtin`] or [`Backend::load`], [`Backend::configure`] for
//! each key, [`Backend::check`], any number of [`Backend::ask`], [`Backend::cleanup`].

mod address_error;
mod builtin;
mod error;
mod exports;
mod keys;
mod load;
mod object;
mod peer;
mod peer_check;
mod query_args;
mod scheme;
mod service;
mod target;
mod threads;
mod trust;
mod vtable;

pub use address_error::AddressError;
pub use error::{BadAnswer, ConfigureError, LoadError, Mistrust, QueryError};
pub use error::{Refusal, RefusalStatus};
pub use exports::{client_connect, client_register, core_check_peer, core_log, core_refuse};
pub use exports::{core_client, core_send_proxy};
pub use exports::{core_header, core_header_at, core_header_count};
pub use keys::{BUNDLED, KEYS, Key};
pub use load::load_framings;
pub use peer::{Answer, Request, SendProxy};
pub use scheme::{SCHEMES, Scheme, SchemeForm};
pub use target::Target;

use crate::proto::handshake::Upgrade;
use builtin::Settings;
use std::io;
use std::path::Path;
use std::sync::Arc;
use threads::Threads;
use vtable::Vtable;

/// The back end that the operator chose.
pub struct Backend(Kind);

enum Kind {
    Builtin(Settings),
    Plugin(Plugin),
}

struct Plugin {
    name: String,
    table: Arc<Vtable>,
    threads: Threads,
    cleaned: bool,
}

impl Backend {
    /// The back end without a plug-in: the same peer for everybody, `tcp://localhost:5900` until
    /// `host`, `port`, `protocol`, `framing` and `framing-config` say otherwise.
    pub fn builtin() -> Self {
        Self(Kind::Builtin(Settings::default()))
    }

    /// Loads `backend_NAME.so` from `dir` and calls its `init`, both on a thread of its own, which
    /// makes every other call too.
    ///
    /// `dir` is an absolute path, and nobody but root and this user may write to it, its parents or
    /// the file: who can put a plug-in there is this program.
    ///
    /// # Errors
    /// What keeps the file from being a back end.
    pub fn load(dir: &Path, name: &str) -> Result<Self, LoadError> {
        let threads = Threads::start().map_err(LoadError::Thread)?;
        let (dir, name) = (dir.to_owned(), name.to_owned());
        let own = name.clone();
        let table =
            threads.call(move || load::backend(&dir, &own)).map_err(LoadError::Thread)??;
        Ok(Self(Kind::Plugin(Plugin { name, table: Arc::new(table), threads, cleaned: false })))
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
            Kind::Plugin(plugin) => {
                let (table, key, value) =
                    (Arc::clone(&plugin.table), key.to_owned(), value.to_owned());
                let call = plugin.threads.call(move || table.configure(&key, &value));
                call.unwrap_or(Err(ConfigureError::Gone))
            }
        }
    }

    /// Judges the configuration as a whole, and gets ready to be asked; to be called when all keys
    /// are in, and the plug-ins' framings registered.
    ///
    /// # Errors
    /// It could answer no query: the key at fault, or none that is there, and why.
    pub fn check(&mut self) -> Result<(), (&'static str, ConfigureError)> {
        match &mut self.0 {
            Kind::Builtin(settings) => settings.check(),
            Kind::Plugin(plugin) => {
                let table = Arc::clone(&plugin.table);
                let call = plugin.threads.call(move || table.check());
                call.unwrap_or(Err(ConfigureError::Gone)).map_err(|error| ("", error))
            }
        }
    }

    /// Starts the threads that make queries beside the back end's own: `count` in all.
    ///
    /// # Errors
    /// The system refuses one.
    pub fn allow_threads(&mut self, count: usize) -> io::Result<()> {
        match &self.0 {
            Kind::Builtin(_) => Ok(()),
            Kind::Plugin(plugin) => plugin.threads.further(count.saturating_sub(1)),
        }
    }

    /// The peer of every client, if there is but one.
    pub fn only_target(&self) -> Option<Target> {
        match &self.0 {
            Kind::Builtin(settings) => settings.target().ok(),
            Kind::Plugin(_) => None,
        }
    }

    /// The peer of a client, if that needs no plug-in: a plug-in's query may block.
    pub fn answer(&self, upgrade: &Upgrade) -> Option<Result<Answer, QueryError>> {
        match &self.0 {
            Kind::Builtin(settings) => Some(settings.query(upgrade)),
            Kind::Plugin(_) => None,
        }
    }

    /// Asks for a client's peer; `then` is told on a thread of the back end's. The number is for
    /// [`Backend::forget`].
    pub fn ask(
        &mut self,
        mut request: Request,
        then: impl FnOnce(Request, Result<Answer, QueryError>) + Send + 'static,
    ) -> u64 {
        match &mut self.0 {
            Kind::Builtin(settings) => {
                let answer = settings.query(&request.upgrade);
                then(request, answer);
                0
            }
            Kind::Plugin(plugin) => {
                let table = Arc::clone(&plugin.table);
                plugin.threads.run(Box::new(move || {
                    let answer = table.query(&mut request);
                    drop(table);
                    then(request, answer);
                }))
            }
        }
    }

    /// Nobody waits for this answer any more: if the query has not begun, it never will, and what
    /// it holds of its client is given back now.
    pub fn forget(&mut self, number: u64) {
        if let Kind::Plugin(plugin) = &mut self.0 {
            plugin.threads.cancel(number);
        }
    }

    /// Lets the back end release what it holds: once, here or when the value is dropped. Not while
    /// a query runs: to do so under it would be worse than not to do it. Returns whether it is done.
    pub fn cleanup(&mut self) -> bool {
        let Kind::Plugin(plugin) = &mut self.0 else { return true };
        if !plugin.cleaned && plugin.threads.rest() {
            let table = Arc::clone(&plugin.table);
            plugin.cleaned = plugin.threads.call(move || table.cleanup()).is_ok();
        }
        plugin.cleaned
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.cleanup();
    }
}
