//! The other ends of the daemon's sockets to peers: most send back what they get.

use std::io::ErrorKind;

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
