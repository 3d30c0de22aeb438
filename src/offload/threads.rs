//! The daemon's workers: threads, and the back end that they ask.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use log::warn;
use mio::Waker;

use super::files::FileJob;
use super::resolver::look_up;
use super::{Done, Instance, Jobs, Ticket, Workers};
use crate::access::{Proof, Users};
use crate::backend::{Answer, Asked, Backend, Found, QueryError, Request, Target};
use crate::proto::basic::Credentials;

/// Names looked up at once. A name server that is silent holds a thread until the resolver gives
/// up, so this is how many dead names it takes to delay a live one.
const RESOLVERS: usize = 16;

/// Passwords that wait for the one thread that hashes: some seconds of its time. One, since a crowd of
/// strangers with wrong passwords must leave the loop its processor.
const WAITING_PASSWORDS: usize = 32;

/// Files opened or read at once. A disk that does not answer holds them all, and then whoever asks
/// for another file waits; no session does.
const READERS: usize = 4;

/// Jobs of clients that may wait for a reader: more are told to come back later.
const MOST_WAITING: usize = 1024;

type Job<K> = Box<dyn FnOnce() -> Done<K> + Send>;

/// The daemon's workers: threads, and the back ends, which have their own.
pub(crate) struct Threads<K> {
    /// Those that sessions may ask.
    backends: BTreeMap<Instance, Backend>,
    /// Those among them that nobody asks any more, and that are to hear of their sessions' ends.
    leaving: Vec<Instance>,
    /// Those that hear nothing any more, until they are cleaned up.
    retired: Vec<Backend>,
    names: Option<Pool<K>>,
    files: Option<Pool<K>>,
    passwords: Option<Pool<K>>,
    starter: Starter<K>,
    done: Receiver<Done<K>>,
}

/// What there must be threads for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Names to look up.
    pub(crate) names: bool,
    /// Files to read.
    pub(crate) files: bool,
    /// Passwords to verify.
    pub(crate) passwords: bool,
}

impl Needs {
    /// Without those that there are.
    pub(crate) fn without(self, have: Self) -> Self {
        Self {
            names: self.names && !have.names,
            files: self.files && !have.files,
            passwords: self.passwords && !have.passwords,
        }
    }
}

/// What it takes to start threads whose work comes back to the loop.
pub(crate) struct Starter<K> {
    done: Sender<Done<K>>,
    waker: Arc<Waker>,
}

/// Threads that were started.
pub(crate) struct Pools<K> {
    names: Option<Pool<K>>,
    files: Option<Pool<K>>,
    passwords: Option<Pool<K>>,
}

impl<K> Clone for Starter<K> {
    fn clone(&self) -> Self {
        Self { done: self.done.clone(), waker: Arc::clone(&self.waker) }
    }
}

impl<K: Send + 'static> Starter<K> {
    /// Starts all threads that there will be: what the system refuses, it refuses now and not when a
    /// client waits for it.
    pub(crate) fn start(&self, needs: Needs) -> io::Result<Pools<K>> {
        let start = |wanted: bool, name, count| {
            wanted.then(|| Pool::start(name, count, self.clone())).transpose()
        };
        Ok(Pools {
            names: start(needs.names, "resolver", RESOLVERS)?,
            files: start(needs.files, "reader", READERS)?,
            passwords: start(needs.passwords, "passwords", 1)?,
        })
    }

    /// Tells the loop, if it is still there.
    pub(crate) fn wake(&self) {
        while self.waker.wake().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
    }

    fn bring(&self, done: Done<K>) {
        let _ = self.done.send(done);
        self.wake();
    }
}

