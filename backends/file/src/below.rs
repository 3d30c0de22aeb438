//! Opens files below a base path, and nothing else.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The longest file that is read, bytes: some 10,000 lines, where a query should take no longer
/// than a connection does.
pub(crate) const FILE_LIMIT: u64 = 1 << 20;

/// The contents of the regular file at `path` below `base`.
///
/// Symbolic links are followed as long as they end below `base`.
///
/// # Errors
/// The system's; `PermissionDenied` for a way out of `base`, `InvalidInput` for what is no
/// regular file, `FileTooLarge` for more than [`FILE_LIMIT`] bytes.
pub(crate) fn read(base: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let base = base.canonicalize()?;
    let path = base.join(path).canonicalize()?; // follows links, opens nothing
    if !path.starts_with(&base) {
        return Err(refused(io::ErrorKind::PermissionDenied, "leads out of the base path"));
    }
    // Asked before it is opened: to open a device or a FIFO is to act on it.
    if !path.symlink_metadata()?.is_file() {
        return Err(refused(io::ErrorKind::InvalidInput, "is no regular file"));
    }
    let mut text = Vec::new();
    // Should it be exchanged meanwhile: not waited for, not followed, not read without end.
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.take(FILE_LIMIT + 1).read_to_end(&mut text)? as u64 > FILE_LIMIT {
        return Err(refused(io::ErrorKind::FileTooLarge, "is longer than 1 MiB"));
    }
    Ok(text)
}

fn refused(kind: io::ErrorKind, reason: &'static str) -> io::Error {
    io::Error::new(kind, reason)
}
