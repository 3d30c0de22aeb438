//! Sockets that a service manager opened and handed over (sd_listen_fds(3)).
#![allow(unsafe_code)] // descriptors whose numbers are known from the environment

use std::env;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use mio::net::{TcpListener, UnixListener};
use socket2::{Domain, SockRef, Socket, Type};

use super::socket::ListeningSocket;
use super::tcp;

/// The first descriptor that is handed over (SD_LISTEN_FDS_START).
const FIRST: i32 = 3;
/// The name of one that has none.
const UNKNOWN: &str = "unknown";

/// The sockets that were handed over and that no listener has taken yet, with their names.
pub(super) struct Inherited(Vec<(String, Socket)>);

impl Inherited {
    /// Takes all that the environment speaks of. To be called before there is any listening socket
    /// of our own.
    ///
    /// # Errors
    /// Nothing was handed over to this process, or something else than listening sockets: in words.
    pub(super) fn take() -> Result<Self, String> {
        let number = |name: &str| env::var(name).ok()?.parse::<i32>().ok();
        let count = number("LISTEN_FDS").ok_or(
            "no socket was handed over: LISTEN_FDS is not set, as a service manager would",
        )?;
        match number("LISTEN_PID").map(i32::unsigned_abs) {
            Some(process) if process == std::process::id() => {}
            _ => return Err("no socket was handed over: LISTEN_PID is not this process".into()),
        }
        if !(1..=1024).contains(&count) {
            return Err(format!("no socket was handed over: LISTEN_FDS is {count}"));
        }
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let name = |_| names.next().unwrap_or(UNKNOWN).to_owned();
        let names: Vec<_> = (0..count).map(name).collect();
        let sockets = names.into_iter().zip(FIRST..);
        sockets
            .map(|(name, fd)| adopt(fd).map(|socket| (name, socket)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Those of this name; without one, all that are left.
    ///
    /// # Errors
    /// There is none, or the system refuses something.
    pub(super) fn named(
        &mut self,
        name: Option<&str>,
        probe: Duration,
    ) -> Result<Vec<ListeningSocket>, String> {
        let wanted = |own: &str| name.is_none_or(|name| own == name);
        let taken: Vec<_> = self.0.extract_if(.., |(own, _)| wanted(own)).collect();
        if taken.is_empty() {
            return Err(match name {
                None => "all sockets that were handed over have other listeners".into(),
                Some(name) => format!("no socket of the name '{name}' was handed over"),
            });
        }
        let ready = |(name, socket)| {
            listener(socket, probe).map_err(|error| format!("socket '{name}': {error}"))
        };
        taken.into_iter().map(ready).collect()
    }

    /// The names of those that nobody took.
    pub(super) fn left(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// Takes over a descriptor that was handed over.
fn adopt(fd: i32) -> Result<Socket, String> {
    // SAFETY: it is used for the calls of the next lines only, and these do no more than fail where
    // nothing of this number is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let socket = SockRef::from(&borrowed);
    let listens = socket.is_listener().unwrap_or(false)
        && socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
    if !listens {
        return Err(format!("descriptor {fd} was handed over, and is not a listening socket"));
    }
    // SAFETY: it is open, and nobody else owns it: nothing of ours listens yet.
    let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(socket)
}

fn listener(socket: Socket, probe: Duration) -> std::io::Result<ListeningSocket> {
    socket.set_cloexec(true)?;
    socket.set_nonblocking(true)?;
    if socket.domain()? == Domain::UNIX {
        return Ok(ListeningSocket::Unix(UnixListener::from_std(socket.into()), None));
    }
    tcp::prepare(&SockRef::from(&socket), probe)?;
    Ok(ListeningSocket::Tcp(TcpListener::from_std(socket.into())))
}
