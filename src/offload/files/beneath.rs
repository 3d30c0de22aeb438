//! Opens what is below a directory, and nothing else: openat2(2).
#![allow(unsafe_code)] // neither std nor libc has a safe wrapper of openat2

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// How often a name is looked up that somebody moves meanwhile (EAGAIN, openat2(2)).
const ATTEMPTS: usize = 32;

/// A directory, below which names are looked up.
pub(super) struct Directory(File);

impl Directory {
    /// The directory at `path`, which is the operator's: links on the way there are followed.
    ///
    /// # Errors
    /// Those of open(2); it is no directory.
    pub(super) fn open(path: &Path) -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map(Self)
    }

    /// The regular file of this name, open for reading; none for what is there and no regular file,
    /// and whether that is a directory.
    ///
    /// Symbolic links are followed as long as they are relative and lead nowhere above the directory.
    /// The kernel sees to it while it looks the name up, so nothing can be exchanged in between. What
    /// is found is looked at before it is opened for reading: to open a FIFO or a device is to act on
    /// it. Should it be exchanged for one between the two, the open does not wait.
    ///
    /// # Errors
    /// Those of openat2(2): `CrossesDevices` is the way out of the directory.
    pub(super) fn regular(&self, name: &[u8]) -> Result<Found> {
        let name = CString::new(name).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
        let seen = self.look_up(&name, libc::O_PATH)?.metadata()?;
        if seen.is_dir() {
            return Ok(Found::Directory);
        }
        if !seen.is_file() {
            return Ok(Found::Special);
        }
        let file = self.look_up(&name, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY)?;
        let is_file = file.metadata()?.is_file();
        Ok(if is_file { Found::File(file) } else { Found::Special })
    }

    fn look_up(&self, name: &CStr, flags: i32) -> Result<File> {
        // The struct may grow, so there is no way to write it down whole.
        // SAFETY: it is made of integers, for which zero is a value.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = (flags | libc::O_CLOEXEC) as u64;
        how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
        let mut attempts = 0;
        loop {
            // SAFETY: the name ends in NUL, `how` is as long as is said, and both outlive the call,
            // which writes to neither.
            let number = unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    self.0.as_raw_fd(),
                    name.as_ptr(),
                    &raw const how,
                    size_of::<libc::open_how>(),
                )
            };
            if number >= 0 {
                // SAFETY: the kernel has just opened it, and nobody else knows of it.
                return Ok(unsafe { OwnedFd::from_raw_fd(number as i32) }.into());
            }
            let error = Error::last_os_error();
            let again = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
            attempts += 1;
            if !again || attempts == ATTEMPTS {
                return Err(error);
            }
        }
    }
}

/// What has a name.
pub(super) enum Found {
    /// A regular file.
    File(File),
    /// A directory.
    Directory,
    /// A FIFO, a socket, a device.
    Special,
}
