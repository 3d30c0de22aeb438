//! The daemon's workers: threads, and the back end that they ask.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use log::warn;
use mio::Waker;

use super::files::FileJob;
use super::resolver::look_up;
use super::{Done, Ticket, Workers};
use crate::access::{Passwords, Proof};
use crate::backend::{Answer, Backend, QueryError, Request};
use crate::proto::basic::Credentials;
use crate::proto::handshake::Upgrade;

/// Names looked up at once. A name server that is silent holds a thread until the resolver gives
/// up, so this is how many dead names it takes to delay a live one.
pub(crate) const RESOLVERS: usize = 16;

/// Passwords that wait for the one thread that hashes: some seconds of its time. One, since a crowd of
/// strangers with wrong passwords must leave the loop its processor.
const WAITING_PASSWORDS: usize = 32;

/// Files opened or read at once. A disk that does not answer holds them all, and then whoever asks
/// for another file waits; no session does.
pub(crate) const READERS: usize = 4;

/// Jobs of clients that may wait for a reader: more are told to come back later.
const MOST_WAITING: usize = 1024;

type Job<K> = Box<dyn FnOnce() -> Done<K> + Send>;

/// Threads that resolve names, and the back end, which has its own.
pub(crate) struct Threads<K> {
    backend: Backend,
    names: Pool<K>,
    files: Pool<K>,
    passwords: Option<(Arc<Passwords>, Pool<K>)>,
    done: Receiver<Done<K>>,
}

impl<K: Send + 'static> Threads<K> {
    /// Starts so many threads for names and for files, all that there will be: what the system
    /// refuses, it refuses now and not when a client waits for it.
    pub(crate) fn start(
        backend: Backend,
        resolvers: usize,
        readers: usize,
        passwords: Option<Passwords>,
        waker: Waker,
    ) -> io::Result<Self> {
        let (sender, done) = channel();
        let waker = Arc::new(waker);
        let passwords = match passwords {
            Some(passwords) => {
                let pool = Pool::start("passwords", 1, sender.clone(), Arc::clone(&waker))?;
                Some((Arc::new(passwords), pool))
            }
            None => None,
        };
        let names = Pool::start("resolver", resolvers, sender.clone(), Arc::clone(&waker))?;
        let files = Pool::start("reader", readers, sender, waker)?;
        Ok(Self { backend, names, files, passwords, done })
    }

    /// Ends the back end. Says whether a thread is still in somebody else's code: a plug-in's or the
    /// resolver's.
    pub(crate) fn clean_up(&mut self) -> bool {
        let cleaned = self.backend.cleanup();
        if !cleaned {
            warn!("back end {} still answers a query; not cleaned up", self.backend.name());
        }
        !cleaned || self.names.is_busy() || self.files.is_busy()
    }
}

impl<K: Send + 'static> Workers<K> for Threads<K> {
    fn answer(&mut self, upgrade: &Upgrade) -> Option<Result<Answer, QueryError>> {
        self.backend.answer(upgrade)
    }

    fn query(&mut self, key: K, request: Request) -> io::Result<Ticket> {
        let shared = Arc::clone(&self.names.shared);
        let then = move |request, answer| shared.bring(Done::Answered { key, request, answer });
        Ok(Ticket(self.backend.ask(request, then)))
    }

    fn cancel_query(&mut self, ticket: Ticket) {
        self.backend.forget(ticket.0);
    }

    fn look_up(&mut self, name: &str) -> io::Result<Ticket> {
        let name = name.to_owned();
        Ok(self.names.run(Box::new(move || {
            let addresses = look_up(&name).map_err(Arc::new);
            Done::Resolved { name, addresses }
        })))
    }

    fn cancel_look_up(&mut self, ticket: Ticket) -> bool {
        self.names.cancel(ticket)
    }

    fn verify(&mut self, key: K, credentials: Credentials, proof: Proof) -> Option<Ticket> {
        let (passwords, pool) = self.passwords.as_mut()?;
        if pool.waiting() >= WAITING_PASSWORDS {
            return None;
        }
        let passwords = Arc::clone(passwords);
        Some(pool.run(Box::new(move || {
            let right = passwords.verify(&credentials.user, &credentials.password);
            Done::Verified { key, proof, right }
        })))
    }

    fn cancel_verification(&mut self, ticket: Ticket) {
        if let Some((_, pool)) = &mut self.passwords {
            pool.cancel(ticket);
        }
    }

    fn file(&mut self, key: K, job: FileJob) -> io::Result<Ticket> {
        // Who has a file open is one of those that were let in.
        if matches!(job, FileJob::Open { .. }) && self.files.waiting() >= MOST_WAITING {
            return Err(ErrorKind::ResourceBusy.into());
        }
        Ok(self.files.run(Box::new(move || Done::File { key, done: job.run() })))
    }

    fn cancel_file(&mut self, ticket: Ticket) {
        self.files.cancel(ticket);
    }

    fn next(&mut self) -> Option<Done<K>> {
        self.done.try_recv().ok()
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
    done: Sender<Done<K>>,
    waker: Arc<Waker>,
}

impl<K> Shared<K> {
    /// Tells the loop, if it is still there.
    fn bring(&self, done: Done<K>) {
        let _ = self.done.send(done);
        while self.waker.wake().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
    }
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
    fn start(
        name: &'static str,
        threads: usize,
        done: Sender<Done<K>>,
        waker: Arc<Waker>,
    ) -> io::Result<Self> {
        let queue = Mutex::new(Queue { jobs: BTreeMap::new(), busy: 0 });
        let shared = Arc::new(Shared { queue, filled: Condvar::new(), done, waker });
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

    /// Whether some thread has a job.
    fn is_busy(&self) -> bool {
        lock(&self.shared.queue).busy > 0
    }
}

/// A pool's thread: job after job, until the daemon ends.
fn serve<K>(shared: &Shared<K>) {
    let mut queue = lock(&shared.queue);
    loop {
        let Some((_, job)) = queue.jobs.pop_first() else {
            queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        queue.busy += 1;
        drop(queue);
        shared.bring(job());
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
        Offload::new(Threads::start(Backend::builtin(), 1, 0, None, waker).unwrap())
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
        let (begun, _end) = busy(&mut offload.workers().names);
        let jobs = |threads: &Threads<u32>| lock(&threads.names.shared.queue).jobs.len();
        let places = [1, 2].map(|key| offload.resolve("a.test", key).unwrap());
        assert_eq!(jobs(offload.workers()), 1, "one look-up serves both");
        offload.forget_name("a.test", places[0]);
        assert_eq!(jobs(offload.workers()), 1);
        offload.forget_name("a.test", places[1]);
        assert_eq!(jobs(offload.workers()), 0);
        assert!(offload.waited_for("a.test").is_empty());
        assert!(!offload.workers().cancel_look_up(begun), "what has begun goes on");
    }

    #[test]
    fn those_who_wait_are_served_in_order() {
        let mut offload = offload();
        let (_, _end) = busy(&mut offload.workers().names);
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
        let (_, _end) = busy(&mut offload.workers().names);
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
        let names = &mut offload.workers().names;
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
