//! What the dynamic linker is told to load: a plug-in's file, or a copy of it.
//!
//! A file that is loaded has one set of globals, and the linker does not load it again: not by its
//! name, though another one may be there by now, nor by its inode. So that a reload has a fresh one, the
//! linker is given a copy in memory then (memfd_create(2)), by a name that no other copy had.
#![allow(unsafe_code)] // memfd_create(2) has no safe wrapper in std

use std::ffi::CString;
use std::fs::{self, File, Metadata};
use std::io::{self, Error};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Which file it is, and of which making: another one differs in something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl From<&Metadata> for FileId {
    fn from(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            modified: (file.mtime(), file.mtime_nsec()),
            size: file.size(),
        }
    }
}

/// What the linker was given so far: names of files, and their device and inode.
static GIVEN: Mutex<Given> = Mutex::new(Given { files: Vec::new(), copies: 0 });

struct Given {
    files: Vec<(PathBuf, (u64, u64))>,
    copies: u32,
}

/// What the linker is given.
pub(super) struct Loaded {
    path: PathBuf,
    /// A copy is found by its descriptor, while it is open; what is mapped of it stays.
    _copy: Option<File>,
}

impl Loaded {
    /// The file at `path`; `anew` a copy if it was loaded before, or one of its name.
    pub(super) fn of(path: &Path, anew: bool) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        let id = (file.dev(), file.ino());
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = given.files.iter().any(|(known, of)| known == path || *of == id);
        if !is_known || !anew {
            if !is_known {
                given.files.push((path.into(), id));
            }
            return Ok(Self { path: path.into(), _copy: None });
        }
        given.copies += 1;
        let number = given.copies;
        drop(given);
        let copy = copy(path)?;
        Ok(Self { path: name(copy.as_raw_fd(), number), _copy: Some(copy) })
    }

    /// The name of what is loaded.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A descriptor's name that no other copy had: the linker knows what it has loaded by name, and
/// descriptors come again. Slashes and dots that mean nothing spell the number.
fn name(fd: i32, number: u32) -> PathBuf {
    let mut name = String::from("/proc/self/fd/");
    for bit in 0..u32::BITS {
        name.push_str(if number >> bit & 1 == 1 { "./" } else { "/" });
    }
    name.push_str(&fd.to_string());
    name.into()
}

fn copy(path: &Path) -> io::Result<File> {
    let name = path.file_name().unwrap_or_default();
    let name = CString::new(name.as_bytes()).map_err(Error::other)?;
    let mut copy = match create(&name, libc::MFD_CLOEXEC | libc::MFD_EXEC) {
        // Kernels before 6.3 do not know the flag, and need none.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            create(&name, libc::MFD_CLOEXEC)?
        }
        created => created?,
    };
    io::copy(&mut File::open(path)?, &mut copy)?;
    Ok(copy)
}

fn create(name: &CString, flags: libc::c_uint) -> io::Result<File> {
    // SAFETY: the name ends in NUL and is only read; the descriptor is new, and nobody else's.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: as above.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_copies_have_one_name() {
        // As texts: paths that differ in slashes and dots are equal for Rust, and not for the linker.
        let names: HashSet<_> = (0..4096).map(|number| name(7, number).into_os_string()).collect();
        assert_eq!(names.len(), 4096);
    }

    #[test]
    fn a_file_is_copied_from_the_second_time_on() {
        let path = std::env::temp_dir().join(format!("websocksy-copy-{}", std::process::id()));
        fs::write(&path, "as it was").unwrap();
        let first = Loaded::of(&path, true).unwrap();
        assert_eq!(first.path(), path);
        let id = FileId::from(&fs::metadata(&path).unwrap());
        fs::write(&path, "as it is by now").unwrap();
        assert_ne!(FileId::from(&fs::metadata(&path).unwrap()), id);
        let second = Loaded::of(&path, true).unwrap();
        assert_eq!(fs::read_to_string(second.path()).unwrap(), "as it is by now");
        let third = Loaded::of(&path, true).unwrap();
        assert_ne!(second.path().as_os_str(), third.path().as_os_str());
        fs::remove_file(path).unwrap();
    }
}
