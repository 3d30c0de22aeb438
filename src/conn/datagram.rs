//! Sends datagrams, one at a time.

use std::io::ErrorKind;

use super::socket::{DATAGRAM_TOO_BIG, Ready, Socket, is_refusal};

/// What became of one datagram.
pub(super) struct Sending {
    /// It is sent or lost; otherwise it waits.
    pub(super) gone: bool,
    /// What there is to tell the connection.
    pub(super) error: Option<ErrorKind>,
}

/// Sends one datagram. The first error may be of an earlier one (ICMP, ip(7)), and then the socket
/// is as good as before; the second is this one's.
pub(super) fn send<S: Socket>(socket: &mut S, ready: &mut Ready, datagram: &[u8]) -> Sending {
    let mut told = None;
    for first in [true, false] {
        match socket.send(datagram).map_err(|error| error.kind()) {
            Ok(()) => return Sending { gone: true, error: told },
            Err(ErrorKind::WouldBlock) => {
                ready.writable = false;
                return Sending { gone: false, error: told };
            }
            // Still writable: it is tried again at once.
            Err(ErrorKind::Interrupted) => return Sending { gone: false, error: told },
            Err(kind) if is_refusal(kind) => told = Some(kind),
            Err(DATAGRAM_TOO_BIG) if first => {}
            Err(kind) => return Sending { gone: true, error: Some(kind) },
        }
    }
    Sending { gone: true, error: told }
}
