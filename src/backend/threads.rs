//! The threads that call one loaded back end.
//!
//! The first makes every call of it, for back ends keep things in `__thread` variables and use
//! libraries that want one thread. Further ones, if the operator allows them, make queries only.

use crate::framing::Registry;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// How many ends of sessions wait for a back end that is slow to hear of them.
const MOST_TOLD: usize = 1 << 16;

/// Jobs, and who does them.
pub(super) struct Threads {
    shared: Arc<Shared>,
    next: u64,
    /// The framings that count for them.
    registry: Registry,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to do.
    filled: Condvar,
}

impl Shared {
    /// A thread that panicked left nothing half-done behind this lock.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Queue {
    /// For the first thread alone, and before anything else; those of tellers are bounded.
    first: VecDeque<Job>,
    /// For any thread, in their order.
    any: BTreeMap<u64, Job>,
    /// Jobs for any thread that were begun and not ended.
    running: usize,
    /// The first thread's last job: it comes when nothing runs, and then the threads end.
    last: Option<Job>,
    /// That job runs.
    is_last: bool,
    closed: bool,
}

impl Queue {
    /// The last job, if it is this thread's turn to do it.
    fn take_last(&mut self, first: bool) -> Option<Job> {
        let job = self.last.take_if(|_| first && self.running == 0)?;
        self.is_last = true;
        Some(job)
    }
}

impl Threads {
    /// Starts the first, for a back end for which these framings count.
    pub(super) fn start(registry: Registry) -> io::Result<Self> {
        let threads = Self { shared: Arc::default(), next: 0, registry };
        threads.spawn("back end", true)?;
        Ok(threads)
    }

    /// Starts so many more.
    pub(super) fn further(&self, count: usize) -> io::Result<()> {
        (0..count).try_for_each(|_| self.spawn("query", false))
    }

    /// Starts one, and waits until it runs: its own beginning is the last that a thread may fail at.
    fn spawn(&self, name: &str, first: bool) -> io::Result<()> {
        let (shared, registry) = (Arc::clone(&self.shared), self.registry.clone());
        let (runs, running) = channel();
        thread::Builder::new().name(name.into()).spawn(move || {
            registry.enter();
            let _ = runs.send(());
            serve(&shared, first);
        })?;
        running.recv().map_err(io::Error::other)
    }

    /// What comes of `job`, which runs on the first thread.
    ///
    /// # Errors
    /// It does not run any more.
    pub(super) fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = channel();
        let job = move || drop(done.send(job())); // nobody waits if that fails
        self.shared.lock().first.push_back(Box::new(job));
        self.shared.filled.notify_all();
        result.recv().map_err(|_| io::Error::other("the back end's thread has ended"))
    }

    /// What gives the first thread jobs that nobody waits for.
    pub(super) fn teller(&self) -> Teller {
        Teller(Arc::clone(&self.shared))
    }

    /// Runs `job` on any thread, in its turn. The number is for [`Threads::cancel`].
    pub(super) fn run(&mut self, job: Job) -> u64 {
        let number = self.next;
        self.next += 1;
        self.shared.lock().any.insert(number, job);
        self.shared.filled.notify_one();
        number
    }

    /// Takes a job back; returns whether it had not begun.
    pub(super) fn cancel(&mut self, number: u64) -> bool {
        let job = self.shared.lock().any.remove(&number);
        job.is_some() // and is dropped here, not under the lock
    }

    /// How many jobs for any thread are not done.
    pub(super) fn jobs(&self) -> usize {
        let queue = self.shared.lock();
        queue.any.len() + queue.running
    }

    /// Takes back all that has not begun; returns whether nothing runs now.
    pub(super) fn rest(&mut self) -> bool {
        let (left, running) = {
            let mut queue = self.shared.lock();
            (std::mem::take(&mut queue.any), queue.running)
        };
        drop(left);
        running == 0
    }

    /// Takes back all that has not begun. When nothing runs any more, the first thread does `job`, and
    /// all end; nobody waits for that.
    pub(super) fn retire(&mut self, job: Job) {
        self.rest();
        self.shared.lock().last = Some(job);
        self.shared.filled.notify_all();
    }

    /// Whether the last job is done.
    pub(super) fn are_over(&self) -> bool {
        self.shared.lock().closed
    }
}

