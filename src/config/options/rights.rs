//! What the daemon may do.

use crate::config::option::Opt;
use crate::config::sandbox_options::{SANDBOX, SANDBOX_PATH, SandboxOption};
use crate::config::setting::Setting;

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "",
        long: "user",
        hint: "NAME",
        help: "Become this user once it listens and all files are read; for root only",
        setting: Some(Setting::Account(|c| &mut c.user)),
    },
    Opt {
        short: "",
        long: "group",
        hint: "NAME",
        help: "Become this group, and leave all others; without it the group of --user",
        setting: Some(Setting::Account(|c| &mut c.group)),
    },
    Opt {
        short: "",
        long: "core-dumps",
        hint: "",
        help: "Allow core dumps also where they would hold keys of TLS",
        setting: Some(Setting::Switch(|c| &mut c.core_dumps)),
    },
    Opt {
        short: "",
        long: SANDBOX,
        hint: "",
        help: "Read only what the configuration names and the system's own files, write and run nothing",
        setting: Some(Setting::Sandbox(SandboxOption::Wanted)),
    },
    Opt {
        short: "",
        long: SANDBOX_PATH,
        hint: "PATH",
        help: "A file or directory that plug-ins may read and write in the sandbox; repeatable",
        setting: Some(Setting::Sandbox(SandboxOption::Path)),
    },
];
