//! What a reload cannot change.

use super::start_error::{StartError, refused};
use crate::config::{Account, Config, Origin};

/// What is as it was at the start.
///
/// # Errors
/// It would be another, which needs a restart.
pub(super) fn check_fixed(config: &Config, before: &Config) -> Result<(), StartError> {
    let place = |config: &Config| {
        config.admin.as_ref().map(|admin| (admin.address.clone(), admin.names.clone()))
    };
    let name = |account: &Option<Account>| account.as_ref().map(|account| account.name.clone());
    let accounts = [("user", &config.user, &before.user), ("group", &config.group, &before.group)];
    for (key, now, then) in accounts {
        if name(now) != name(then) {
            return Err(needs_restart(key, now.as_ref().map(|account| &account.origin)));
        }
    }
    if config.workers.count != before.workers.count {
        let words = "workers: needs a restart to be another number";
        return Err(StartError::Configuration(words.into()));
    }
    // What the supervisor gave each worker when it began.
    let (now, then) = (&config.workers, &before.workers);
    let given = [
        ("pin-workers", now.pin != then.pin),
        ("stall-timeout", now.stall_timeout != then.stall_timeout),
    ];
    if let Some((key, _)) = given.into_iter().find(|(_, differs)| *differs) {
        let words = format!("{key}: needs a restart to be another");
        return Err(StartError::Configuration(words));
    }
    if place(config) != place(before) {
        return Err(needs_restart("admin", config.admin.as_ref().map(|admin| &admin.origin)));
    }
    Ok(())
}

/// Of a key that says another thing than at the start, there or not at all.
fn needs_restart(key: &str, origin: Option<&Origin>) -> StartError {
    match origin {
        Some(origin) => refused(origin, &"needs a restart to be another"),
        None => refused(key, &"is not there any more, which needs a restart"),
    }
}
