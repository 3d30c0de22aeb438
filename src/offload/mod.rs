//! What may block runs elsewhere, and comes back as an event.
//!
//! Four kinds: name look-ups (`getaddrinfo`), the hashes of passwords, the `query` of plug-ins, and
//! files. What nobody waits for any more is taken back if it has not begun, and forgotten when it
//! comes back. Who does the work are [`Workers`]: [`Threads`] in the daemon.

pub(crate) mod files;
mod resolver;
mod threads;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::access::{Proof, Users};
use crate::backend::{Answer, Asked, Found, QueryError, Request, Target};
use crate::proto::basic::Credentials;
pub use files::{FileDone, FileJob};
pub(crate) use threads::{Needs, Pools, Threads};

/// A name's addresses, without a port; the error is for all who waited.
pub type LookedUp = Result<Vec<SocketAddr>, Arc<io::Error>>;

/// What comes back, to the session `K` or to all who waited for the name.
#[derive(Debug)]
pub enum Done<K> {
    /// A name was looked up.
    Resolved {
        /// The name.
        name: String,
        /// What it stands for.
        addresses: LookedUp,
    },
    /// A password was looked at.
    Verified {
        /// Whose.
        key: K,
        /// Among whom.
        users: Arc<Users>,
        /// What is remembered of it.
        proof: Proof,
        /// Whether it is right.
        right: bool,
    },
    /// A back end has answered.
    Answered {
        /// Who asked.
        key: K,
        /// What was asked.
        request: Box<Request>,
        /// What the back end says.
        answer: Result<Answer, QueryError>,
    },
    /// A file was opened, or read.
    File {
        /// For whom.
        key: K,
        /// What came of it.
        done: FileDone,
    },
}

/// Which back end: a reload may make another, and then each session asks the one that it began with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Instance(pub u32);

/// A job's place in the order of its kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(pub u64);

/// Who does what may block.
pub trait Workers<K> {
    /// The back end's answer, if it gives one without blocking.
    fn answer(&mut self, of: Instance, asked: &Asked<'_>) -> Option<Result<Answer, QueryError>>;
    /// What became of a peer that [`Workers::answer`] named.
    fn found(&mut self, of: Instance, peer: &Target, found: Found) {
        let _ = (of, peer, found);
    }
    /// Whether no peer of this back end could be reached lately, as far as that is known.
    fn is_out(&self, of: Instance, now: Instant) -> bool {
        let _ = (of, now);
        false
    }
    /// Asks the back end for `key`; it comes back as [`Done::Answered`].
    ///
    /// # Errors
    /// Nobody can be found to do it.
    fn query(&mut self, of: Instance, key: K, request: Request) -> io::Result<Ticket>;
    /// Nobody asks this back end any more.
    fn retire(&mut self, _instance: Instance) {}
    /// Takes a query back, with all that it holds of its client; returns whether it had not begun.
    fn cancel_query(&mut self, ticket: Ticket) -> bool;
    /// A session is over, for this reason: the back end may want to know.
    fn ended(&mut self, session: u64, reason: &'static str) {
        let _ = (session, reason);
    }
    /// Looks `name` up; it comes back as [`Done::Resolved`].
    ///
    /// # Errors
    /// Nobody can be found to do it.
    fn look_up(&mut self, name: &str) -> io::Result<Ticket>;
    /// Takes a look-up back; returns whether it had not begun.
    fn cancel_look_up(&mut self, ticket: Ticket) -> bool;
    /// Verifies a name and a password of `users` for `key`; it comes back as [`Done::Verified`]. None
    /// if so many wait that this one may not.
    fn verify(
        &mut self,
        _users: &Arc<Users>,
        _key: K,
        _credentials: Credentials,
        _proof: Proof,
    ) -> Option<Ticket> {
        None
    }
    /// Takes a verification back if it has not begun.
    fn cancel_verification(&mut self, _ticket: Ticket) {}
    /// Does something with a file for `key`; it comes back as [`Done::File`].
    ///
    /// # Errors
    /// Nobody can be found to do it, or too many wait for that.
    fn file(&mut self, key: K, job: FileJob) -> io::Result<Ticket> {
        let _ = (key, job);
        Err(ErrorKind::Unsupported.into())
    }
    /// Takes such a job back if it has not begun.
    fn cancel_file(&mut self, ticket: Ticket) {
        let _ = ticket;
    }
    /// How much is not done yet.
    fn jobs(&self) -> Jobs {
        Jobs::default()
    }
    /// The next thing that came back.
    fn next(&mut self) -> Option<Done<K>>;
}

/// What was begun, or waits for a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jobs {
    /// Names that are looked up.
    pub names: usize,
    /// Queries of the back end.
    pub queries: usize,
    /// Passwords.
    pub passwords: usize,
    /// Files.
    pub files: usize,
}

