//! Those who may come by name and password, and who of them was right a while ago.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::passwords::{Passwords, Proof, Verified};

/// The users of one reading of the file: who is remembered of them is not for those of the next, where
/// a password may be another.
#[derive(Debug)]
pub struct Users {
    passwords: Passwords,
    verified: Mutex<Verified>,
}

impl Users {
    /// Those with these passwords, of whom nobody came yet.
    #[must_use]
    pub fn new(passwords: Passwords) -> Self {
        Self { passwords, verified: Mutex::default() }
    }

    /// Whether this is the user's password. Takes the time of a hash.
    #[must_use]
    pub fn verify(&self, user: &str, password: &str) -> bool {
        self.passwords.verify(user, password)
    }

    /// What is remembered of this name and password.
    #[must_use]
    pub fn proof(&self, user: &str, password: &str) -> Proof {
        self.verified().proof(user, password)
    }

    /// Whether it was right a while ago.
    #[must_use]
    pub fn knows(&self, proof: Proof, now: Instant) -> bool {
        self.verified().knows(proof, now)
    }

    /// It was right.
    pub fn remember(&self, proof: Proof, now: Instant) {
        self.verified().remember(proof, now);
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        // No code that can panic runs under the lock.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
