//! Which sessions a plug-in was asked about, and is to be told the ends of: after its query returned,
//! whichever comes last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How the matter of a session stands.
enum State {
    /// Its query waits or runs.
    Asked,
    /// Its query returned.
    Answered,
    /// The session is over, for this reason, and its query is not.
    Over(&'static str),
}

/// Those sessions, by their numbers.
#[derive(Clone, Default)]
pub(super) struct Ends(Arc<Mutex<HashMap<u64, State>>>);

/// A query that waits or runs; one that is dropped was not made, and the plug-in knows nothing of the
/// session.
pub(super) struct Pending {
    ends: Ends,
    session: u64,
}

impl Ends {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, State>> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plug-in will be asked about this session.
    pub(super) fn ask(&self, session: u64) -> Pending {
        self.lock().insert(session, State::Asked);
        Pending { ends: self.clone(), session }
    }

    /// Whether it was told of all.
    pub(super) fn are_all(&self) -> bool {
        self.lock().is_empty()
    }

    /// The session is over; returns whether the plug-in is to be told now.
    pub(super) fn over(&self, session: u64, reason: &'static str) -> bool {
        let mut sessions = self.lock();
        match sessions.get_mut(&session) {
            Some(state @ State::Asked) => {
                *state = State::Over(reason);
                false
            }
            Some(State::Answered) => sessions.remove(&session).is_some(),
            Some(State::Over(_)) | None => false,
        }
    }
}

impl Pending {
    /// The query returned; if the session was over before, the plug-in is to be told now, and why.
    pub(super) fn answered(self) -> Option<&'static str> {
        let mut sessions = self.ends.lock();
        match sessions.remove(&self.session) {
            Some(State::Asked) => {
                sessions.insert(self.session, State::Answered);
                None
            }
            Some(State::Over(reason)) => Some(reason),
            Some(State::Answered) | None => None,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut sessions = self.ends.lock();
        if !matches!(sessions.get(&self.session), Some(State::Answered)) {
            sessions.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whichever_comes_last_is_when_the_plug_in_is_told() {
        let ends = Ends::default();
        let asked = ends.ask(1);
        assert_eq!(asked.answered(), None);
        assert!(ends.over(1, "first") && !ends.over(1, "again"), "once");
        let asked = ends.ask(2);
        assert!(!ends.over(2, "left"));
        assert_eq!(asked.answered(), Some("left"));
        assert!(!ends.over(3, "of whom it knows nothing"));
        let asked = ends.ask(4);
        drop(asked); // taken back
        assert!(!ends.over(4, "not asked"));
        assert!(ends.lock().is_empty());
    }
}
