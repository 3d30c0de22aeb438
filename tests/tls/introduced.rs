//! What peers are told of clients, where there is TLS on either side.

use crate::common::{Client, Daemon, PATIENCE, Peer};
use crate::support::{Authority, LATER, Wss, daemon, echo, server_config};
use ppp::v2::{Header, Type};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConnection, StreamOwned};
use std::io::Read;
use std::sync::Arc;

/// Version, certificate and the host asked for, as a reader that is not ours has them.
#[test]
fn peers_are_told_what_the_clients_tls_is_like() {
    let (authority, (peer, received)) = (Authority::new(), Peer::sink());
    let pair = authority.pair("localhost", LATER);
    let (shown, root) = (authority.pair("client", LATER), authority.root());
    let optional = ["--tls-client-ca", &root, "--tls-client-auth", "optional"];
    let arguments = [&["--tls-cert", &pair, "--send-proxy", "v2"][..], &optional].concat();
    let (_daemon, port) = daemon(&peer, &arguments);
    for (version, certificate, expected) in [
        (&TLS13, None, &b"\x01\0\0\0\x01\x21\0\x07TLSv1.3"[..]),
        (&TLS12, None, b"\x01\0\0\0\x01\x21\0\x07TLSv1.2"),
        (&TLS13, Some(shown.as_str()), b"\x07\0\0\0\0\x21\0\x07TLSv1.3"),
    ] {
        let config = authority.client(&[version], certificate);
        let client = Wss::connect(port, "localhost", &config);
        client.close().unwrap();
        let head = received.recv_timeout(PATIENCE).unwrap().head;
        let header = Header::try_from(&head[..]).unwrap();
        let tlvs = header.tlvs().map(Result::unwrap).map(|tlv| (tlv.kind, tlv.value.into_owned()));
        let expected =
            vec![(Type::Authority.into(), b"h".to_vec()), (Type::SSL.into(), expected.to_vec())];
        assert_eq!(tlvs.collect::<Vec<(u8, _)>>(), expected);
    }
}

/// The header is not within TLS, but in front of it.
#[test]
fn a_peer_over_tls_is_told_before_its_handshake() {
    let authority = Authority::new();
    let config = Arc::new(server_config(&authority.pair("localhost", LATER)));
    let peer = Peer::serve(move |mut stream| {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\r\n") {
            stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        assert!(line.starts_with(b"PROXY TCP4 127.0.0.1 127.0.0.1 "), "{line:?}");
        echo(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream));
    });
    let (host, root) = (format!("host=tls://localhost:{}", peer.port()), authority.root());
    let arguments = ["-c", &host, "-c", "framing=binary", "--peer-ca", &root];
    let daemon = Daemon::start(&[&arguments[..], &["--send-proxy", "v1"]].concat());
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    assert_eq!(client.message(), (2, b"hello".to_vec()));
    client.close_now();
}
