//! Whether a peer, as a back end's own configuration names it, will do.

use super::address_error::AddressError;
use super::error::ConfigureError;
use super::scheme::Scheme;
use super::target::{self, Target};
use crate::framing::{self, ConfigFault, Selection};

/// A peer as an operator writes it.
pub(super) struct Written<'a> {
    pub(super) host: &'a str,
    pub(super) port: Option<&'a str>,
    /// `auto` when it is not given.
    pub(super) framing: Option<&'a str>,
    pub(super) framing_config: Option<&'a str>,
}

/// Judges a peer as the built-in back end judges its own, but that the port has to be written; its
/// framing, if that is a plug-in's, is still to be asked.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(super) fn check(peer: &Written<'_>) -> Result<Selection, ConfigureError> {
    let target = match Target::parse(Scheme::Detect, peer.host, peer.port) {
        Err(AddressError::NoPort) => {
            target::no_port_inside(peer.host)?;
            Err(AddressError::NoPort)
        }
        parsed => parsed,
    }?;
    target.check_absolute()?;
    let name = peer.framing.unwrap_or("auto");
    let selection = framing::check(name, peer.framing_config).map_err(ConfigureError::Framing)?;
    fit(&target, &selection).map_err(ConfigureError::Framing)?;
    Ok(selection)
}

/// Whether this framing can be the target's.
///
/// # Errors
/// Datagrams have no frames within.
pub(super) fn fit(target: &Target, selection: &Selection) -> Result<(), ConfigFault> {
    if target.is_datagram() && selection.is_two_way_frames() {
        return Err(ConfigFault::Datagrams);
    }
    Ok(())
}
