//! The sockets of the machine, and the reactor's hold on them.

use std::fs::File;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use websocksy::conn::Side;
use websocksy::conn::socket::Socket;
use websocksy::reactor::{Channel, Readiness, Token};

use super::Machine;
use crate::socket::{FakeSocket, Plug};

/// What became of a connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Connect {
    /// It takes its time.
    Running,
    Done,
    Failed(ErrorKind),
}

/// A socket of the daemon's, and what is behind it.
#[derive(Debug)]
pub(super) struct Wire {
    /// Whose session it belongs to.
    pub(super) client: usize,
    pub(super) side: Side,
    pub(super) plug: Plug,
    pub(super) connect: Connect,
    /// When the other end took the connect.
    pub(super) connected: Option<Instant>,
    /// Where a TCP attempt goes, and when the daemon was told that it failed.
    pub(super) address: Option<SocketAddr>,
    pub(super) failed: Option<Instant>,
    /// Small messages do not wait for the other end to acknowledge earlier ones (tcp(7)).
    pub(super) nodelay: bool,
    pub(super) token: Option<Token>,
    /// An event of it waits for the next poll.
    pub(super) announced: bool,
    pub(super) is_fifo: bool,
    pub(super) reads_in_pieces: bool,
    /// Steps of a handshake, and how many are left before the daemon can tell the other end anything.
    pub(super) steps: u64,
    pub(super) handshake: u64,
    /// What the daemon wrote before they were done is dropped.
    pub(super) unheard: bool,
    /// Nobody reads what the daemon writes.
    pub(super) deaf: bool,
    /// The other end goes on with what it does; how many of the daemon's writes it has taken.
    pub(super) taken: usize,
    /// The daemon has dropped it, and when.
    pub(super) gone: bool,
    pub(super) gone_at: Option<Instant>,
}

impl Wire {
    /// What the next event says, which the poll then forgets.
    pub(super) fn readiness(&mut self) -> Readiness {
        let ready = std::mem::take(&mut self.plug.ready);
        let failed = self.plug.socket.broken || matches!(self.connect, Connect::Failed(_));
        Readiness {
            readable: ready.readable,
            writable: ready.writable,
            read_closed: ready.hung_up,
            write_closed: failed,
            urgent: false,
            failed,
        }
    }

    pub(super) fn has_event(&self) -> bool {
        let ready = &self.plug.ready;
        ready.readable || ready.writable || ready.hung_up
    }

    /// Whether a read would be a step of a handshake.
    pub(super) fn shakes_hands(&self) -> bool {
        let socket = &self.plug.socket;
        self.handshake > 0 && !socket.shut && socket.has_news() && socket.end.is_none()
    }

    /// Whether the daemon still tries to connect it, or holds it connected.
    pub(super) fn is_held(&self) -> bool {
        !self.gone && self.plug.descriptor.is_some()
    }
}

/// The reactor's hold on a socket.
#[derive(Debug)]
pub struct Handle {
    machine: Machine,
    pub(super) id: usize,
}

impl Handle {
    pub(super) fn new(machine: &Machine, id: usize) -> Self {
        Self { machine: machine.clone(), id }
    }

    fn socket<T>(&self, call: impl FnOnce(&mut FakeSocket) -> T) -> T {
        call(&mut self.machine.state().wires[self.id].plug.socket)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.machine.state().hang_up(self.id);
    }
}

impl Socket for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.machine.state().goes_on_with_handshake(self.id) {
            return Err(ErrorKind::Interrupted.into());
        }
        self.socket(|socket| socket.read(buffer))
    }

    fn write(&mut self, parts: &[IoSlice<'_>], last: bool) -> Result<usize> {
        if !self.understands() {
            self.machine.state().wires[self.id].unheard = true;
            return Ok(parts.iter().map(|part| part.len()).sum());
        }
        let taken = self.socket(|socket| socket.write(parts, last))?;
        let mut state = self.machine.state();
        let wire = &state.wires[self.id];
        assert!(wire.nodelay || wire.address.is_none(), "small messages to the peer are delayed");
        state.written(self.id);
        Ok(taken)
    }

    fn flush(&mut self) -> Result<()> {
        let flushed = self.socket(Socket::flush);
        self.machine.state().written(self.id);
        flushed
    }

    fn unflushed(&self) -> usize {
        self.socket(|socket| socket.unflushed())
    }

    fn send(&mut self, datagram: &[u8]) -> Result<()> {
        self.socket(|socket| socket.send(datagram))
    }

    fn shutdown(&mut self) -> Result<()> {
        self.socket(Socket::shutdown)
    }

    fn close(&mut self) {
        self.socket(Socket::close);
        let descriptor = self.machine.state().wires[self.id].plug.descriptor.take();
        drop(descriptor);
    }

    fn unacknowledged(&self) -> usize {
        self.socket(|socket| socket.unacknowledged())
    }

    fn reads_unasked(&self) -> bool {
        !self.machine.state().wires[self.id].is_fifo
    }
}

impl Channel for Handle {
    fn reads_in_pieces(&self) -> bool {
        self.machine.state().wires[self.id].reads_in_pieces
    }

    fn understands(&self) -> bool {
        self.machine.state().wires[self.id].handshake == 0
    }

    fn connect_outcome(&self) -> Option<Result<()>> {
        let mut state = self.machine.state();
        let now = state.now;
        let wire = &mut state.wires[self.id];
        match wire.connect {
            Connect::Running => None,
            Connect::Done => Some(Ok(())),
            Connect::Failed(kind) => {
                wire.failed = Some(now);
                Some(Err(kind.into()))
            }
        }
    }

    fn set_nodelay(&self) -> Result<()> {
        self.machine.state().wires[self.id].nodelay()
    }

    fn keep_alive(&self, _: Duration) -> Result<()> {
        Ok(())
    }

    fn duplicate(&self) -> Result<OwnedFd> {
        if self.machine.state().descriptors.are_used_up() {
            return Err(Error::from_raw_os_error(libc::EMFILE));
        }
        File::open("/dev/null").map(OwnedFd::from)
    }
}

impl Wire {
    fn nodelay(&mut self) -> Result<()> {
        assert_eq!(self.connect, Connect::Done, "a race was won by who is not connected");
        self.nodelay = true;
        Ok(())
    }
}
