//! What may block runs on threads, and comes back as an event.
//!
//! Two kinds: name look-ups (`getaddrinfo`), and the `query` of plug-ins. What nobody waits for
//! any more is taken back if it has not begun, and forgotten when it comes back.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use mio::Waker;

use crate::backend::{Answer, Backend, QueryError, Request};

/// Names looked up at once. A name server that is silent holds a thread until the resolver gives
/// up, so this is how many dead names it takes to delay a live one.
const RESOLVERS: usize = 16;

/// A name's addresses; the error is for all who waited.
pub(crate) type LookedUp = Result<Vec<SocketAddr>, Arc<io::Error>>;

/// What comes back.
pub(crate) enum Done<K> {
    Resolved { name: String, addresses: LookedUp },
    Answered { key: K, request: Request, answer: Result<Answer, QueryError> },
}

type Job<K> = Box<dyn FnOnce() -> Done<K> + Send>;

/// A job's place in the order of its pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

pub(crate) struct Offload<K> {
    names: Pool<K>,
    queries: Pool<K>,
    waiting: HashMap<String, LookUp<K>>,
    done: Receiver<Done<K>>,
}

/// One look-up, and who waits for it: it serves them all.
struct LookUp<K> {
    ticket: Ticket,
    keys: Vec<K>,
}

impl<K: Copy + Eq + Send + 'static> Offload<K> {
    pub(crate) fn new(waker: &Arc<Waker>, query_threads: usize) -> Self {
        let (sender, done) = channel();
        let pool = |name, most| Pool::new(name, most, sender.clone(), Arc::clone(waker));
        Self {
            names: pool("resolver", RESOLVERS),
            queries: pool("query", query_threads),
            waiting: HashMap::new(),
            done,
        }
    }

    /// Looks `name` up for `key`.
    pub(crate) fn resolve(&mut self, name: &str, key: K) -> io::Result<()> {
        if let Some(look_up) = self.waiting.get_mut(name) {
            look_up.keys.push(key);
            return Ok(());
        }
        let job_name = name.to_owned();
        let ticket = self.names.run(Box::new(move || {
            let addresses = look_up(&job_name).map_err(Arc::new);
            Done::Resolved { name: job_name, addresses }
        }))?;
        self.waiting.insert(name.to_owned(), LookUp { ticket, keys: vec![key] });
        Ok(())
    }

    /// `key` does not wait for `name` any more; a look-up that nobody waits for and that has not
    /// begun never will.
    pub(crate) fn forget_name(&mut self, name: &str, key: K) {
        let Some(look_up) = self.waiting.get_mut(name) else { return };
        look_up.keys.retain(|waiting| *waiting != key);
        if look_up.keys.is_empty() && self.names.cancel(look_up.ticket) {
            self.waiting.remove(name);
        }
    }

    /// Asks a back end that may block.
    pub(crate) fn query(
        &mut self,
        backend: &Arc<Backend>,
        key: K,
        request: Request,
    ) -> io::Result<Ticket> {
        let backend = Arc::clone(backend);
        self.queries.run(Box::new(move || {
            let answer = backend.query(&request);
            Done::Answered { key, request, answer }
        }))
    }

    /// Nobody waits for this query any more: if it has not begun, it never will, and what it holds
    /// of its client is given back now.
    pub(crate) fn forget_query(&mut self, ticket: Ticket) {
        self.queries.cancel(ticket);
    }

    /// The next thing that came back.
    pub(crate) fn next(&mut self) -> Option<Done<K>> {
        self.done.try_recv().ok()
    }

    /// Who waited for `name`.
    pub(crate) fn waited_for(&mut self, name: &str) -> Vec<K> {
        self.waiting.remove(name).map(|look_up| look_up.keys).unwrap_or_default()
    }
}

/// A name's addresses, with the zones of IPv6 (RFC 4007 §6) and without a port.
fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

/// Threads that are started as they are needed, up to a number, and then stay.
struct Pool<K> {
    name: &'static str,
    most: usize,
    started: usize,
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

/// The jobs that have not begun, in order.
struct Queue<K> {
    jobs: BTreeMap<Ticket, Job<K>>,
    /// Threads that wait for one.
    idle: usize,
}

impl<K: Send + 'static> Pool<K> {
    fn new(name: &'static str, most: usize, done: Sender<Done<K>>, waker: Arc<Waker>) -> Self {
        let queue = Mutex::new(Queue { jobs: BTreeMap::new(), idle: 0 });
        let filled = Condvar::new();
        let shared = Arc::new(Shared { queue, filled, done, waker });
        Self { name, most, started: 0, next: Ticket(0), shared }
    }

    fn run(&mut self, job: Job<K>) -> io::Result<Ticket> {
        let wanting = {
            let queue = lock(&self.shared.queue);
            queue.jobs.len() >= queue.idle
        };
        if wanting && self.started < self.most {
            // Fewer threads than wanted will do; none will not.
            self.start().or_else(|error| if self.started > 0 { Ok(()) } else { Err(error) })?;
        }
        let ticket = self.next;
        self.next.0 += 1;
        lock(&self.shared.queue).jobs.insert(ticket, job);
        self.shared.filled.notify_one();
        Ok(ticket)
    }

    /// Takes a job back; returns whether it had not begun.
    fn cancel(&mut self, ticket: Ticket) -> bool {
        let job = lock(&self.shared.queue).jobs.remove(&ticket);
        job.is_some()
    }

    fn start(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name(self.name.into()).spawn(move || serve(&shared))?;
        self.started += 1;
        Ok(())
    }
}

/// A pool's thread: job after job, until the daemon ends.
fn serve<K>(shared: &Shared<K>) {
    let mut queue = lock(&shared.queue);
    loop {
        let Some((_, job)) = queue.jobs.pop_first() else {
            queue.idle += 1;
            queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
            continue;
        };
        drop(queue);
        let result = job();
        if shared.done.send(result).is_err() || shared.waker.wake().is_err() {
            return;
        }
        queue = lock(&shared.queue);
    }
}

/// A thread that panicked left nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offload() -> Offload<u32> {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let mut offload = Offload::new(&waker, 1);
        offload.names.most = 1;
        offload
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
        (ticket.unwrap(), end)
    }

    #[test]
    fn a_look_up_is_taken_back_when_the_last_one_leaves() {
        let mut offload = offload();
        let (begun, _end) = busy(&mut offload.names);
        let keys = [1, 2];
        keys.iter().for_each(|key| offload.resolve("a.test", *key).unwrap());
        offload.forget_name("a.test", keys[0]);
        assert_eq!(offload.waiting["a.test"].keys, [keys[1]]);
        offload.forget_name("a.test", keys[1]);
        assert!(offload.waiting.is_empty() && lock(&offload.names.shared.queue).jobs.is_empty());
        assert!(!offload.names.cancel(begun), "what has begun goes on");
    }

    #[test]
    fn an_address_keeps_its_zone() {
        let zone_of = |address: &SocketAddr| match address {
            SocketAddr::V6(address) => address.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        // The loopback interface is the first (netdevice(7)), by name or by number.
        for name in ["fe80::1%lo", "fe80::1%1"] {
            assert_eq!(look_up(name).unwrap().iter().map(zone_of).max(), Some(1), "{name}");
        }
    }
}
