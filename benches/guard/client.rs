//! The client's half of RFC 6455, as much as is needed to have a daemon work.

use std::io::{self, Read, Write};

/// The request of a current browser, as short as it gets.
const REQUEST: &[u8] = b"GET /guard HTTP/1.1\r\n\
    Host: localhost\r\n\
    Connection: Upgrade\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/142.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://localhost\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// A text message that is compressed, whole (RFC 7692 §6).
pub(crate) const COMPRESSED: u8 = 0xC1;
/// A text message, whole.
pub(crate) const TEXT: u8 = 0x81;
/// A binary message, whole.
pub(crate) const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame (RFC 6455 §5.2) that begins with this byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A Close frame with status 1000.
pub(crate) fn close() -> Vec<u8> {
    frame(CLOSE, &1000_u16.to_be_bytes())
}

/// Sends the request.
pub(crate) fn ask(client: &mut impl Write) -> io::Result<()> {
    client.write_all(REQUEST)
}

/// Reads the response that opens the WebSocket.
pub(crate) fn hear_answer(client: &mut impl Read) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&head)))
}

/// Reads a frame below 64 KiB; returns the length of its payload.
pub(crate) fn hear_frame(client: &mut impl Read) -> io::Result<usize> {
    let mut header = [0; 2];
    client.read_exact(&mut header)?;
    let mut length = usize::from(header[1]);
    if length == 126 {
        client.read_exact(&mut header)?;
        length = u16::from_be_bytes(header).into();
    }
    let mut payload = vec![0; length];
    client.read_exact(&mut payload)?;
    Ok(length)
}
