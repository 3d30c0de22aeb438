//! A WebSocket client that can say anything and believes nothing.

use super::http::{self, BASE, End};
use super::oracle::{Header, Oracle};
use super::{Digest, PATIENCE};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How much one read takes.
const CHUNK: usize = 64 * 1024;
/// The key of the frames for which the test does not choose one.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What the daemon sent next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A data frame: FIN, opcode (0 continuation, 1 text, 2 binary), payload.
    Data(bool, u8, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A close frame: code and reason.
    Close(Option<u16>, String),
    /// The end of the connection.
    End(End),
}

/// An upgraded connection. What it receives passes the [`Oracle`].
pub(crate) struct Client {
    stream: TcpStream,
    held: Vec<u8>,
    oracle: Oracle,
}

impl Client {
    /// Connects and shakes hands.
    #[track_caller]
    pub(crate) fn connect(port: u16) -> Self {
        Self::connect_with(port, BASE.as_bytes())
    }

    /// Connects, sends `request`, which must begin with a good head, and reads the 101.
    #[track_caller]
    pub(crate) fn connect_with(port: u16, request: &[u8]) -> Self {
        let mut stream = http::open(port);
        http::upgrade(&mut stream, request);
        Self::over(stream)
    }

    /// Over a connection that has its 101 behind it.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self { stream, held: Vec::new(), oracle: Oracle::default() }
    }

    /// The socket, for tests that end it in their own way.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends bytes as they are; false when the connection does not take them any more.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends one masked frame, `first` being its first byte: FIN, RSV and opcode.
    #[track_caller]
    pub(crate) fn frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&frame(first, payload));
    }

    /// Sends a close frame with `code` and no reason.
    #[track_caller]
    pub(crate) fn close(&mut self, code: u16) {
        self.frame(0x88, &code.to_be_bytes());
    }

    /// Says goodbye with code 1000 and reads to the end; the code of the answer.
    #[track_caller]
    pub(crate) fn close_now(&mut self) -> Option<u16> {
        self.close(1000);
        let code = self.closed();
        assert_eq!(self.event(), Event::End(End::Fin));
        code
    }

    /// Sends FIN and keeps reading.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends with RST.
    pub(crate) fn reset(self) {
        super::reset(self.stream);
    }

    /// How long a read may wait from now on.
    pub(crate) fn patience(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
    }

    /// The next frame, whole, or the end.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Event {
        let mut payload = Vec::new();
        match self.next(&mut |bytes| payload.extend_from_slice(bytes)) {
            Err(end) => Event::End(end),
            Ok(header) => match header.opcode {
                8 => {
                    let (code, reason) = Oracle::close(&payload);
                    Event::Close(code, reason)
                }
                9 => Event::Ping(payload),
                10 => Event::Pong(payload),
                opcode => Event::Data(header.fin, opcode, payload),
            },
        }
    }

    /// The next message, its fragments joined; its opcode and payload.
    #[track_caller]
    pub(crate) fn message(&mut self) -> (u8, Vec<u8>) {
        let (mut kind, mut whole) = (0, Vec::new());
        loop {
            match self.event() {
                Event::Data(fin, opcode, payload) => {
                    kind |= opcode;
                    whole.extend_from_slice(&payload);
                    if fin {
                        return (kind, whole);
                    }
                }
                other => panic!("{other:?} where a message was due"),
            }
        }
    }

    /// The next message, which is not kept: its opcode, and the digest of its payload.
    #[track_caller]
    pub(crate) fn long_message(&mut self) -> (u8, (u64, u64)) {
        let (mut kind, mut digest) = (0, Digest::default());
        loop {
            let header = self.next(&mut |bytes| digest.add(bytes));
            let header = header.unwrap_or_else(|end| panic!("{end:?} at {:?}", digest.value()));
            assert!(header.opcode < 3, "{header:?} where data was due");
            kind |= header.opcode;
            if header.fin {
                return (kind, digest.value());
            }
        }
    }

    /// Reads data frames until `total` payload bytes came, without keeping them; their digest.
    #[track_caller]
    pub(crate) fn digest(&mut self, total: u64) -> (u64, u64) {
        let mut digest = Digest::default();
        while digest.value().0 < total {
            let header = self.next(&mut |bytes| digest.add(bytes));
            let header = header.unwrap_or_else(|end| panic!("{end:?} at {:?}", digest.value()));
            assert!(header.opcode < 3, "{header:?} where data was due");
        }
        digest.value()
    }

    /// Says `close`, or answers the daemon's, and reads to the end; the daemon's code. Data that
    /// comes before its close frame is passed over, a reset is not.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<u16> {
        let code = self.closed();
        let payload = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
        self.try_send(&frame(0x88, &payload));
        assert_eq!(self.event(), Event::End(End::Fin));
        code
    }

    /// Reads to the daemon's close frame, passing over data; its code.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> Option<u16> {
        loop {
            match self.event() {
                Event::Close(code, _) => return code,
                Event::End(end) => panic!("{end:?} where a close frame was due"),
                _ => {}
            }
        }
    }

    /// Whether nothing comes for `time`.
    #[track_caller]
    pub(crate) fn silent_for(&mut self, time: Duration) -> bool {
        self.patience(time);
        let start = Instant::now();
        let read = self.fill();
        self.patience(PATIENCE);
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) && start.elapsed() >= time
    }

    /// Reads one frame, its payload in pieces to `sink`.
    #[track_caller]
    fn next(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<Header, End> {
        let header = loop {
            if let Some((header, used)) = self.oracle.header(&self.held) {
                self.held.drain(..used);
                break header;
            }
            match self.fill() {
                Ok(0) if self.held.is_empty() => return Err(http::fin_or_reset(&self.stream)),
                Ok(0) => panic!("FIN inside a frame: {:02x?}", self.held),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(End::Reset),
                read => drop(read.unwrap()),
            }
        };
        self.payload(header, sink);
        Ok(header)
    }

    #[track_caller]
    fn payload(&mut self, header: Header, sink: &mut dyn FnMut(&[u8])) {
        let mut left = header.len;
        while left > 0 {
            if self.held.is_empty() {
                let read = self.fill().unwrap();
                assert_ne!(read, 0, "FIN with {left} bytes of {header:?} missing");
            }
            let part = self.held.len().min(usize::try_from(left).unwrap());
            if header.opcode < 3 {
                self.oracle.payload(&self.held[..part]);
            }
            sink(&self.held[..part]);
            self.held.drain(..part);
            left -= part as u64;
        }
        if header.opcode < 3 {
            self.oracle.end(header);
        }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let start = self.held.len();
        self.held.resize(start + CHUNK, 0);
        let mut read = self.stream.read(&mut self.held[start..]);
        // signal(7): SIGCONT interrupts a read that has a time-out, handler or not.
        while read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
            read = self.stream.read(&mut self.held[start..]);
        }
        self.held.truncate(start + *read.as_ref().unwrap_or(&0));
        read
    }
}

/// A masked frame: `first` byte, shortest length, payload (RFC 6455 §5.2).
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_masked(first, payload, MASK)
}

/// As [`frame`], with the key chosen.
pub(crate) fn frame_masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = header(first, 0x80, payload.len() as u64);
    bytes.extend_from_slice(&mask);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    let (words, rest) = bytes[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
    bytes
}

/// A frame header with the shortest length; `mask_bit` is 0x80 or 0, the key is not included.
pub(crate) fn header(first: u8, mask_bit: u8, len: u64) -> Vec<u8> {
    match len {
        0..126 => vec![first, mask_bit | len as u8],
        126..65_536 => [&[first, mask_bit | 126][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[first, mask_bit | 127][..], &len.to_be_bytes()].concat(),
    }
}