impl<K: Send + 'static> Threads<K> {
    /// Starts what `needs` says, for a back end that is the first.
    pub(crate) fn start(backend: Backend, needs: Needs, waker: Waker) -> io::Result<Self> {
        let (sender, done) = channel();
        let starter = Starter { done: sender, waker: Arc::new(waker) };
        let Pools { names, files, passwords } = starter.start(needs)?;
        let backends = BTreeMap::from([(Instance::default(), backend)]);
        let (leaving, retired) = (Vec::new(), Vec::new());
        Ok(Self { backends, leaving, retired, names, files, passwords, starter, done })
    }

    /// What it takes to start more.
    pub(crate) fn starter(&self) -> Starter<K> {
        self.starter.clone()
    }

    /// What there are threads for.
    pub(crate) fn have(&self) -> Needs {
        Needs {
            names: self.names.is_some(),
            files: self.files.is_some(),
            passwords: self.passwords.is_some(),
        }
    }

    /// There are these, too.
    pub(crate) fn add(&mut self, Pools { names, files, passwords }: Pools<K>) {
        self.names = self.names.take().or(names);
        self.files = self.files.take().or(files);
        self.passwords = self.passwords.take().or(passwords);
    }

    /// There is one more back end.
    pub(crate) fn add_backend(&mut self, instance: Instance, backend: Backend) {
        self.backends.insert(instance, backend);
    }

    /// Ends those back ends that nobody asks any more and that hear of no ends.
    fn retire_those_who_may(&mut self) {
        let backends = &mut self.backends;
        let may = |own: &mut Instance| !backends.get(own).is_some_and(Backend::awaits_ends);
        for instance in self.leaving.extract_if(.., may).collect::<Vec<_>>() {
            self.retired.retain(|backend| !backend.is_over());
            if let Some(mut backend) = self.backends.remove(&instance) {
                backend.retire();
                self.retired.push(backend);
            }
        }
    }

    /// Ends the back ends. Says whether a thread is still in somebody else's code: a plug-in's or the
    /// resolver's.
    pub(crate) fn clean_up(&mut self) -> bool {
        let mut busy = false;
        for backend in self.backends.values_mut() {
            if !backend.cleanup() {
                warn!("back end {} still answers a query; not cleaned up", backend.name());
                busy = true;
            }
        }
        busy |= self.retired.iter().any(|backend| !backend.is_over());
        busy || [&self.names, &self.files].into_iter().flatten().any(Pool::is_busy)
    }
}

/// How many tickets each back end has: more queries than there will be.
const TICKETS: u64 = 1 << 40;

