//! Where it listens, who names the peer, and what configures both.

use crate::config::option::{CONFIG, FILE, LISTEN, Opt, PORT};
use crate::config::setting::Setting;

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "p",
        long: PORT,
        hint: "PORT",
        help: "The TCP port where --listen has none; 0 for one that the kernel chooses",
        setting: Some(Setting::Port(|c| &mut c.port)),
    },
    Opt {
        short: "l",
        long: LISTEN,
        hint: "ADDRESS",
        help: "Listen on HOST[:PORT], unix:/PATH or systemd[:NAME]; words may follow in the same \
               argument (tls, proxy-protocol; mode=, user=, group= of a Unix socket); repeatable; \
               :: is IPv4 too",
        setting: Some(Setting::Listen),
    },
    Opt {
        short: "b",
        long: "backend",
        hint: "NAME",
        help: "Load backend_NAME.so to find peers; without it the built-in back end does",
        setting: Some(Setting::Backend),
    },
    Opt {
        short: "c",
        long: CONFIG,
        hint: "KEY=VALUE",
        help: "Configure the back end loaded at that moment; repeatable, in order",
        setting: Some(Setting::BackendPair),
    },
    Opt {
        short: "",
        long: "plugins",
        hint: "DIR",
        help: "Look for plug-ins in this directory",
        setting: Some(Setting::Plugins),
    },
    Opt {
        short: "f",
        long: FILE,
        hint: "FILE",
        help: "Read this configuration file first; flags win over it",
        setting: None,
    },
];
