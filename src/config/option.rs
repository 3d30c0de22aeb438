//! An option, and the names of those that are asked for by name.

use super::setting::Setting;

pub(super) const HELP: &str = "help";
pub(super) const GENERATE: &str = "generate";
pub(super) const CHECK: &str = "check";
pub(super) const SHOW_CONFIG: &str = "show-config";
pub(super) const VERSION: &str = "version";
pub(super) const FILE: &str = "file";
pub(super) const ORIGIN: &str = "origin";
pub(super) const PEER_ALLOW: &str = "peer-allow";
pub(super) const SOURCE: &str = "source";
pub(super) const LISTEN: &str = "listen";
pub(super) const CONFIG: &str = "config";
pub(super) const PORT: &str = "port";

/// An option of the daemon.
pub(super) struct Opt {
    /// The letter after `-`; empty for none.
    pub(super) short: &'static str,
    /// The name after `--`, which is also the key in the file.
    pub(super) long: &'static str,
    /// What its value is called; empty for an option without one.
    pub(super) hint: &'static str,
    /// What it does, for `--help`.
    pub(super) help: &'static str,
    /// What it sets; none for what only the command line acts on.
    pub(super) setting: Option<Setting>,
}

impl Opt {
    /// The help text and, where there is one, the default.
    pub(super) fn description(&self) -> String {
        match self.setting.as_ref().and_then(Setting::default_value) {
            Some(value) => format!("{} (default {value})", self.help),
            None => self.help.into(),
        }
    }
}
