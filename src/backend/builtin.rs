//! The back end without a plug-in: the same peers for everybody, from the configuration.

use super::address_error::AddressError;
use super::error::{BadAnswer, ConfigureError, QueryError};
use super::peer::{Answer, Asked};
use super::peer_check;
use super::pool::{Balance, Pool};
use super::said::heard;
use super::scheme::Scheme;
use super::target::{self, Target};
use crate::framing::{self, ConfigFault, Framer, Selection};
use crate::proto::handshake::{self, Upgrade};
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// The port for a host that has none and no `port` beside it: VNC's, display 0.
const DEFAULT_PORT: &str = "5900";

/// The peer that is meant where none is named.
const DEFAULT_HOST: &str = "tcp://localhost";
/// How long a peer that could not be reached rests, unless the operator says otherwise.
const DEFAULT_REST: Duration = Duration::from_secs(10);
/// The longest that it may rest, seconds: a day.
const LONGEST_REST: u64 = 86_400;
/// The most peers.
const MOST_HOSTS: usize = 64;

/// The operator's choices, as written.
#[derive(Debug)]
pub(super) struct Settings {
    hosts: Vec<String>,
    balance: Balance,
    rest: Duration,
    port: Option<String>,
    protocol: Option<String>,
    framing: String,
    framing_config: Option<String>,
    /// What these say, once they are checked: a port's name may take its time to look up.
    checked: Option<(Pool, Selection)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            balance: Balance::default(),
            rest: DEFAULT_REST,
            port: None,
            protocol: None,
            framing: "auto".into(),
            framing_config: None,
            checked: None,
        }
    }
}

