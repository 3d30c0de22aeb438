//! Every transport but TCP, and the ways to name one, on the real binary. Row labels are the ids of
//! the case catalogue in `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    BASE, Client, Daemon, End, Event, PATIENCE, Peer, answer, frame, left_out, noise, open,
    upgrade, within,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{self, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

/// The largest UDP payload over IPv4.
const MAX_UDP: usize = 65_507;
/// What a step may take that the daemon takes at once; less than any of its deadlines.
const SOON: Duration = Duration::from_secs(2);
/// How long nothing must come before it counts as nothing.
const A_WHILE: Duration = Duration::from_millis(200);

/// A directory of one test's own with a short name: a Unix socket's path has little room.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("wsy-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A path of exactly `length` bytes.
    fn path_of(&self, length: usize) -> PathBuf {
        let room = length - self.0.as_os_str().len() - 1;
        self.path(&"x".repeat(room))
    }

    fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The daemon in front of `host`, with further arguments.
fn before(host: &str, arguments: &[&str]) -> Daemon {
    Daemon::start(&[&["-c", &format!("host={host}")], arguments].concat())
}

fn before_path(scheme: &str, path: &Path, arguments: &[&str]) -> Daemon {
    before(&format!("{scheme}://{}", path.display()), arguments)
}

/// What a handshake is refused with.
#[track_caller]
fn refusal(daemon: &Daemon) -> u16 {
    let mut stream = open(daemon.port());
    stream.write_all(BASE.as_bytes()).unwrap();
    answer(&mut stream, BASE.as_bytes()).status
}

/// What the daemon says and exits with, when it does not start before `host`.
fn refused_start(host: &str) -> (Option<i32>, String) {
    let mut command = Command::new("timeout"); // one that starts all the same must not stay
    command.args(["10", common::binary(), "-p", "0", "-l", "127.0.0.1", "-c"]);
    let output = command.arg(format!("host={host}")).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A message in three fragments, with a ping between two of them (RFC 6455 §5.4).
fn fragments(message: &[u8]) -> Vec<u8> {
    let (first, rest) = message.split_at(message.len() / 3);
    let (second, last) = rest.split_at(rest.len() / 2);
    [frame(0x02, first), frame(0x00, second), frame(0x89, b""), frame(0x80, last)].concat()
}

/// Sends a close frame and asserts that nothing is waited for: no FIN comes of a datagram peer.
#[track_caller]
fn leave(daemon: &Daemon, mut client: Client) {
    let start = Instant::now();
    assert_eq!(client.close_now(), Some(1000));
    drop(client);
    daemon.settle();
    assert!(start.elapsed() < SOON, "{:?} for a goodbye", start.elapsed());
}

/// A UDP peer, with the time-outs that keep a lost datagram from hanging the tests.
fn udp_peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn before_udp(peer: &UdpSocket, arguments: &[&str]) -> Daemon {
    before(&format!("udp://{}", peer.local_addr().unwrap()), arguments)
}

/// The next datagram and where it came from.
#[track_caller]
fn datagram(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 1 << 17];
    let (length, from) = peer.recv_from(&mut buffer).unwrap();
    buffer.truncate(length);
    (buffer, from)
}

/// A client whose peer knows where to answer.
fn introduced(daemon: &Daemon, peer: &UdpSocket) -> (Client, SocketAddr) {
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    let (greeting, from) = datagram(peer);
    assert_eq!(greeting, b"hello");
    (client, from)
}

const SIZES: [usize; 12] = [0, 1, 125, 126, 127, 1023, 1024, 1472, 16_383, 16_384, 65_506, MAX_UDP];

/// P30, C-56: a message is a datagram of its length, whole or in fragments, empty or not.
#[test]
fn a_message_is_one_udp_datagram() {
    let peer = udp_peer();
    let daemon = before_udp(&peer, &[]);
    let mut client = Client::connect(daemon.port());
    for size in SIZES {
        let message = noise(size, size as u64);
        client.frame(0x82, &message);
        assert!(datagram(&peer).0 == message, "{size} bytes");
        client.send(&fragments(&message));
        assert!(datagram(&peer).0 == message, "{size} bytes in fragments");
        assert_eq!(client.event(), Event::Pong(vec![]), "{size} bytes");
    }
    leave(&daemon, client);
}

/// P29, P30: messages that come in one read do not become one datagram, and stay in order.
#[test]
fn messages_in_one_read_stay_apart() {
    let peer = udp_peer();
    let daemon = before_udp(&peer, &[]);
    let mut client = Client::connect(daemon.port());
    let messages: [&[u8]; 7] = [b"", b"a", b"", b"", b"bc", &[b'x'; 2000], b"d"];
    let train: Vec<u8> = messages.iter().flat_map(|message| frame(0x81, message)).collect();
    client.send(&train);
    for message in messages {
        assert_eq!(datagram(&peer).0, message);
    }
    leave(&daemon, client);
}

/// P29, P30, B08: a datagram is a message of its length; what is no text is binary.
#[test]
fn a_udp_datagram_is_one_message() {
    let binary = |size| noise(size, 7).iter().map(|byte| byte | 0x80).collect::<Vec<u8>>();
    for (framing, of_text) in [("auto", 1), ("binary", 2)] {
        let peer = udp_peer();
        let daemon = before_udp(&peer, &["-c", &format!("framing={framing}")]);
        let (mut client, from) = introduced(&daemon, &peer);
        for size in SIZES {
            for (kind, bytes) in [(of_text, vec![b't'; size]), (2, binary(size))] {
                peer.send_to(&bytes, from).unwrap();
                let (got, payload) = client.message();
                assert!(payload == bytes, "{framing}: {} bytes of {size}", payload.len());
                assert!(got == kind || size == 0, "{framing}: {size} bytes as {got}");
            }
        }
        leave(&daemon, client);
    }
}

/// F11: where a framing finds messages in a datagram, these are what is sent, and what is left is one
/// more; a datagram of `auto` or `binary` is one, whatever is in it.
#[test]
fn f11_a_datagram_is_cut_as_the_framing_says() {
    let datagrams: [&[u8]; 4] = [b"a\r\nb\r\n", b"\r\n", b"one\r\ntwo", b"three"];
    let lines: &[&[u8]] = &[b"a\r\n", b"b\r\n", b"\r\n", b"one\r\n", b"two", b"three"];
    let stripped: &[&[u8]] = &[b"a", b"b", b"", b"one", b"two", b"three"];
    for (framing, config, expected) in [
        ("newline", "crlf", lines),
        ("newline", "strip:crlf", stripped),
        ("separator", r"\r\n", lines),
        ("auto", "", &datagrams),
        ("binary", "", &datagrams),
    ] {
        let framing = format!("framing={framing}");
        let mut options = vec!["-c", &framing];
        let config = format!("framing-config={config}");
        if !config.ends_with('=') {
            options.extend(["-c", &config]);
        }
        let udp = udp_peer();
        let daemon = before_udp(&udp, &options);
        let (mut client, from) = introduced(&daemon, &udp);
        datagrams.iter().for_each(|bytes| assert!(udp.send_to(bytes, from).is_ok()));
        let got: Vec<_> = expected.iter().map(|_| client.message().1).collect();
        assert_eq!(got, expected, "UDP, {framing}, {config}");
        leave(&daemon, client);

        let scratch = Scratch::new("cut");
        let unix = unix_peer(&scratch.path("s"));
        let daemon = before_path("unix-dgram", &scratch.path("s"), &options);
        let mut client = Client::connect(daemon.port());
        client.frame(0x82, b"hello");
        let (_, back) = unix_datagram(&unix);
        datagrams.iter().for_each(|bytes| assert!(back.send(bytes).is_ok()));
        let got: Vec<_> = expected.iter().map(|_| client.message().1).collect();
        assert_eq!(got, expected, "Unix, {framing}, {config}");
        leave(&daemon, client);
    }
}

/// F10: where all is text, a datagram of no bytes is, too.
#[test]
fn f10_an_empty_datagram_is_text_where_all_is() {
    for (framing, config, kind) in
        [("auto", "text", 1), ("newline", "text", 1), ("newline", "crlf", 2)]
    {
        let options = [format!("framing={framing}"), format!("framing-config={config}")];
        let options = ["-c", &options[0], "-c", &options[1]];
        let udp = udp_peer();
        let daemon = before_udp(&udp, &options);
        let (mut client, from) = introduced(&daemon, &udp);
        udp.send_to(b"", from).unwrap();
        assert_eq!(client.message(), (kind, vec![]), "UDP, {framing}, {config}");
        leave(&daemon, client);
    }
}

/// P32: what is no datagram is not cut: 1009, and none of it is sent.
#[test]
fn a_message_larger_than_a_datagram_is_refused() {
    let message = noise(MAX_UDP + 1, 1);
    let declared = common::header(0x82, 0x80, 1 << 62);
    let rows = [
        ("whole", frame(0x82, &message)),
        ("in fragments", fragments(&message)),
        ("only announced", [&declared[..], &[0; 4]].concat()),
    ];
    for (name, bytes) in rows {
        let peer = udp_peer();
        let daemon = before_udp(&peer, &[]);
        let (mut client, _) = introduced(&daemon, &peer);
        client.send(&bytes);
        assert_eq!(client.end(), Some(1009), "{name}");
        peer.set_read_timeout(Some(A_WHILE)).unwrap();
        let sent = peer.recv_from(&mut [0; 8]).map_err(|error| error.kind());
        assert_eq!(sent.unwrap_err(), ErrorKind::WouldBlock, "{name}");
    }
}

/// A server of IPv4 alone is `localhost` to a datagram, too, though nobody says that ::1 is not.
#[test]
fn a_udp_server_is_localhost() {
    let peer = udp_peer();
    let daemon = before(&format!("udp://localhost:{}", peer.local_addr().unwrap().port()), &[]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    assert_eq!(datagram(&peer).0, b"hello");
    leave(&daemon, client);
}

/// F12: a broadcast address is a peer like another, though the kernel wants to be told so (udp(7));
/// the loopback network's is heard by all who listen there.
#[test]
fn f12_broadcasts_are_sent() {
    let listen = |port: u16| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
        let socket = socket.unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        UdpSocket::from(socket)
    };
    let first = listen(0);
    let port = first.local_addr().unwrap().port();
    let second = listen(port);
    let daemon = before(&format!("udp://127.255.255.255:{port}"), &[]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"wake up");
    for host in [first, second] {
        assert_eq!(datagram(&host).0, b"wake up");
    }
    leave(&daemon, client);
}

/// P33: the socket is connected: what others send to it is not the peer's.
#[test]
fn a_datagram_of_a_stranger_is_not_delivered() {
    let (peer, stranger) = (udp_peer(), udp_peer());
    let daemon = before_udp(&peer, &[]);
    let (mut client, from) = introduced(&daemon, &peer);
    stranger.send_to(b"forged", from).unwrap();
    assert!(client.silent_for(A_WHILE));
    peer.send_to(b"true", from).unwrap();
    assert_eq!(client.message(), (1, b"true".to_vec()));
    leave(&daemon, client);
}

/// P31: two refusals are a peer that restarts, three in a row are none.
#[test]
fn a_udp_peer_may_be_gone_for_a_moment() {
    let peer = udp_peer();
    let address = peer.local_addr().unwrap();
    let daemon = before_udp(&peer, &[]);
    let (mut client, _) = introduced(&daemon, &peer);
    drop(peer);
    for _ in 0..2 {
        client.frame(0x81, b"into the void");
        assert!(client.silent_for(A_WHILE), "a refusal that is not the third");
    }
    let peer = UdpSocket::bind(address).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    client.frame(0x81, b"again");
    let (again, from) = datagram(&peer);
    assert_eq!(again, b"again");
    peer.send_to(b"here", from).unwrap();
    assert_eq!(client.message(), (1, b"here".to_vec()));
    drop(peer);
    for _ in 0..2 {
        client.frame(0x81, b"into the void");
        assert!(client.silent_for(A_WHILE), "an answer between makes them no row");
    }
    client.frame(0x81, b"the third");
    assert_eq!(client.end(), Some(1011));
}

/// C-52, C-53: every way to say where a peer is.
#[test]
fn peers_are_named_in_many_ways() {
    let peer = Peer::echo();
    let port = peer.port().to_string();
    let rows: [(String, &[&str]); 6] = [
        (format!("127.0.0.1:{port}"), &[]),
        (format!("tcp://127.0.0.1:{port}"), &[]),
        (format!("TCP://localhost:{port}"), &[]), // ::1 refuses, 127.0.0.1 takes it
        ("127.0.0.1".into(), &["-c"]),
        ("tcp://localhost".into(), &["-c"]),
        (format!("tcp://127.0.0.1:{port}"), &["-c"]), // O1: both, and the same
    ];
    for (host, flag) in rows {
        let port = format!("port={port}");
        let arguments: Vec<&str> = flag.iter().flat_map(|flag| [*flag, &port]).collect();
        let daemon = before(&host, &arguments);
        assert_echo(&daemon, &host);
        if !host.contains("://") {
            daemon.wait_for_log("no scheme");
        }
        let warned = daemon.log().iter().any(|line| line.contains("no scheme"));
        assert_eq!(warned, !host.contains("://"), "{host}: {:?}", daemon.log());
    }
}

/// One message there and back, and a goodbye.
#[track_caller]
fn assert_echo(daemon: &Daemon, what: &str) {
    let mut client = Client::connect(daemon.port());
    client.frame(0x81, b"hello");
    assert_eq!(client.message(), (1, b"hello".to_vec()), "{what}");
    assert_eq!(client.close_now(), Some(1000), "{what}");
}

/// P06: addresses of IPv6 stand in brackets, and `localhost` is both families.
#[test]
fn ipv6_peers_are_reached() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        return left_out("peers on ::1", "no IPv6");
    };
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().take(2).flatten() {
            let mut reader = stream.try_clone().unwrap();
            let _ = std::io::copy(&mut reader, &mut stream);
        }
    });
    for host in [format!("tcp://[::1]:{port}"), format!("tcp://localhost:{port}")] {
        assert_echo(&before(&host, &[]), &host);
    }
}

