//! What client and peer say to each other, and how it may end. A conversation never panics: where it
//! ends otherwise than it should is what the sweep is about.

use crate::common::{BASE, frame, noise};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How long a conversation may take in all. The daemon is told to wait for a second at most.
const LONGEST: Duration = Duration::from_secs(4);
/// How long a client waits for an answer to a datagram until it says it again.
const AGAIN: Duration = Duration::from_millis(300);
/// More than a turn of the daemon's and a socket of the system's take at once.
const BULK: usize = 300_000;

/// How a conversation ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// With a status, not 101.
    Refused(u16),
    /// With a close frame of the daemon's.
    Closed(Option<u16>),
    /// With FIN or RST and nothing before it.
    Cut,
    /// Not at all: the client waits for this.
    Stuck(&'static str),
    /// The daemon sent what it should not.
    Wrong(String),
}

type Step = Result<(), Stop>;

/// One client and all that it says. The request is `head`, and what the peer gets is read from
/// `at_peer`, where the peer does not answer by itself.
pub(crate) struct Talk {
    stream: TcpStream,
    held: Vec<u8>,
    until: Instant,
    datagrams: bool,
}

impl Talk {
    pub(crate) fn open(port: u16, datagrams: bool) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let until = Instant::now() + LONGEST;
        Self { stream, held: Vec::new(), until, datagrams }
    }

    /// What the daemon's log knows this client by.
    pub(crate) fn name(&self) -> String {
        self.stream.local_addr().unwrap().to_string()
    }

    /// Handshake, with further header fields.
    pub(crate) fn upgrade(&mut self, fields: &str) -> Step {
        let head = format!("{}{fields}\r\n", BASE.strip_suffix("\r\n").unwrap());
        match self.request(&head)? {
            101 => Ok(()),
            status => Err(Stop::Refused(status)),
        }
    }

    /// Sends `head` and reads the head of the answer; its status.
    pub(crate) fn request(&mut self, head: &str) -> Result<u16, Stop> {
        let _ = self.stream.write_all(head.as_bytes());
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill("an answer", self.until)?;
        };
        let answer: Vec<u8> = self.held.drain(..end).collect();
        let status =
            answer.get(9..12).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
        status.ok_or_else(|| Stop::Wrong(String::from_utf8_lossy(&answer).into_owned()))
    }

    /// A refusal is read to its end.
    pub(crate) fn expect_end(&mut self) -> Step {
        loop {
            match self.fill("the end", self.until) {
                Ok(()) => {}
                Err(Stop::Cut) => return Ok(()),
                Err(stop) => return Err(stop),
            }
        }
    }

    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        let _ = self.stream.set_write_timeout(Some(LONGEST));
        let _ = self.stream.write_all(&frame(first, payload)); // reads say what became of it
    }

    /// A message that the peer sends back; to a datagram peer again until it does, some times.
    pub(crate) fn echo(&mut self, payload: &[u8]) -> Step {
        self.send(0x82, payload);
        let mut tries = if self.datagrams { 4 } else { 0 };
        let mut got = Vec::new();
        while got.len() < payload.len() {
            let until = if tries > 0 { Instant::now() + AGAIN } else { self.until };
            match self.data(until) {
                Ok(data) => got.extend(data),
                Err(Stop::Stuck(_)) if tries > 0 => {
                    tries -= 1;
                    self.send(0x82, payload);
                }
                Err(stop) => return Err(stop),
            }
        }
        if got == payload {
            return Ok(());
        }
        Err(Stop::Wrong(format!("{} bytes for {}", got.len(), payload.len())))
    }

    pub(crate) fn ping(&mut self) -> Step {
        self.send(0x89, b"!");
        match self.frame(self.until)? {
            (0x8a, payload) if payload == b"!" => Ok(()),
            (0x88, payload) => Err(self.closed(&payload)),
            (first, payload) => Err(Stop::Wrong(format!("{first:02x} {payload:02x?} for a pong"))),
        }
    }

    /// What every conversation of an open session begins with.
    pub(crate) fn exchange(&mut self) -> Step {
        self.echo(b"hello")?;
        self.ping()?;
        let bulk = if self.datagrams { 10_000 } else { BULK };
        self.echo(&noise(bulk, 1))
    }

    /// `payload` comes from the peer.
    pub(crate) fn expect(&mut self, payload: &[u8]) -> Step {
        let mut got = Vec::new();
        while got.len() < payload.len() {
            got.extend(self.data(self.until)?);
        }
        if got == payload { Ok(()) } else { Err(Stop::Wrong("other bytes".to_owned())) }
    }

    /// Closes, and waits for the daemon to do so too.
    pub(crate) fn close(&mut self) -> Step {
        self.send(0x88, &1000_u16.to_be_bytes());
        match self.data(self.until) {
            Err(Stop::Closed(Some(1000))) => self.expect_end(),
            Err(stop) => Err(stop),
            Ok(data) => Err(Stop::Wrong(format!("{data:02x?} for a close frame"))),
        }
    }

    /// The daemon closes with 1000.
    pub(crate) fn expect_close(&mut self) -> Step {
        match self.data(self.until) {
            Err(Stop::Closed(Some(1000))) => self.expect_end(),
            Err(stop) => Err(stop),
            Ok(data) => Err(Stop::Wrong(format!("{data:02x?} for a close frame"))),
        }
    }

    /// How the daemon ends it.
    pub(crate) fn expect_code(&mut self) -> Stop {
        match self.data(self.until) {
            Err(stop @ Stop::Closed(_)) => match self.expect_end() {
                Ok(()) => stop,
                Err(stop) => stop,
            },
            Err(stop) => stop,
            Ok(data) => Stop::Wrong(format!("{data:02x?} for a close frame")),
        }
    }

    /// Ends without a close frame, and waits for the daemon's end.
    pub(crate) fn vanish(&mut self) -> Step {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.expect_end()
    }

    /// The payload of the next data frame; a close frame is answered.
    fn data(&mut self, until: Instant) -> Result<Vec<u8>, Stop> {
        match self.frame(until)? {
            (0x81 | 0x82, payload) => Ok(payload),
            (0x88, payload) => Err(self.closed(&payload)),
            (first, payload) => Err(Stop::Wrong(format!("{first:02x} {payload:02x?}"))),
        }
    }

    /// Answers a close frame.
    fn closed(&mut self, payload: &[u8]) -> Stop {
        self.send(0x88, payload);
        Stop::Closed(payload.first_chunk().map(|code| u16::from_be_bytes(*code)))
    }

    /// The next frame that is not a ping, which is answered: its first byte and its payload.
    fn frame(&mut self, until: Instant) -> Result<(u8, Vec<u8>), Stop> {
        loop {
            while let Some((first, payload)) = self.held_frame() {
                if first != 0x89 {
                    return Ok((first, payload));
                }
                self.send(0x8a, &payload);
            }
            self.fill("a frame", until)?;
        }
    }

    fn held_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let held = &self.held;
        let (length, at) = match *held.get(1)? & 0x7f {
            126 => (usize::from(u16::from_be_bytes(held.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(held.get(2..10)?.try_into().ok()?) as usize, 10),
            short => (usize::from(short), 2),
        };
        let payload = held.get(at..at + length)?.to_vec();
        let first = held[0];
        self.held.drain(..at + length);
        Some((first, payload))
    }

    fn fill(&mut self, what: &'static str, until: Instant) -> Step {
        let mut buffer = [0; 65_536];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Stop::Stuck(what));
            }
            let _ = self.stream.set_read_timeout(Some(left));
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Stop::Cut),
                Ok(read) => {
                    self.held.extend_from_slice(&buffer[..read]);
                    return Ok(());
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                    _ => return Err(Stop::Cut),
                },
            }
        }
    }
}
