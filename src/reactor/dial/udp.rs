//! UDP peers.

use std::io::{self, Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::UdpSocket;

use crate::net::Transport;

/// A UDP socket connected to the first address that can be routed to.
pub(in crate::reactor) fn connect(addresses: &[SocketAddr]) -> io::Result<Transport> {
    let mut last = Error::new(ErrorKind::NotFound, "no address");
    for &address in addresses {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let connected = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
            socket.connect(address)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => return Ok(Transport::Udp(socket)),
            Err(error) => last = error,
        }
    }
    Err(last)
}
