//! The other end: TCP servers that echo, swallow, flood, or do what a test tells them.

use super::http::End;
use super::{Digest, PATIENCE, within};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A thread a connection, a thousand of them at times: a small stack each.
const STACK: usize = 128 * 1024;

/// A TCP server on a free port of 127.0.0.1; it stops when it is dropped.
pub(crate) struct Peer {
    address: SocketAddr,
    dials: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Peer {
    /// Runs `script` with every connection, each in a thread of its own.
    pub(crate) fn serve(script: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::serve_on("127.0.0.1", script)
    }

    /// The same on another address of this machine.
    fn serve_on(address: &str, script: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (dials, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let peer = Self { address, dials: Arc::clone(&dials), stopped: Arc::clone(&stopped) };
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                dials.fetch_add(1, Ordering::SeqCst);
                let script = Arc::clone(&script);
                let run = move || script(stream);
                std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap();
            }
        });
        peer
    }

    /// Sends back what it gets, then FIN after FIN.
    pub(crate) fn echo() -> Self {
        Self::echo_on("127.0.0.1")
    }

    /// The same on another address of this machine.
    pub(crate) fn echo_on(address: &str) -> Self {
        Self::serve_on(address, |mut stream| {
            let mut buffer = [0; 16 * 1024];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..read]).is_err() {
                    return;
                }
            }
        })
    }

    /// Swallows, and reports what each connection brought when it ends.
    pub(crate) fn sink() -> (Self, Receiver<Received>) {
        let (sender, receiver) = channel();
        let peer = Self::serve(move |stream| {
            let _ = sender.send(Received::from(stream));
        });
        (peer, receiver)
    }

    /// Sends `bytes`, reads until FIN, and ends.
    pub(crate) fn speaks(bytes: Vec<u8>) -> Self {
        Self::serve(move |mut stream| {
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = Received::from(stream);
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it has taken.
    pub(crate) fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes the accept
    }
}

/// What a connection brought until its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// The first bytes, enough to compare small conversations as they are.
    pub(crate) head: Vec<u8>,
    /// Count and hash of all bytes.
    pub(crate) digest: (u64, u64),
    pub(crate) end: End,
}

impl Received {
    /// How many of the first bytes are kept.
    const HEAD: usize = 64 * 1024;

    /// Reads `stream` to its end.
    pub(crate) fn from(mut stream: TcpStream) -> Self {
        let (mut head, mut digest) = (Vec::new(), Digest::default());
        let mut buffer = vec![0; 64 * 1024];
        let end = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break End::Fin,
                Ok(read) => {
                    let room = Self::HEAD - head.len();
                    head.extend_from_slice(&buffer[..read.min(room)]);
                    digest.add(&buffer[..read]);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
                Err(error) => panic!("{error}"),
            }
        };
        Self { head, digest: digest.value(), end }
    }
}

/// A listener whose queue is full: a further SYN is dropped, a connect hangs.
pub(crate) struct Blackhole {
    listener: socket2::Socket,
    queued: Vec<socket2::Socket>,
}

impl Blackhole {
    pub(crate) fn new() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
    }

    /// At an address, port 0 for any; fails where the machine has no such address.
    pub(crate) fn at(address: SocketAddr) -> std::io::Result<Self> {
        let listener = tcp_socket(address);
        listener.bind(&address.into())?;
        listener.listen(0)?;
        let address = listener.local_addr()?;
        let mut hole = Self { listener, queued: Vec::new() };
        // A queue of nothing holds one or two, by kernel; the first that hangs says it is full.
        while hole.queued.last().is_none_or(connected) {
            let socket = tcp_socket(address.as_socket().unwrap());
            socket.set_nonblocking(true)?;
            let _ = socket.connect(&address);
            hole.queued.push(socket);
            assert!(hole.queued.len() < 16, "a queue of length nothing takes them all");
        }
        Ok(hole)
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().as_socket().unwrap().port()
    }

    /// Empties the queue and accepts: the next one that is not one of those that filled it. The
    /// kernel of the one that hangs asks again a second after it first did.
    pub(crate) fn relent(mut self) -> TcpStream {
        self.queued.clear();
        self.listener.set_nonblocking(true).unwrap();
        let mut accepted = None;
        let took = within(PATIENCE, || {
            let taken = self.listener.accept().ok().map(|(socket, _)| TcpStream::from(socket));
            accepted = taken.filter(alive);
            accepted.is_some()
        });
        assert!(took, "nobody connected");
        let stream = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    }
}

fn tcp_socket(address: SocketAddr) -> socket2::Socket {
    let domain = socket2::Domain::for_address(address);
    socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap()
}

fn connected(socket: &socket2::Socket) -> bool {
    within(Duration::from_millis(50), || socket.peer_addr().is_ok())
}

/// Whether the other side of a connection has not ended it yet.
fn alive(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.peek(&mut [0]) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Ends a connection with RST.
pub(crate) fn reset(stream: TcpStream) {
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}
