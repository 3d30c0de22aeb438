//! The daemon's workers: threads, and the back end that they ask.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use log::warn;
use mio::Waker;

use super::{Done, Ticket, Workers};
use crate::backend::{Answer, Backend, QueryError, Request};
use crate::proto::handshake::Upgrade;

/// Names looked up at once. A name server that is silent holds a thread until the resolver gives
/// up, so this is how many dead names it takes to delay a live one.
const RESOLVERS: usize = 16;

type Job<K> = Box<dyn FnOnce() -> Done<K> + Send>;

/// Threads that resolve names, and the back end, which has its own.
pub(crate) struct Threads<K> {
    backend: Backend,
    names: Pool<K>,
    done: Receiver<Done<K>>,
}

impl<K: Send + 'static> Threads<K> {
    pub(crate) fn new(backend: Backend, waker: Waker) -> Self {
        let (sender, done) = channel();
        Self { backend, names: Pool::new("resolver", RESOLVERS, sender, Arc::new(waker)), done }
    }

    /// Ends the back end.
    pub(crate) fn clean_up(&mut self) {
        if !self.backend.cleanup() {
            warn!("back end {} still answers a query; not cleaned up", self.backend.name());
        }
    }
}

impl<K: Send + 'static> Workers<K> for Threads<K> {
    fn answer(&mut self, upgrade: &Upgrade) -> Option<Result<Answer, QueryError>> {
        self.backend.answer(upgrade)
    }

    fn query(&mut self, key: K, request: Request) -> io::Result<Ticket> {
        let shared = Arc::clone(&self.names.shared);
        let then = move |request, answer| _ = shared.bring(Done::Answered { key, request, answer });
        Ok(Ticket(self.backend.ask(request, then)))
    }

    fn cancel_query(&mut self, ticket: Ticket) {
        self.backend.forget(ticket.0);
    }

    fn look_up(&mut self, name: &str) -> io::Result<Ticket> {
        let name = name.to_owned();
        self.names.run(Box::new(move || {
            let addresses = look_up(&name).map_err(Arc::new);
            Done::Resolved { name, addresses }
        }))
    }

    fn cancel_look_up(&mut self, ticket: Ticket) -> bool {
        self.names.cancel(ticket)
    }

    fn next(&mut self) -> Option<Done<K>> {
        self.done.try_recv().ok()
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

impl<K> Shared<K> {
    /// Tells the loop; `false` when it is gone.
    fn bring(&self, done: Done<K>) -> bool {
        self.done.send(done).is_ok() && self.waker.wake().is_ok()
    }
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
        if !shared.bring(result) {
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
    use crate::offload::Offload;

    fn offload() -> Offload<u32, Threads<u32>> {
        let poll = mio::Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let mut threads = Threads::new(Backend::builtin(), waker);
        threads.names.most = 1;
        Offload::new(threads)
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
        let (begun, _end) = busy(&mut offload.workers().names);
        let jobs = |threads: &Threads<u32>| lock(&threads.names.shared.queue).jobs.len();
        [1, 2].iter().for_each(|key| offload.resolve("a.test", *key).unwrap());
        assert_eq!(jobs(offload.workers()), 1, "one look-up serves both");
        offload.forget_name("a.test", 1);
        assert_eq!(jobs(offload.workers()), 1);
        offload.forget_name("a.test", 2);
        assert_eq!(jobs(offload.workers()), 0);
        assert!(offload.waited_for("a.test").is_empty());
        assert!(!offload.workers().cancel_look_up(begun), "what has begun goes on");
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
