//! What the kernel has not handed on yet.
#![allow(unsafe_code)] // ioctl(2) has no safe wrapper in std

use std::os::fd::{AsFd, AsRawFd};

/// Bytes written to a TCP socket that the other end has not acknowledged (SIOCOUTQ, tcp(7)); zero
/// when the kernel does not say.
pub(super) fn unacknowledged(socket: &impl AsFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open while it is borrowed, and the request fills in one `int`.
    // TIOCOUTQ is the number that libc has for SIOCOUTQ.
    let told =
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } == 0;
    if told { usize::try_from(bytes).unwrap_or_default() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
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
}
