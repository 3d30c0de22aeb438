//! Files that are read whole, and again at a reload.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::worker::{self, Kept};

/// What is wrong with any other.
pub(super) const IRREGULAR: &str = "is no regular file";

/// Reads a file and one byte more than `most` at most, or takes it as it was handed over. Nothing but a
/// regular file is opened: a FIFO has its bytes once, and who opens one waits for somebody who writes to
/// it.
///
/// # Errors
/// It cannot be read, or is another kind of file.
pub(crate) fn read_regular(path: &Path, most: u64) -> io::Result<Kept> {
    if let Some(kept) = worker::handed(path) {
        return Ok(kept);
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    match metadata.file_type() {
        kind if kind.is_file() => {}
        kind if kind.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        _ => return Err(io::Error::other(IRREGULAR)),
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Kept { mode: metadata.mode(), bytes })
}
