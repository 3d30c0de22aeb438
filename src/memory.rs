//! What malloc(3) keeps of memory that is free. A flood's buffers lie among those of sessions that go
//! on, so the heap does not shrink by itself: somebody has to look through it.
#![allow(unsafe_code)] // mallopt(3), mallinfo(3) and malloc_trim(3) have no safe wrapper in std

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long after something happened the heap is looked at, and so how often at most.
const PAUSE: Duration = Duration::from_secs(5);
/// Free memory that is not worth the look through all of it, bytes.
const NOT_WORTH: usize = 1024 * 1024;

/// Has all threads share one heap. One each, which is what malloc does by default, keeps megabytes
/// apart for threads that seldom need any, and grows by calls that may fail where the first heap's
/// have another way. To be called before there are threads.
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number; it is called by the only thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Bytes of memory that the process has of the system (`VmRSS` of proc(5)).
#[must_use]
pub fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Gives free memory back to the system, on a thread of its own: with much to give back that takes
/// milliseconds.
#[derive(Debug)]
pub struct Trimmer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Something happened since the last look.
    busy: AtomicBool,
    happened: Condvar,
    lock: Mutex<()>,
}

impl Trimmer {
    /// Starts the thread. While nothing happens it sleeps.
    ///
    /// # Errors
    /// There is none to be had.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let (runs, running) = std::sync::mpsc::channel();
        thread::Builder::new().name("memory".into()).spawn(move || {
            let _ = runs.send(());
            own.watch();
        })?;
        running.recv().map_err(io::Error::other)?;
        Ok(Self(shared))
    }

    /// Something happened, by which memory may have become free.
    pub fn note(&self) {
        let Self(shared) = self;
        if !shared.busy.swap(true, Ordering::Relaxed) {
            // Under the lock, or it would be lost between the thread's look and its sleep.
            drop(shared.lock.lock());
            shared.happened.notify_one();
        }
    }
}

impl Shared {
    fn watch(&self) {
        loop {
            let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            let idle = |(): &mut ()| !self.busy.load(Ordering::Relaxed);
            drop(self.happened.wait_while(lock, idle));
            thread::sleep(PAUSE);
            self.busy.store(false, Ordering::Relaxed);
            if free_and_resident().is_some_and(|bytes| bytes >= NOT_WORTH) {
                trim();
            }
        }
    }
}

/// How much of the heap is free, and in memory all the same; an estimate, as far as it can be told.
fn free_and_resident() -> Option<usize> {
    let (free, used) = heap()?;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?; // proc(5), in pages
    let mut pages = statm.split(' ').skip(1).map_while(|word| word.parse::<usize>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    let anonymous = resident.saturating_sub(shared) * PAGE;
    Some(free.min(anonymous.saturating_sub(used)))
}

/// The smallest page there is: with larger ones the estimate is low, and less is given back.
const PAGE: usize = 4096;

/// Bytes of the heap that are free, and those in use.
#[cfg(target_env = "gnu")]
fn heap() -> Option<(usize, usize)> {
    // SAFETY: it reads malloc's own numbers under malloc's own lock. `mallinfo2` would be missing
    // in a glibc before 2.33; these wrap at 4 GiB.
    let info = unsafe { libc::mallinfo() };
    let bytes = |number: libc::c_int| number.cast_unsigned() as usize;
    Some((bytes(info.fordblks), bytes(info.uordblks) + bytes(info.hblkhd)))
}

#[cfg(not(target_env = "gnu"))]
fn heap() -> Option<(usize, usize)> {
    None
}

#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: it gives pages back that nothing lies in, under malloc's own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_between_what_is_used_is_found_and_given_back() {
        let mut buffers: Vec<Vec<u8>> = (0..1000).map(|_| vec![1; 64 * 1024]).collect();
        let mut index = 0;
        buffers.retain(|_| {
            index += 1;
            index % 2 == 0
        });
        let before = free_and_resident().unwrap();
        assert!(before > 16 << 20, "{before}");
        trim();
        let after = free_and_resident().unwrap();
        assert!(after < before / 2, "{before}, then {after}");
        drop(buffers);
    }
}
