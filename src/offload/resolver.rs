//! Names to addresses, by getaddrinfo(3).
#![allow(unsafe_code)] // errno has no safe setter

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// A name's addresses, with the zones of IPv6 (RFC 4007 §6) and without a port.
///
/// The resolver goes on where it can, so that a file of names that could not be opened for want of a
/// descriptor ends in "no such name". errno still says what there was no more of.
pub(super) fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    forget_errno();
    match (name, 0).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => {
            let left = io::Error::last_os_error();
            Err(if is_want(&left) { left } else { error })
        }
    }
}

/// Whether the resolver lacked something.
fn is_want(error: &io::Error) -> bool {
    let lacks = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|number| lacks.contains(&number))
}

/// What an earlier call left there must not be taken for this one's.
fn forget_errno() {
    // SAFETY: the address is that of this thread's errno, for as long as the thread lives.
    unsafe { *libc::__errno_location() = 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_zone() {
        let zone_of = |address: &SocketAddr| match address {
            SocketAddr::V6(address) => address.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        // The loopback interface is the first (netdevice(7)), by name or by number.
        for name in ["fe80::1%lo", "fe80::1%1"] {
            assert_eq!(look_up(name).unwrap().iter().map(zone_of).max(), Some(1), "{name}");
        }
    }

    #[test]
    fn a17_what_was_lacking_before_is_forgotten() {
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = libc::EMFILE };
        let error = look_up("not a name at all").unwrap_err();
        assert!(!is_want(&error), "{error}");
    }
}
