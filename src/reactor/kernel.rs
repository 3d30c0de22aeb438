//! The operating system behind the reactor, by mio.

use std::io::Result;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use mio::net::UnixDatagram;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2};
use signal_hook_mio::v1_0::Signals;

use super::dial::{fifo, tcp, udp, unix};
use super::listen::ListeningSocket;
use super::slots::Key;
use super::system::{Event, OFFLOAD, OTHERS, SIGNALS, Signal, System, Usage};
use crate::conn::earliest;
use crate::memory::{self, Trimmer};
use crate::net::limits;
use crate::net::notify::Manager;
#[cfg(feature = "tls")]
use crate::net::tls::{Tls, TlsConfigs};
use crate::net::{Readiness, Transport};
use crate::offload::Threads;
use crate::proto::client_addr::ClientAddr;
use crate::worker::{Inheritance, Item, LONGEST, Message, Said, receive};

/// Events taken at once.
const EVENTS: usize = 1024;

/// epoll, signals, the clock, and memory that is to go back when there is less to do.
pub(super) struct Kernel {
    poll: Poll,
    signals: Signals,
    trimmer: Trimmer,
    manager: Manager,
    /// Orders come from a supervisor.
    is_worker: bool,
    /// Where it, and other workers by it, say something.
    others: Option<UnixDatagram>,
    /// When the loop is to turn at the latest.
    turn_at: Option<Instant>,
    /// What came with the last message that brought something.
    handed: Vec<(Item, OwnedFd)>,
    /// It was told to end.
    ends: bool,
    /// When the service manager is next told that the loop turns.
    tell_at: Option<Instant>,
    #[cfg(feature = "tls")]
    tls: Tls,
}

