//! The addresses of ours that peers are dialled from.

use std::io::{self, Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::SourceAddress;

/// Whose turn it is, in each family.
#[derive(Default)]
pub(in crate::reactor) struct Turns {
    v4: usize,
    v6: usize,
}

impl Turns {
    /// Dials `address` from the source whose turn it is, of those that are of its family; from the next
    /// where that has no port left. If there is none, the kernel chooses.
    ///
    /// # Errors
    /// Those of `dial`; which sources have no port left.
    pub(in crate::reactor) fn dial<T>(
        &mut self,
        address: SocketAddr,
        sources: &[SourceAddress],
        mut dial: impl FnMut(Option<IpAddr>) -> io::Result<T>,
    ) -> io::Result<T> {
        let is_v6 = address.ip().to_canonical().is_ipv6();
        let of_family = || {
            sources.iter().map(|source| source.address).filter(move |one| one.is_ipv6() == is_v6)
        };
        let count = of_family().count();
        if count == 0 {
            return dial(None);
        }
        let turn = if is_v6 { &mut self.v6 } else { &mut self.v4 };
        let first = *turn % count;
        *turn = first + 1;
        let mut used_up = None;
        for source in of_family().cycle().skip(first).take(count) {
            match dial(Some(source)) {
                Err(error) if has_no_port(&error) => used_up = Some(error),
                outcome => return outcome,
            }
        }
        Err(used_up.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()))
    }
}

/// Whether it has no port left for this peer, or is not ours any more; EAGAIN is what UDP says.
fn has_no_port(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::EAGAIN))
}

/// Binds a socket that is to be connected to `peer`. Without IP_BIND_ADDRESS_NO_PORT (ip(7)) the
/// kernel would choose the port now, before it knows the peer, and give each port to one peer alone.
pub(super) fn bind(socket: &Socket, peer: SocketAddr, source: IpAddr) -> io::Result<()> {
    setsockopt(socket, IpBindAddressNoPort, &true)?;
    let source = match (source, peer.is_ipv6()) {
        (IpAddr::V4(v4), true) => v4.to_ipv6_mapped().into(),
        (source, _) => source,
    };
    socket.bind(&SocketAddr::new(source, 0).into())
}

/// Whether `source` is an address of this machine.
///
/// # Errors
/// Those of socket(2) and bind(2).
pub(in crate::reactor) fn check(source: IpAddr) -> io::Result<()> {
    let any = SocketAddr::new(source, 0);
    let socket = Socket::new(Domain::for_address(any), Type::STREAM, Some(Protocol::TCP))?;
    bind(&socket, any, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(all: &str) -> Vec<SourceAddress> {
        all.split_whitespace()
            .map(|one| SourceAddress { address: one.parse().unwrap(), origin: "".into() })
            .collect()
    }

    /// What is tried for some peers, one after the other, where `full` have no port left.
    fn tried(all: &str, peers: &str, full: &str) -> String {
        let (sources, mut turns, mut tried) = (sources(all), Turns::default(), Vec::new());
        for peer in peers.split_whitespace() {
            let dialled =
                turns.dial(SocketAddr::new(peer.parse().unwrap(), 1), &sources, |source| {
                    let name = source.map_or("any".into(), |source| source.to_string());
                    tried.push(name.clone());
                    match full.split_whitespace().any(|one| one == name) {
                        true => Err(Error::from_raw_os_error(libc::EADDRNOTAVAIL)),
                        false => Ok(()),
                    }
                });
            tried.push(if dialled.is_ok() { ";" } else { "used up;" }.into());
        }
        tried.join(" ")
    }

    #[test]
    fn sources_of_the_peers_family_take_turns() {
        for (all, peers, full, expected) in [
            ("", "10.0.0.1 ::1", "", "any ; any ;"),
            ("10.1.1.1", "10.0.0.1 ::1 10.0.0.1", "", "10.1.1.1 ; any ; 10.1.1.1 ;"),
            ("10.1.1.1", "::ffff:10.0.0.1", "", "10.1.1.1 ;"),
            (
                "10.1.1.1 fd::1 10.1.1.2 fd::2",
                "10.0.0.1 fd::9 10.0.0.1 fd::9 10.0.0.1",
                "",
                "10.1.1.1 ; fd::1 ; 10.1.1.2 ; fd::2 ; 10.1.1.1 ;",
            ),
            (
                "10.1.1.1 10.1.1.2 10.1.1.3",
                "10.0.0.1 10.0.0.1",
                "10.1.1.1 10.1.1.2",
                "10.1.1.1 10.1.1.2 10.1.1.3 ; 10.1.1.2 10.1.1.3 ;",
            ),
            ("10.1.1.1 10.1.1.2", "10.0.0.1", "10.1.1.1 10.1.1.2", "10.1.1.1 10.1.1.2 used up;"),
        ] {
            assert_eq!(tried(all, peers, full), expected, "{all} to {peers}");
        }
    }

    #[test]
    fn another_failure_is_not_the_sources() {
        let (all, mut count) = (sources("10.1.1.1 10.1.1.2"), 0);
        let refused = |_| -> io::Result<()> {
            count += 1;
            Err(Error::from_raw_os_error(libc::ENETUNREACH))
        };
        let error = Turns::default().dial(SocketAddr::from(([10, 0, 0, 1], 1)), &all, refused);
        assert_eq!((error.unwrap_err().raw_os_error(), count), (Some(libc::ENETUNREACH), 1));
    }

    #[test]
    fn addresses_of_others_cannot_be_bound() {
        check([127, 0, 0, 2].into()).unwrap();
        let error = check([192, 0, 2, 1].into()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    }
}
