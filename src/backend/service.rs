//! Ports by the name of their service (services(5)).
#![allow(unsafe_code)] // getaddrinfo(3): std has no look-up of services

use libc::{addrinfo, c_int};
use std::ffi::CString;
use std::mem::zeroed;
use std::ptr;

/// Which of a service's ports is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

/// The port of a service, if the system knows one of this name. May read files, or ask a server:
/// not for the loop.
pub(super) fn port(name: &str, protocol: Protocol) -> Option<u16> {
    let name = CString::new(name).ok()?;
    // SAFETY: integers and null pointers.
    let mut hints: addrinfo = unsafe { zeroed() };
    hints.ai_family = libc::AF_INET; // no host is looked up: this is the loopback address
    hints.ai_socktype = match protocol {
        Protocol::Tcp => libc::SOCK_STREAM,
        Protocol::Udp => libc::SOCK_DGRAM,
    };
    let mut found: *mut addrinfo = ptr::null_mut();
    // SAFETY: a C string, hints that are filled in, and a place for the result.
    let refused: c_int =
        unsafe { libc::getaddrinfo(ptr::null(), name.as_ptr(), &raw const hints, &raw mut found) };
    if refused != 0 {
        return None;
    }
    // SAFETY: a list with at least one entry, which is freed once; AF_INET was asked for, so its
    // address is a `sockaddr_in`.
    unsafe {
        let address = (*found).ai_addr.cast::<libc::sockaddr_in>();
        let port = u16::from_be((*address).sin_port);
        libc::freeaddrinfo(found);
        Some(port).filter(|port| *port != 0)
    }
}
