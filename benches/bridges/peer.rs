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

use crate::rota::{read_some, write_some};
use crate::tape::Tape;

/// Bytes of one read; the socket's buffer is larger, the second-level cache is too.
const READ: usize = 256 * 1024;

/// What a peer does with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Habit {
    /// Sends back what it receives.
    Echo,
    /// Receives the tape, verifies it, and answers nothing.
    Drain,
    /// Sends the noise tape as fast as it is taken.
    FloodNoise,
    /// Sends the text tape as fast as it is taken.
    FloodText,
}

const HABITS: [Habit; 4] = [Habit::Echo, Habit::Drain, Habit::FloodNoise, Habit::FloodText];

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
    pub(crate) fn start(noise: Tape, text: Tape) -> io::Result<Self> {
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

    /// Where the peer with this habit listens.
    pub(crate) fn port(&self, habit: Habit) -> u16 {
        self.ports.get(&(habit as u8)).copied().unwrap_or_default()
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
    noise: Tape,
    text: Tape,
    buffer: Vec<u8>,
    shared: Arc<Shared>,
}

impl Crowd {
    fn new(noise: Tape, text: Tape, shared: Arc<Shared>) -> io::Result<Self> {
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
        let address = |(habit, listener): (&Habit, &TcpListener)| {
            Ok((*habit as u8, listener.local_addr()?.port()))
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
                    Some(habit) => self.accept(token.0, *habit)?,
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

    fn accept(&mut self, listener: usize, habit: Habit) -> io::Result<()> {
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
            let tape = if habit == Habit::FloodText { &self.text } else { &self.noise };
            self.members.insert(token, Member::new(stream, habit, tape.clone()));
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
    habit: Habit,
    tape: Tape,
    unsent: Vec<u8>,
}

impl Member {
    fn new(stream: TcpStream, habit: Habit, tape: Tape) -> Self {
        Self { stream, habit, tape, unsent: Vec::new() }
    }

    /// Does one read or one write; true if there may be more to do without another event.
    fn turn(&mut self, buffer: &mut [u8], drained: &AtomicU64) -> io::Result<bool> {
        match self.habit {
            Habit::Echo => self.echo(buffer),
            Habit::Drain => self.drain(buffer, drained),
            Habit::FloodNoise | Habit::FloodText => self.flood(buffer),
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
        if !self.tape.follows(&buffer[..count]) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "wrong bytes reached the peer"));
        }
        drained.fetch_add(count as u64, Relaxed);
        Ok(count == buffer.len())
    }

    /// Writes the tape. Nothing is expected, so a read only tells whether the bridge has gone.
    fn flood(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(count) = write_some(&mut self.stream, self.tape.next())? else {
            read_some(&mut self.stream, buffer)?;
            return Ok(false);
        };
        self.tape.advance(count);
        Ok(true)
    }
}
