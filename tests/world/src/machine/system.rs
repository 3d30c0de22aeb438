//! What the reactor asks of the machine.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use websocksy::conn::Side;
use websocksy::proto::client_addr::ClientAddr;
use websocksy::reactor::{Event, Signal, System, Token};

use super::wire::{Connect, Handle};
use super::{Due, Machine, PeerKind, STEPS, WAITS};

impl System for Machine {
    type Listener = ();
    type Transport = Handle;
    type Workers = Self;
    type Events = Vec<Event>;

    fn events(&self) -> Vec<Event> {
        Vec::new()
    }

    fn now(&mut self) -> Instant {
        self.state().now
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> Result<()> {
        let mut guard = self.state();
        let state = &mut *guard;
        state.books.waits += 1;
        assert!(state.books.waits < WAITS, "it does not come to an end: {:?}", state.books);
        for wire in state.wires.iter_mut().filter(|wire| !wire.gone) {
            wire.plug.socket.end_turn();
            wire.plug.socket.begin_turn();
        }
        events.clear();
        if state.random.one_in(state.faults.stopped) {
            let stopped = state.long_latency(state.latencies.arrival);
            let until = state.now + stopped;
            state.stop(until);
            return Err(ErrorKind::Interrupted.into());
        }
        if timeout != Some(Duration::ZERO) {
            state.check_rest();
        }
        let until = timeout.map(|timeout| state.now + timeout);
        state.pass(until);
        state.check_sleep();
        state.tell(events);
        state.books.turn(timeout, events.len());
        Ok(())
    }

    fn iter(events: &Vec<Event>) -> impl Iterator<Item = Event> {
        events.iter().copied()
    }

    fn next_signal(&mut self) -> Option<Signal> {
        self.state().signals.pop_front()
    }

    fn watch_listener(&mut self, (): &mut (), token: Token) -> Result<()> {
        self.state().listener = Some(token);
        Ok(())
    }

    fn accept(&mut self, (): &()) -> Result<(Handle, ClientAddr)> {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(&client) = state.backlog.front() else {
            state.books.goes_on();
            return Err(ErrorKind::WouldBlock.into());
        };
        if state.descriptors.are_used_up() {
            let now = state.now;
            state.books.nothing_left(now);
            return Err(Error::from_raw_os_error(libc::EMFILE));
        }
        state.books.goes_on();
        state.backlog.pop_front();
        if state.random.one_in(state.faults.aborted) {
            state.clients[client].aborted = true;
            return Err(Error::from_raw_os_error(libc::ECONNABORTED));
        }
        drop(guard);
        let handle = self
            .open(|state| state.new_wire(client, Side::Client, PeerKind::Stream, Connect::Done))?;
        let mut state = self.state();
        let now = state.now;
        state.clients[client].accepted(handle.id, now);
        state.enter(Duration::ZERO, Due::Client(client));
        let address = state.proxy.unwrap_or(state.clients[client].address);
        let address = SocketAddr::new(address, 1);
        drop(state);
        Ok((handle, address.into()))
    }

    fn stop_listening(&mut self, (): ()) {
        let mut state = self.state();
        state.listener = None;
        let all = state.backlog.is_empty() || state.descriptors.are_used_up();
        assert!(all, "those who wait are reset");
        while let Some(client) = state.backlog.pop_front() {
            state.clients[client].reset = true;
        }
    }

    fn watch(&mut self, transport: &mut Handle, token: Token) -> Result<()> {
        let mut guard = self.state();
        let state = &mut *guard;
        let wire = &mut state.wires[transport.id];
        assert!(wire.token.is_none(), "registered twice");
        let (client, side) = (wire.client, wire.side);
        if state.random.one_in(state.faults.unwatched) {
            wire.failed = Some(state.now);
            state.clients[client].failed_at = Some(state.now);
            state.clients[client].unwatched |= side == Side::Client;
            return Err(Error::from_raw_os_error(libc::ENOSPC));
        }
        state.wires[transport.id].token = Some(token);
        state.announce(transport.id);
        Ok(())
    }

    fn secure_client(&mut self, transport: &mut Handle) -> Result<()> {
        let mut state = self.state();
        let steps = 1 + state.random.below(STEPS);
        let wire = &mut state.wires[transport.id];
        (wire.steps, wire.handshake) = (steps, steps);
        Ok(())
    }

    fn connect_tcp(&mut self, address: SocketAddr, source: Option<IpAddr>) -> Result<Handle> {
        let client = usize::from(address.port()) - 1;
        self.state().check_begin(client, address);
        self.check_source(client, address, source)?;
        if !self.state().descriptors.are_used_up() {
            let mut state = self.state();
            if let Err(error) = state.fail_at_once() {
                state.fails(client);
                return Err(error);
            }
        }
        let opened = self.open(|state| {
            let mut wire = state.peer_wire(client, PeerKind::Stream, Connect::Running);
            wire.address = Some(address);
            wire
        });
        let handle = opened.inspect_err(|_| self.state().fails(client))?;
        self.state().attempt_begins(handle.id);
        Ok(handle)
    }

    fn connect_udp(&mut self, address: SocketAddr, source: Option<IpAddr>) -> Result<Handle> {
        let client = usize::from(address.port()) - 1;
        self.check_source(client, address, source)?;
        self.open_peer(client, PeerKind::Datagrams)
    }

    fn connect_unix(&mut self, path: &Path) -> Result<Handle> {
        if self.state().is_full() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.open_peer(client_of(path), PeerKind::Pieces)
    }

    fn connect_unix_datagram(&mut self, path: &Path) -> Result<Handle> {
        self.open_peer(client_of(path), PeerKind::Datagrams)
    }

    fn open_fifo(&mut self, path: &Path, _write: bool) -> Result<Handle> {
        self.open_peer(client_of(path), PeerKind::Fifo)
    }
}

fn client_of(path: &Path) -> usize {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).expect("a path that the machine gave")
}
