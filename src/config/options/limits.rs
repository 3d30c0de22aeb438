//! How many there may be, and how much.

use std::ops::RangeInclusive;

use crate::config::option::Opt;
use crate::config::setting::{MAX_CLIENTS, Setting};

/// Each thread is a stack and a plug-in call that may hang: more is a slip of the finger.
const MAX_QUERY_THREADS: usize = 256;

/// Messages no shorter than a frame with the shortest header, and no longer than one read.
const MESSAGE_BYTES: RangeInclusive<usize> = 125..=256 * 1024;

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "",
        long: "max-connections",
        hint: "COUNT",
        help: "The most clients at once",
        setting: Some(Setting::MaxConnections),
    },
    Opt {
        short: "",
        long: "max-per-address",
        hint: "COUNT",
        help: "The most clients at once from one address; 0 for no limit",
        setting: Some(Setting::Count(0..=MAX_CLIENTS, |c| &mut c.max_per_address)),
    },
    Opt {
        short: "",
        long: "max-message",
        hint: "BYTES",
        help: "The longest message to a client with the framings auto and binary",
        setting: Some(Setting::Count(MESSAGE_BYTES, |c| &mut c.max_message)),
    },
    Opt {
        short: "",
        long: "deflate",
        hint: "LEVEL",
        help: "Compress messages for clients that offer it, at level 1 (fastest) to 9; off for never",
        setting: Some(Setting::Deflate),
    },
    Opt {
        short: "",
        long: "query-threads",
        hint: "COUNT",
        help: "Threads that ask the back end; more than one only for plug-ins that allow it",
        setting: Some(Setting::Count(1..=MAX_QUERY_THREADS, |c| &mut c.query_threads)),
    },
];
