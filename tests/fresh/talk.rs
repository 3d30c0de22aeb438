//! A WebSocket client of one conversation, for `make check-demo`: what README tells a reader to type
//! into a browser's console. Only the standard library, so that rustc alone builds it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long the demo may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The key of RFC 6455 §1.3, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The first byte of a frame that is a whole message, by opcode.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).ok_or_else(|| wrong("usage: talk ADDRESS"))?;
    let mut bridge = connect(&address)?;
    upgrade(&mut bridge, &address)?;
    let greeting = message(&mut bridge)?;
    if !greeting.starts_with("Hello!") {
        return Err(wrong(&format!("greeted with {greeting:?}")));
    }
    send(&mut bridge, "hello")?;
    expect(message(&mut bridge)?, "HELLO\n")?;
    send(&mut bridge, "time")?;
    let time = message(&mut bridge)?;
    if !time.ends_with(" UTC\n") {
        return Err(wrong(&format!("told the time as {time:?}")));
    }
    send(&mut bridge, "quit")?;
    expect(message(&mut bridge)?, "Bye!\n")?;
    let (first, payload) = frame(&mut bridge)?;
    if first != CLOSE || payload.get(..2) != Some(&1000_u16.to_be_bytes()) {
        return Err(wrong(&format!("not a close frame with 1000: {first:#x} {payload:?}")));
    }
    println!("{address}: greeted, answered, told the time, and closed with 1000");
    Ok(())
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

fn expect(found: String, wanted: &str) -> io::Result<()> {
    if found == wanted { Ok(()) } else { Err(wrong(&format!("{found:?} instead of {wanted:?}"))) }
}

/// Waits until the demo has been built and listens.
fn connect(address: &str) -> io::Result<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Err(_) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(wrong(&format!("{address}: {error}"))),
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
        }
    }
}

/// The opening handshake, RFC 6455 §4.
fn upgrade(bridge: &mut TcpStream, address: &str) -> io::Result<()> {
    write!(
        bridge,
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        bridge.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    if head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT) {
        return Ok(());
    }
    Err(wrong(&format!("not the 101 that belongs to the key: {head}")))
}

/// A short text message in one frame, masked as a client's must be (RFC 6455 §5.3).
fn send(bridge: &mut TcpStream, text: &str) -> io::Result<()> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![TEXT, 0x80 | u8::try_from(text.len()).map_err(io::Error::other)?];
    frame.extend(mask);
    frame.extend(text.bytes().zip(mask.into_iter().cycle()).map(|(byte, key)| byte ^ key));
    bridge.write_all(&frame)
}

/// The next text message.
fn message(bridge: &mut TcpStream) -> io::Result<String> {
    match frame(bridge)? {
        (TEXT, payload) => String::from_utf8(payload).map_err(io::Error::other),
        (first, payload) => Err(wrong(&format!("not a text frame: {first:#x} {payload:?}"))),
    }
}

/// The next frame: its first byte, and its payload of at most 125 bytes.
fn frame(bridge: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 2];
    bridge.read_exact(&mut header)?;
    let mut payload = vec![0; usize::from(header[1])];
    bridge.read_exact(&mut payload)?;
    Ok((header[0], payload))
}
