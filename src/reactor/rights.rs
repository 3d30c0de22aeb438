//! What the daemon may do: less than what it was started with.

use std::io;

use log::info;
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Group, Uid, User, geteuid, setgroups, setresgid, setresuid};

use super::listen;
use super::start_error::{StartError, refused};
use crate::config::{Account, Config};
use crate::logging::Escaped;
use crate::net::limits;

/// Whatever this process runs, and what that runs, has no more rights than it has.
///
/// # Errors
/// The system refuses.
pub fn refuse_new_privileges() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}

/// What this process writes from now on is for its own user alone, but for sockets: there the umask
/// that it was started with says who connects, or the word `mode=`.
pub fn keep_files_private() {
    let before = umask(Mode::S_IRWXG | Mode::S_IRWXO);
    listen::keep_umask(before.bits());
}

/// Whom the daemon becomes once it needs root no more.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    user: Option<Uid>,
    group: Gid,
    /// In words.
    name: String,
}

impl Identity {
    /// As the operator says, if that is another one.
    ///
    /// # Errors
    /// There is no such user or group, or only root could become it.
    pub(super) fn of(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(first) = config.user.as_ref().or(config.group.as_ref()) else { return Ok(None) };
        if !geteuid().is_root() {
            let problem = "only root can become another user; leave it out, or start as root";
            return Err(refused(&first.origin, &problem));
        }
        let user = config.user.as_ref().map(user).transpose()?;
        let group = match (&config.group, &user) {
            (Some(account), _) => group(account)?,
            (None, Some((_, Some(own)))) => *own,
            (None, _) => {
                let problem = "is a number without an entry of its own: say --group too";
                return Err(refused(&first.origin, &problem));
            }
        };
        let name = |account: &Option<Account>| {
            account.as_ref().map(|account| Escaped(&account.name).to_string())
        };
        let names = [name(&config.user), name(&config.group)];
        let name = names.into_iter().flatten().collect::<Vec<_>>().join(":");
        Ok(Some(Self { user: user.map(|(user, _)| user), group, name }))
    }

    /// Becomes it, in all threads and for good, and leaves all other groups.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn assume(&self, core_dumps: bool) -> Result<(), StartError> {
        let failed = |error: nix::Error| {
            StartError::System(format!("cannot become {}", self.name), error.into())
        };
        setgroups(&[self.group]).map_err(failed)?;
        setresgid(self.group, self.group, self.group).map_err(failed)?;
        if let Some(user) = self.user {
            setresuid(user, user, user).map_err(failed)?;
        }
        // A change of user has switched them off.
        if core_dumps {
            prctl::set_dumpable(true).map_err(failed)?;
        }
        info!("running as {}", self.name);
        Ok(())
    }
}

/// A user, and the group that it has.
fn user(account: &Account) -> Result<(Uid, Option<Gid>), StartError> {
    let name = &account.name;
    let found = match name.parse::<u32>() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    let found = found.map_err(|error| refused(&account.origin, &error))?;
    let number = name.parse::<u32>().ok().map(|number| (Uid::from_raw(number), None));
    let (user, group) = found
        .map(|user| (user.uid, Some(user.gid)))
        .or(number)
        .ok_or_else(|| unknown(account, "user"))?;
    if user.is_root() {
        return Err(refused(&account.origin, &"is root, which has all power: name another user"));
    }
    Ok((user, group))
}

fn group(account: &Account) -> Result<Gid, StartError> {
    if let Ok(number) = account.name.parse::<u32>() {
        return Ok(Gid::from_raw(number));
    }
    let found =
        Group::from_name(&account.name).map_err(|error| refused(&account.origin, &error))?;
    found.map(|group| group.gid).ok_or_else(|| unknown(account, "group"))
}

fn unknown(account: &Account, what: &str) -> StartError {
    let problem = format!("'{}' is not a {what} of this machine", Escaped(&account.name));
    refused(&account.origin, &problem)
}

/// Keys are not to lie in a file after a crash, nor be read by another process of the same user, unless
/// the operator asks for core dumps.
///
/// # Errors
/// The system refuses.
pub fn protect_keys(config: &Config) -> io::Result<()> {
    if config.tls.has_keys() && !config.core_dumps {
        prctl::set_dumpable(false)?;
        // Only for who looks at the limits: a service manager may forbid to set them.
        let _ = limits::no_core_dumps();
    }
    Ok(())
}
