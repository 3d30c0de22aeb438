//! Where the real binary listens: several addresses, names, Unix sockets, and sockets that a service
//! manager hands over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    BASE, Client, Daemon, PATIENCE, Peer, SocketDirectory, binary, eventually, frame, free_port,
    within,
};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Shakes hands and has a message echoed over a Unix socket.
#[track_caller]
fn echo_over(path: &Path) {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(BASE.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{:?}", String::from_utf8_lossy(&head));
    stream.write_all(&frame(0x82, b"over unix")).unwrap();
    let mut echoed = [0; 11];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"\x82\x09over unix");
}

/// Starts the binary, which has to end by itself; status and the line that it says.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    command.env_remove("LISTEN_FDS").env("RUST_LOG", "error").args(arguments);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    (output.status.code(), said)
}

#[test]
fn a_session_over_each_of_several_listeners() {
    let directory = SocketDirectory::new("several");
    let peer = Peer::echo();
    let (other, place) = (free_port(), directory.place());
    let second = format!("127.0.0.1:{other}");
    let daemon = Daemon::before(&peer, "binary", &["-l", &second, "-l", &place]);
    for port in [daemon.port(), other] {
        let mut client = Client::connect(port);
        client.frame(0x82, b"hello");
    }
    echo_over(&directory.socket());
    for place in [&second, &place] {
        daemon.wait_for_log(&format!("listening on {place}, back end "));
    }
    daemon.wait_for_log("INFO  unix -> tcp://127.0.0.1");
}

/// `::` is IPv4 too, but where somebody else is for IPv4.
#[test]
fn both_families_have_listeners_of_one_port() {
    let port = free_port();
    let both = [format!("[::]:{port}"), format!("0.0.0.0:{port}")];
    if TcpListener::bind("[::1]:0").is_err() {
        return common::left_out("both families", "no IPv6");
    }
    for order in [[&both[0], &both[1]], [&both[1], &both[0]]] {
        let peer = Peer::echo();
        let daemon = Daemon::before(&peer, "binary", &["-l", order[0], "-l", order[1]]);
        drop(Client::connect(port));
        daemon.wait_for_log(&format!("listening on {}, ", both[0]));
        daemon.wait_for_log(&format!("listening on {}, ", both[1]));
    }
}

/// `localhost` is two addresses in most machines' lists, and a port of the kernel's choice is one for
/// both.
#[test]
fn a_name_listens_on_all_its_addresses() {
    let daemon = Daemon::start(&["-l", "localhost"]);
    let lines = || daemon.log().into_iter().filter(|line| line.contains("listening on ")).skip(1);
    let resolved = std::net::ToSocketAddrs::to_socket_addrs("localhost:0").unwrap();
    let can = |address: &std::net::SocketAddr| TcpListener::bind(address).is_ok();
    let mut addresses: Vec<_> = resolved.filter(can).collect();
    addresses.dedup();
    eventually("one line for each address", || lines().count() == addresses.len());
    let port = |line: String| {
        let address =
            line.split_once("listening on ").unwrap().1.split(',').next().unwrap().to_owned();
        address.parse::<std::net::SocketAddr>().unwrap().port()
    };
    let ports: Vec<_> = lines().map(port).collect();
    assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
}

#[test]
fn a_unix_socket_has_its_mode_and_is_removed_at_the_end() {
    let directory = SocketDirectory::new("mode");
    for (words, mode) in [("mode=0600", 0o600), ("mode=0666", 0o666), ("mode=660", 0o660)] {
        let peer = Peer::echo();
        let place = format!("{} {words}", directory.place());
        let mut daemon = Daemon::before(&peer, "binary", &["-l", &place]);
        let file = fs::metadata(directory.socket()).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o7777, mode, "{words}");
        echo_over(&directory.socket());
        daemon.signal("TERM");
        assert!(daemon.exit_within(PATIENCE).unwrap().success());
        assert_eq!(directory.files(), [""; 0]);
    }
}

#[test]
fn a_unix_socket_has_its_owner() {
    let directory = SocketDirectory::new("owner");
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let words = if root { "user=65534 group=daemon" } else { "mode=0600" };
    let place = format!("{} {words}", directory.place());
    let _daemon = Daemon::start(&["-l", &place]);
    let file = fs::metadata(directory.socket()).unwrap();
    if root {
        assert_eq!((file.uid(), file.gid()), (65_534, 1));
    }
    for (words, says) in [
        ("user=nobody-of-that-name", "is not a user of this machine"),
        ("group=no-such-group", "is not a group of this machine"),
    ] {
        let elsewhere = format!("unix:{}/other {words}", directory.0.display());
        let (status, said) = refused(&["-l", &elsewhere]);
        assert_eq!(status, Some(2));
        assert!(
            said.contains("--listen: '") && said.contains(words) && said.contains(says),
            "{said}"
        );
    }
    assert_eq!(directory.files(), ["ws.sock"]);
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let directory = SocketDirectory::new("stale");
    drop(UnixListener::bind(directory.socket()).unwrap());
    let peer = Peer::echo();
    let place = directory.place();
    let mut first = Daemon::before(&peer, "binary", &["-l", &place]);
    echo_over(&directory.socket());
    let (status, said) = refused(&["-l", &place]);
    assert_eq!(status, Some(1));
    assert!(said.contains(&place) && said.contains("another process listens there"), "{said}");
    echo_over(&directory.socket());
    // What somebody else has put there meanwhile stays.
    fs::remove_file(directory.socket()).unwrap();
    let _another = UnixListener::bind(directory.socket()).unwrap();
    first.signal("TERM");
    assert!(first.exit_within(PATIENCE).unwrap().success());
    assert_eq!(directory.files(), ["ws.sock"]);
}

