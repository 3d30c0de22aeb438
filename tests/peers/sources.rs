//! Addresses of ours that peers are dialled from.

use super::{daemon_for, from_no_ephemeral_port};
use crate::common::{BASE, Client, Peer, answer, netns, upgrade};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};

const SOURCES: [&str; 4] = ["--source", "127.0.0.2", "--source", "127.0.0.3"];

#[test]
fn sources_take_turns() {
    let peer = Peer::serve(|mut stream| {
        let from = stream.peer_addr().unwrap().ip().to_string();
        stream.write_all(from.as_bytes()).unwrap();
    });
    let daemon = daemon_for(&format!("tcp://127.0.0.1:{}", peer.port()), &SOURCES);
    for expected in ["127.0.0.2", "127.0.0.3", "127.0.0.2"] {
        assert_eq!(Client::connect(daemon.port()).message().1, expected.as_bytes());
    }
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let daemon = daemon_for(&format!("udp://{}", peer.local_addr().unwrap()), &SOURCES);
    for expected in ["127.0.0.2", "127.0.0.3", "127.0.0.2"] {
        let mut client = Client::connect(daemon.port());
        client.frame(0x82, b"who?");
        let (_, from) = peer.recv_from(&mut [0; 16]).unwrap();
        assert_eq!(from.ip().to_string(), expected);
    }
}

/// A peer of another family is dialled from wherever the kernel says.
#[test]
fn a_source_of_another_family_is_left_out() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let port = listener.local_addr().unwrap().port();
    let daemon = daemon_for(&format!("tcp://[::1]:{port}"), &SOURCES);
    let client = Client::connect(daemon.port());
    assert_eq!(listener.accept().unwrap().1.ip().to_string(), "::1");
    drop(client);
}

/// Of six ports one is the daemon's own; five are enough for five sessions from each source to each peer,
/// and not in all.
#[test]
fn a_port_serves_a_session_of_each_source_and_peer() {
    let setup = "echo '40000 40005' > /proc/sys/net/ipv4/ip_local_port_range";
    let hosts = ["-c", "host=tcp://127.0.0.1:30001", "-c", "host=tcp://127.0.0.1:30002"];
    let all = [&hosts[..], &["-c", "balance=least", "-c", "framing=binary"], &SOURCES].concat();
    let Some(daemon) = netns::daemon(setup, &all) else { return };
    netns::inside(&daemon, || {
        let _peers = [30_001, 30_002].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
        let mut clients = Vec::new();
        for _ in 0..5 * 2 * 2 {
            let mut stream = from_no_ephemeral_port(daemon.port());
            upgrade(&mut stream, BASE.as_bytes());
            clients.push(Client::over(stream));
        }
        let mut stream = from_no_ephemeral_port(daemon.port());
        stream.write_all(BASE.as_bytes()).unwrap();
        assert_eq!(answer(&mut stream, b"").status, 503);
        daemon.wait_for_log("Cannot assign requested address");
    });
}
