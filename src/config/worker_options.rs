//! The options of worker processes.

use std::time::Duration;

use super::values::{Zero, number, seconds, switch};
use super::workers::{WorkerSettings, Workers};
use super::{Config, ConfigError, Origin};
use crate::logging::Escaped;

pub(super) const WORKERS: &str = "workers";
pub(super) const PIN_WORKERS: &str = "pin-workers";
pub(super) const STALL_TIMEOUT: &str = "stall-timeout";
pub(super) const UPGRADE_DRAIN: &str = "upgrade-drain";

/// Each is a process with threads, and a socket for each listener: more is a slip of the finger.
const MOST: usize = 256;

/// A turn of a busy loop, or of a machine that is short of processors, is no stall.
const SHORTEST_STALL: Duration = Duration::from_secs(1);

/// An option of these.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerOption {
    Count,
    Pin,
    StallTimeout,
    UpgradeDrain,
}

impl WorkerOption {
    /// The default as an operator would write it.
    pub(super) fn default_value(self) -> Option<String> {
        match self {
            Self::Count | Self::Pin => None,
            Self::StallTimeout | Self::UpgradeDrain => Some("0, never".into()),
        }
    }

    /// Reads `value` into `config`, or says what is wrong with it.
    pub(super) fn apply(
        self,
        config: &mut Config,
        value: &str,
        origin: &Origin,
    ) -> Result<(), String> {
        let settings = &mut config.workers;
        match self {
            Self::Count => settings.count = Some(count(value)?),
            Self::Pin => settings.pin = switch(value)?,
            Self::StallTimeout => {
                settings.stall_timeout = seconds(value, Zero::Off)?;
                if !settings.stall_timeout.is_zero() && settings.stall_timeout < SHORTEST_STALL {
                    return Err(format!(
                        "'{value}' is no time for a stall: 1 or more, 0 for never"
                    ));
                }
            }
            Self::UpgradeDrain => settings.upgrade_drain = seconds(value, Zero::Off)?,
        }
        if self != Self::Count && settings.needed_by.is_none() {
            settings.needed_by = Some(origin.clone());
        }
        Ok(())
    }
}

fn count(value: &str) -> Result<Workers, String> {
    if value == "auto" {
        return Ok(Workers::PerProcessor);
    }
    let has_zeros = value.starts_with('0')
        && value.parse().is_ok_and(|count: usize| (1..=MOST).contains(&count));
    match number(value, &(1..=MOST)) {
        Ok(count) => Ok(Workers::Count(count)),
        Err(problem) if has_zeros => Err(problem),
        Err(_) => {
            Err(format!("'{}' is neither a number from 1 to {MOST} nor auto", Escaped(value)))
        }
    }
}

/// # Errors
/// Something is said of workers, and there are none.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    match &config.workers {
        WorkerSettings { count: None, needed_by: Some(origin), .. } => Err(ConfigError::new(
            origin.clone(),
            format!("is for worker processes: say how many, --{WORKERS} auto"),
        )),
        _ => Ok(()),
    }
}
