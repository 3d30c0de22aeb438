//! The formula of `docs/operations.md`, section Memory, on the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    BASE, Client, Daemon, Digest, PATIENCE, Peer, Received, allow_many_descriptors, eventually,
    header, open, upgrade, within,
};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Sessions under flood.
const SESSIONS: u64 = 200;
/// What their clients read, bytes: first as fast as it comes, then a little at a time.
const FAST: u64 = 500_000;
const LITTLE: u64 = 200_000;

// The formula's terms, KiB.
/// A session that has nothing to keep.
const IDLE: u64 = 2;
/// The most that one turn reads for a side, and so the most that waits for it.
const TURN: u64 = 256;
const _: () = assert!(websocksy::conn::TURN_BYTES as u64 == TURN * 1024);
/// What a peer gave and no message was found in, in whole pages.
const KEPT: u64 = 20;
const _: () = assert!(websocksy_abi::PEER_BUFFER_SIZE as u64 == (KEPT - 4) * 1024);
/// A request head, the buffer of which may have grown to twice what came.
const HEAD: u64 = 130;
/// What the loop has once for all: batches, log lines.
const COMMON: u64 = 2048;

/// What a client or peer writes at once; zeros, since nobody looks at them.
static FLOOD: [u8; 256 * 1024] = [0; 256 * 1024];

/// Thousands of sessions that say nothing, whoever said where their peer is: 1.3 KiB each. What a plug-in
/// costs once for all, the pages of sixteen warm slots for one, is there before they come.
#[test]
fn an_idle_session_is_small() {
    const SESSIONS: u64 = 2000;
    allow_many_descriptors();
    let peer = Peer::echo();
    let directory = common::plugins::scratch("idle");
    common::plugins::compile(&directory, "backend_probe.so", "plugins/probe.c", &[]);
    let plugins = ["--plugins", directory.to_str().unwrap(), "-b", "probe", "-c"];
    let address = format!("peer=tcp://127.0.0.1:{}", peer.port());
    let endpoint = BASE.replacen("GET / ", "GET /auto ", 1);
    for (daemon, head, first) in [
        (Daemon::before(&peer, "auto", &[]), BASE, 1),
        (Daemon::start(&[&plugins[..], &[&address]].concat()), &endpoint, 16),
    ] {
        let connect = || Client::connect_with(daemon.port(), head.as_bytes());
        let first: Vec<_> = (0..first).map(|_| connect()).collect();
        first.into_iter().for_each(|mut client| _ = client.close_now());
        let before = daemon.rss_kib();
        let clients: Vec<_> = (0..SESSIONS).map(|_| connect()).collect();
        let grown = daemon.rss_kib().saturating_sub(before);
        assert!(grown * 10 <= SESSIONS * 13, "{grown} KiB for {SESSIONS} sessions");
        drop(clients);
    }
}

/// Heads as long as they may be, without their end.
#[test]
fn a_head_that_does_not_end_is_bounded() {
    let daemon = Daemon::start(&["--handshake-timeout", "60"]);
    let before = daemon.rss_kib();
    let line = format!("X: {}\r\n", "x".repeat(16_000));
    let head = ["GET / HTTP/1.1\r\n", &line.repeat(4)].concat();
    let open_with_head = |_| {
        let mut client = open(daemon.port());
        client.write_all(head.as_bytes()).unwrap();
        client
    };
    let clients: Vec<_> = (0..SESSIONS).map(open_with_head).collect();
    let grown = || daemon.rss_kib().saturating_sub(before);
    eventually("the heads are there", || grown() >= SESSIONS * HEAD / 4);
    stand_still(&daemon);
    let grown = grown();
    assert!(grown <= SESSIONS * (IDLE + HEAD), "{grown} KiB for {SESSIONS} heads");
    drop(clients);
}

/// 200 clients that stop reading what their peers flood them with, or read a little, and whose own
/// flood the peers do not read at all.
#[test]
fn slow_readers_hold_what_the_formula_says() {
    let peer = Flooder::start();
    let host = format!("host=unix://{}", peer.path.display());
    let daemon = Daemon::start(&["-c", &host, "-c", "framing=binary"]);
    daemon.reset_peak();
    let before = daemon.rss_kib();
    let clients: Vec<_> = (0..SESSIONS).map(|_| connect(daemon.port())).collect();
    // At first they are fast: the daemon reads more and more at once for them.
    clients.iter().for_each(|client| take(client.stream(), FAST));
    stand_still(&daemon);
    assert_held(&daemon, before, TURN);

    for (round, taken) in [0, 0, LITTLE, LITTLE].into_iter().enumerate() {
        daemon.signal("STOP"); // so that its first read finds all that a socket holds
        for client in &clients {
            push(client.stream(), round == 0);
            take(client.stream(), taken);
        }
        daemon.signal("CONT");
        stand_still(&daemon);
    }
    assert_held(&daemon, before, 2 * TURN);
    drop(peer); // or its threads would write on to sessions without a client
    drop(clients);
}

