//! What is printed instead of serving.

use crate::config::option::{CHECK, GENERATE, HELP, Opt, SHOW_CONFIG, VERSION};

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "",
        long: CHECK,
        hint: "",
        help: "Say whether it would start, with all that is read and loaded for that, and exit",
        setting: None,
    },
    Opt {
        short: "",
        long: SHOW_CONFIG,
        hint: "",
        help: "Print what the configuration means, as a file, with where it comes from, and exit",
        setting: None,
    },
    Opt {
        short: "",
        long: GENERATE,
        hint: "WHAT",
        help: "Print complete-bash, complete-zsh or complete-fish for a shell and exit",
        setting: None,
    },
    Opt { short: "h", long: HELP, hint: "", help: "Print this text and exit", setting: None },
    Opt { short: "V", long: VERSION, hint: "", help: "Print the version and exit", setting: None },
];