/// What was begun, and who waits for it.
pub(crate) struct Offload<K, W> {
    workers: W,
    waiting: HashMap<String, LookUp<K>>,
    /// How many have ever waited for a name.
    waited: u64,
}

/// What came of the wish to verify a password.
pub(crate) enum Verification {
    /// It was right a while ago.
    Known,
    /// It is looked at.
    Begun(Ticket),
    /// Too many wait.
    Refused,
}

/// One look-up, and who waits for it, in order: it serves them all.
struct LookUp<K> {
    ticket: Ticket,
    keys: BTreeMap<Place, K>,
}

/// Somebody's place among those who wait for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

impl<K: Copy, W: Workers<K>> Offload<K, W> {
    pub(crate) fn new(workers: W) -> Self {
        Self { workers, waiting: HashMap::new(), waited: 0 }
    }

    pub(crate) fn workers(&mut self) -> &mut W {
        &mut self.workers
    }

    /// Looks `name` up for `key`, whose place is for [`Offload::forget_name`].
    pub(crate) fn resolve(&mut self, name: &str, key: K) -> io::Result<Place> {
        let place = Place(self.waited);
        if let Some(look_up) = self.waiting.get_mut(name) {
            look_up.keys.insert(place, key);
        } else {
            let ticket = self.workers.look_up(name)?;
            let look_up = LookUp { ticket, keys: BTreeMap::from([(place, key)]) };
            self.waiting.insert(name.to_owned(), look_up);
        }
        self.waited += 1;
        Ok(place)
    }

    /// Whoever has `place` does not wait for `name` any more; a look-up that nobody waits for and
    /// that has not begun never will.
    pub(crate) fn forget_name(&mut self, name: &str, place: Place) {
        let Some(look_up) = self.waiting.get_mut(name) else { return };
        look_up.keys.remove(&place);
        if look_up.keys.is_empty() && self.workers.cancel_look_up(look_up.ticket) {
            self.waiting.remove(name);
        }
    }

    /// Verifies a name and a password, unless it is known that they are right.
    pub(crate) fn verify(
        &mut self,
        users: &Arc<Users>,
        key: K,
        credentials: Credentials,
        now: Instant,
    ) -> Verification {
        let proof = users.proof(&credentials.user, &credentials.password);
        if users.knows(proof, now) {
            return Verification::Known;
        }
        self.workers
            .verify(users, key, credentials, proof)
            .map_or(Verification::Refused, Verification::Begun)
    }

    /// Nobody waits for this verification any more.
    pub(crate) fn forget_verification(&mut self, ticket: Ticket) {
        self.workers.cancel_verification(ticket);
    }

    /// How much is not done yet.
    pub(crate) fn jobs(&self) -> Jobs {
        self.workers.jobs()
    }

    /// The back end's answer, if it gives one without blocking.
    pub(crate) fn answer(
        &mut self,
        of: Instance,
        asked: &Asked<'_>,
    ) -> Option<Result<Answer, QueryError>> {
        self.workers.answer(of, asked)
    }

    /// What became of a peer that [`Offload::answer`] named.
    pub(crate) fn found(&mut self, of: Instance, peer: &Target, found: Found) {
        self.workers.found(of, peer, found);
    }

    /// Whether no peer of a back end could be reached lately, as far as that is known.
    pub(crate) fn is_out(&self, of: Instance, now: Instant) -> bool {
        self.workers.is_out(of, now)
    }

    /// A session is over, for this reason.
    pub(crate) fn ended(&mut self, session: u64, reason: &'static str) {
        self.workers.ended(session, reason);
    }

    /// Asks a back end that may block.
    pub(crate) fn query(&mut self, of: Instance, key: K, request: Request) -> io::Result<Ticket> {
        self.workers.query(of, key, request)
    }

    /// Nobody waits for this query any more: if it has not begun, it never will, and what it holds
    /// of its client is given back now. Returns whether it had not begun.
    pub(crate) fn forget_query(&mut self, ticket: Ticket) -> bool {
        self.workers.cancel_query(ticket)
    }

    /// Does something with a file.
    pub(crate) fn file(&mut self, key: K, job: FileJob) -> io::Result<Ticket> {
        self.workers.file(key, job)
    }

    /// Nobody waits for what was to be done with a file.
    pub(crate) fn forget_file(&mut self, ticket: Ticket) {
        self.workers.cancel_file(ticket);
    }

    /// The next thing that came back.
    pub(crate) fn next(&mut self) -> Option<Done<K>> {
        self.workers.next()
    }

    /// Who waited for `name`.
    pub(crate) fn waited_for(&mut self, name: &str) -> Vec<K> {
        let look_up = self.waiting.remove(name);
        look_up.map(|look_up| look_up.keys.into_values().collect()).unwrap_or_default()
    }
}