/// A peer that cannot be is said at start, exit 2; nothing is listened on.
#[test]
fn a_peer_that_cannot_be_is_refused_at_start() {
    let scratch = Scratch::new("start");
    let long = scratch.path_of(108).display().to_string();
    let rows = [
        ("gopher://127.0.0.1:70".into(), "scheme \"gopher\" is unknown"),
        ("://127.0.0.1:70".into(), "scheme \"\" is unknown"),
        (String::new(), "host is empty"),
        ("tcp://".into(), "tcp://HOST:PORT"),
        ("tcp://a b:1".into(), "not a name or address"),
        ("tcp://[::1:1".into(), "not a name or address"),
        ("tcp://127.0.0.1:0".into(), "neither a number from 1 to 65535"),
        ("udp://127.0.0.1:65536".into(), "neither a number from 1 to 65535"),
        ("unix://".into(), "path"),
        ("fiforx://".into(), "path"),
        (format!("unix://{long}"), "a path of 108 bytes; a Unix socket has room for 107"),
        (format!("unix-dgram://{long}"), "a path of 108 bytes; a Unix socket has room for 107"),
    ];
    for (host, named) in rows {
        let (code, said) = refused_start(&host);
        assert_eq!(code, Some(2), "{host}: {said}");
        assert!(said.contains(named), "{host}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{host}: {said}");
    }
}

