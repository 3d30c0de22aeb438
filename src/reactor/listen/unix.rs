//! Listening Unix sockets: their files.

use std::fmt;
use std::fs;
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use log::warn;
use mio::net::UnixListener;
use nix::unistd::{Group, User};
use socket2::{Domain, SockAddr, Socket, Type};

use super::entrance::BACKLOG;
use crate::config::ListenWords;
use crate::logging::Escaped;

/// Who owns a socket's file.
#[derive(Clone, Copy, Default)]
pub(super) struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

/// The file of a socket of ours; removed when this is dropped.
pub(in crate::reactor) struct Bound {
    path: PathBuf,
    /// Device and inode: another program's file of that name stays.
    identity: (u64, u64),
}

/// The user and group of the words.
///
/// # Errors
/// One of them does not exist, in words.
pub(super) fn owner(words: &ListenWords) -> Result<Owner, String> {
    let number = |name: &str| name.parse::<u32>().ok();
    let user = words.user.as_deref().map(|name| match (number(name), User::from_name(name)) {
        (Some(number), _) => Ok(number),
        (None, Ok(Some(user))) => Ok(user.uid.as_raw()),
        (None, Ok(None)) => Err(format!("'user={name}' is not a user of this machine")),
        (None, Err(error)) => Err(format!("'user={name}' cannot be looked up: {error}")),
    });
    let group = words.group.as_deref().map(|name| match (number(name), Group::from_name(name)) {
        (Some(number), _) => Ok(number),
        (None, Ok(Some(group))) => Ok(group.gid.as_raw()),
        (None, Ok(None)) => Err(format!("'group={name}' is not a group of this machine")),
        (None, Err(error)) => Err(format!("'group={name}' cannot be looked up: {error}")),
    });
    Ok(Owner { user: user.transpose()?, group: group.transpose()? })
}

/// Listens on a socket at `path`, in the place of one that nobody listens on any more.
///
/// The file is made under another name and gets its own when owner and permissions are right, so
/// nobody ever sees it there with others; and until it listens nobody can connect to it.
///
/// # Errors
/// Somebody listens there, something else is there, or the system refuses.
pub(super) fn listen(
    path: &Path,
    mode: Option<u32>,
    owner: Owner,
) -> io::Result<(UnixListener, Bound)> {
    let address = SockAddr::unix(path)?; // one that is too long is nobody's (unix(7))
    make_sure_it_is_free(path, &address)?;
    let temporary = temporary(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(&temporary)?)?;
    let prepared = prepare(&temporary, mode, owner).and_then(|identity| {
        socket.listen(BACKLOG)?;
        fs::rename(&temporary, path)?;
        Ok(identity)
    });
    match prepared {
        Ok(identity) => {
            let listener = UnixListener::from_std(socket.into());
            Ok((listener, Bound { path: path.to_owned(), identity }))
        }
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// What the operator's umask leaves of a socket's permissions, where that of this process is another.
static LEFT: OnceLock<u32> = OnceLock::new();

/// Sockets have the permissions that this umask leaves, whatever it is by now.
pub(in crate::reactor) fn keep_umask(mask: u32) {
    let _ = LEFT.set(0o777 & !mask);
}

/// Sets the file's owner before its permissions, which a change of owner may take away.
fn prepare(path: &Path, mode: Option<u32>, owner: Owner) -> io::Result<(u64, u64)> {
    if owner.user.is_some() || owner.group.is_some() {
        chown(path, owner.user, owner.group)?;
    }
    if let Some(mode) = mode.or_else(|| LEFT.get().copied()) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    identity(path)
}

/// Device and inode of a file.
pub(super) fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// A name in the same directory that nobody else uses. Names of sockets are short (unix(7)): this
/// one is not longer than most.
fn temporary(path: &Path) -> io::Result<PathBuf> {
    let directory = path.parent().ok_or(ErrorKind::InvalidFilename)?;
    let temporary = directory.join(format!(".ws{:x}", std::process::id()));
    // One of an earlier process of the same number, which has been killed.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(temporary),
    }
}

/// Nothing is there, or a socket that nobody listens on.
fn make_sure_it_is_free(path: &Path, address: &SockAddr) -> io::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !file.file_type().is_socket() {
        return Err(Error::new(ErrorKind::AlreadyExists, "there is a file that is not a socket"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?; // one whose backlog is full would have us wait
    match probe.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => Err(Error::new(ErrorKind::AddrInUse, "another process listens there")),
    }
}

impl Bound {
    /// The file that another program of ours made.
    pub(super) fn again(path: &Path) -> Option<Self> {
        let identity = identity(path).ok()?;
        Some(Self { path: path.to_owned(), identity })
    }

    /// Device and inode of the file.
    pub(super) fn identity(&self) -> (u64, u64) {
        self.identity
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", Escaped(self.path.as_os_str().as_encoded_bytes()))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!("{self} stays: {error}");
        }
    }
}