impl<K: Send + 'static> Workers<K> for Threads<K> {
    fn answer(&mut self, of: Instance, asked: &Asked<'_>) -> Option<Result<Answer, QueryError>> {
        self.backends.get_mut(&of)?.answer(asked)
    }

    fn found(&mut self, of: Instance, peer: &Target, found: Found) {
        if let Some(backend) = self.backends.get_mut(&of) {
            backend.found(peer, found);
        }
    }

    fn is_out(&self, of: Instance, now: Instant) -> bool {
        self.backends.get(&of).is_some_and(|backend| backend.is_out(now))
    }

    fn query(&mut self, of: Instance, key: K, request: Request) -> io::Result<Ticket> {
        let backend = self.backends.get_mut(&of).ok_or(ErrorKind::NotFound)?;
        let starter = self.starter.clone();
        let then = move |request, answer| {
            starter.bring(Done::Answered { key, request: Box::new(request), answer });
        };
        Ok(Ticket(u64::from(of.0) * TICKETS + backend.ask(request, then)))
    }

    fn cancel_query(&mut self, ticket: Ticket) -> bool {
        let instance = u32::try_from(ticket.0 / TICKETS).map(Instance).unwrap_or_default();
        let backend = self.backends.get_mut(&instance);
        backend.is_some_and(|backend| backend.forget(ticket.0 % TICKETS))
    }

    fn retire(&mut self, instance: Instance) {
        self.leaving.push(instance);
        self.retire_those_who_may();
    }

    fn ended(&mut self, session: u64, reason: &'static str) {
        self.backends.values_mut().for_each(|backend| backend.ended(session, reason));
        self.retire_those_who_may();
    }

    fn look_up(&mut self, name: &str) -> io::Result<Ticket> {
        let pool = self.names.as_mut().ok_or(ErrorKind::Unsupported)?;
        let name = name.to_owned();
        Ok(pool.run(Box::new(move || {
            let addresses = look_up(&name).map_err(Arc::new);
            Done::Resolved { name, addresses }
        })))
    }

    fn cancel_look_up(&mut self, ticket: Ticket) -> bool {
        self.names.as_mut().is_some_and(|pool| pool.cancel(ticket))
    }

    fn verify(
        &mut self,
        users: &Arc<Users>,
        key: K,
        credentials: Credentials,
        proof: Proof,
    ) -> Option<Ticket> {
        let pool = self.passwords.as_mut()?;
        if pool.waiting() >= WAITING_PASSWORDS {
            return None;
        }
        let users = Arc::clone(users);
        Some(pool.run(Box::new(move || {
            let right = users.verify(&credentials.user, &credentials.password);
            Done::Verified { key, users, proof, right }
        })))
    }

    fn cancel_verification(&mut self, ticket: Ticket) {
        if let Some(pool) = &mut self.passwords {
            pool.cancel(ticket);
        }
    }

    fn file(&mut self, key: K, job: FileJob) -> io::Result<Ticket> {
        let pool = self.files.as_mut().ok_or(ErrorKind::Unsupported)?;
        // Who has a file open is one of those that were let in.
        if matches!(job, FileJob::Open { .. }) && pool.waiting() >= MOST_WAITING {
            return Err(ErrorKind::ResourceBusy.into());
        }
        Ok(pool.run(Box::new(move || Done::File { key, done: job.run() })))
    }

    fn cancel_file(&mut self, ticket: Ticket) {
        if let Some(pool) = &mut self.files {
            pool.cancel(ticket);
        }
    }

    fn jobs(&self) -> Jobs {
        let jobs = |pool: &Option<Pool<K>>| pool.as_ref().map_or(0, Pool::jobs);
        let backends = self.backends.values().chain(&self.retired);
        Jobs {
            names: jobs(&self.names),
            queries: backends.map(Backend::queries).sum(),
            passwords: jobs(&self.passwords),
            files: jobs(&self.files),
        }
    }

    fn next(&mut self) -> Option<Done<K>> {
        let done = self.done.try_recv().ok()?;
        self.retire_those_who_may();
        Some(done)
    }
}

/// A fixed number of threads.
struct Pool<K> {
    next: Ticket,
    shared: Arc<Shared<K>>,
}

/// What a pool's threads share with the loop.
struct Shared<K> {
    queue: Mutex<Queue<K>>,
    /// There is a job.
    filled: Condvar,
    starter: Starter<K>,
}

struct Queue<K> {
    /// The jobs that have not begun, in order.
    jobs: BTreeMap<Ticket, Job<K>>,
    /// Threads that have one.
    busy: usize,
}

impl<K: Send + 'static> Pool<K> {
    /// Starts the threads, and waits until each runs: its own beginning is the last that a thread may
    /// fail at.
    fn start(name: &'static str, threads: usize, starter: Starter<K>) -> io::Result<Self> {
        let queue = Mutex::new(Queue { jobs: BTreeMap::new(), busy: 0 });
        let shared = Arc::new(Shared { queue, filled: Condvar::new(), starter });
        let (runs, running) = channel();
        for _ in 0..threads {
            let (shared, runs) = (Arc::clone(&shared), runs.clone());
            thread::Builder::new().name(name.into()).spawn(move || {
                let _ = runs.send(());
                drop(runs);
                serve(&shared);
            })?;
        }
        drop(runs);
        running.iter().take(threads).for_each(drop);
        Ok(Self { next: Ticket(0), shared })
    }

    fn run(&mut self, job: Job<K>) -> Ticket {
        let ticket = self.next;
        self.next.0 += 1;
        lock(&self.shared.queue).jobs.insert(ticket, job);
        self.shared.filled.notify_one();
        ticket
    }

    /// Takes a job back; returns whether it had not begun.
    fn cancel(&mut self, ticket: Ticket) -> bool {
        let job = lock(&self.shared.queue).jobs.remove(&ticket);
        job.is_some()
    }

    /// How many jobs have not begun.
    fn waiting(&self) -> usize {
        lock(&self.shared.queue).jobs.len()
    }

    /// How many jobs are not done.
    fn jobs(&self) -> usize {
        let queue = lock(&self.shared.queue);
        queue.jobs.len() + queue.busy
    }

    /// Whether some thread has a job.
    fn is_busy(&self) -> bool {
        lock(&self.shared.queue).busy > 0
    }
}