/// P08, C-54: a path of the longest length is reached as it is, echo and all.
#[test]
fn unix_sockets_are_reached() {
    let scratch = Scratch::new("unix");
    for path in [scratch.path("short"), scratch.path_of(107)] {
        let listener = UnixListener::bind(&path).unwrap();
        echo_once(listener);
        let daemon = before_path("unix", &path, &[]);
        assert_echo(&daemon, &path.display().to_string());
    }
}

/// F12: sockets of the abstract namespace, whose names are no paths (unix(7)): streams and datagrams,
/// with names of every length.
#[test]
fn f12_abstract_unix_sockets_are_reached() {
    let short = format!("wsy-{}", std::process::id());
    for name in [format!("{short}/a path"), format!("{short:x<107}")] {
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        echo_once(UnixListener::bind_addr(&address).unwrap());
        let daemon = before(&format!("unix://@{name}"), &[]);
        assert_echo(&daemon, &name);

        let peer = UnixDatagram::bind_addr(&address).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let daemon = before(&format!("unix-dgram://@{name}"), &[]);
        let mut client = Client::connect(daemon.port());
        client.frame(0x82, b"hello");
        let (greeting, back) = unix_datagram(&peer);
        assert_eq!(greeting, b"hello");
        back.send(b"answer").unwrap();
        assert_eq!(client.message(), (1, b"answer".to_vec()));
        leave(&daemon, client);
        drop((peer, back));
        assert_eq!(refusal(&daemon), 502);
    }
}

