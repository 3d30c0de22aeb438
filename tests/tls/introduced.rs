//! What peers are told of clients, where there is TLS on either side.

use crate::common::{self, BASE, Client, Daemon, PATIENCE, Peer, plugins};
use crate::support::{
    Authority, LATER, Wss, daemon, echo, read_head, secure, server_config, tls_port,
};
use ppp::v2::{Header, Type};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::sync::Arc;

/// What a header says, as a reader that is not ours has it.
fn tlvs(head: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let header = Header::try_from(head).unwrap();
    header.tlvs().map(Result::unwrap).map(|tlv| (tlv.kind, tlv.value.into_owned())).collect()
}

/// Version, cipher, certificate, what is spoken and the host asked for.
#[test]
fn peers_are_told_what_the_clients_tls_is_like() {
    let (authority, (peer, received)) = (Authority::new(), Peer::sink());
    let pair = authority.pair("localhost", LATER);
    let (shown, root) = (authority.pair("client", LATER), authority.root());
    let optional = ["--tls-client-ca", &root, "--tls-client-auth", "optional"];
    let arguments = [&["--tls-cert", &pair, "--send-proxy", "v2"][..], &optional].concat();
    let (_daemon, port) = daemon(&peer, &arguments);
    let version = |text: &str| [&b"\x21\0\x07"[..], text.as_bytes()].concat();
    let cipher = |text: &str| [&[0x23, 0, text.len() as u8], text.as_bytes()].concat();
    let ciphers = [cipher("TLS_AES_256_GCM_SHA384"), cipher("ECDHE-ECDSA-AES256-GCM-SHA384")];
    for (tls, certificate, flags, ssl) in [
        (&TLS13, None, 1, [version("TLSv1.3"), ciphers[0].clone()].concat()),
        (&TLS12, None, 1, [version("TLSv1.2"), ciphers[1].clone()].concat()),
        (&TLS13, Some(shown.as_str()), 7, {
            [version("TLSv1.3"), b"\x22\0\x06client".to_vec(), ciphers[0].clone()].concat()
        }),
    ] {
        let config = authority.client(&[tls], certificate);
        // What a session is resumed with comes behind the handshake in TLS 1.3: an echo's time.
        for resumed in [false, true] {
            let client = Wss::connect(port, "localhost", &config);
            assert_eq!(client.0.conn.handshake_kind() == Some(HandshakeKind::Resumed), resumed);
            client.close().unwrap();
            let head = received.recv_timeout(PATIENCE).unwrap().head;
            // Over this connection no certificate is shown any more.
            let flags = if resumed && certificate.is_some() { 5 } else { flags };
            let ssl = [&[flags, 0, 0, 0, u8::from(certificate.is_none())], &ssl[..]].concat();
            let alpn = (Type::ALPN.into(), b"http/1.1".to_vec());
            let authority = (Type::Authority.into(), b"h".to_vec());
            assert_eq!(tlvs(&head), [alpn, authority, (Type::SSL.into(), ssl)]);
        }
    }
}

/// A back end may ask whom the certificate is of, and what the client calls us.
#[test]
fn back_ends_may_ask_what_the_clients_tls_says() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let directory = plugins::scratch("contract");
    plugins::compile(&directory, "backend_contract.so", "plugins/contract.c", &["-DALL"]);
    let (pair, root) = (authority.pair("localhost", LATER), authority.root());
    let shown = authority.pair("client", LATER);
    let peer = format!("peer=tcp://127.0.0.1:{}", peer.port());
    let plugin = ["--plugins", directory.to_str().unwrap(), "-b", "contract", "-c", &peer];
    let tls = ["-l", "127.0.0.1:0 tls", "--tls-cert", &pair, "--tls-client-ca", &root];
    let daemon = Daemon::start(&[&plugin[..], &tls, &["--tls-client-auth", "optional"]].concat());
    let port = tls_port(&daemon);
    for (certificate, name, says) in [
        (None, "localhost", " tls-version=TLSv1.3 tls-server-name=localhost tls-subject=(none) "),
        (Some(shown.as_str()), "localhost", " tls-server-name=localhost tls-subject=CN=client "),
    ] {
        let config = authority.client(&[&TLS13], certificate);
        for _ in 0..2 {
            let mut stream = secure(port, name, &config).unwrap();
            stream.write_all(BASE.replace("GET /", "GET /client").as_bytes()).unwrap();
            read_head(&mut stream);
        }
        common::eventually("both are known, the resumed one too", || {
            daemon.log().iter().filter(|line| line.contains(says)).count() == 2
        });
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
