//! The floor: a TCP relay that does nothing but relay. One thread, one buffer of a given size for
//! all connections, no `epoll_ctl` once a connection stands.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

/// Reads of one connection before the others have their turn.
const STEPS: usize = 8;

/// Relays from `listen` to `peer`, ports of the loopback interface, until it is killed.
pub(crate) fn run(listen: u16, peer: u16, buffer: usize) -> io::Result<()> {
    let poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, listen)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut relay =
        Relay { poll, listener, peer, pairs: HashMap::new(), next: 0, buffer: vec![0; buffer] };
    let mut events = Events::with_capacity(256);
    let mut unfinished = Vec::new();
    loop {
        let nap = (!unfinished.is_empty()).then_some(std::time::Duration::ZERO);
        relay.poll.poll(&mut events, nap)?;
        let mut due = std::mem::take(&mut unfinished);
        for event in &events {
            due.extend(relay.notice(event)?);
        }
        unfinished.extend(due.into_iter().filter(|index| relay.serve(*index)));
    }
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    peer: u16,
    pairs: HashMap<usize, [Side; 2]>,
    next: usize,
    buffer: Vec<u8>,
}

impl Relay {
    /// Takes note of an event; names the pair it concerns.
    fn notice(&mut self, event: &Event) -> io::Result<Option<usize>> {
        if event.token() == LISTENER {
            while let Ok((client, _)) = self.listener.accept() {
                self.join(client)?;
            }
            return Ok(None);
        }
        let (index, side) = (event.token().0 / 2, event.token().0 % 2);
        let Some(pair) = self.pairs.get_mut(&index) else { return Ok(None) };
        pair[side].readable |= event.is_readable();
        pair[side].hung_up |= event.is_read_closed();
        Ok(Some(index))
    }

    /// Connects to the peer, which on the loopback interface does not block.
    fn join(&mut self, client: TcpStream) -> io::Result<()> {
        let peer = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.peer))?;
        peer.set_nonblocking(true)?;
        let mut pair = [Side::new(client)?, Side::new(TcpStream::from_std(peer))?];
        for (index, side) in pair.iter_mut().enumerate() {
            let token = Token(2 * self.next + index);
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut side.stream, token, interest)?;
        }
        self.pairs.insert(self.next, pair);
        self.next += 1;
        Ok(())
    }

    /// Moves what can be moved; true if there is more that needs no event.
    fn serve(&mut self, index: usize) -> bool {
        let Some([client, peer]) = self.pairs.get_mut(&index) else { return false };
        let mut more = true;
        for _ in 0..STEPS {
            let up = client.step(peer, &mut self.buffer);
            let down = peer.step(client, &mut self.buffer);
            match (up, down) {
                (Ok(false), Ok(false)) => more = false,
                (Ok(_), Ok(_)) => continue,
                _ => [client.ended, peer.ended] = [true; 2],
            }
            break;
        }
        if client.ended && peer.ended {
            self.pairs.remove(&index);
            return false;
        }
        more
    }
}

/// One of the two sockets of a connection, and what it did not take.
struct Side {
    stream: TcpStream,
    backlog: Vec<u8>,
    readable: bool,
    hung_up: bool,
    ended: bool,
}

impl Side {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, backlog: Vec::new(), readable: false, hung_up: false, ended: false })
    }

    /// Moves one buffer from here to `there`; true if another step may move more.
    fn step(&mut self, there: &mut Side, buffer: &mut [u8]) -> io::Result<bool> {
        if !there.flush()? || !self.readable || self.ended {
            return Ok(false);
        }
        let count = match io::Read::read(&mut self.stream, buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if count == 0 {
            self.ended = true;
            there.stream.shutdown(Shutdown::Write)?;
            return Ok(false);
        }
        // epoll(7): a read that falls short has emptied the socket; a hang-up asks for one more.
        self.readable = count == buffer.len() || self.hung_up;
        let sent = there.send(&buffer[..count])?;
        there.backlog.extend_from_slice(&buffer[sent..count]);
        Ok(self.readable)
    }

    /// Whether nothing is kept back any more.
    fn flush(&mut self) -> io::Result<bool> {
        if !self.backlog.is_empty() {
            let backlog = std::mem::take(&mut self.backlog);
            let sent = self.send(&backlog)?;
            self.backlog = backlog;
            self.backlog.drain(..sent);
        }
        Ok(self.backlog.is_empty())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }
}
