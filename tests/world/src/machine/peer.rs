//! The other ends of the daemon's sockets to peers: most send back what they get.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use websocksy::backend::Target;

use super::{Due, State, WIDE};

impl State {
    pub(super) fn peer_goes_on(&mut self, id: usize) {
        let wire = &mut self.wires[id];
        if wire.gone || wire.plug.descriptor.is_none() {
            return;
        }
        let client = &mut self.clients[wire.client];
        let datagrams = matches!(client.target, Some(Target::Udp { .. } | Target::UnixDatagram(_)));
        let mut ended = false;
        match client.target {
            Some(Target::FifoTx(_)) if !wire.deaf => {
                client.peer_got.extend(wire.plug.socket.writes[wire.taken..].concat());
                wire.taken = wire.plug.socket.writes.len();
            }
            Some(Target::FifoRx(_)) => {
                let length = self.random.below(2_000) as usize;
                wire.plug.arrive(&self.random.bytes(length));
                ended = self.random.one_in(4);
            }
            _ if wire.deaf => client.peer_fails = true,
            _ => {
                let writes = wire.plug.socket.writes[wire.taken..].to_vec();
                wire.taken += writes.len();
                for write in writes {
                    client.peer_got.extend_from_slice(&write);
                    client.peer_sent.extend_from_slice(&write);
                    wire.plug.arrive(&write);
                }
                ended = wire.plug.socket.shut && !datagrams;
            }
        }
        if !wire.deaf {
            wire.plug.set_window(WIDE);
        }
        let fails = self.random.one_in(self.faults.failed_peer);
        if fails || ended {
            client.peer_fails |= fails;
            match (datagrams, fails && self.random.one_in(2)) {
                (true, _) => wire.plug.fail(ErrorKind::ConnectionRefused),
                (false, breaks_off) => {
                    wire.plug.finish(breaks_off.then_some(ErrorKind::ConnectionReset));
                }
            }
        }
        self.announce(id);
        if datagrams || !fails && !ended {
            let after = self.latency(self.latencies.step);
            self.enter(after, Due::Peer(id));
        }
    }
}

impl State {
    /// An attempt to reach a client's peer fails at once.
    pub(super) fn fails(&mut self, client: usize) {
        self.clients[client].failed_at = Some(self.now);
    }

    pub(super) fn is_full(&mut self) -> bool {
        self.random.one_in(self.faults.unreachable)
    }

    pub(super) fn attempt_begins(&mut self, id: usize) {
        let refused = self.random.one_in(self.faults.refused_connect);
        let outcome = if refused { Err(ErrorKind::ConnectionRefused) } else { Ok(()) };
        let dark = self.clients[self.wires[id].client].dark;
        let after = match dark {
            true => self.latencies.hang,
            false => self.long_latency(self.latencies.connect),
        };
        self.enter(after, Due::Connect(id, outcome));
        self.check_attempt(id);
    }

    /// Where a client is led.
    pub(super) fn target(&mut self, client: usize) -> Target {
        let port = client as u16 + 1;
        let path = format!("/run/{client}").into();
        let host = match self.random.below(4) {
            0 => "192.0.2.1".into(),
            1 => "localhost".into(),
            _ => format!("name{}.test", self.random.below(4)),
        };
        match self.random.below(10) {
            0..=4 => Target::Tcp { host, port },
            5 => Target::Udp { host, port },
            6 => Target::UnixDatagram(path),
            7 => Target::FifoTx(path),
            8 => Target::FifoRx(path),
            _ => Target::UnixStream(path),
        }
    }

    /// Addresses of either family.
    pub(super) fn addresses(&mut self) -> Vec<SocketAddr> {
        let address = |n: u64, v6| -> IpAddr {
            if v6 {
                [0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16].into()
            } else {
                [192, 0, 2, n as u8].into()
            }
        };
        let count = self.random.up_to(9) as u64;
        (1..=count).map(|n| SocketAddr::new(address(n, self.random.one_in(2)), 0)).collect()
    }
}