/// Accepts one connection and sends back what it brings.
fn echo_once(listener: UnixListener) {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = stream.try_clone().unwrap();
        let _ = std::io::copy(&mut reader, &mut stream);
    });
}

/// P08: what is there but is not what the scheme says, or is not there, is 502, at once.
#[test]
fn what_is_no_such_peer_is_502() {
    let scratch = Scratch::new("none");
    let (file, stream, datagram) = (scratch.path("f"), scratch.path("s"), scratch.path("d"));
    fs::write(&file, "precious").unwrap();
    let _stream = UnixListener::bind(&stream).unwrap();
    let _datagram = UnixDatagram::bind(&datagram).unwrap();
    let (missing, fifo) = (scratch.path("missing"), scratch.fifo("p"));
    let device = Path::new("/dev/random"); // opens, polls, and never ends
    let rows: [(&str, &[&Path]); 4] = [
        ("unix", &[&missing, &file, &datagram, &fifo, &scratch.0]),
        ("unix-dgram", &[&missing, &file, &stream, &fifo, &scratch.0]),
        // Nobody reads the FIFO: to open it would block.
        ("fifotx", &[&missing, &file, &stream, &scratch.0, &fifo, device]),
        ("fiforx", &[&missing, &file, &stream, &scratch.0, device]),
    ];
    for (scheme, paths) in rows {
        for path in paths {
            let daemon = before_path(scheme, path, &[]);
            let start = Instant::now();
            assert_eq!(refusal(&daemon), 502, "{scheme}://{}", path.display());
            assert!(start.elapsed() < SOON, "{scheme}://{}", path.display());
        }
    }
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

/// P08: a peer that is not for us is 502.
#[test]
fn a_peer_without_permission_is_502() {
    let scratch = Scratch::new("shut");
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
    let (stream, datagram) = (scratch.path("s"), scratch.path("d"));
    let (fifo, behind) = (scratch.fifo("p"), scratch.path("x/s"));
    let _stream = UnixListener::bind(&stream).unwrap();
    let _datagram = UnixDatagram::bind(&datagram).unwrap();
    fs::create_dir(scratch.path("x")).unwrap();
    for path in [&stream, &datagram, &fifo, &scratch.path("x")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let rows = [
        ("unix", &stream),
        ("unix", &behind),
        ("unix-dgram", &datagram),
        ("fifotx", &fifo),
        ("fiforx", &fifo),
    ];
    for (scheme, path) in rows {
        let host = format!("host={scheme}://{}", path.display());
        let Some(daemon) = Daemon::unprivileged(&["-c", &host]) else {
            return left_out("a daemon without rights", "no place where nobody may run it");
        };
        assert_eq!(refusal(&daemon), 502, "{host}");
        daemon.wait_for_log("Permission denied");
    }
}

/// A Unix listener whose queue is full, and the connections that fill it.
fn crowded(path: &Path) -> (socket2::Socket, Vec<socket2::Socket>) {
    let unix = || socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let address = socket2::SockAddr::unix(path).unwrap();
    let listener = unix();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    let mut queued = Vec::new();
    loop {
        let socket = unix();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&address) {
            Ok(()) => queued.push(socket),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (listener, queued),
            Err(error) => panic!("{error}"),
        }
        assert!(queued.len() < 16, "a queue of length nothing takes them all");
    }
}

/// P09: a full queue is tried again until the deadline: 504.
#[test]
fn a_unix_socket_that_stays_full_is_504() {
    let scratch = Scratch::new("full");
    let path = scratch.path("s");
    let _crowd = crowded(&path);
    let daemon = before_path("unix", &path, &["--connect-timeout", "0.5"]);
    let (start, busy) = (Instant::now(), daemon.cpu_ms());
    assert_eq!(refusal(&daemon), 504);
    let took = start.elapsed().as_millis();
    assert!((450..2000).contains(&took), "{took} ms");
    assert!(daemon.cpu_ms() - busy < 100, "it waits, it does not spin");
}

/// P09, H66: nobody is connected for a client that has its 504 already, though it lingers.
#[test]
fn a_client_that_was_refused_gets_no_peer() {
    let scratch = Scratch::new("late");
    let path = scratch.path("s");
    let (listener, crowd) = crowded(&path);
    let daemon = before_path("unix", &path, &["--connect-timeout", "0.5"]);
    let mut stream = open(daemon.port());
    stream.write_all(BASE.as_bytes()).unwrap();
    assert_eq!(common::answer(&mut stream, b"").status, 504);
    for _ in &crowd {
        listener.accept().unwrap();
    }
    listener.set_nonblocking(true).unwrap();
    std::thread::sleep(A_WHILE);
    assert!(listener.accept().is_err(), "a connection for nobody");
    drop(stream);
    daemon.wait_for_log("refused with 504");
    assert!(!daemon.log().iter().any(|line| line.contains("started")), "{:?}", daemon.log());
}

/// P09: and reached when there is room again.
#[test]
fn a_unix_socket_that_was_full_is_reached() {
    let scratch = Scratch::new("room");
    let path = scratch.path("s");
    let (listener, crowd) = crowded(&path);
    let daemon = before_path("unix", &path, &["--connect-timeout", "20"]);
    let mut stream = open(daemon.port());
    stream.write_all(BASE.as_bytes()).unwrap();
    stream.set_read_timeout(Some(A_WHILE)).unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in &crowd {
        listener.accept().unwrap();
    }
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"at last").unwrap();
    upgrade(&mut stream, b"");
    let mut client = Client::over(stream);
    assert_eq!(client.message(), (1, b"at last".to_vec()));
    drop(peer);
    assert_eq!(client.end(), Some(1000));
}

