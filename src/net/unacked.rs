//! What the kernel has not handed on yet.
#![allow(unsafe_code)] // ioctl(2) has no safe wrapper in std

use std::os::fd::{AsFd, AsRawFd};

/// Bytes written to a TCP socket that the other end has not acknowledged (SIOCOUTQ, tcp(7)); zero
/// when the kernel does not say. TIOCOUTQ is the number that libc has for SIOCOUTQ.
pub(super) fn unacknowledged(socket: &impl AsFd) -> usize {
    count(socket, libc::TIOCOUTQ)
}

/// Bytes in a pipe that nobody has read (FIONREAD, pipe(7)); either end is told.
pub(super) fn unread(pipe: &impl AsFd) -> usize {
    count(pipe, libc::FIONREAD)
}

/// What ioctl(2) answers to a `request` that asks for a number.
fn count(descriptor: &impl AsFd, request: libc::Ioctl) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open while it is borrowed, and both requests fill in one `int`.
    let told = unsafe { libc::ioctl(descriptor.as_fd().as_raw_fd(), request, &raw mut bytes) } == 0;
    if told { usize::try_from(bytes).unwrap_or_default() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn what_is_not_taken_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(unacknowledged(&near), 0);
        near.set_nonblocking(true).unwrap();
        while near.write(&[0; 65_536]).is_ok() {}
        assert!(unacknowledged(&near) > 65_536);
    }

    #[test]
    fn what_is_not_read_counts_byte_by_byte() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&[0; 10_000]).unwrap();
        assert_eq!(unread(&writer), 10_000);
        reader.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(unread(&writer), 9_997);
    }
}