/// Gives the first thread jobs that nobody waits for.
#[derive(Clone)]
pub(super) struct Teller(Arc<Shared>);

impl Teller {
    /// Has the first thread do it, in its turn; one more than may wait is not done, and that is in the
    /// log.
    pub(super) fn tell(&self, job: impl FnOnce() + Send + 'static) {
        let mut queue = self.0.lock();
        if queue.first.len() < MOST_TOLD {
            queue.first.push_back(Box::new(job));
            drop(queue);
            return self.0.filled.notify_all();
        }
        drop(queue);
        log::warn!(
            "the back end is {MOST_TOLD} ends of sessions behind: it is not told of this one"
        );
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.rest();
        let mut queue = self.shared.lock();
        // Who has a last job to do ends by it.
        queue.closed |= queue.last.is_none() && !queue.is_last;
        drop(queue);
        self.shared.filled.notify_all();
    }
}

/// One of the threads: job after job.
fn serve(shared: &Shared, first: bool) {
    let mut queue = shared.lock();
    while !queue.closed {
        let (job, counted) = if let Some(job) = first.then(|| queue.first.pop_front()).flatten() {
            (job, 0)
        } else if let Some((_, job)) = queue.any.pop_first() {
            (job, 1)
        } else if let Some(job) = queue.take_last(first) {
            (job, 0)
        } else {
            queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        queue.running += counted;
        drop(queue);
        job();
        queue = shared.lock();
        queue.running -= counted;
        if queue.is_last {
            queue.closed = true;
        }
        if queue.last.is_some() || queue.closed {
            shared.filled.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::Receiver;
    use std::time::Duration;

    fn here() -> thread::ThreadId {
        thread::current().id()
    }

    /// A job that says where it runs and goes on until it is told to end.
    fn busy() -> (Job, Receiver<thread::ThreadId>, std::sync::mpsc::Sender<()>) {
        let ((say, said), (end, ended)) = (channel(), channel());
        let job = move || {
            say.send(here()).unwrap();
            let _ = ended.recv();
        };
        (Box::new(job), said, end)
    }

    #[test]
    fn s5_the_first_thread_does_all() {
        let mut threads = Threads::start(Registry::default()).unwrap();
        let first = threads.call(here).unwrap();
        assert_ne!(first, here());
        assert_eq!(threads.call(here).unwrap(), first);
        let (job, said, end) = busy();
        threads.run(job);
        assert_eq!(said.recv().unwrap(), first);
        drop(end);
        assert_eq!(threads.call(here).unwrap(), first);
    }

    #[test]
    fn s5_further_threads_run_jobs_beside_it_and_no_calls() {
        let mut threads = Threads::start(Registry::default()).unwrap();
        threads.further(2).unwrap();
        let first = threads.call(here).unwrap();
        let jobs: Vec<_> = (0..3)
            .map(|_| {
                let (job, said, end) = busy();
                threads.run(job);
                (said.recv().unwrap(), end)
            })
            .collect();
        let mut seen: Vec<_> = jobs.iter().map(|(thread, _)| *thread).collect();
        assert!(seen.contains(&first));
        seen.dedup();
        assert_eq!(seen.len(), 3);
        drop(jobs);
        (0..20).for_each(|_| assert_eq!(threads.call(here).unwrap(), first));
    }

    #[test]
    fn what_has_not_begun_is_taken_back() {
        let mut threads = Threads::start(Registry::default()).unwrap();
        let ((one, said, end), (two, other, _end)) = (busy(), busy());
        let (begun, waiting) = (threads.run(one), threads.run(two));
        said.recv().unwrap();
        assert!(!threads.cancel(begun) && threads.cancel(waiting) && !threads.cancel(waiting));
        assert!(other.recv().is_err(), "it is gone with all that it held");
        let (three, never, _end) = busy();
        threads.run(three);
        assert!(!threads.rest() && never.recv().is_err());
        drop(end);
        while !threads.rest() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_threads_end_with_it() {
        let threads = Threads::start(Registry::default()).unwrap();
        threads.further(1).unwrap();
        let shared = Arc::downgrade(&threads.shared);
        drop(threads);
        while shared.strong_count() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