/// A pool's thread: job after job, until the daemon ends.
fn serve<K: Send + 'static>(shared: &Shared<K>) {
    let mut queue = lock(&shared.queue);
    loop {
        let Some((_, job)) = queue.jobs.pop_first() else {
            queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        queue.busy += 1;
        drop(queue);
        shared.starter.bring(job());
        queue = lock(&shared.queue);
        queue.busy -= 1;
    }
}

/// A thread that panicked left nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offload::Offload;
    use std::time::{Duration, Instant};

    fn offload() -> Offload<u32, Threads<u32>> {
        let poll = mio::Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let mut threads = Threads::start(Backend::builtin(), Needs::default(), waker).unwrap();
        threads.names = Some(Pool::start("resolver", 1, threads.starter()).unwrap());
        Offload::new(threads)
    }

    fn names(offload: &mut Offload<u32, Threads<u32>>) -> &mut Pool<u32> {
        offload.workers().names.as_mut().unwrap()
    }

    /// A job that takes until the sender is gone, and has begun.
    fn busy(pool: &mut Pool<u32>) -> (Ticket, Sender<()>) {
        let ((end, ended), (begin, begun)) = (channel(), channel());
        let ticket = pool.run(Box::new(move || {
            begin.send(()).unwrap();
            let _ = ended.recv();
            Done::Resolved { name: String::new(), addresses: Ok(Vec::new()) }
        }));
        begun.recv().unwrap();
        (ticket, end)
    }

    #[test]
    fn a_look_up_is_taken_back_when_the_last_one_leaves() {
        let mut offload = offload();
        let (begun, _end) = busy(names(&mut offload));
        let places = [1, 2].map(|key| offload.resolve("a.test", key).unwrap());
        assert_eq!(names(&mut offload).waiting(), 1, "one look-up serves both");
        offload.forget_name("a.test", places[0]);
        assert_eq!(names(&mut offload).waiting(), 1);
        offload.forget_name("a.test", places[1]);
        assert_eq!(names(&mut offload).waiting(), 0);
        assert!(offload.waited_for("a.test").is_empty());
        assert!(!offload.workers().cancel_look_up(begun), "what has begun goes on");
    }

    #[test]
    fn those_who_wait_are_served_in_order() {
        let mut offload = offload();
        let (_, _end) = busy(names(&mut offload));
        let places = [7, 5, 6, 4].map(|key| offload.resolve("a.test", key).unwrap());
        offload.forget_name("a.test", places[2]);
        offload.forget_name("a.test", places[2]);
        assert_eq!(offload.waited_for("a.test"), [7, 5, 4]);
    }

    /// 400,000 clients that wait for one name and leave, in the order that they came in and in the
    /// other: looked for one by one in a list, they would stall the loop for a minute.
    #[test]
    fn a12_leaving_a_look_up_is_cheap_in_any_order() {
        const CROWD: u32 = 400_000;
        let mut offload = offload();
        let (_, _end) = busy(names(&mut offload));
        for backwards in [false, true] {
            let place = |key| offload.resolve("a.test", key).unwrap();
            let mut places: Vec<_> = (0..CROWD).map(place).collect();
            if backwards {
                places.reverse();
            }
            let start = Instant::now();
            places.iter().for_each(|place| offload.forget_name("a.test", *place));
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
            assert!(offload.waiting.is_empty());
        }
    }

    #[test]
    fn a07_a_thread_that_works_is_known() {
        let mut offload = offload();
        let names = names(&mut offload);
        assert!(!names.is_busy());
        let (_, end) = busy(names);
        assert!(names.is_busy());
        drop(end);
        let start = Instant::now();
        while names.is_busy() {
            assert!(start.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
    }
}
