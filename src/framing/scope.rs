//! Whose framings count: those that one generation of plug-ins registered.
//!
//! The first generation is the process's own. A reload that loads plug-ins anew has a registry of its
//! own, in which they may use the same names again; the back end that was loaded before keeps its own.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use websocksy_abi::{ws_encoder, ws_framing};

/// A framing of a plug-in. It stays for good, for plug-ins are never unloaded.
pub(super) struct Registered {
    pub(super) name: String,
    pub(super) function: ws_framing,
    pub(super) encoder: OnceLock<ws_encoder>,
}

type Names = Vec<&'static Registered>;

/// The framings that plug-ins have registered, by their names.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Names>>);

/// What was registered while something was done.
#[derive(Clone, Default)]
pub struct Registrations(Names);

/// That of threads that have none of their own, such as those that a plug-in starts.
static CURRENT: Mutex<Option<Registry>> = Mutex::new(None);

thread_local! {
    /// That of this thread.
    static OWN: RefCell<Option<Registry>> = const { RefCell::new(None) };
}

impl Registry {
    /// That of this thread, or else of the process.
    pub fn current() -> Self {
        let own = OWN.with_borrow(Clone::clone);
        own.unwrap_or_else(|| current().get_or_insert_default().clone())
    }

    /// It counts for this thread from now on.
    pub fn enter(self) {
        OWN.set(Some(self));
    }

    /// It counts while `work` is done on this thread.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = OWN.replace(Some(self.clone()));
        let done = work();
        OWN.set(before);
        done
    }

    /// It counts for all threads that have none of their own.
    pub fn make_current(&self) {
        *current() = Some(self.clone());
    }

    /// What `work` registers here.
    pub fn record<T>(&self, work: impl FnOnce() -> T) -> (T, Registrations) {
        let before = self.names().len();
        let done = self.within(work);
        let added = self.names().get(before..).unwrap_or_default().to_vec();
        (done, Registrations(added))
    }

    /// What was registered elsewhere counts here, too.
    pub fn adopt(&self, Registrations(names): &Registrations) {
        self.names().extend(names);
    }

    pub(super) fn names(&self) -> MutexGuard<'_, Names> {
        // No code that can panic runs under the lock; if any did, the list is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn current() -> MutexGuard<'static, Option<Registry>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_without_a_registry_have_the_current_one() {
        let before = Registry::current();
        let registry = Registry::default();
        let is_theirs = || {
            let current = std::thread::spawn(Registry::current).join().unwrap();
            Arc::ptr_eq(&current.0, &registry.0)
        };
        assert!(!is_theirs());
        registry.make_current();
        assert!(is_theirs());
        before.make_current();
        assert!(!is_theirs());
    }
}