impl Settings {
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigureError> {
        let value = value.to_owned();
        self.checked = None;
        match key {
            "host" => self.hosts.push(value),
            "balance" => {
                let named = Balance::named(&value);
                self.balance = named.ok_or(ConfigureError::Balance(value))?;
            }
            "retry-after" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds <= LONGEST_REST);
                let seconds = seconds.ok_or(ConfigureError::Rest(value))?;
                self.rest = Duration::from_secs(seconds);
            }
            "port" => self.port = Some(value),
            "protocol" => self.protocol = Some(value),
            "framing" => self.framing = value,
            "framing-config" => self.framing_config = Some(value),
            _ => return Err(ConfigureError::Key(key.into())),
        }
        Ok(())
    }

    /// Judges the settings as a whole.
    ///
    /// # Errors
    /// The key at fault, and what is wrong with it.
    pub(super) fn check(&mut self) -> Result<(), (&'static str, ConfigureError)> {
        let targets = self.checked_targets()?;
        self.check_protocol().map_err(|error| ("protocol", error))?;
        let selection = self.selection().map_err(|fault| {
            let of_config = self.framing_config.is_some();
            let key = match fault {
                ConfigFault::Unknown { .. } => "framing",
                _ if of_config => "framing-config",
                _ => "framing",
            };
            (key, ConfigureError::Framing(fault))
        })?;
        let at = if self.framing_config.is_some() { "framing-config" } else { "framing" };
        for target in &targets {
            peer_check::fit(target, &selection)
                .map_err(|fault| ("framing", ConfigureError::Framing(fault)))?;
        }
        heard(|| Framer::new(&selection).envelope_mode())
            .map_err(|(_, reason)| (at, ConfigureError::Framed(self.framing.clone(), reason)))?;
        self.checked = Some((Pool::new(targets, self.balance, self.rest), selection));
        for host in self.hosts.iter().filter(|host| target::lacks_scheme(Scheme::Detect, host)) {
            log::warn!("peer {host:?} has no scheme and is taken for tcp");
        }
        Ok(())
    }

    /// All peers, each of which is one, and none of them twice.
    fn checked_targets(&self) -> Result<Vec<Target>, (&'static str, ConfigureError)> {
        let mut targets = Vec::new();
        for (place, host) in self.hosts().enumerate() {
            let target = self.target(host).map_err(|error| match error {
                AddressError::Port(_) if self.port.is_some() => ("port", error.into()),
                error if self.hosts.len() > 1 => ("host", ConfigureError::Host(place, error)),
                error => ("host", error.into()),
            })?;
            self.check_port(host, &target).map_err(|error| ("port", error))?;
            if targets.contains(&target) {
                return Err(("host", ConfigureError::Twice(place, target)));
            }
            targets.push(target);
        }
        if targets.len() > MOST_HOSTS {
            return Err(("host", ConfigureError::TooMany(MOST_HOSTS)));
        }
        Ok(targets)
    }

    fn hosts(&self) -> impl Iterator<Item = &str> {
        let default = self.hosts.is_empty().then_some(DEFAULT_HOST);
        self.hosts.iter().map(String::as_str).chain(default)
    }

    /// `*` and `none` are tokens, too.
    fn check_protocol(&self) -> Result<(), ConfigureError> {
        match &self.protocol {
            Some(name) if !handshake::is_subprotocol(name) => {
                Err(ConfigureError::Protocol(name.clone()))
            }
            _ => Ok(()),
        }
    }

    /// A port that is written beside one in the host is the same, and the peer has ports.
    fn check_port(&self, host: &str, target: &Target) -> Result<(), ConfigureError> {
        if self.port.is_none() {
            return Ok(());
        }
        let Some(port) = target.port() else {
            return Err(ConfigureError::Portless(target.clone()));
        };
        let alone = Target::parse(Scheme::Detect, host, None);
        match alone.ok().and_then(|target| target.port()) {
            Some(own) if own != port => Err(ConfigureError::TwoPorts(port, own)),
            _ => Ok(()),
        }
    }

    pub(super) fn query(&mut self, asked: &Asked<'_>) -> Result<Answer, QueryError> {
        if self.checked.is_none() {
            let bad = |fault| QueryError::Bad(BadAnswer::Framing(fault));
            let targets: Result<Vec<_>, _> = self.hosts().map(|host| self.target(host)).collect();
            let pool = Pool::new(targets.map_err(QueryError::Address)?, self.balance, self.rest);
            self.checked = Some((pool, self.selection().map_err(bad)?));
        }
        let protocol = self.protocol(asked.upgrade);
        let Some((pool, framing)) = &mut self.checked else { return Err(QueryError::NoPeer) };
        let mut targets = pool.order(asked.client, asked.now);
        let first = targets.pop_front().ok_or(QueryError::NoPeer)?;
        Ok(Answer { further: targets, ..Answer::new(first, framing.clone(), protocol) })
    }

    /// How the peers stand.
    pub(super) fn pool(&mut self) -> Option<&mut Pool> {
        self.checked.as_mut().map(|(pool, _)| pool)
    }

    /// Whether no peer could be reached lately.
    pub(super) fn all_rest(&self, now: Instant) -> bool {
        self.checked.as_ref().is_some_and(|(pool, _)| pool.all_rest(now))
    }

    /// All peers, as far as they are any.
    pub(super) fn targets(&self) -> Vec<Target> {
        match &self.checked {
            Some((pool, _)) => pool.targets().cloned().collect(),
            None => self.hosts().filter_map(|host| self.target(host).ok()).collect(),
        }
    }

    fn target(&self, host: &str) -> Result<Target, AddressError> {
        let parse = |port| Target::parse(Scheme::Detect, host, port);
        let target = match parse(self.port.as_deref()) {
            Err(AddressError::NoPort) => {
                target::no_port_inside(host)?;
                parse(Some(DEFAULT_PORT))
            }
            result => result,
        }?;
        target.check_absolute()?;
        Ok(target)
    }

    fn selection(&self) -> Result<Selection, ConfigFault> {
        framing::check(&self.framing, self.framing_config.as_deref())
    }

    /// The configured subprotocol if the client offers it, in any case. `*` stands for the first
    /// that it offers, `none` for no agreement. A browser that offers some and gets none closes
    /// (RFC 6455 §4.1), so without a word of the operator's it is `binary`, which is what this
    /// bridge does, or else the first but `base64`, which it does not do.
    fn protocol(&self, upgrade: &Upgrade) -> Option<usize> {
        let named = |name: &str| {
            let name = name.as_bytes();
            upgrade.protocols().position(|offered| offered.to_bytes().eq_ignore_ascii_case(name))
        };
        let first_but_base64 = || {
            let is_base64 = |offered: &CStr| offered.to_bytes().eq_ignore_ascii_case(b"base64");
            upgrade.protocols().position(|offered| !is_base64(offered))
        };
        match self.protocol.as_deref() {
            None => named("binary").or_else(first_but_base64),
            Some("none") => None,
            Some("*") => upgrade.protocols().next().map(|_| 0),
            Some(name) => named(name),
        }
    }
}

#[cfg(test)]
mod tests;
