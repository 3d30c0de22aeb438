//! The back end without a plug-in: one peer for everybody, from the configuration.

use super::Answer;
use super::error::{BadAnswer, ConfigureError, QueryError};
use super::target::{self, AddressError, Scheme, Target};
use crate::framing::{self, ConfigFault, Selection};
use crate::proto::handshake::Upgrade;

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

    pub(super) fn check(&mut self) -> Result<(), ConfigureError> {
        let target = self.target().map_err(ConfigureError::Address)?;
        let selection = self.selection().map_err(ConfigureError::Framing)?;
        self.checked = Some((target, selection));
        if target::lacks_scheme(Scheme::Detect, &self.host) {
            log::warn!("peer {:?} has no scheme and is taken for tcp", self.host);
        }
        Ok(())
    }

    pub(super) fn query(&self, upgrade: &Upgrade) -> Result<Answer, QueryError> {
        let (target, framing) = match self.checked.clone() {
            Some(checked) => checked,
            None => {
                let bad = |fault| QueryError::Bad(BadAnswer::Framing(fault));
                (self.target().map_err(QueryError::Address)?, self.selection().map_err(bad)?)
            }
        };
        Ok(Answer { target, framing, protocol: self.protocol(upgrade) })
    }

    fn target(&self) -> Result<Target, AddressError> {
        let parse = |port| Target::parse(Scheme::Detect, &self.host, port);
        match parse(self.port.as_deref()) {
            Err(AddressError::NoPort) => parse(Some(DEFAULT_PORT)),
            result => result,
        }
    }

    fn selection(&self) -> Result<Selection, ConfigFault> {
        framing::check(&self.framing, self.framing_config.as_deref())
    }

    /// The configured subprotocol if the client offers it; for `*`, the first that it offers.
    fn protocol(&self, upgrade: &Upgrade) -> Option<usize> {
        let wanted = self.protocol.as_deref()?;
        let fits =
            |offered: &std::ffi::CStr| wanted == "*" || offered.to_bytes() == wanted.as_bytes();
        upgrade.protocols().position(fits)
    }
}

#[cfg(test)]
mod tests;
