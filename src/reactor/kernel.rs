//! The operating system behind the reactor, by mio.

use std::io::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::dial::{fifo, udp, unix};
use super::listen::ListeningSocket;
use super::slots::Key;
use super::system::{Event, OFFLOAD, SIGNALS, Signal, System};
use crate::memory::Trimmer;
use crate::net::notify::Manager;
#[cfg(feature = "tls")]
use crate::net::tls::Tls;
use crate::net::{Readiness, Transport};
use crate::offload::Threads;
use crate::proto::client_addr::ClientAddr;

/// Events taken at once.
const EVENTS: usize = 1024;

/// epoll, signals, the clock, and memory that is to go back when there is less to do.
pub(super) struct Kernel {
    poll: Poll,
    signals: Signals,
    trimmer: Trimmer,
    manager: Manager,
    /// When the service manager is next told that the loop turns.
    tell_at: Option<Instant>,
    #[cfg(feature = "tls")]
    tls: Tls,
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
        let manager = Manager::from_environment().map_err(|error| ("NOTIFY_SOCKET", error))?;
        Ok(Self {
            poll,
            signals,
            trimmer,
            manager,
            tell_at: None,
            #[cfg(feature = "tls")]
            tls: Tls::default(),
        })
    }

    /// The same, and it can speak TLS.
    #[cfg(feature = "tls")]
    pub(super) fn with_tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }

    /// The daemon is ready for clients: tells the service manager, and from now on that it turns.
    pub(super) fn ready(&mut self) {
        self.manager.tell("READY=1");
        self.tell_at = self.manager.watchdog_interval().map(|interval| Instant::now() + interval);
    }

    /// How long a wait may be for the service manager's sake, which is told if it is time.
    fn patience(&mut self) -> Option<Duration> {
        let (at, interval) = (self.tell_at?, self.manager.watchdog_interval()?);
        let now = Instant::now();
        if at <= now {
            self.manager.tell("WATCHDOG=1");
            self.tell_at = Some(now + interval);
            return Some(interval);
        }
        Some(at - now)
    }

    /// Tells the loop that something came back from the offload.
    pub(super) fn waker(&self) -> Result<Waker> {
        Waker::new(self.poll.registry(), OFFLOAD)
    }
}

impl System for Kernel {
    type Listener = ListeningSocket;
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
        let shortest = [timeout, self.patience()].into_iter().flatten().min();
        self.poll.poll(events, shortest)
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

    fn drains(&mut self) {
        self.manager.tell("STOPPING=1");
    }

    fn watch_listener(&mut self, listener: &mut ListeningSocket, token: Token) -> Result<()> {
        listener.register(self.poll.registry(), token)
    }

    fn accept(&mut self, listener: &ListeningSocket) -> Result<(Transport, ClientAddr)> {
        listener.accept()
    }

    fn stop_listening(&mut self, listener: ListeningSocket) {
        drop(listener); // that takes it out of the poll too
    }

    fn watch(&mut self, transport: &mut Transport, token: Token) -> Result<()> {
        transport.register(self.poll.registry(), token)
    }

    fn connect_tcp(&mut self, address: SocketAddr) -> Result<Transport> {
        TcpStream::connect(address).map(Transport::Tcp)
    }

    #[cfg(feature = "tls")]
    fn secure_client(&mut self, transport: &mut Transport) -> Result<()> {
        let socket = std::mem::replace(transport, Transport::Closed);
        *transport = Transport::Tls(Box::new(self.tls.accept(socket)));
        Ok(())
    }

    #[cfg(feature = "tls")]
    fn secure_peer(&mut self, transport: Transport, host: &str) -> Result<Transport> {
        Ok(Transport::Tls(Box::new(self.tls.connect(transport, host)?)))
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
