//! The peers behind the bridges: one thread, one listener for each thing a peer can do.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::pattern::Pattern;
use crate::poll_loop::{read_some, write_some};

/// Bytes of one read; the socket's buffer is larger, the second-level cache is too.
const READ: usize = 256 * 1024;

/// What a peer does with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behaviour {
    /// Sends back what it receives.
    Echo,
    /// Receives the pattern, verifies it, and answers nothing.
    Drain,
    /// Sends the noise pattern as fast as it is taken.
    FloodNoise,
    /// Sends the text pattern as fast as it is taken.
    FloodText,
}

const HABITS: [Behaviour; 4] =
    [Behaviour::Echo, Behaviour::Drain, Behaviour::FloodNoise, Behaviour::FloodText];

/// The peers' thread, which lives as long as the program, as seen from the load.
pub(crate) struct Peers {
    ports: HashMap<u8, u16>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    drained: AtomicU64,
    fault: Mutex<Option<String>>,
}

impl Peers {
    /// Binds the listeners and starts the thread.
    pub(crate) fn start(noise: Pattern, text: Pattern) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut crowd = Crowd::new(noise, text, Arc::clone(&shared))?;
        let ports = crowd.ports()?;
        thread::spawn(move || {
            while let Err(error) = crowd.run() {
                crowd.shared.complain(error.to_string());
            }
        });
        Ok(Self { ports, shared })
    }

    /// Where the peer with this behaviour listens.
    pub(crate) fn port(&self, behaviour: Behaviour) -> u16 {
        self.ports.get(&(behaviour as u8)).copied().unwrap_or_default()
    }

    /// Payload bytes that reached the draining peer, of all its connections.
    pub(crate) fn drained(&self) -> u64 {
        self.shared.drained.load(Relaxed)
    }

    /// What went wrong since the last call.
    pub(crate) fn take_fault(&self) -> Option<String> {
        self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Shared {
    fn complain(&self, fault: String) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }
}

/// All connections of all peers.
struct Crowd {
    poll: Poll,
    listeners: Vec<TcpListener>,
    members: HashMap<Token, Member>,
    next: usize,
    ready: Vec<Token>,
    noise: Pattern,
    text: Pattern,
    buffer: Vec<u8>,
    shared: Arc<Shared>,
}

impl Crowd {
    fn new(noise: Pattern, text: Pattern, shared: Arc<Shared>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listeners = Vec::new();
        for index in 0..HABITS.len() {
            let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let mut listener = TcpListener::bind(any_port)?;
            poll.registry().register(&mut listener, Token(index), Interest::READABLE)?;
            listeners.push(listener);
        }
        let members = HashMap::new();
        let next = HABITS.len();
        let (ready, buffer) = (Vec::new(), vec![0; READ]);
        Ok(Self { poll, listeners, members, next, ready, noise, text, buffer, shared })
    }

    fn ports(&self) -> io::Result<HashMap<u8, u16>> {
        let address = |(behaviour, listener): (&Behaviour, &TcpListener)| {
            Ok((*behaviour as u8, listener.local_addr()?.port()))
        };
        HABITS.iter().zip(&self.listeners).map(address).collect()
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            let nap = if self.ready.is_empty() { None } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, nap) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for token in events.iter().map(mio::event::Event::token) {
                match HABITS.get(token.0) {
                    Some(behaviour) => self.accept(token.0, *behaviour)?,
                    None => self.mark_ready(token),
                }
            }
            for token in std::mem::take(&mut self.ready) {
                self.turn(token);
            }
        }
    }

    fn mark_ready(&mut self, token: Token) {
        if !self.ready.contains(&token) {
            self.ready.push(token);
        }
    }

    fn accept(&mut self, listener: usize, behaviour: Behaviour) -> io::Result<()> {
        loop {
            let mut stream = match self.listeners[listener].accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.next);
            self.next += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, token, interest)?;
            let pattern = if behaviour == Behaviour::FloodText { &self.text } else { &self.noise };
            self.members.insert(token, Member::new(stream, behaviour, pattern.clone()));
        }
    }

    fn turn(&mut self, token: Token) {
        let Some(member) = self.members.get_mut(&token) else { return };
        match member.turn(&mut self.buffer, &self.shared.drained) {
            Ok(true) => self.ready.push(token),
            Ok(false) => {}
            Err(error) => self.part(token, &error),
        }
    }

    /// A bridge may hang up whenever it likes; what counts as a fault is wrong bytes.
    fn part(&mut self, token: Token, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData {
            self.shared.complain(error.to_string());
        }
        if let Some(member) = self.members.remove(&token) {
            // Reset rather than close: tens of thousands of connections a minute must not leave
            // their ports in TIME_WAIT. Nothing is in flight when a peer parts.
            let _ = SockRef::from(&member.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// One connection of a peer.
struct Member {
    stream: TcpStream,
    behaviour: Behaviour,
    pattern: Pattern,
    unsent: Vec<u8>,
}

impl Member {
    fn new(stream: TcpStream, behaviour: Behaviour, pattern: Pattern) -> Self {
        Self { stream, behaviour, pattern, unsent: Vec::new() }
    }

    /// Does one read or one write; true if there may be more to do without another event.
    fn turn(&mut self, buffer: &mut [u8], drained: &AtomicU64) -> io::Result<bool> {
        match self.behaviour {
            Behaviour::Echo => self.echo(buffer),
            Behaviour::Drain => self.drain(buffer, drained),
            Behaviour::FloodNoise | Behaviour::FloodText => self.flood(buffer),
        }
    }

    fn echo(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        if self.unsent.is_empty() {
            let Some(count) = read_some(&mut self.stream, buffer)? else { return Ok(false) };
            let written = write_some(&mut self.stream, &buffer[..count])?.unwrap_or(0);
            self.unsent.extend(&buffer[written..count]);
            return Ok(count == buffer.len() || !self.unsent.is_empty());
        }
        let written = write_some(&mut self.stream, &self.unsent)?;
        self.unsent.drain(..written.unwrap_or(0));
        Ok(written.is_some())
    }

    fn drain(&mut self, buffer: &mut [u8], drained: &AtomicU64) -> io::Result<bool> {
        let Some(count) = read_some(&mut self.stream, buffer)? else { return Ok(false) };
        if !self.pattern.follows(&buffer[..count]) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "wrong bytes reached the peer"));
        }
        drained.fetch_add(count as u64, Relaxed);
        Ok(count == buffer.len())
    }

    /// Writes the pattern. Nothing is expected, so a read only tells whether the bridge has gone.
    fn flood(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(count) = write_some(&mut self.stream, self.pattern.next())? else {
            read_some(&mut self.stream, buffer)?;
            return Ok(false);
        };
        self.pattern.advance(count);
        Ok(true)
    }
}
