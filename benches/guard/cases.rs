//! What the daemon is made to do, one step after the other: each begins when the one before is
//! over, so that its turns are the same in every run.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use websocksy::deflate::{Deflaters, Encoder};
use websocksy::proto::extensions::{CLIENT_BITS, Window};

use crate::client::{BINARY, COMPRESSED, TEXT, ask, close, frame, hear_answer, hear_frame};
use crate::daemon::Daemon;
use crate::secure::{Secure, Security, Stream};
use With::{Log, Plain, Tls};

/// A unit of work, and how often it is done in two runs.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) with: With,
    pub(crate) few: usize,
    pub(crate) many: usize,
    pub(crate) run: fn(&Daemon, Option<&Secure>, usize) -> io::Result<()>,
}

/// What the daemon does beside its work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum With {
    Plain,
    Tls,
    /// The lines of `info`, written to /dev/null.
    Log,
}

const BYTES: &[&str] = &["-c", "framing=binary"];
const DEFLATE: &[&str] = &["-c", "framing=auto", "--deflate", "1"];

/// The list in `docs/performance.md` says what a unit of each is.
pub(crate) const CASES: [Case; 8] = [
    Case { name: "echo", arguments: BYTES, with: Plain, few: 100, many: 600, run: echo },
    Case { name: "connect", arguments: BYTES, with: Plain, few: 20, many: 220, run: sessions },
    Case { name: "logged", arguments: BYTES, with: Log, few: 20, many: 220, run: sessions },
    Case { name: "upload", arguments: BYTES, with: Plain, few: 50, many: 250, run: upload },
    Case { name: "upload-64", arguments: BYTES, with: Plain, few: 20, many: 120, run: upload_64 },
    Case { name: "download", arguments: BYTES, with: Plain, few: 50, many: 250, run: download },
    Case { name: "tls-echo", arguments: BYTES, with: Tls, few: 100, many: 600, run: echo },
    Case { name: "deflate", arguments: DEFLATE, with: Plain, few: 100, many: 600, run: deflate },
];

/// What a large message holds.
const SIZE: usize = 16 * 1024;
/// Frames that come in one piece.
const FRAMES: usize = 100;

/// A client and its peer.
struct Session {
    client: Stream<TcpStream>,
    peer: TcpStream,
}

impl Session {
    fn open(daemon: &Daemon, secure: Option<&Secure>) -> io::Result<Self> {
        let socket = daemon.connect()?;
        daemon.settle()?;
        let mut client = match secure {
            Some(secure) => secure.wrap(socket, Security::Tls)?,
            None => Stream::Plain(socket),
        };
        daemon.settle()?;
        ask(&mut client)?;
        let peer = daemon.accept()?;
        hear_answer(&mut client)?;
        daemon.settle()?;
        Ok(Self { client, peer })
    }

    /// The client sends, and the peer gets as many bytes.
    fn up(&mut self, daemon: &Daemon, sent: &[u8], payload: &mut [u8]) -> io::Result<()> {
        self.client.write_all(sent)?;
        self.peer.read_exact(payload)?;
        daemon.settle()
    }

    /// The peer sends, and the client gets as many bytes.
    fn down(&mut self, daemon: &Daemon, payload: &[u8]) -> io::Result<()> {
        self.peer.write_all(payload)?;
        let mut heard = 0;
        while heard < payload.len() {
            heard += hear_frame(&mut self.client)?;
        }
        daemon.settle()
    }
}

/// 64 bytes there and back.
fn echo(daemon: &Daemon, secure: Option<&Secure>, units: usize) -> io::Result<()> {
    let mut session = Session::open(daemon, secure)?;
    let sent = frame(BINARY, &[b'x'; 64]);
    for _ in 0..units {
        session.up(daemon, &sent, &mut [0; 64])?;
        session.down(daemon, &[b'x'; 64])?;
    }
    Ok(())
}

/// A session from the accept to its end, with an echo.
fn sessions(daemon: &Daemon, _: Option<&Secure>, units: usize) -> io::Result<()> {
    for _ in 0..units {
        let mut session = Session::open(daemon, None)?;
        session.up(daemon, &frame(BINARY, &[b'x'; 64]), &mut [0; 64])?;
        session.down(daemon, &[b'x'; 64])?;
        session.client.write_all(&close())?;
        let Session { mut client, mut peer } = session;
        client.read_to_end(&mut Vec::new())?;
        daemon.settle()?;
        drop(client);
        daemon.settle()?;
        peer.read_to_end(&mut Vec::new())?;
        drop(peer);
        daemon.settle()?;
    }
    Ok(())
}

/// A message of 16 KiB.
fn upload(daemon: &Daemon, _: Option<&Secure>, units: usize) -> io::Result<()> {
    let mut session = Session::open(daemon, None)?;
    let sent = frame(BINARY, &[b'x'; SIZE]);
    for _ in 0..units {
        session.up(daemon, &sent, &mut [0; SIZE])?;
    }
    Ok(())
}

/// A hundred messages of 64 bytes in one piece.
fn upload_64(daemon: &Daemon, _: Option<&Secure>, units: usize) -> io::Result<()> {
    let mut session = Session::open(daemon, None)?;
    let sent = frame(BINARY, &[b'x'; 64]).repeat(FRAMES);
    for _ in 0..units {
        session.up(daemon, &sent, &mut [0; 64 * FRAMES])?;
    }
    Ok(())
}

/// 16 KiB of a stream.
fn download(daemon: &Daemon, _: Option<&Secure>, units: usize) -> io::Result<()> {
    let mut session = Session::open(daemon, None)?;
    for _ in 0..units {
        session.down(daemon, &[b'x'; SIZE])?;
    }
    Ok(())
}

/// A message of JSON there and back, compressed both ways with context takeover.
fn deflate(daemon: &Daemon, _: Option<&Secure>, units: usize) -> io::Result<()> {
    let mut session = Session::open(daemon, None)?;
    let mut deflaters = Deflaters::default();
    let mut encoder = Encoder::new(Window { bits: CLIENT_BITS, takeover: true }, 1, &mut deflaters);
    for at in 0..units {
        let message = position(at);
        let sent = match encoder.frame((true, true), &message, &mut deflaters) {
            Some(compressed) => frame(COMPRESSED, compressed),
            None => frame(TEXT, &message),
        };
        session.up(daemon, &sent, &mut vec![0; message.len()])?;
        session.peer.write_all(&message)?;
        hear_frame(&mut session.client)?;
        daemon.settle()?;
    }
    Ok(())
}

/// What a page that shows positions is sent.
fn position(at: usize) -> Vec<u8> {
    let (user, x, y) = (at % 17, at * 7919 % 1000, at * 104_729 % 1000);
    format!(
        "{{\"type\":\"position\",\"user\":\"u{user:04}\",\"seq\":{at},\
         \"pos\":{{\"x\":{x},\"y\":{y}}},\"flags\":[\"moving\",\"visible\"],\"ok\":true,\"room\":\"lobby\"}}"
    )
    .into_bytes()
}
