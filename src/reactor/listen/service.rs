//! What clients are served by: the configuration and what it names. A reload makes another one for those
//! that come later; who is there keeps the one that it began with.

use std::rc::Rc;
use std::sync::Arc;

use crate::access::Users;
use crate::config::Config;
use crate::offload::Instance;

/// What a client begins with. A session has it until its peer is named, and its configuration as long
/// as it lives.
pub(in crate::reactor) struct Service {
    pub(in crate::reactor) config: Rc<Config>,
    /// Who may come by name and password.
    pub(in crate::reactor) users: Option<Arc<Users>>,
    /// Who is asked for its peer. A back end is not asked any more once nobody else has this.
    pub(in crate::reactor) backend: Rc<Instance>,
}

impl Service {
    /// What the operators' own clients are served by.
    pub(in crate::reactor) fn for_operators(&self) -> Self {
        let (config, backend) = (Rc::new(self.config.for_operators()), Rc::clone(&self.backend));
        Self { config, users: None, backend }
    }
}

/// Back ends that no new client asks, until those that are there have asked.
#[derive(Default)]
pub(in crate::reactor) struct Outgoing(Vec<Rc<Instance>>);

impl Outgoing {
    /// No new client asks this one.
    pub(in crate::reactor) fn push(&mut self, backend: Rc<Instance>) {
        self.0.push(backend);
    }

    /// Those that nobody asks any more.
    pub(in crate::reactor) fn take(&mut self) -> impl Iterator<Item = Instance> {
        self.0.extract_if(.., |backend| Rc::strong_count(backend) == 1).map(|backend| *backend)
    }

    pub(in crate::reactor) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
