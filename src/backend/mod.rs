//! Who is the peer? The built-in back end knows one for all; a plug-in is asked for each client.
//!
//! The life of a back end: [`Backend::builtin`] or [`Backend::load`], [`Backend::configure`] for
//! each key, [`Backend::check`], any number of [`Backend::ask`], [`Backend::cleanup`].

mod address_error;
mod builtin;
mod c_text;
mod copy;
mod ends;
mod error;
mod exports;
mod keys;
mod load;
mod object;
mod peer;
mod peer_check;
mod pool;
mod query_args;
mod said;
mod scheme;
mod service;
mod target;
mod threads;
mod trust;
mod vtable;

pub use address_error::AddressError;
pub use copy::FileId;
pub use error::{BadAnswer, ConfigureError, LoadError, Mistrust, QueryError};
pub use error::{Refusal, RefusalStatus};
pub use exports::{client_connect, client_register, core_refuse};
pub use exports::{core_add_peer, core_client, core_max_session, core_send_proxy, core_session};
pub use exports::{core_header, core_header_at, core_header_count};
pub use keys::{BUNDLED, Bundled, KEYS, Key};
pub use load::{Framings, backend_id};
pub use peer::{Answer, Asked, Request, SendProxy};
pub use said::{core_check_peer, core_count, core_log, core_secret, counters};
pub use scheme::{SCHEMES, Scheme, SchemeForm};
pub use target::Target;

use crate::framing::Registry;
use builtin::Settings;
use ends::{Ends, Pending};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use threads::Threads;
use vtable::Vtable;

/// What became of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A session with it began.
    Reached,
    /// It could not be reached, at this time.
    Unreached(Instant),
    /// A session with it is over.
    Left,
}

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
    /// The sessions whose ends it is told, if it wants to hear of them.
    ends: Option<Ends>,
    cleaned: bool,
}

impl Backend {
    /// The back end without a plug-in: the same peers for everybody, `tcp://localhost:5900` until
    /// its keys say otherwise.
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
        Self::load_for(Registry::current(), dir, name, false)
    }

    /// The same as if it had not been loaded before, with globals of its own; these are its framings.
    ///
    /// # Errors
    /// As [`Backend::load`].
    pub fn load_anew(dir: &Path, name: &str, framings: &Framings) -> Result<Self, LoadError> {
        Self::load_for(framings.registry().clone(), dir, name, true)
    }

    fn load_for(registry: Registry, dir: &Path, name: &str, anew: bool) -> Result<Self, LoadError> {
        let threads = Threads::start(registry).map_err(LoadError::Thread)?;
        let (dir, name) = (dir.to_owned(), name.to_owned());
        let own = name.clone();
        let load = move || load::backend(&dir, &own, anew);
        let table = threads.call(load).map_err(LoadError::Thread)??;
        let ends = table.hears_of_ends().then(Ends::default);
        let table = Arc::new(table);
        Ok(Self(Kind::Plugin(Plugin { name, table, threads, ends, cleaned: false })))
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

    /// The peers of every client, if these are all there are.
    pub fn only_targets(&self) -> Option<Vec<Target>> {
        match &self.0 {
            Kind::Builtin(settings) => Some(settings.targets()),
            Kind::Plugin(_) => None,
        }
    }

    /// The peer of a client, if that needs no plug-in: a plug-in's query may block.
    pub fn answer(&mut self, asked: &Asked<'_>) -> Option<Result<Answer, QueryError>> {
        match &mut self.0 {
            Kind::Builtin(settings) => Some(settings.query(asked)),
            Kind::Plugin(_) => None,
        }
    }

    /// What became of a peer that [`Backend::answer`] named.
    pub fn found(&mut self, peer: &Target, found: Found) {
        let Kind::Builtin(settings) = &mut self.0 else { return };
        let Some(pool) = settings.pool() else { return };
        match found {
            Found::Reached => pool.reached(peer),
            Found::Unreached(now) => pool.unreached(peer, now),
            Found::Left => pool.left(peer),
        }
    }

    /// Whether none of its peers could be reached at the last attempt, and all of them still rest. Of
    /// a plug-in nobody knows.
    pub fn is_out(&self, now: Instant) -> bool {
        match &self.0 {
            Kind::Builtin(settings) => settings.all_rest(now),
            Kind::Plugin(_) => false,
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
            // Nobody need wait for it: [`Backend::answer`] has its answer.
            Kind::Builtin(_) => {
                then(request, Err(QueryError::NoPeer));
                0
            }
            Kind::Plugin(plugin) => {
                let table = Arc::clone(&plugin.table);
                let pending = plugin.ends.as_ref().map(|ends| ends.ask(request.session));
                let teller = plugin.threads.teller();
                plugin.threads.run(Box::new(move || {
                    let answer = table.query(&mut request);
                    let session = request.session;
                    if let Some(reason) = pending.and_then(Pending::answered) {
                        let table = Arc::clone(&table);
                        teller.tell(move || table.ended(session, reason));
                    }
                    drop((table, teller));
                    then(request, answer);
                }))
            }
        }
    }

    /// A session is over: a plug-in that was asked about it, and wants to hear of that, is told why.
    pub fn ended(&mut self, session: u64, reason: &'static str) {
        if let Kind::Plugin(Plugin { table, threads, ends: Some(ends), .. }) = &self.0
            && ends.over(session, reason)
        {
            let table = Arc::clone(table);
            threads.teller().tell(move || table.ended(session, reason));
        }
    }

    /// Whether it is to hear of the end of some session still.
    pub fn awaits_ends(&self) -> bool {
        match &self.0 {
            Kind::Builtin(_) => false,
            Kind::Plugin(plugin) => plugin.ends.as_ref().is_some_and(|ends| !ends.are_all()),
        }
    }

    /// Nobody waits for this answer any more: if the query has not begun, it never will, and what
    /// it holds of its client is given back now. Returns whether it had not begun.
    pub fn forget(&mut self, number: u64) -> bool {
        match &mut self.0 {
            Kind::Builtin(_) => false,
            Kind::Plugin(plugin) => plugin.threads.cancel(number),
        }
    }

    /// How many queries are not answered.
    #[must_use]
    pub fn queries(&self) -> usize {
        match &self.0 {
            Kind::Builtin(_) => 0,
            Kind::Plugin(plugin) => plugin.threads.jobs(),
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

impl Backend {
    /// Nobody asks it any more: it is cleaned up as soon as its last query has returned, and nobody
    /// waits for that.
    pub fn retire(&mut self) {
        let Kind::Plugin(plugin) = &mut self.0 else { return };
        if !std::mem::replace(&mut plugin.cleaned, true) {
            let table = Arc::clone(&plugin.table);
            plugin.threads.retire(Box::new(move || table.cleanup()));
        }
    }

    /// Whether one that was retired is cleaned up.
    pub fn is_over(&self) -> bool {
        match &self.0 {
            Kind::Builtin(_) => true,
            Kind::Plugin(plugin) => plugin.threads.are_over(),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.cleanup();
    }
}
