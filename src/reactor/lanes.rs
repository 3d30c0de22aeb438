//! The offload lanes: what may block runs on threads, and comes back as an event.
//!
//! Two kinds: name look-ups (`getaddrinfo`), and the `query` of plug-ins. What nobody waits for
//! any more is skipped if it has not begun, and forgotten when it comes back.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mio::Waker;

use super::slab::Key;
use crate::backend::{Answer, Backend, QueryError, Request};

/// Names looked up at once. A name server that is silent holds a thread until the resolver gives
/// up, so this is how many dead names it takes to delay a live one.
const RESOLVERS: usize = 16;

/// What comes back.
pub(super) enum Done {
    Resolved { name: String, addresses: Result<Vec<IpAddr>, String> },
    Answered { key: Key, request: Request, answer: Result<Answer, QueryError> },
}

/// Says that nobody waits for an answer any more.
#[derive(Clone, Default)]
pub(super) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub(super) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

type Job = Box<dyn FnOnce() -> Option<Done> + Send>;

pub(super) struct Lanes {
    names: Pool,
    queries: Pool,
    /// Who waits for which name: one look-up serves them all.
    waiting: HashMap<String, Vec<Key>>,
    done: Receiver<Done>,
}

impl Lanes {
    pub(super) fn new(waker: Arc<Waker>, query_threads: usize) -> Self {
        let (sender, done) = channel();
        let pool = |name, most| Pool::new(name, most, sender.clone(), Arc::clone(&waker));
        Self {
            names: pool("resolver", RESOLVERS),
            queries: pool("query", query_threads),
            waiting: HashMap::new(),
            done,
        }
    }

    /// Looks `name` up for `key`.
    pub(super) fn resolve(&mut self, name: &str, key: Key) -> io::Result<()> {
        if let Some(keys) = self.waiting.get_mut(name) {
            keys.push(key);
            return Ok(());
        }
        let job_name = name.to_owned();
        self.names.run(Box::new(move || {
            let addresses = look_up(&job_name).map_err(|error| error.to_string());
            Some(Done::Resolved { name: job_name, addresses })
        }))?;
        self.waiting.insert(name.to_owned(), vec![key]);
        Ok(())
    }

    /// Asks a back end that may block.
    pub(super) fn query(
        &mut self,
        backend: &Arc<Backend>,
        key: Key,
        request: Request,
        cancel: Cancel,
    ) -> io::Result<()> {
        let backend = Arc::clone(backend);
        self.queries.run(Box::new(move || {
            if cancel.is_cancelled() {
                return None;
            }
            let answer = backend.query(&request);
            Some(Done::Answered { key, request, answer })
        }))
    }

    /// The next thing that came back.
    pub(super) fn next(&mut self) -> Option<Done> {
        self.done.try_recv().ok()
    }

    /// Who waited for `name`.
    pub(super) fn waited_for(&mut self, name: &str) -> Vec<Key> {
        self.waiting.remove(name).unwrap_or_default()
    }
}

fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Threads that are started as they are needed, up to a number, and then stay.
struct Pool {
    name: &'static str,
    most: usize,
    started: usize,
    /// Jobs sent and not begun, and threads that wait for one.
    load: Arc<Mutex<Load>>,
    jobs: Sender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
    done: Sender<Done>,
    waker: Arc<Waker>,
}

#[derive(Default)]
struct Load {
    jobs: usize,
    idle: usize,
}

impl Pool {
    fn new(name: &'static str, most: usize, done: Sender<Done>, waker: Arc<Waker>) -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        Self { name, most, started: 0, load: Arc::default(), jobs, queue, done, waker }
    }

    fn run(&mut self, job: Job) -> io::Result<()> {
        let wanting = {
            let load = lock(&self.load);
            load.jobs >= load.idle
        };
        if wanting && self.started < self.most {
            // Fewer threads than wanted will do; none will not.
            self.start().or_else(|error| if self.started > 0 { Ok(()) } else { Err(error) })?;
        }
        lock(&self.load).jobs += 1;
        self.jobs.send(job).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn start(&mut self) -> io::Result<()> {
        let (load, queue) = (Arc::clone(&self.load), Arc::clone(&self.queue));
        let (done, waker) = (self.done.clone(), Arc::clone(&self.waker));
        thread::Builder::new()
            .name(self.name.into())
            .spawn(move || serve(&load, &queue, &done, &waker))?;
        self.started += 1;
        Ok(())
    }
}

/// A lane's thread: job after job, until the daemon ends.
fn serve(load: &Mutex<Load>, queue: &Mutex<Receiver<Job>>, done: &Sender<Done>, waker: &Waker) {
    loop {
        lock(load).idle += 1;
        let job = lock(queue).recv();
        {
            let mut load = lock(load);
            load.idle -= 1;
            load.jobs = load.jobs.saturating_sub(1);
        }
        let Ok(job) = job else { return };
        let Some(result) = job() else { continue };
        if done.send(result).is_err() || waker.wake().is_err() {
            return;
        }
    }
}

/// A thread that panicked left nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