/// A18: what a flood took is given back within a minute of its end, to twice what there was.
#[test]
fn a18_memory_of_a_flood_is_given_back() {
    allow_many_descriptors();
    let peer = Flooder::start();
    let host = format!("host=unix://{}", peer.path.display());
    let limits = ["--write-timeout", "15", "--close-timeout", "1"];
    let daemon = Daemon::start(&[&["-c", &host, "-c", "framing=binary"], &limits[..]].concat());
    drop(connect(daemon.port()));
    daemon.settle();
    let before = daemon.rss_kib();
    daemon.reset_peak();
    for _ in 0..2 {
        let clients: Vec<_> = (0..2 * SESSIONS).map(|_| connect(daemon.port())).collect();
        for round in 0..3 {
            for client in &clients {
                push(client.stream(), round == 0);
                take(client.stream(), LITTLE);
            }
        }
        stand_still(&daemon);
        drop(clients);
    }
    drop(peer);
    daemon.settle();
    let peak = daemon.peak_kib();
    assert!(peak > 5 * before, "{before} KiB before, {peak} KiB at most: no flood");
    let given_back = || daemon.rss_kib() <= 2 * before;
    let start = std::time::Instant::now();
    let done = within(Duration::from_secs(60), given_back);
    println!("{before} KiB, at most {peak}, {} after {:?}", daemon.rss_kib(), start.elapsed());
    assert!(done, "{before} KiB before, {} KiB after", daemon.rss_kib());
}

/// MiB of a long message, where `MESSAGE_MIB` does not say another number: unoptimised, 64 take long.
const LONG: usize = 8;
/// What passing one may cost, KiB, the loop's own buffers included.
const LONG_COSTS: u64 = 1024;

/// A framing that passes a long message, one way and the other.
struct LongMessage {
    framing: &'static str,
    config: String,
    /// What of the peer's stream stands before and behind what fills it, which the client gets, too
    /// (a frame's header it does not).
    around: [Vec<u8>; 2],
    /// What the peer gets before and behind the client's message.
    added: [Vec<u8>; 2],
    /// Whether the client sends it in fragments.
    fragments: bool,
}

/// F9: a message of any length passes in bounded memory, both ways, in every framing.
#[test]
fn f09_messages_of_any_length_pass_in_bounded_memory() {
    let mib = std::env::var("MESSAGE_MIB").map_or(LONG, |mib| mib.parse().unwrap());
    let length = mib << 20;
    let none = || [vec![], vec![]];
    let size = u32::try_from(length).unwrap();
    let frame = header(0x82, 0, length as u64);
    for long in [
        LongMessage {
            framing: "newline",
            config: "add:lf".into(),
            around: [vec![], b"\n".to_vec()],
            added: [vec![], b"\n".to_vec()],
            fragments: true,
        },
        LongMessage {
            framing: "separator",
            config: r"add:\x00\xff".into(),
            around: [vec![], vec![0, 0xff]],
            added: [vec![], vec![0, 0xff]],
            fragments: true,
        },
        LongMessage {
            framing: "json",
            config: String::new(),
            around: [b"\"".to_vec(), b"\"".to_vec()],
            added: none(),
            fragments: true,
        },
        LongMessage {
            framing: "dynamic32",
            config: "add=yes".into(),
            around: [(size - 4).to_le_bytes().to_vec(), vec![]],
            added: [size.to_le_bytes().to_vec(), vec![]],
            fragments: false,
        },
        LongMessage {
            framing: "fixedlength",
            config: length.to_string(),
            around: none(),
            added: none(),
            fragments: false,
        },
        LongMessage {
            framing: "rfc6455",
            config: String::new(),
            around: [frame.clone(), vec![]],
            added: [frame, vec![]],
            fragments: false,
        },
    ] {
        long.passes(length);
    }
}

