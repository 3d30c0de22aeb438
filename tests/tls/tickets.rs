//! Sessions that are resumed, also by another process.

use crate::common::{Peer, noise};
use crate::support::{Authority, LATER, Wss, daemon};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

fn kind(client: &Wss) -> HandshakeKind {
    client.0.conn.handshake_kind().unwrap()
}

/// Tickets come behind the handshake: something must be read before they are there.
fn visit(port: u16, config: &std::sync::Arc<rustls::ClientConfig>) -> HandshakeKind {
    let mut client = Wss::connect(port, "localhost", config);
    client.echoes(b"a visit");
    let kind = kind(&client);
    assert_eq!(client.close().unwrap(), 0);
    kind
}

#[test]
fn a_session_is_resumed_by_the_next_process_that_has_the_keys() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let key = |length, seed| STANDARD.encode(noise(length, seed)) + "\n";
    let (old, new) = (key(48, 1), key(80, 2));
    let file = authority.write("tickets", &old);
    let arguments = ["--tls-cert", &pair, "--tls-tickets", &file];
    for version in [&TLS12, &TLS13] {
        authority.write("tickets", &old);
        let config = authority.client(&[version], None);
        {
            let (_daemon, port) = daemon(&peer, &arguments);
            assert_eq!(visit(port, &config), HandshakeKind::Full);
            assert_eq!(visit(port, &config), HandshakeKind::Resumed);
        }
        // Another process, and a new first key.
        authority.write("tickets", &(new.clone() + &old));
        let (_daemon, port) = daemon(&peer, &arguments);
        assert_eq!(visit(port, &config), HandshakeKind::Resumed, "{version:?}");
    }
}

#[test]
fn without_keys_sessions_are_resumed_until_the_end_of_the_process() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let config = authority.client(&[&TLS13], None);
    {
        let (_daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
        assert_eq!(visit(port, &config), HandshakeKind::Full);
        assert_eq!(visit(port, &config), HandshakeKind::Resumed);
    }
    let (_daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    assert_eq!(visit(port, &config), HandshakeKind::Full);
}
