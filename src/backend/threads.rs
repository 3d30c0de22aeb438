//! The threads that call one loaded back end.
//!
//! The first makes every call of it, for back ends keep things in `__thread` variables and use
//! libraries that want one thread. Further ones, if the operator allows them, make queries only.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Jobs, and who does them.
pub(super) struct Threads {
    shared: Arc<Shared>,
    next: u64,
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
    /// For the first thread alone, and before anything else.
    first: VecDeque<Job>,
    /// For any thread, in their order.
    any: BTreeMap<u64, Job>,
    /// Jobs for any thread that were begun and not ended.
    running: usize,
    closed: bool,
}

impl Threads {
    /// Starts the first.
    pub(super) fn start() -> io::Result<Self> {
        let threads = Self { shared: Arc::default(), next: 0 };
        threads.spawn("back end", true)?;
        Ok(threads)
    }

    /// Starts so many more.
    pub(super) fn further(&self, count: usize) -> io::Result<()> {
        (0..count).try_for_each(|_| self.spawn("query", false))
    }

    /// Starts one, and waits until it runs: its own beginning is the last that a thread may fail at.
    fn spawn(&self, name: &str, first: bool) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let (runs, running) = channel();
        thread::Builder::new().name(name.into()).spawn(move || {
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

    /// Takes back all that has not begun; returns whether nothing runs now.
    pub(super) fn rest(&mut self) -> bool {
        let (left, running) = {
            let mut queue = self.shared.lock();
            (std::mem::take(&mut queue.any), queue.running)
        };
        drop(left);
        running == 0
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.rest();
        self.shared.lock().closed = true;
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
        } else {
            queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        queue.running += counted;
        drop(queue);
        job();
        queue = shared.lock();
        queue.running -= counted;
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
        let mut threads = Threads::start().unwrap();
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
        let mut threads = Threads::start().unwrap();
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
        let mut threads = Threads::start().unwrap();
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
        let threads = Threads::start().unwrap();
        threads.further(1).unwrap();
        let shared = Arc::downgrade(&threads.shared);
        drop(threads);
        while shared.strong_count() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
