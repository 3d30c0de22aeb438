//! Clients of others' making: `tungstenite`, which offers no compression, and `ratchet`, which compresses
//! with the C library zlib.

use super::common::{Daemon, PATIENCE, Peer, noise, open};
use bytes::BytesMut;
use ratchet_core::{
    CloseCode, CloseReason, Message, PayloadType, SubprotocolRegistry, WebSocketConfig,
    subscribe_with,
};
use ratchet_deflate::{DeflateConfig, DeflateExtProvider, WindowBits};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What is sent, and whether it is text.
type Sent = (bool, Vec<u8>);

/// JSON, a page line by line and whole, 1 MiB of characters of two to four bytes, a program, noise.
fn real() -> Vec<Sent> {
    let page = include_str!("../../docs/protocol.md");
    let words = ["Grüße", "Привет", "мир", "世界", "水", "🌍🚀", "æøåΩ", "שלום"];
    let letters = (0..).flat_map(|at: usize| words[(at * 7919 + at / 8) % 8].chars());
    let letters: String = letters.take(600_000).collect();
    assert!(letters.len() > 1 << 20);
    let program = std::fs::read(super::common::binary()).unwrap();
    // What comes in fragments comes first, for `ratchet` decompresses what is in fragments and not
    // compressed, once something was; and short messages without context do not pay, which is noticed.
    let mut messages: Vec<Sent> =
        vec![(true, letters.into()), (true, page.into()), (false, program[..64 * 1024].to_vec())];
    messages.extend((0..200).map(|seed| (true, super::json(seed))));
    messages.extend(page.lines().map(|line| (true, line.into())));
    messages.extend([(true, Vec::new()), (false, noise(10_000, 1))]);
    messages
}

fn daemon(peer: &Peer) -> Daemon {
    Daemon::before(peer, "rfc6455", &["--deflate", "1"])
}

/// What `ratchet` sends and gets back, and how many bytes that are on the wire, there and back.
async fn ratchet(port: u16, config: DeflateConfig, messages: &[Sent]) -> (u64, u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let wire =
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut stream).await });
    let client = subscribe_with(
        WebSocketConfig::default(),
        near,
        format!("ws://127.0.0.1:{port}/"),
        DeflateExtProvider::with_config(config),
        SubprotocolRegistry::default(),
    );
    let mut socket = client.await.unwrap().into_websocket();
    for some in messages.chunks(64) {
        for (is_text, message) in some {
            let kind = if *is_text { PayloadType::Text } else { PayloadType::Binary };
            socket.write(message, kind).await.unwrap();
        }
        for (is_text, message) in some {
            let (mut got, is_text) = (BytesMut::new(), *is_text);
            let come = socket.read(&mut got).await;
            let kind = if is_text { Message::Text } else { Message::Binary };
            assert!(matches!(&come, Ok(found) if *found == kind), "{come:?}, not {kind:?}");
            assert!(got == message[..], "{} bytes of {}", got.len(), message.len());
        }
    }
    socket.close(CloseReason::new(CloseCode::Normal, None)).await.unwrap();
    // It calls the answer to its Close an error.
    let ended = socket.read(&mut BytesMut::new()).await.unwrap_err();
    assert!(ended.is_close(), "{ended}");
    drop(socket);
    wire.await.unwrap().unwrap()
}

/// With the largest windows and with 512 bytes, with and without what was said before: all arrives, and what
/// is carried over makes it shorter in either direction.
#[test]
fn ratchet_understands_and_is_understood() {
    let peer = Peer::echo();
    let daemon = daemon(&peer);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let messages = real();
    let plain: u64 = messages.iter().map(|(_, message)| message.len() as u64).sum();
    let wire = |bits: WindowBits, takeover: bool| {
        let config = DeflateConfig {
            server_max_window_bits: bits,
            client_max_window_bits: bits,
            request_server_no_context_takeover: !takeover,
            request_client_no_context_takeover: !takeover,
            ..DeflateConfig::default()
        };
        let client = ratchet(daemon.port(), config, &messages);
        let (there, back) =
            runtime.block_on(async { timeout(3 * PATIENCE, client).await.unwrap() });
        println!("{bits:?} {takeover}: {there} bytes there, {back} back, of {plain}");
        assert!(there.max(back) < plain / 2, "{there}, {back}, of {plain}");
        (there, back)
    };
    for bits in [WindowBits::fifteen(), WindowBits::nine()] {
        let (carried, fresh) = (wire(bits, true), wire(bits, false));
        assert!(carried.1 < fresh.1, "{carried:?}, {fresh:?}");
        // Who carries nothing over has all of the 32 KiB that it may offer, and others 2 KiB.
        assert!(carried.0 < fresh.0 || bits == WindowBits::fifteen(), "{carried:?}, {fresh:?}");
    }
}

#[test]
fn who_offers_nothing_gets_what_was_said() {
    use tungstenite::Message;
    use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

    let peer = Peer::echo();
    let daemon = daemon(&peer);
    let stream = open(daemon.port());
    let (mut socket, answer) = tungstenite::client("ws://127.0.0.1/", stream).unwrap();
    assert!(answer.headers().get("sec-websocket-extensions").is_none());
    for (at, (is_text, message)) in real().into_iter().enumerate() {
        let message = if is_text {
            Message::text(String::from_utf8(message).unwrap())
        } else {
            Message::binary(message)
        };
        socket.send(message.clone()).unwrap();
        assert!(socket.read().unwrap() == message, "message {at}");
    }
    let reason = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    socket.close(Some(reason.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(Some(reason)));
}
