//! The operating system behind the reactor, by mio.

use std::io::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::dial::{fifo, udp, unix};
use super::slots::Key;
use super::system::{Event, OFFLOAD, SIGNALS, Signal, System};
use crate::memory::Trimmer;
use crate::net::{Readiness, Transport};
use crate::offload::Threads;

/// Events taken at once.
const EVENTS: usize = 1024;

/// epoll, signals, the clock, and memory that is to go back when there is less to do.
pub(super) struct Kernel {
    poll: Poll,
    signals: Signals,
    trimmer: Trimmer,
}

impl Kernel {
    /// What failed is named.
    pub(super) fn new() -> std::result::Result<Self, (&'static str, std::io::Error)> {
        let poll = Poll::new().map_err(|error| ("epoll", error))?;
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).and_then(|mut signals| {
            poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
            Ok(signals)
        });
        let signals = signals.map_err(|error| ("signal handlers", error))?;
        let trimmer = Trimmer::start().map_err(|error| ("threads", error))?;
        Ok(Self { poll, signals, trimmer })
    }

    /// Tells the loop that something came back from the offload.
    pub(super) fn waker(&self) -> Result<Waker> {
        Waker::new(self.poll.registry(), OFFLOAD)
    }
}

impl System for Kernel {
    type Listener = TcpListener;
    type Transport = Transport;
    type Workers = Threads<Key>;
    type Events = Events;

    fn events(&self) -> Events {
        Events::with_capacity(EVENTS)
    }

    fn now(&mut self) -> Instant {
        Instant::now()
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Events) -> Result<()> {
        self.poll.poll(events, timeout)
    }

    fn iter(events: &Events) -> impl Iterator<Item = Event> {
        events.iter().map(|event| (event.token(), Readiness::from(event)))
    }

    fn next_signal(&mut self) -> Option<Signal> {
        self.signals.pending().next().map(|signal| match signal {
            SIGHUP => Signal::Hangup,
            SIGTERM => Signal::Terminate,
            _ => Signal::Interrupt,
        })
    }

    fn freed(&mut self) {
        self.trimmer.note();
    }

    fn watch_listener(&mut self, listener: &mut TcpListener, token: Token) -> Result<()> {
        self.poll.registry().register(listener, token, Interest::READABLE)
    }

    fn accept(&mut self, listener: &TcpListener) -> Result<(Transport, SocketAddr)> {
        listener.accept().map(|(client, address)| (Transport::Tcp(client), address))
    }

    fn stop_listening(&mut self, mut listener: TcpListener) {
        // Closing it takes it out of the poll too.
        let _ = self.poll.registry().deregister(&mut listener);
    }

    fn watch(&mut self, transport: &mut Transport, token: Token) -> Result<()> {
        transport.register(self.poll.registry(), token)
    }

    fn connect_tcp(&mut self, address: SocketAddr) -> Result<Transport> {
        TcpStream::connect(address).map(Transport::Tcp)
    }

    fn connect_udp(&mut self, address: SocketAddr) -> Result<Transport> {
        udp::connect(address)
    }

    fn connect_unix(&mut self, path: &Path) -> Result<Transport> {
        unix::stream(path)
    }

    fn connect_unix_datagram(&mut self, path: &Path) -> Result<Transport> {
        unix::datagram(path)
    }

    fn open_fifo(&mut self, path: &Path, write: bool) -> Result<Transport> {
        fifo::open(path, write)
    }
}
