//! A made-up socket with what is known of it, and what the other end and the kernel do to it.

use std::io::ErrorKind;

use websocksy::conn::socket::{Endpoint, Ready};

use super::FakeSocket;
use crate::chance::Random;
use crate::descriptors::Descriptor;
use crate::options::Faults;

/// A socket, its readiness, and the descriptor that it takes.
#[derive(Debug)]
pub struct Plug {
    /// The socket.
    pub socket: FakeSocket,
    /// Its readiness.
    pub ready: Ready,
    /// Given back when the socket goes.
    pub descriptor: Option<Descriptor>,
}

impl Plug {
    /// A socket that is writable, with a window that is shut.
    #[must_use]
    pub fn new(faults: &Faults, random: Random, datagrams: bool, reads_in_pieces: bool) -> Self {
        Self {
            socket: FakeSocket::new(faults, random, datagrams, reads_in_pieces),
            ready: Ready { writable: true, reads_in_pieces, ..Ready::default() },
            descriptor: None,
        }
    }

    /// For the pump.
    pub fn endpoint(&mut self) -> Endpoint<'_, FakeSocket> {
        Endpoint { socket: &mut self.socket, ready: &mut self.ready }
    }

    /// Bytes, or one datagram, arrive, if the stream did not end before.
    pub fn arrive(&mut self, bytes: &[u8]) {
        let socket = &mut self.socket;
        if socket.end.is_some() || bytes.is_empty() && socket.datagrams.is_none() {
            return;
        }
        socket.input.extend_from_slice(bytes);
        if let Some(lengths) = &mut socket.datagrams {
            lengths.push_back(bytes.len());
        }
        self.ready.readable = true;
    }

    /// How far the window is open.
    #[must_use]
    pub fn window(&self) -> usize {
        self.socket.window
    }

    /// From now on the system tells what the other end has not acknowledged, as it does of TCP.
    pub fn tell_unacknowledged(&mut self) {
        self.socket.tells = true;
    }

    /// The other end takes all that the system holds for it, which is no event.
    pub fn take_all(&mut self) {
        self.socket.acknowledge(usize::MAX);
    }

    /// The window is open so far from now on, since the other end took so much; returns whether that
    /// is an event.
    pub fn set_window(&mut self, window: usize) -> bool {
        let before = std::mem::replace(&mut self.socket.window, window);
        let grows = window > before;
        self.socket.acknowledge(window.saturating_sub(before));
        let event = grows && std::mem::take(&mut self.socket.blocked);
        self.ready.writable |= event;
        event
    }

    /// The window grows up to `most`; returns whether that is an event.
    pub fn open_window(&mut self, most: usize) -> bool {
        self.set_window(self.socket.window.max(most))
    }

    /// From now on larger datagrams than this are too large.
    pub fn set_largest(&mut self, largest: usize) {
        self.socket.largest = largest;
    }

    /// The other side ends its stream, or breaks it off with an error.
    pub fn finish(&mut self, error: Option<ErrorKind>) {
        if matches!(self.socket.end, Some(end) if end.is_some() || error.is_none()) {
            return;
        }
        self.socket.end = Some(error);
        self.ready.readable = true;
        self.ready.hung_up = true;
        if error.is_some() {
            self.socket.broken = true;
            self.ready.writable = true;
        }
    }

    /// The next call fails with this, as when ICMP says that a datagram was refused.
    pub fn fail(&mut self, error: ErrorKind) {
        self.socket.errors.push_back(error);
        self.ready.hung_up |= error != ErrorKind::Interrupted;
        self.spurious();
    }

    /// An event that says more than is so.
    pub fn spurious(&mut self) {
        (self.ready.readable, self.ready.writable) = (true, true);
    }
}
