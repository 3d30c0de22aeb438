//! WebSockets over HTTP/2 (RFC 8441): HAProxy makes the upgrade of HTTP/1.1 of them, which we speak.

use crate::common::{Daemon, Peer, frame, open};
use crate::{Front, left_out};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// Types of frames (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
/// SETTINGS_ENABLE_CONNECT_PROTOCOL is 1 (RFC 8441 §3).
const EXTENDED_CONNECT: [u8; 6] = [0, 8, 0, 0, 0, 1];

/// A client of HTTP/2 with one stream.
struct Stream(StreamOwned<ClientConnection, TcpStream>);

impl Stream {
    fn send(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[..], &[kind, flags, 0, 0, 0, stream]].concat();
        self.0.write_all(&[&head, payload].concat()).unwrap();
    }

    /// The next frame of this type: its flags and payload.
    fn next(&mut self, wanted: u8) -> (u8, Vec<u8>) {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.read_exact(&mut payload).unwrap();
            if head[3] == wanted {
                return (head[4], payload);
            }
        }
    }
}

/// Fields without a table and without Huffman's code (RFC 7541 §6.2.2).
fn literal(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

#[test]
fn haproxy_carries_websockets_over_http_2() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--trusted-proxy", "127.0.0.1"]);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let name = format!("websocksy-h2-{}.pem", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, own.pem() + &key.serialize_pem()).unwrap();
    let lines = format!(
        "frontend f\n bind OWN ssl crt {} alpn h2\n option forwardfor\n default_backend b\n\
         backend b\n server s 127.0.0.1:{}\n",
        file.display(),
        daemon.port()
    );
    let front = Front::haproxy(&lines);
    std::fs::remove_file(&file).unwrap();
    let Some(front) = front else { return left_out("WebSockets over HTTP/2", "no haproxy") };

    let mut roots = RootCertStore::empty();
    roots.add(own.der().clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut client = Stream(StreamOwned::new(connection, open(front.port)));
    client.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    client.send(SETTINGS, 0, 0, &[]);
    let (_, settings) = client.next(SETTINGS);
    assert!(settings.chunks(6).any(|setting| setting == EXTENDED_CONNECT), "{settings:?}");
    client.send(SETTINGS, 1, 0, &[]);
    client.send(HEADERS, 4, 1, &{
        literal(&[
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", "/desk?a=b"),
            (":authority", "localhost"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "binary"),
        ])
    });
    let (flags, fields) = client.next(HEADERS);
    // RFC 7541 §6.1: `:status: 200` is the eighth of the static table. The stream goes on.
    assert_eq!((fields.first(), flags & 1), (Some(&0x88), 0), "{fields:?}");
    client.send(DATA, 0, 1, &frame(0x82, b"over two"));
    let mut heard = Vec::new();
    while heard.len() < 10 {
        heard.extend(client.next(DATA).1);
    }
    assert_eq!(heard, b"\x82\x08over two");
    client.send(DATA, 0, 1, &frame(0x88, b"\x03\xe8"));
    let line = daemon.wait_for_log("ended: client closed with 1000");
    assert!(line.contains("/desk?a="), "{line}");
}
