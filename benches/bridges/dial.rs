//! A client's connection to a bridge, up to the point where bytes flow.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::pattern::Pattern;
use crate::secure::{Secure, Security, Stream};
use crate::ws::{self, Receiver, Speech};

/// After this long without an answer a bridge has failed.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a read ends when the other side is gone.
const HUNG_UP: [io::ErrorKind; 2] = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];

/// Where a bridge listens, what it speaks, and what is expected to come out of it.
pub(crate) struct Target<'a> {
    /// The bridge's process.
    pub(crate) pid: u32,
    /// The port it listens on.
    pub(crate) port: u16,
    /// What it speaks to clients.
    pub(crate) speech: Speech,
    /// The payload that crosses it.
    pub(crate) pattern: Pattern,
    /// How connections to it begin.
    pub(crate) security: Security,
    /// What TLS to it needs.
    pub(crate) secure: &'a Secure,
}

/// An open connection; blocking, until a load takes it over.
pub(crate) struct Client {
    pub(crate) stream: Stream<TcpStream>,
    pub(crate) receiver: Receiver,
}

impl Target<'_> {
    /// Connects and, if the bridge speaks WebSocket, upgrades.
    pub(crate) fn open(&self) -> io::Result<Client> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let stream = self.secure.wrap(stream, self.security)?;
        let mut client =
            Client { stream, receiver: Receiver::new(self.speech, self.pattern.clone()) };
        if self.speech == Speech::WebSocket {
            client.upgrade()?;
        }
        Ok(client)
    }

    /// Opens `count` connections.
    pub(crate) fn open_many(&self, count: usize) -> io::Result<Vec<Client>> {
        (0..count).map(|_| self.open()).collect()
    }

    /// The pattern as the client sends it, in messages of `size` bytes.
    pub(crate) fn wire(&self, size: usize) -> Vec<u8> {
        ws::encode(self.speech, self.pattern.next(), size)
    }
}

impl Client {
    fn upgrade(&mut self) -> io::Result<()> {
        self.stream.write_all(ws::REQUEST)?;
        let mut head = Vec::new();
        loop {
            self.read_into(&mut head)?;
            if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                ws::check_response(&head[..end])?;
                return self.receiver.hear(&head[end + 4..]);
            }
        }
    }

    /// Sends one message and waits until `size` bytes have come back.
    pub(crate) fn echo(&mut self, message: &[u8], size: usize) -> io::Result<()> {
        self.stream.write_all(message)?;
        let due = self.receiver.heard + size as u64;
        while self.receiver.heard < due {
            self.hear_once()?;
        }
        Ok(())
    }

    /// Closes: with a closing handshake if the bridge speaks WebSocket (RFC 6455 §7.1.2). A bridge
    /// that hangs up instead of answering has closed too, and whether it may is not measured here.
    pub(crate) fn close(mut self, speech: Speech) -> io::Result<()> {
        if speech == Speech::WebSocket {
            self.stream.write_all(&ws::close_frame())?;
            while !self.receiver.closed {
                match self.hear_once() {
                    Err(error) if HUNG_UP.contains(&error.kind()) => break,
                    heard => heard?,
                }
            }
        }
        self.reset()
    }

    /// Hangs up without leaving a port in TIME_WAIT, of which a benchmark would soon run out.
    pub(crate) fn reset(self) -> io::Result<()> {
        SockRef::from(self.stream.socket()).set_linger(Some(Duration::ZERO))
    }

    fn hear_once(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.read_into(&mut bytes)?;
        self.receiver.hear(&bytes)
    }

    fn read_into(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it stalls"),
            _ => error,
        })?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the bridge hung up"));
        }
        bytes.extend(&buffer[..count]);
        Ok(())
    }
}
