//! The one list of options. The command line, the file, the help text and the man page's test are
//! all made from it.

mod access;
mod asking;
mod limits;
mod log;
mod pages;
mod places;
mod rights;
mod times;
mod tls;
mod workers;

use super::option::Opt;

/// The groups, in the order of the help text.
const GROUPS: &[&[Opt]] = &[
    places::OPTIONS,
    access::OPTIONS,
    times::OPTIONS,
    pages::OPTIONS,
    limits::OPTIONS,
    workers::OPTIONS,
    rights::OPTIONS,
    tls::OPTIONS,
    log::OPTIONS,
    asking::OPTIONS,
];

/// Every option, in the order of the help text.
pub(super) fn all() -> impl Iterator<Item = &'static Opt> {
    GROUPS.iter().copied().flatten()
}
