//! What the daemon gives up of what its user may do: landlock(7) for files and signals, seccomp(2) for
//! system calls that no part of it needs.
//!
//! It holds for plug-ins from their first line on, so it is there before they are loaded; what is read
//! and opened for the start is read under it, too. It holds for threads that come later, not for the
//! one that writes the log. A supervisor of workers stays outside, since it runs programs.

#[cfg(feature = "sandbox")]
mod calls;
#[cfg(feature = "sandbox")]
mod files;
mod places;

use super::start_error::{StartError, refused};
use crate::config::Config;
use crate::logging::Escaped;
use places::Places;

/// Gives up all that a daemon of this configuration has no need of, if the operator wants that.
///
/// # Errors
/// The kernel cannot, or a path that was named for it is not there.
pub(super) fn confine(config: &Config) -> Result<(), StartError> {
    let Some(origin) = &config.sandbox.wanted else { return Ok(()) };
    for named in &config.sandbox.paths {
        std::fs::metadata(&named.path).map_err(|error| {
            let path = Escaped(named.path.as_os_str().as_encoded_bytes());
            refused(&named.origin, &format_args!("{path}: {error}"))
        })?;
    }
    enforce(&Places::of(config)).map_err(|problem| refused(origin, &problem))
}

#[cfg(feature = "sandbox")]
fn enforce(places: &Places) -> Result<(), String> {
    files::restrict(places)?;
    calls::deny()
}

/// The option is refused without the feature.
#[cfg(not(feature = "sandbox"))]
fn enforce(_: &Places) -> Result<(), String> {
    Ok(())
}

/// Whether the sandbox of `before` is that of `now`, which a running process cannot widen.
///
/// # Errors
/// It is not.
pub(super) fn check_fixed(now: &Config, before: &Config) -> Result<(), StartError> {
    let origin = match (&now.sandbox.wanted, &before.sandbox.wanted) {
        (None, None) => return Ok(()),
        (Some(origin), Some(_)) => origin,
        (Some(origin), None) => return Err(refused(origin, &"needs a restart to be another")),
        (None, Some(_)) => {
            return Err(refused("sandbox", &"is not there any more, which needs a restart"));
        }
    };
    match Places::of(now).beyond(&Places::of(before)) {
        Some(place) => {
            let place = Escaped(place.as_os_str().as_encoded_bytes());
            let problem = format!("needs a restart to let it at {place}, which it gave up");
            Err(refused(origin, &problem))
        }
        None => Ok(()),
    }
}
