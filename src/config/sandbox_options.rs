//! The options of the sandbox.

use super::sandbox::SandboxSettings;
use super::values::{filled, switch};
use super::{Config, ConfigError, Origin, PlacedPath};

pub(super) const SANDBOX: &str = "sandbox";
pub(super) const SANDBOX_PATH: &str = "sandbox-path";

/// An option of these.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SandboxOption {
    Wanted,
    Path,
}

impl SandboxOption {
    /// Reads `value` into `config`, or says what is wrong with it.
    pub(super) fn apply(
        self,
        config: &mut Config,
        value: &str,
        origin: &Origin,
    ) -> Result<(), String> {
        let settings = &mut config.sandbox;
        match self {
            Self::Wanted => settings.wanted = switch(value)?.then(|| origin.clone()),
            Self::Path => {
                let path = filled(value)?.into();
                settings.paths.push(PlacedPath { path, origin: origin.clone() });
            }
        }
        let is_possible = cfg!(feature = "sandbox") || *settings == SandboxSettings::default();
        let without = "is not possible: this binary was built without a sandbox";
        if is_possible { Ok(()) } else { Err(without.into()) }
    }
}

/// # Errors
/// Something is said of the sandbox, and there is none.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    match config.sandbox.paths.first() {
        Some(PlacedPath { origin, .. }) if config.sandbox.wanted.is_none() => {
            Err(ConfigError::new(origin.clone(), format!("is for the sandbox: say --{SANDBOX}")))
        }
        _ => Ok(()),
    }
}
