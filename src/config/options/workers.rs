//! Worker processes.

use crate::config::option::Opt;
use crate::config::setting::Setting;
use crate::config::worker_options::{
    PIN_WORKERS, STALL_TIMEOUT, UPGRADE_DRAIN, WORKERS, WorkerOption,
};

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "",
        long: WORKERS,
        hint: "COUNT",
        help: "Have so many worker processes serve clients, or with auto one for each processor",
        setting: Some(Setting::Workers(WorkerOption::Count)),
    },
    Opt {
        short: "",
        long: PIN_WORKERS,
        hint: "",
        help: "Keep each worker process on one processor",
        setting: Some(Setting::Workers(WorkerOption::Pin)),
    },
    Opt {
        short: "",
        long: STALL_TIMEOUT,
        hint: "SECONDS",
        help: "Replace a worker process that is stuck in one turn of its loop for so long",
        setting: Some(Setting::Workers(WorkerOption::StallTimeout)),
    },
    Opt {
        short: "",
        long: UPGRADE_DRAIN,
        hint: "SECONDS",
        help: "End the sessions of old worker processes so long after a new binary took over",
        setting: Some(Setting::Workers(WorkerOption::UpgradeDrain)),
    },
];