/// A09: however many wait for room, one of them looks for it, and seldom; meanwhile others are
/// served, and when there is room all are.
#[test]
fn a09_a_crowd_before_a_full_unix_socket_costs_one_probe() {
    const CROWD: usize = 1500;
    common::allow_many_descriptors();
    let scratch = Scratch::new("probe");
    let path = scratch.path("s");
    let (listener, crowd) = crowded(&path);
    let daemon = before_path("unix", &path, &["--connect-timeout", "60"]);
    let mut streams: Vec<_> = (0..CROWD).map(|_| open(daemon.port())).collect();
    streams.iter_mut().for_each(|stream| stream.write_all(BASE.as_bytes()).unwrap());
    let accepted = daemon.baseline() + CROWD;
    common::eventually("all are inside", || daemon.fds() >= accepted);
    std::thread::sleep(A_WHILE);
    let busy = daemon.cpu_ms();
    std::thread::sleep(Duration::from_secs(1));
    let spent = daemon.cpu_ms() - busy;
    assert!(spent <= 100, "{spent} ms of a second for {CROWD} who wait");
    let start = Instant::now();
    let mut other = open(daemon.port());
    other.write_all(b"NONSENSE\r\n\r\n").unwrap();
    assert_eq!(answer(&mut other, b"").status, 400);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    drop(crowd);
    let accepts = std::thread::spawn(move || while listener.accept().is_ok() {});
    let start = Instant::now();
    streams.iter_mut().for_each(|stream| drop(common::read_upgrade(stream)));
    println!("{CROWD} who waited were let in within {:?}", start.elapsed());
    drop((streams, accepts));
}

/// A peer of datagrams over a Unix socket.
fn unix_peer(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The next datagram, and a socket that answers whoever sent it.
#[track_caller]
fn unix_datagram(peer: &UnixDatagram) -> (Vec<u8>, UnixDatagram) {
    let mut buffer = vec![0; 1 << 17];
    let (length, from) = peer.recv_from(&mut buffer).unwrap();
    buffer.truncate(length);
    let back = peer.try_clone().unwrap();
    assert!(!from.is_unnamed(), "the peer can answer");
    assert_eq!(from.as_pathname(), None, "nothing is left in the file system");
    back.connect_addr(&from).unwrap();
    (buffer, back)
}

/// P34, C-55: the socket has an address of its own, so the peer can answer; one message is one
/// datagram both ways.
#[test]
fn a_unix_datagram_is_one_message_both_ways() {
    let scratch = Scratch::new("dgram");
    let path = scratch.path("s");
    let peer = unix_peer(&path);
    let daemon = before_path("unix-dgram", &path, &[]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    let (greeting, back) = unix_datagram(&peer);
    assert_eq!(greeting, b"hello");
    for size in SIZES {
        let message = noise(size, size as u64);
        client.frame(0x82, &message);
        assert!(received(&back) == message, "{size} bytes");
        client.send(&fragments(&message));
        assert!(received(&back) == message, "{size} bytes in fragments");
        assert_eq!(client.event(), Event::Pong(vec![]), "{size} bytes");
        back.send(&message).unwrap();
        assert!(client.message().1 == message, "{size} bytes to the client");
        back.send(&vec![b't'; size]).unwrap();
        let (kind, text) = client.message();
        assert!(text == vec![b't'; size] && (kind == 1 || size == 0), "{size}: {kind}");
    }
    leave(&daemon, client);
}

#[track_caller]
fn received(peer: &UnixDatagram) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 17];
    let length = peer.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// P34: two sessions before one peer have addresses of their own.
#[test]
fn answers_reach_the_session_that_asked() {
    let scratch = Scratch::new("two");
    let path = scratch.path("s");
    let peer = unix_peer(&path);
    let daemon = before_path("unix-dgram", &path, &[]);
    let mut clients = [Client::connect(daemon.port()), Client::connect(daemon.port())];
    let mut ways = Vec::new();
    for client in &mut clients {
        client.frame(0x81, b"who am I");
        let mut buffer = [0; 16];
        ways.push(peer.recv_from(&mut buffer).unwrap().1);
    }
    for (index, way) in ways.iter().enumerate().rev() {
        peer.send_to_addr(index.to_string().as_bytes(), way).unwrap();
    }
    for (index, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.message(), (1, index.to_string().into_bytes()));
        assert_eq!(client.close_now(), Some(1000));
    }
}

