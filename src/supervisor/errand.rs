//! What may block is not done in a turn of the supervisor, but on a thread.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Instant;

use mio::Waker;

use crate::reactor::StartError;

/// Something that a thread is at.
pub(super) struct Errand<T> {
    /// In words.
    what: &'static str,
    result: Receiver<T>,
    /// When nobody waits for it any longer.
    pub(super) until: Instant,
}

impl<T: Send + 'static> Errand<Result<T, StartError>> {
    /// Begins it; when it is done, the supervisor is woken.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn begin(
        what: &'static str,
        waker: &Arc<Waker>,
        until: Instant,
        work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
    ) -> io::Result<Self> {
        let (report, result) = channel();
        let waker = Arc::clone(waker);
        thread::Builder::new().name("reload".into()).spawn(move || {
            // Nobody may wait for it any more.
            let _ = report.send(work());
            drop(report);
            let _ = waker.wake();
        })?;
        Ok(Self { what, result, until })
    }

    /// What came of it, if it is over; one that takes too long is left to itself.
    pub(super) fn outcome(&self, now: Instant) -> Option<Result<T, StartError>> {
        let failed = |error| Some(Err(StartError::System(self.what.into(), error)));
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Disconnected) => failed(io::Error::other("its thread has ended")),
            Err(TryRecvError::Empty) if self.until <= now => {
                failed(io::Error::other("takes too long, and is left to itself"))
            }
            Err(TryRecvError::Empty) => None,
        }
    }
}
