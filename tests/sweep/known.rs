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

pub(crate) const KNOWN: &[Known] = &[];