impl LongMessage {
    fn passes(&self, length: usize) {
        let [before, behind] = self.around.clone();
        let is_frame = self.framing == "rfc6455";
        let own = if is_frame { 0 } else { before.len() + behind.len() };
        let header = if is_frame { before.len() } else { 0 };
        let from_peer = [before, vec![b'x'; length - own], behind].concat();
        let expected = Digest::of(&from_peer[header..]);
        let (sender, receiver) = std::sync::mpsc::channel();
        let peer = Peer::serve(move |mut stream| {
            stream.write_all(&from_peer).unwrap();
            sender.send(Received::from(stream)).unwrap();
        });
        let config = format!("framing-config={}", self.config);
        let mut arguments = vec!["--plugins", common::plugins::bundled()];
        if !self.config.is_empty() {
            arguments.extend(["-c", &config]);
        }
        let daemon = Daemon::before(&peer, self.framing, &arguments);
        daemon.reset_peak();
        let (at_first, program) = (daemon.rss_kib(), daemon.program_kib());

        let mut client = Client::connect(daemon.port());
        let (_, received) = client.long_message();
        assert_eq!(received, expected, "{}: to the client", self.framing);
        let message = vec![b'y'; length];
        self.send(&mut client, &message);
        assert_eq!(client.close_now(), Some(1000), "{}", self.framing);
        let [before, behind] = self.added.clone();
        let expected = Digest::of(&[before, message, behind].concat());
        let received = receiver.recv_timeout(PATIENCE).unwrap().digest;
        assert_eq!(received, expected, "{}: to the peer", self.framing);

        let program = daemon.program_kib().saturating_sub(program);
        let grown = daemon.peak_kib().saturating_sub(at_first + program);
        println!(
            "{}: {grown} KiB for {} MiB each way, {program} KiB of program",
            self.framing,
            length >> 20
        );
        assert!(grown < LONG_COSTS, "{}: {grown} KiB for {length} bytes", self.framing);
    }

    /// In one frame or several, masked with zeros, which change nothing.
    fn send(&self, client: &mut Client, message: &[u8]) {
        const PIECES: usize = 64;
        let pieces = if self.fragments { PIECES } else { 1 };
        for (index, piece) in message.chunks(message.len() / pieces).enumerate() {
            let fin = if index + 1 == pieces { 0x80 } else { 0 };
            let opcode = if index == 0 { 2 } else { 0 };
            client.send(&header(fin | opcode, 0x80, piece.len() as u64));
            client.send(&[0; 4]);
            client.send(piece);
        }
    }
}

/// A client to which the kernel sends small segments: it sizes its buffers by them, and with those
/// of loopback it would hold megabytes a session, near its limit for all sockets together.
fn connect(port: u16) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_tcp_mss(1400).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    upgrade(&mut stream, BASE.as_bytes());
    Client::over(stream)
}

/// Writes all that a client's socket takes, of one frame that does not end.
fn push(mut socket: &TcpStream, begins: bool) {
    if begins {
        let endless = [header(0x82, 0x80, 1 << 40), vec![0; 4]].concat();
        socket.write_all(&endless).unwrap();
    }
    socket.set_nonblocking(true).unwrap();
    while socket.write(&FLOOD).is_ok() {}
}

/// Reads up to `most` bytes of what has come, or what comes.
fn take(socket: &TcpStream, most: u64) {
    let _ = std::io::copy(&mut socket.take(most), &mut std::io::sink());
}

/// A peer that writes all it can and reads nothing, on a Unix socket, which holds little.
struct Flooder {
    path: PathBuf,
    over: Arc<AtomicBool>,
}

impl Flooder {
    fn start() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("websocksy-flooder-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let flooder = Self { path, over: Arc::clone(&over) };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let over = Arc::clone(&over);
                std::thread::spawn(move || flood(stream, &over));
            }
        });
        flooder
    }
}

impl Drop for Flooder {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn flood(mut stream: UnixStream, over: &AtomicBool) {
    while !over.load(Ordering::SeqCst) && stream.write_all(&FLOOD).is_ok() {}
}

/// Waits until all that can be filled is full: the daemon has nothing to do.
#[track_caller]
fn stand_still(daemon: &Daemon) {
    let mut spent = daemon.cpu_ms();
    eventually("the daemon rests", || {
        let rested = !within(Duration::from_millis(200), || daemon.cpu_ms() > spent);
        spent = daemon.cpu_ms();
        rested
    });
}

/// The peak since `before` keeps to the formula, with at most `waiting` KiB in the queues of a
/// session; and it is not far below, or the formula would mean little.
#[track_caller]
fn assert_held(daemon: &Daemon, before: u64, waiting: u64) {
    let grown = daemon.peak_kib().saturating_sub(before);
    let most = COMMON + SESSIONS * (IDLE + KEPT + waiting);
    assert!(grown <= most, "grown by {grown} KiB, {most} at most");
    assert!(grown >= SESSIONS * waiting / 8, "grown by {grown} KiB only");
}