impl Kernel {
    /// Of this process, or of a supervisor's worker. What failed is named.
    pub(super) fn new(
        supervisor: Option<&mut Inheritance>,
    ) -> std::result::Result<Self, (&'static str, std::io::Error)> {
        let poll = Poll::new().map_err(|error| ("epoll", error))?;
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR2]).and_then(|mut signals| {
            poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
            Ok(signals)
        });
        let signals = signals.map_err(|error| ("signal handlers", error))?;
        let is_worker = supervisor.is_some();
        if is_worker {
            signals.add_signal(SIGQUIT).map_err(|error| ("signal handlers", error))?;
        }
        let trimmer = Trimmer::start().map_err(|error| ("threads", error))?;
        let (manager, others) = managers(supervisor, &poll)?;
        Ok(Self {
            poll,
            signals,
            trimmer,
            manager,
            is_worker,
            others,
            turn_at: None,
            handed: Vec::new(),
            ends: false,
            tell_at: None,
            #[cfg(feature = "tls")]
            tls: Tls::default(),
        })
    }

    /// From now on it speaks TLS so.
    #[cfg(feature = "tls")]
    pub(super) fn renew_tls(&mut self, configs: TlsConfigs) {
        self.tls.renew(configs);
    }

    /// The daemon is ready for clients: tells the service manager, and from now on that it turns.
    pub(super) fn ready(&mut self) {
        self.manager.tell("READY=1");
        self.tell_at = self.manager.watchdog_interval().map(|interval| Instant::now() + interval);
    }

    /// Tells the service manager that the configuration is read again (sd_notify(3)).
    pub(super) fn reloads(&mut self) {
        if !self.is_worker {
            self.manager.tell_reloading();
        }
    }

    /// And that this is over, however it went.
    pub(super) fn reloaded(&mut self) {
        if !self.is_worker {
            self.manager.tell("READY=1");
        }
    }

    /// The loop turns then, if not before.
    pub(super) fn turn_at(&mut self, at: Option<Instant>) {
        self.turn_at = at;
    }

    /// Whether a supervisor handed anything over.
    pub(super) fn has_handed(&self) -> bool {
        !self.handed.is_empty()
    }

    /// What the supervisor sent with the last order that it gave.
    pub(super) fn take_handed(&mut self) -> Vec<(Item, OwnedFd)> {
        std::mem::take(&mut self.handed)
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

/// Who is told how things are: a service manager, or else the supervisor, who also says something.
fn managers(
    supervisor: Option<&mut Inheritance>,
    poll: &Poll,
) -> std::result::Result<(Manager, Option<UnixDatagram>), (&'static str, std::io::Error)> {
    let control = supervisor.and_then(|own| Some((own.take_control()?, own.stall_timeout())));
    let Some((socket, watchdog)) = control else {
        let manager = Manager::from_environment().map_err(|error| ("NOTIFY_SOCKET", error))?;
        return Ok((manager, None));
    };
    let set_up = || {
        let mut others = UnixDatagram::from(socket.try_clone()?);
        let manager = Manager::supervisor(socket.into(), watchdog)?;
        poll.registry().register(&mut others, OTHERS, Interest::READABLE)?;
        Ok((manager, Some(others)))
    };
    set_up().map_err(|error| ("the supervisor's socket", error))
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
        let turn = self.turn_at.map(|at| at.saturating_duration_since(Instant::now()));
        let shortest = earliest([timeout, self.patience(), turn]);
        self.poll.poll(events, shortest)
    }

    fn iter(events: &Events) -> impl Iterator<Item = Event> {
        events.iter().map(|event| (event.token(), Readiness::from(event)))
    }

    fn next_signal(&mut self) -> Option<Signal> {
        loop {
            let signal = self.signals.pending().next()?;
            let is_order = matches!(signal, SIGTERM | SIGINT);
            // A worker is told by its supervisor, and by a service manager that tells all processes,
            // and by a second signal of neither to make haste; SIGQUIT says that.
            if is_order && self.is_worker && std::mem::replace(&mut self.ends, true) {
                continue;
            }
            // Its supervisor has others take its place, and says so: whoever signals all processes
            // speaks to that one.
            if signal == SIGUSR2 && self.is_worker {
                continue;
            }
            return Some(match signal {
                SIGHUP => Signal::Hangup,
                SIGUSR2 => Signal::Upgrade,
                SIGINT => Signal::Interrupt,
                _ => Signal::Terminate,
            });
        }
    }

    fn freed(&mut self) {
        self.trimmer.note();
    }

    fn drains(&mut self) {
        self.manager.tell("STOPPING=1");
    }

    fn tell_other(&mut self, message: &Message) {
        if let (Some(others), Some(bytes)) = (&self.others, message.encode()) {
            let _ = others.send(&bytes);
        }
    }

    fn hear_other(&mut self) -> Option<Message> {
        let others = self.others.as_ref()?;
        let mut bytes = vec![0; LONGEST];
        loop {
            // What is no message is another version's.
            let (length, handed) = receive(others.as_fd(), &mut bytes).ok()?;
            let message = Message::parse(bytes.get(..length).unwrap_or_default());
            if let Some(Message { said: Said::Prepare(items), .. }) = &message {
                self.handed = items.iter().cloned().zip(handed).collect();
            }
            if message.is_some() {
                return message;
            }
        }
    }

    fn usage(&self) -> Usage {
        Usage {
            resident: memory::resident().unwrap_or_default(),
            descriptors: limits::descriptors().unwrap_or_default(),
            most_descriptors: limits::descriptor_limit().map_or(0, |limit| limit as u64),
        }
    }

    #[cfg(feature = "tls")]
    fn certificates(&self) -> &[(String, u64)] {
        self.tls.certificates()
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

    fn connect_tcp(&mut self, address: SocketAddr, source: Option<IpAddr>) -> Result<Transport> {
        tcp::connect(address, source)
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

    fn connect_udp(&mut self, address: SocketAddr, source: Option<IpAddr>) -> Result<Transport> {
        udp::connect(address, source)
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
