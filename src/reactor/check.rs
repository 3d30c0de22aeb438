//! Whether the daemon would start, found out without a start; and at what, if that hangs.

use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::behind::Doing;
use super::listen;
use super::prepare::prepare;
use super::sandbox;
use super::start_error::StartError;
use crate::config::Config;

/// Does all that a start does before it listens, and leaves nothing behind: the back end is cleaned up.
///
/// If that is not done within the time of a reload, `give_up` is told at what it hangs, on a thread of its
/// own, and has to end the process: a thread that is in a plug-in's code cannot be ended from outside.
///
/// # Errors
/// What would keep the daemon from starting.
pub fn check(
    config: Config,
    give_up: impl FnOnce(StartError) + Send + 'static,
) -> Result<(), StartError> {
    sandbox::confine(&config)?;
    let doing = Doing::default();
    let watch = Watch::begin(&doing, config.reload_timeout, give_up);
    let watch = watch.map_err(|error| StartError::System("threads".into(), error))?;
    let checked = look(config, &doing);
    watch.end();
    checked
}

fn look(config: Config, doing: &Doing) -> Result<(), StartError> {
    let workers = config.workers.processes();
    let prepared = prepare(config, None, workers, doing)?;
    doing.begins(&"looking up where to listen");
    listen::look_up(&prepared.config)?;
    if let Some(mut backend) = prepared.backend {
        doing.begins(&format_args!("cleanup of back end {}", backend.name()));
        backend.cleanup();
    }
    Ok(())
}

/// A thread that waits for another one, for so long.
struct Watch {
    over: Arc<(Mutex<bool>, Condvar)>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Begins to wait, and returns when it does: a library's constructor that hangs does so under a lock of
    /// the linker's, which a thread's beginning takes, too, as do channels (__cxa_thread_atexit_impl).
    fn begin(
        doing: &Doing,
        limit: Duration,
        give_up: impl FnOnce(StartError) + Send + 'static,
    ) -> io::Result<Self> {
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        let (doing, own) = (doing.clone(), Arc::clone(&over));
        let (runs, running) = channel();
        let thread = thread::Builder::new().name("check".into()).spawn(move || {
            let _ = runs.send(());
            let (over, changed) = &*own;
            let lock = over.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = changed.wait_timeout_while(lock, limit, |over| !*over);
            let (over, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !*over {
                give_up(StartError::Configuration(doing.has_not_returned(limit)));
            }
        })?;
        running.recv().map_err(io::Error::other)?;
        Ok(Self { over, thread })
    }

    /// Either this is in time, or it has given up, and the process ends.
    fn end(self) {
        let (over, changed) = &*self.over;
        *over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_one();
        let _ = self.thread.join();
    }
}
