//! What the sweep finds and is not mended yet, by the row of the audit. An entry that nothing matches
//! any more fails the test: the table can only shrink.

use super::report::Part;
use super::run::{Case, Kind};

/// Cases by what they have in common; an empty list stands for any.
pub(crate) struct Known {
    pub(crate) id: &'static str,
    /// Where it is looked for.
    pub(crate) part: Part,
    pub(crate) calls: &'static [&'static str],
    /// What the call is about, with its thread.
    pub(crate) labels: &'static [&'static str],
    pub(crate) errnos: &'static [&'static str],
    pub(crate) kinds: &'static [Kind],
    /// What happens, and why it still does.
    pub(crate) reason: &'static str,
}

impl Known {
    /// Whether this is about `case`, whatever may be found there.
    pub(crate) fn is_about(&self, case: &Case) -> bool {
        if self.part != case.part() {
            return false;
        }
        let any = |list: &[&str], word: &str| list.is_empty() || list.contains(&word);
        any(self.calls, &case.call.name)
            && any(self.labels, &case.call.label)
            && any(self.errnos, case.errno.name)
    }

    /// Whether it says that this is found there.
    pub(crate) fn explains(&self, case: &Case, kind: Kind) -> bool {
        self.is_about(case) && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }
}

pub(crate) const KNOWN: &[Known] = &[
    Known {
        id: "A5",
        part: Part::Sessions,
        calls: &["accept4"],
        labels: &[],
        errnos: &[],
        kinds: &[Kind::Spins, Kind::Unlogged],
        reason: "an error of accept(2) that stays is tried again and again, without a word",
    },
    Known {
        id: "A13",
        part: Part::Sessions,
        calls: &["mmap", "mprotect", "clone3", "sigaltstack", "munmap", "brk"],
        labels: &[],
        errnos: &[],
        kinds: &[],
        reason: "a thread that cannot begin takes the daemon with it",
    },
    Known {
        id: "A13, the log's thread",
        part: Part::Life,
        calls: &["mmap", "mprotect"],
        labels: &["log:memory", "log:-"],
        errnos: &[],
        kinds: &[Kind::Dies],
        reason: "a start whose thread cannot begin ends by SIGABRT",
    },
    Known {
        id: "A17, the client's watch",
        part: Part::Sessions,
        calls: &["epoll_ctl"],
        labels: &["client"],
        errnos: &[],
        kinds: &[Kind::Untold],
        reason: "a client that cannot be watched is hung up on, not told 503",
    },
    Known {
        id: "A17, the peer's watch",
        part: Part::Sessions,
        calls: &["epoll_ctl"],
        labels: &[],
        errnos: &["ENOSPC"],
        kinds: &[Kind::Wrong],
        reason: "502 where the poll is full, not 503",
    },
    Known {
        id: "A17, addresses",
        part: Part::Sessions,
        calls: &["connect", "bind"],
        labels: &[],
        errnos: &["EADDRNOTAVAIL"],
        kinds: &[Kind::Wrong],
        reason: "502 where no port is left, not 503",
    },
    Known {
        id: "A17, resolver",
        part: Part::Sessions,
        calls: &["openat", "read", "newfstatat", "socket"],
        labels: &[],
        errnos: &["EMFILE", "ENFILE", "ENOMEM"],
        kinds: &[Kind::Wrong],
        reason: "502 where the resolver lacks descriptors or memory, not 503",
    },
    Known {
        id: "waker",
        part: Part::Sessions,
        calls: &["write"],
        labels: &["query:waker", "resolver:waker"],
        errnos: &["EINTR"],
        kinds: &[Kind::Lasts],
        reason: "a thread whose wake-up is interrupted ends, and the next job waits in vain",
    },
];
