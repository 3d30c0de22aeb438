//! Whose turn it is: readiness kept per stream, because mio reports each edge once.

use std::io;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// The longest sleep, so that a load notices in time that its span is over.
const NAP: Duration = Duration::from_millis(20);

/// Streams, numbered from 0, and which of them may make progress.
pub(crate) struct PollLoop {
    poll: Poll,
    events: Events,
    ready: Vec<bool>,
}

impl PollLoop {
    /// Watches `streams` for `interest`.
    pub(crate) fn new<'a>(
        streams: impl IntoIterator<Item = &'a mut TcpStream>,
        interest: Interest,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut count = 0;
        for stream in streams {
            poll.registry().register(stream, Token(count), interest)?;
            count += 1;
        }
        Ok(Self { poll, events: Events::with_capacity(256), ready: vec![true; count] })
    }

    /// Waits for work unless some is left over, then gives every ready stream one turn.
    /// `turn` says whether the stream can go on without another event.
    pub(crate) fn round(
        &mut self,
        mut turn: impl FnMut(usize) -> io::Result<bool>,
    ) -> io::Result<()> {
        let nap = if self.ready.contains(&true) { Duration::ZERO } else { NAP };
        if let Err(error) = self.poll.poll(&mut self.events, Some(nap)) {
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        for event in &self.events {
            self.ready[event.token().0] = true;
        }
        for (index, ready) in self.ready.iter_mut().enumerate() {
            if *ready {
                *ready = turn(index)?;
            }
        }
        Ok(())
    }
}

/// Reads once. `None` means that nothing is there; an end of the stream is an error here.
pub(crate) fn read_some(
    stream: &mut impl io::Read,
    buffer: &mut [u8],
) -> io::Result<Option<usize>> {
    match stream.read(buffer) {
        Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the bridge hung up")),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes once. `None` means that there is no room.
pub(crate) fn write_some(stream: &mut impl io::Write, bytes: &[u8]) -> io::Result<Option<usize>> {
    match stream.write(bytes) {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
