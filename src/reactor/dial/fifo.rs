//! FIFOs.

use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use crate::net::Transport;

/// Opened without waiting for the other end: to read, that is always possible; to write, ENXIO
/// says that nobody reads (fifo(7)).
pub(in crate::reactor) fn open(path: &Path, write: bool) -> io::Result<Transport> {
    let file: File = OpenOptions::new()
        .read(!write)
        .write(write)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    if !file.metadata()?.file_type().is_fifo() {
        return Err(Error::new(ErrorKind::InvalidInput, "not a FIFO"));
    }
    Ok(if write { Transport::FifoTx(file) } else { Transport::FifoRx(file) })
}
