//! What the operator is shown: pages of numbers, and the log.

use crate::config::option::Opt;
use crate::config::setting::Setting;

/// No standard error takes as many.
const MAX_LOG_RATE: usize = 1_000_000;

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "",
        long: "admin",
        hint: "ADDRESS",
        help: "Show numbers and sessions at 127.0.0.1:PORT or unix:/PATH; any other address needs \
               the word public behind it",
        setting: Some(Setting::Admin),
    },
    Opt {
        short: "",
        long: "log-format",
        hint: "FORMAT",
        help: "Log lines as text or as json, one object a line",
        setting: Some(Setting::LogFormat),
    },
    Opt {
        short: "",
        long: "log-rate",
        hint: "COUNT",
        help: "Log lines of one kind a second, over ten seconds; 0 for no limit",
        setting: Some(Setting::Count(0..=MAX_LOG_RATE, |c| &mut c.log.rate)),
    },
    Opt {
        short: "",
        long: "log-query",
        hint: "",
        help: "Log the values of a request's query, which may be secrets, and not ***",
        setting: Some(Setting::Switch(|c| &mut c.log_query)),
    },
];
