//! Accepting that fails pauses: the clients in the backlog wait, and the loop does not spin over them.

use std::io;
use std::time::{Duration, Instant};

use log::{info, warn};

/// How long a pause is.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the log is silent about an error that stays.
const SILENCE: Duration = Duration::from_secs(30);

/// When accepting goes on, if it does not now, and what the log was told of why.
#[derive(Default)]
pub(super) struct Pause {
    until: Option<Instant>,
    trouble: Option<Trouble>,
}

/// What accepting fails with.
struct Trouble {
    error: Option<i32>,
    since: Instant,
    said: Instant,
}

impl Pause {
    /// When accepting is to go on.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether there was a pause, up to `now`.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        self.until.take_if(|until| *until <= now).is_some()
    }

    /// Nothing failed; it is only another one's turn.
    pub(super) fn go_on_at(&mut self, now: Instant) {
        self.until = Some(now);
    }

    /// Accepting failed, and would fail again at once.
    pub(super) fn failed(&mut self, error: &io::Error, now: Instant) {
        self.until = Some(now + PAUSE);
        let number = error.raw_os_error();
        match self.trouble.as_mut().filter(|trouble| trouble.error == number) {
            Some(trouble) if now.saturating_duration_since(trouble.said) < SILENCE => return,
            Some(trouble) => trouble.said = now,
            None => self.trouble = Some(Trouble { error: number, since: now, said: now }),
        }
        warn!("cannot accept: {error}; trying again every {PAUSE:?}");
    }

    /// A client was accepted.
    pub(super) fn worked(&mut self, now: Instant) {
        if let Some(trouble) = self.trouble.take() {
            let time = now.saturating_duration_since(trouble.since);
            info!("accepting again, after {:.1} s", time.as_secs_f64());
        }
    }
}

/// What accept(2) reports of one client's network, or of a firewall that forbids it: that client is
/// out of the backlog, and the next may be well.
pub(super) fn is_one_clients(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EINTR
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::EPERM
                | libc::EPROTO
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a05_an_error_that_stays_is_said_once_and_again_after_a_while() {
        let start = Instant::now();
        let mut pause = Pause::default();
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        let said_at = |pause: &Pause| pause.trouble.as_ref().map(|trouble| trouble.said);
        pause.failed(&denied, start);
        assert_eq!(pause.until(), Some(start + PAUSE));
        assert!(!pause.is_over(start) && pause.is_over(start + PAUSE) && pause.until().is_none());
        pause.failed(&denied, start + PAUSE);
        assert_eq!(said_at(&pause), Some(start), "nothing new");
        pause.failed(&io::Error::from_raw_os_error(libc::EMFILE), start + PAUSE);
        assert_eq!(said_at(&pause), Some(start + PAUSE), "another error");
        pause.failed(&io::Error::from_raw_os_error(libc::EMFILE), start + PAUSE + SILENCE);
        assert_eq!(said_at(&pause), Some(start + PAUSE + SILENCE), "still");
        pause.worked(start + PAUSE + SILENCE);
        assert_eq!(said_at(&pause), None);
    }
}
