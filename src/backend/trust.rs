//! Who can put a plug-in where it is loaded from is this program: root and this user may, and nobody
//! else.
//!
//! So everything on the way from the root of the file system belongs to one of them, and nobody else
//! may write to it: not to the directories above either, where another one could be put in its place.
//! There the sticky bit will do, as on `/tmp`: what is in such a directory only its owner can replace.

use super::error::{LoadError, Mistrust};
use super::object;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Symbolic links on one way: as many as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

const GROUP_WRITABLE: u32 = 0o020;
const WORLD_WRITABLE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// What is at an absolute path, if all of the way there is trusted.
pub(super) fn look(path: &Path) -> Result<Metadata, LoadError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| LoadError::Unreadable(path, error)
    };
    let mut at = PathBuf::from("/");
    let mut found = fs::metadata(&at).map_err(unreadable(&at))?;
    let mut left: VecDeque<OsString> = names(path).collect();
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        check(&at, &found, true)?;
        if name == ".." {
            at.pop();
            found = fs::metadata(&at).map_err(unreadable(&at))?;
            continue;
        }
        let next = at.join(name);
        let there = fs::symlink_metadata(&next).map_err(unreadable(path))?;
        if !there.is_symlink() {
            (at, found) = (next, there);
            continue;
        }
        // Anybody may write to a link, and only who owns it can change it.
        check_owner(&next, &there)?;
        links += 1;
        if links > MOST_LINKS {
            return Err(unreadable(path)(io::Error::from_raw_os_error(libc::ELOOP)));
        }
        let target = fs::read_link(&next).map_err(unreadable(path))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
            found = fs::metadata(&at).map_err(unreadable(&at))?;
        }
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            left.push_front(name);
        }
    }
    check(&at, &found, false)?;
    Ok(found)
}

/// The names in a path, and `..` where it is.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

/// Whether only root and this user may change what is there; `above` the plug-ins the sticky bit
/// keeps others out too.
fn check(path: &Path, found: &Metadata, above: bool) -> Result<(), LoadError> {
    check_owner(path, found)?;
    let mode = found.mode();
    if above && mode & STICKY != 0 {
        return Ok(());
    }
    if mode & WORLD_WRITABLE != 0 {
        return Err(LoadError::Mistrusted(path.into(), Mistrust::Everybody));
    }
    if mode & GROUP_WRITABLE != 0 && !is_private(found) {
        return Err(LoadError::Mistrusted(path.into(), Mistrust::Group(found.gid())));
    }
    Ok(())
}

fn check_owner(path: &Path, found: &Metadata) -> Result<(), LoadError> {
    match found.uid() {
        0 => Ok(()),
        owner if owner == object::user() => Ok(()),
        owner => Err(LoadError::Mistrusted(path.into(), Mistrust::Owner(owner))),
    }
}

/// Whether the group is a user's own, which has the user's number and nobody else in it. Where users
/// have such groups, all that they make is writable for them.
fn is_private(found: &Metadata) -> bool {
    let user = object::user();
    user != 0 && found.uid() == user && found.gid() == user
}
