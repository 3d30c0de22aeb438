//! The back end without a plug-in: one peer for everybody, from the configuration.

use super::address_error::AddressError;
use super::error::{BadAnswer, ConfigureError, QueryError};
use super::exports::heard;
use super::peer::{Answer, SendProxy};
use super::peer_check;
use super::scheme::Scheme;
use super::target::{self, Target};
use crate::framing::{self, ConfigFault, Framer, Selection};
use crate::proto::handshake::{self, Upgrade};
use std::ffi::CStr;

/// The port for a host that has none and no `port` beside it: VNC's, display 0.
const DEFAULT_PORT: &str = "5900";

/// The operator's choices, as written.
#[derive(Debug)]
pub(super) struct Settings {
    host: String,
    port: Option<String>,
    protocol: Option<String>,
    framing: String,
    framing_config: Option<String>,
    /// What these say, once they are checked: a port's name may take its time to look up.
    checked: Option<(Target, Selection)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "tcp://localhost".into(),
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
            "host" => self.host = value,
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
        let target = self.target().map_err(|error| match error {
            AddressError::Port(_) if self.port.is_some() => ("port", error.into()),
            error => ("host", error.into()),
        })?;
        self.check_port(&target).map_err(|error| ("port", error))?;
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
        peer_check::fit(&target, &selection)
            .map_err(|fault| ("framing", ConfigureError::Framing(fault)))?;
        heard(|| Framer::new(&selection).envelope_mode())
            .map_err(|(_, reason)| (at, ConfigureError::Framed(self.framing.clone(), reason)))?;
        self.checked = Some((target, selection));
        if target::lacks_scheme(Scheme::Detect, &self.host) {
            log::warn!("peer {:?} has no scheme and is taken for tcp", self.host);
        }
        Ok(())
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
    fn check_port(&self, target: &Target) -> Result<(), ConfigureError> {
        if self.port.is_none() {
            return Ok(());
        }
        let Some(port) = target.port() else {
            return Err(ConfigureError::Portless(target.clone()));
        };
        let alone = Target::parse(Scheme::Detect, &self.host, None);
        match alone.ok().and_then(|target| target.port()) {
            Some(own) if own != port => Err(ConfigureError::TwoPorts(port, own)),
            _ => Ok(()),
        }
    }

    pub(super) fn query(&self, upgrade: &Upgrade) -> Result<Answer, QueryError> {
        let (target, framing) = match self.checked.clone() {
            Some(checked) => checked,
            None => {
                let bad = |fault| QueryError::Bad(BadAnswer::Framing(fault));
                (self.target().map_err(QueryError::Address)?, self.selection().map_err(bad)?)
            }
        };
        let (protocol, send_proxy) = (self.protocol(upgrade), SendProxy::AsConfigured);
        Ok(Answer { target, framing, protocol, send_proxy })
    }

    pub(super) fn target(&self) -> Result<Target, AddressError> {
        let parse = |port| Target::parse(Scheme::Detect, &self.host, port);
        let target = match parse(self.port.as_deref()) {
            Err(AddressError::NoPort) => {
                target::no_port_inside(&self.host)?;
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