#[test]
fn a_file_that_is_not_a_socket_stays() {
    let directory = SocketDirectory::new("file");
    fs::write(directory.socket(), "precious").unwrap();
    let (status, said) = refused(&["-l", &directory.place()]);
    assert_eq!(status, Some(1));
    assert!(said.contains("not a socket"), "{said}");
    assert_eq!(fs::read_to_string(directory.socket()).unwrap(), "precious");
    let (status, said) = refused(&["-l", "unix:/no/such/directory/ws.sock"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("unix:/no/such/directory/ws.sock: No such file"), "{said}");
    let long = format!("unix:/tmp/{}", "x".repeat(120));
    let (status, said) = refused(&["-l", &long]);
    assert_eq!(status, Some(1));
    assert!(said.contains(&long), "{said}");
    assert_eq!(directory.files(), ["ws.sock"]);
}

#[test]
fn sockets_are_handed_over_by_name() {
    let peer = Peer::echo();
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    for listen in ["systemd", "systemd:web"] {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let arguments = ["-l", listen, "-c", &host, "-c", "framing=binary"];
        let daemon = Daemon::handed(OwnedFd::from(socket), "web", &arguments);
        let mut client = Client::connect(port);
        client.frame(0x82, b"handed over");
        daemon.wait_for_log(&format!("listening on 127.0.0.1:{port}, "));
    }
    let directory = SocketDirectory::new("handed");
    let socket = UnixListener::bind(directory.socket()).unwrap();
    let arguments = ["-l", "systemd", "-c", &host, "-c", "framing=binary"];
    let mut daemon = Daemon::handed(OwnedFd::from(socket), "", &arguments);
    daemon.wait_for_log(&format!("listening on {}, ", directory.place()));
    echo_over(&directory.socket());
    daemon.signal("TERM");
    assert!(daemon.exit_within(PATIENCE).unwrap().success());
    assert_eq!(directory.files(), ["ws.sock"], "the service manager's own");
}

#[test]
fn what_was_not_handed_over_is_named() {
    let (status, said) = refused(&["-l", "systemd"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("--listen: no socket was handed over: LISTEN_FDS is not set"), "{said}");
    for (setup, listen, says) in [
        ("export LISTEN_FDS=1 LISTEN_PID=1", "systemd", "LISTEN_PID is not this process"),
        ("export LISTEN_FDS=x LISTEN_PID=$$", "systemd", "LISTEN_FDS is not set"),
        ("export LISTEN_FDS=0 LISTEN_PID=$$", "systemd", "LISTEN_FDS is 0"),
        (
            "export LISTEN_FDS=1 LISTEN_PID=$$",
            "systemd",
            "descriptor 3 was handed over, and is not",
        ),
        ("exec 3</dev/null && export LISTEN_FDS=1 LISTEN_PID=$$", "systemd", "not a listening"),
    ] {
        let mut command = common::in_shell(setup);
        let output = command.args(["-l", listen]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.lines().count() == 1 && said.contains(says), "{said}");
    }
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command =
        common::in_shell("exec 3<&0 && export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web");
    command.stdin(OwnedFd::from(socket)).args(["-l", "systemd:chat"]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--listen: no socket of the name 'chat' was handed over"), "{said}");
}

/// One listener that accepts nobody more does not keep the others from it.
#[test]
fn clients_of_unix_sockets_count_in_all_but_not_by_address() {
    let directory = SocketDirectory::new("limits");
    let peer = Peer::echo();
    let place = directory.place();
    let arguments = ["-l", &place, "--max-per-address", "1", "--max-connections", "4"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    let over_unix: Vec<_> =
        (0..3).map(|_| UnixStream::connect(directory.socket()).unwrap()).collect();
    eventually("all are accepted", || daemon.fds() >= daemon.baseline() + 3);
    let _client = Client::connect(daemon.port());
    let mut one_more = UnixStream::connect(directory.socket()).unwrap();
    one_more.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    one_more.write_all(BASE.as_bytes()).unwrap();
    one_more.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    daemon.wait_for_log("unix: refused with 503: too many clients");
    drop(over_unix);
    assert!(within(Duration::from_secs(20), || UnixStream::connect(directory.socket()).is_ok()));
}
