//! Peers over TLS.

use crate::common::{BASE, Client, Daemon, Peer, answer, open};
use crate::support::{Authority, LATER, echo, server_config, tls_peer};
use rustls::server::WebPkiClientVerifier;
use std::io::Write;
use std::sync::Arc;

fn before(port: u16, arguments: &[&str]) -> Daemon {
    let host = format!("host=tls://localhost:{port}");
    Daemon::start(&[&["-c", &host, "-c", "framing=binary"], arguments].concat())
}

#[track_caller]
fn refused(daemon: &Daemon, says: &str) {
    let mut stream = open(daemon.port());
    stream.write_all(BASE.as_bytes()).unwrap();
    assert_eq!(answer(&mut stream, BASE.as_bytes()).status, 502);
    drop(stream); // the session ends, and is in the log, when both have gone
    let line = daemon.wait_for_log("refused with 502");
    assert!(line.contains(says), "{line}");
}

#[test]
fn a_good_peer_gets_and_gives_everything() {
    let authority = Authority::new();
    let peer = tls_peer(server_config(&authority.pair("localhost", LATER)), echo);
    let root = authority.root();
    let daemon = before(peer.port(), &["--peer-ca", &root]);
    for length in [1, 300_000] {
        let mut client = Client::connect(daemon.port());
        let payload = vec![7; length];
        client.frame(0x82, &payload);
        let mut heard = Vec::new();
        while heard.len() < length {
            heard.extend(client.message().1);
        }
        assert!(heard == payload);
        assert_eq!(client.close_now(), Some(1000));
    }
    let line = daemon.wait_for_log("client closed with 1000");
    assert!(line.contains("-> tls://localhost:") && !line.contains("close_notify"), "{line}");
    daemon.wait_for_log("peers over TLS are verified by the certificates in");
}

#[test]
fn the_systems_roots_may_be_named_by_the_environment() {
    let authority = Authority::new();
    let peer = tls_peer(server_config(&authority.pair("localhost", LATER)), echo);
    let host = format!("host=tls://localhost:{}", peer.port());
    let root = authority.root();
    let variables = [("SSL_CERT_FILE", root.as_str()), ("SSL_CERT_DIR", "")];
    let daemon = Daemon::with_environment(&variables, &["-c", &host]);
    assert_eq!(Client::connect(daemon.port()).close_now(), Some(1000));
    daemon.wait_for_log("verified by the system's 1 root certificates");
    drop(daemon);
    let nowhere = [("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")];
    let daemon = Daemon::with_environment(&nowhere, &["-c", &host]);
    refused(&daemon, "unknown issuer");
    daemon.wait_for_log("root certificates that are built in");
}

#[test]
fn bad_peers_are_told_apart_and_the_client_gets_502() {
    let (authority, other) = (Authority::new(), Authority::new());
    let root = authority.root();
    for (certificate, says) in [
        (authority.pair("example.org", LATER), "its certificate is not for the name localhost"),
        (authority.pair("localhost", 2020), "its certificate expired on Wed, 01 Jan 2020"),
        (other.pair("localhost", LATER), "its certificate is from an unknown issuer"),
    ] {
        let peer = tls_peer(server_config(&certificate), echo);
        refused(&before(peer.port(), &["--peer-ca", &root]), says);
    }
    let plain = Peer::speaks(b"RFB 003.008\n".to_vec());
    let daemon = before(plain.port(), &["--peer-ca", &root]);
    refused(&daemon, "it does not speak TLS: it begins with 'RFB 003.008");
    let gone = Peer::serve(drop);
    refused(&before(gone.port(), &["--peer-ca", &root]), "peer not reached: ");
}

#[test]
fn a_peer_that_says_nothing_is_given_up_in_time() {
    let peer = Peer::serve(|stream| {
        let _ = crate::common::Received::from(stream);
    });
    let daemon = before(peer.port(), &["--connect-timeout", "0.5"]);
    let mut stream = open(daemon.port());
    stream.write_all(BASE.as_bytes()).unwrap();
    assert_eq!(answer(&mut stream, BASE.as_bytes()).status, 504);
    drop(stream);
    daemon.wait_for_log("refused with 504: peer not reached in time");
}

#[test]
fn a_peer_may_ask_for_a_certificate() {
    let authority = Authority::new();
    let (root, shown) = (authority.root(), authority.pair("bridge", LATER));
    let verifier = WebPkiClientVerifier::builder(Arc::new(authority.roots())).build().unwrap();
    let pair = authority.pair("localhost", LATER);
    let config = || {
        let good = server_config(&pair);
        let builder =
            rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS12]);
        let mut asking = builder
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_cert_resolver(Arc::clone(&good.cert_resolver));
        asking.session_storage = good.session_storage;
        asking
    };
    let peer = tls_peer(config(), echo);
    let daemon = before(peer.port(), &["--peer-ca", &root, "--peer-cert", &shown]);
    assert_eq!(Client::connect(daemon.port()).close_now(), Some(1000));
    refused(&before(peer.port(), &["--peer-ca", &root]), "TLS alert");
}
