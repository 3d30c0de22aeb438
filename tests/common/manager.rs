//! A service manager, as far as it is told things (sd_notify(3)).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::PATIENCE;

/// A service manager that listens.
pub(crate) struct Manager {
    /// For `NOTIFY_SOCKET`.
    pub(crate) name: String,
    socket: UnixDatagram,
}

impl Manager {
    /// One at an abstract address of its own; `what` tells those of a process apart.
    pub(crate) fn listen(what: &str) -> Self {
        let name = format!("websocksy-{what}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self::at(format!("@{name}"), &address)
    }

    /// One at this address, which has this name.
    pub(crate) fn at(name: String, address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { name, socket }
    }

    /// What it is told next.
    pub(crate) fn heard(&self) -> String {
        let mut message = [0; 256];
        let length = self.socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// Whether it is told nothing for this long.
    pub(crate) fn hears_nothing(&self, time: std::time::Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).unwrap();
        self.socket.recv(&mut [0; 64]).is_err()
    }
}