/// P32: nothing is cut on its way to a Unix peer either.
#[test]
fn a_message_larger_than_a_unix_datagram_is_refused() {
    let scratch = Scratch::new("large");
    let path = scratch.path("s");
    let peer = unix_peer(&path);
    let daemon = before_path("unix-dgram", &path, &[]);
    let message = noise(MAX_UDP + 1, 1);
    for bytes in [frame(0x82, &message), fragments(&message)] {
        let mut client = Client::connect(daemon.port());
        client.send(&bytes);
        assert_eq!(client.end(), Some(1009));
    }
    peer.set_nonblocking(true).unwrap();
    assert_eq!(peer.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// P35: a queue that is full holds the client back and loses nothing, in whatever order; the close
/// frame behind it all waits too.
#[test]
fn a_full_datagram_queue_is_backpressure() {
    let scratch = Scratch::new("queue");
    let path = scratch.path("s");
    let peer = unix_peer(&path);
    let daemon = before_path("unix-dgram", &path, &[]);
    let mut client = Client::connect(daemon.port());
    let message = |index: usize| [&index.to_be_bytes(), &noise(index % 2000, 3)[..]].concat();
    (0..400).for_each(|index| client.frame(0x82, &message(index)));
    client.close(1000);
    std::thread::sleep(A_WHILE);
    let busy = daemon.cpu_ms();
    std::thread::sleep(A_WHILE);
    assert!(daemon.cpu_ms() - busy <= 20, "it waits, it does not spin");
    for index in 0..400 {
        assert!(received(&peer) == message(index), "datagram {index}");
    }
    assert_eq!(client.closed(), Some(1000));
    assert_eq!(client.event(), Event::End(End::Fin));
    peer.set_nonblocking(true).unwrap();
    assert_eq!(peer.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// P17 for datagrams: a client that does not read holds the peer back.
#[test]
fn a_slow_client_is_backpressure_to_a_datagram_peer() {
    let scratch = Scratch::new("slow");
    let path = scratch.path("s");
    let peer = unix_peer(&path);
    let daemon = before_path("unix-dgram", &path, &[]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    let back = unix_datagram(&peer).1;
    let message = |index: usize| [&index.to_be_bytes(), &[0x80; 16_000][..]].concat();
    let sender = std::thread::spawn(move || {
        (0..2000).for_each(|index| assert!(back.send(&message(index)).is_ok(), "{index}"));
    });
    std::thread::sleep(A_WHILE);
    assert!(!sender.is_finished(), "32 MB lie nowhere");
    (0..2000).for_each(|index| assert!(client.message().1 == message(index), "{index}"));
    sender.join().unwrap();
    leave(&daemon, client);
}

/// A reader of a FIFO that does not wait for a writer.
fn reader(path: &Path) -> fs::File {
    fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

/// What a FIFO brings until the writer closes it, at most `pace` bytes a read.
#[track_caller]
fn drain(fifo: &mut fs::File, pace: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; pace]);
    let ended = within(PATIENCE, || {
        loop {
            match fifo.read(&mut buffer) {
                Ok(0) => return true,
                Ok(read) => all.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert!(ended, "no end after {} bytes", all.len());
    all
}

/// The client's bytes, in whatever frames, are those of the FIFO; its end is the FIFO's end.
#[test]
fn a_fifo_gets_what_the_client_sends() {
    let scratch = Scratch::new("tx");
    let path = scratch.fifo("p");
    let large = noise(1 << 20, 1);
    let small: Vec<u8> = (0..20_000).flat_map(|_| frame(0x81, b"a line\n")).collect();
    let rows = [
        ("nothing", vec![], vec![]),
        ("text", frame(0x81, b"hello"), b"hello".to_vec()),
        ("fragments", fragments(b"one two three"), b"one two three".to_vec()),
        ("more than it holds", frame(0x82, &large), large.clone()),
        ("many small ones", small, b"a line\n".repeat(20_000)),
    ];
    for (name, sent, expected) in rows {
        for pace in [97, 64 * 1024] {
            let mut fifo = reader(&path);
            let daemon = before_path("fifotx", &path, &[]);
            let mut client = Client::connect(daemon.port());
            client.send(&sent);
            client.close(1000);
            std::thread::sleep(Duration::from_millis(50)); // the FIFO is full by then
            assert!(drain(&mut fifo, pace) == expected, "{name}, {pace} bytes a read");
            assert_eq!(client.end(), Some(1000), "{name}");
        }
    }
}

/// A FIFO that nobody writes to is waited for; its bytes are framed; its end is the session's.
#[test]
fn a_client_gets_what_a_fifo_brings() {
    let scratch = Scratch::new("rx");
    let path = scratch.fifo("p");
    let newline = ["-c", "framing=newline", "-c", "framing-config=lf"];
    let daemon = before_path("fiforx", &path, &newline);
    let mut client = Client::connect(daemon.port());
    assert!(client.silent_for(A_WHILE));
    client.frame(0x89, b"still there?");
    assert_eq!(client.event(), Event::Pong(b"still there?".to_vec()));
    let mut fifo = fs::File::options().write(true).open(&path).unwrap();
    fifo.write_all(b"one\ntw").unwrap();
    assert_eq!(client.message(), (1, b"one\n".to_vec()));
    assert!(client.silent_for(A_WHILE));
    fifo.write_all(b"o\n\xff\ntail").unwrap();
    assert_eq!(client.message(), (1, b"two\n".to_vec()));
    assert_eq!(client.message(), (2, b"\xff\n".to_vec()));
    drop(fifo);
    assert_eq!(client.message(), (1, b"tail".to_vec()));
    assert_eq!(client.end(), Some(1000));
}

/// More than a FIFO holds, through a client that is slow to begin.
#[test]
fn a_fifo_is_held_back_by_a_slow_client() {
    let scratch = Scratch::new("pipe");
    let path = scratch.fifo("p");
    let daemon = before_path("fiforx", &path, &["-c", "framing=binary"]);
    let mut client = Client::connect(daemon.port());
    let bytes = noise(32 << 20, 5);
    let mut expected = common::Digest::default();
    expected.add(&bytes);
    let writer = std::thread::spawn(move || {
        let mut fifo = fs::File::options().write(true).open(path).unwrap();
        fifo.write_all(&bytes).unwrap();
    });
    std::thread::sleep(A_WHILE);
    assert!(!writer.is_finished(), "32 MB lie nowhere");
    assert_eq!(client.digest(32 << 20), expected.value());
    writer.join().unwrap();
    assert_eq!(client.end(), Some(1000));
}

/// A FIFO that is read takes no data: 1003. Control frames are none.
#[test]
fn data_for_a_fifo_that_is_read_is_1003() {
    let scratch = Scratch::new("mute");
    let path = scratch.fifo("p");
    let daemon = before_path("fiforx", &path, &[]);
    for bytes in [frame(0x81, b"data"), frame(0x82, b""), frame(0x02, b"a fragment")] {
        let mut client = Client::connect(daemon.port());
        client.send(&bytes);
        assert_eq!(client.end(), Some(1003), "{bytes:x?}");
    }
    let mut client = Client::connect(daemon.port());
    client.frame(0x8a, b"a pong that nobody asked for");
    let mut fifo = fs::File::options().write(true).open(&path).unwrap();
    fifo.write_all(b"alive").unwrap();
    assert_eq!(client.message(), (1, b"alive".to_vec()));
    leave(&daemon, client);
    assert_eq!(fifo.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

/// A goodbye does not wait for a writer that never came.
#[test]
fn a_client_leaves_a_fifo_at_once() {
    let scratch = Scratch::new("idle");
    let daemon = before_path("fiforx", &scratch.fifo("p"), &[]);
    leave(&daemon, Client::connect(daemon.port()));
}

/// P31 for a Unix peer: one that takes no datagram any more is no peer, and the client is told.
#[test]
fn a_unix_datagram_peer_that_takes_nothing_is_1011() {
    let scratch = Scratch::new("gone");
    let elsewhere = unix_peer(&scratch.path("elsewhere"));
    let other = elsewhere.local_addr().unwrap();
    // What send(2) says from then on: ECONNREFUSED, then ENOTCONN; EPIPE; EPERM.
    for row in ["ended", "shut down", "connected to another"] {
        let path = scratch.path(row);
        let peer = unix_peer(&path);
        let daemon = before_path("unix-dgram", &path, &[]);
        let mut client = Client::connect(daemon.port());
        client.patience(SOON);
        let _kept = match row {
            "ended" => {
                drop(peer);
                None
            }
            "shut down" => Some(peer.shutdown(Shutdown::Both).map(|()| peer).unwrap()),
            _ => Some(peer.connect_addr(&other).map(|()| peer).unwrap()),
        };
        (0..3).for_each(|_| client.frame(0x81, b"anybody?"));
        assert_eq!(client.end(), Some(1011), "{row}");
    }
}

/// F2 for peers on this machine: who reads lives, however slowly, and who does not is given up,
/// though their buffers show little of it.
#[test]
fn f02_a_slow_reader_lives_on_a_unix_socket_and_a_fifo() {
    let scratch = Scratch::new("trickle");
    let (socket, fifo) = (scratch.path("s"), scratch.fifo("p"));
    let listener = UnixListener::bind(&socket).unwrap();
    // Bytes of each read, five a second: one KiB a second is to suffice, or any byte.
    for (scheme, path, piece) in [("unix", &socket, 2048), ("fifotx", &fifo, 10)] {
        let waiting = (scheme == "fifotx").then(|| reader(&fifo));
        let daemon = before_path(scheme, path, &["--write-timeout", "1", "-c", "framing=binary"]);
        let mut client = Client::connect(daemon.port());
        let mut peer: Box<dyn Read> = match waiting {
            Some(fifo) => Box::new(fifo),
            None => Box::new(listener.accept().unwrap().0),
        };
        let mut sending = client.stream().try_clone().unwrap();
        let _sender = std::thread::spawn(move || sending.write_all(&frame(0x82, &[7; 2 << 20])));
        std::thread::sleep(A_WHILE * 2); // the buffer is full by then
        for read in 0..12 {
            peer.read_exact(&mut vec![0; piece]).unwrap();
            assert!(client.silent_for(A_WHILE), "{scheme}, {read}: {:?}", client.event());
        }
        assert_eq!(client.closed(), Some(1011), "{scheme}: it reads no more");
        client.stream().shutdown(Shutdown::Both).unwrap();
        daemon.wait_for_log("peer stopped reading");
    }
}

/// A reader that goes away is the end of the session, and a normal one.
#[test]
fn a_fifo_without_its_reader_ends_the_session() {
    let scratch = Scratch::new("deaf");
    let path = scratch.fifo("p");
    for silent in [false, true] {
        let fifo = reader(&path);
        let daemon = before_path("fifotx", &path, &[]);
        let mut client = Client::connect(daemon.port());
        drop(fifo);
        if !silent {
            client.frame(0x81, b"anybody?");
        }
        assert_eq!(client.end(), Some(1000), "silent: {silent}");
    }
}

/// Nothing is cut on its way from a Unix peer, whose datagrams may be larger than UDP's.
#[test]
fn a_large_unix_datagram_is_never_cut() {
    let scratch = Scratch::new("huge");
    let path = scratch.path("s");
    let peer = unix_peer(&path);
    let daemon = before_path("unix-dgram", &path, &[]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    let back = unix_datagram(&peer).1;
    for size in [65_535, 65_536, 65_537, 100_000] {
        back.send(&vec![b't'; size]).unwrap();
        back.send(b"next").unwrap();
        assert_eq!(client.message().1.len(), size);
        assert_eq!(client.message().1, b"next");
    }
    leave(&daemon, client);
}

/// P34: the address that a session answers from is free, whatever others have bound.
#[test]
fn a_taken_address_keeps_nobody_out() {
    let scratch = Scratch::new("taken");
    let path = scratch.path("s");
    let _peer = unix_peer(&path);
    let daemon = before_path("unix-dgram", &path, &[]);
    // Another daemon with this process id: containers share an abstract namespace, not ids.
    let name = format!("websocksy/{}/0", daemon.pid());
    let address = net::SocketAddr::from_abstract_name(name).unwrap();
    let _other = UnixDatagram::bind_addr(&address).unwrap();
    assert_eq!(Client::connect(daemon.port()).close_now(), Some(1000));
}

/// Sends `text` over a Unix socket with a descriptor beside it (unix(7), SCM_RIGHTS).
fn send_with_descriptor(socket: &socket2::Socket, text: &[u8]) {
    use std::os::fd::AsRawFd;
    // A `cmsghdr`: its length, SOL_SOCKET, SCM_RIGHTS, and one descriptor.
    let mut control = [20_usize.to_ne_bytes().as_slice(), &[0; 16]].concat();
    for (at, word) in [(8, 1), (12, 1), (16, socket.as_raw_fd())] {
        control[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    let parts = [std::io::IoSlice::new(text)];
    let message = socket2::MsgHdr::new().with_buffers(&parts).with_control(&control);
    assert_eq!(socket.sendmsg(&message, 0).unwrap(), text.len());
}

/// P36 for Unix sockets: a read stops where a descriptor was passed; what is behind it arrives all
/// the same, and the descriptor goes nowhere.
#[test]
fn a_descriptor_holds_nothing_back() {
    let scratch = Scratch::new("rights");
    let path = scratch.path("s");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = before_path("unix", &path, &["-c", "framing=binary"]);
    let mut client = Client::connect(daemon.port());
    let (peer, _) = listener.accept().unwrap();
    let peer = socket2::Socket::from(peer);
    let before = daemon.fds();
    daemon.signal("STOP"); // so that all of it is there when it next looks
    send_with_descriptor(&peer, b"one");
    send_with_descriptor(&peer, b"two");
    peer.send(b"three").unwrap();
    daemon.signal("CONT");
    for expected in ["one", "two", "three"] {
        assert_eq!(client.message(), (2, expected.into()));
    }
    assert_eq!(daemon.fds(), before);
    drop(peer);
    assert_eq!(client.end(), Some(1000));
}
