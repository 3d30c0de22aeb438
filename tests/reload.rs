//! SIGHUP on the real binary: what is new is for those who come later, what is bad changes nothing, and
//! nobody who is there notices either.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    Answer, BASE, Client, Daemon, Manager, PATIENCE, Peer, SocketDirectory, answer, binary,
    eventually, free_port, kill, open, plugins, read_answer, within,
};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A configuration file in a directory of its own.
struct File {
    directory: PathBuf,
    path: PathBuf,
}

impl File {
    fn new(name: &str, text: &str) -> Self {
        let directory = plugins::scratch(name);
        let path = directory.join("websocksy.conf");
        fs::write(&path, text).unwrap();
        Self { directory, path }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }

    /// Another file beside it, which only its owner may read.
    fn beside(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// How many lines of the log contain `text`.
fn count(daemon: &Daemon, text: &str) -> usize {
    daemon.log().iter().filter(|line| line.contains(text)).count()
}

/// Reloads, and waits until configuration `number` is in force.
#[track_caller]
fn reload(daemon: &Daemon, number: usize) -> String {
    daemon.signal("HUP");
    daemon.wait_for_log(&format!("configuration {number} is in force"))
}

/// Reloads, and waits for one more refusal; its line.
#[track_caller]
fn refused(daemon: &Daemon) -> String {
    let before = count(daemon, "reload refused");
    daemon.signal("HUP");
    eventually("the reload is refused", || count(daemon, "reload refused") > before);
    daemon.log().into_iter().rfind(|line| line.contains("reload refused")).unwrap()
}

/// The status of a handshake that is refused.
#[track_caller]
fn refusal(port: u16, request: &str) -> u16 {
    let mut stream = open(port);
    stream.write_all(request.as_bytes()).unwrap();
    answer(&mut stream, request.as_bytes()).status
}

#[track_caller]
fn echoes(client: &mut Client, text: &[u8]) {
    client.frame(0x81, text);
    assert_eq!(client.message(), (1, text.to_vec()));
}

fn get(stream: &mut TcpStream, path: &str) -> Answer {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    read_answer(stream, false)
}

fn peer_section(peer: &Peer) -> String {
    format!("[backend]\nhost = tcp://127.0.0.1:{}\nframing = auto\n", peer.port())
}

/// Lists, passwords, limits, time-outs, the health check, files, the peer: each is another one for those
/// who come after it.
#[test]
fn new_clients_get_the_new_and_old_ones_keep_the_old() {
    let (first, second) = (Peer::echo(), Peer::speaks(b"second".to_vec()));
    let file = File::new("kinds", &format!("[core]\nidle-timeout = 0\n{}", peer_section(&first)));
    let daemon = Daemon::start(&[file.path()]);
    let mut old = Client::connect(daemon.port());
    let mut number = 1;
    let mut with = |core: &str, peer: &Peer| {
        file.write(&format!("[core]\n{core}\n{}", peer_section(peer)));
        number += 1;
        reload(&daemon, number)
    };
    let port = daemon.port();

    with("", &second);
    assert_eq!(Client::connect(port).message(), (1, b"second".to_vec()));
    with("", &first);
    echoes(&mut Client::connect(port), b"first again");

    with("origin = https://a.example", &first);
    assert_eq!(refusal(port, BASE), 403);
    with("max-per-address = 1", &first);
    assert_eq!(refusal(port, BASE), 503);
    with("rate = 1/60", &first);
    drop(Client::connect(port));
    assert_eq!(refusal(port, BASE), 429);
    with("deny = 127.0.0.0/8", &first);
    assert!(matches!(open(port).read(&mut [0; 1]), Ok(0) | Err(_)));
    with("peer-allow = 192.0.2.0/24", &first);
    echoes(&mut Client::connect(port), b"what the operator wrote as an address is meant");
    with("handshake-timeout = 0.05", &first);
    assert_eq!(answer(&mut open(port), b"").status, 408);

    let hash = |password: &str| bcrypt::hash_with_salt(password, 4, [3; 16]).unwrap().to_string();
    let users = file.beside("users", &format!("alice:{}\n", hash("secret")));
    let authorized =
        |words: &str| BASE.replace("Host: h", &format!("Host: h\r\nAuthorization: Basic {words}"));
    let (secret, other) = (authorized("YWxpY2U6c2VjcmV0"), authorized("YWxpY2U6b3RoZXI="));
    with(&format!("auth-file = {users}"), &first);
    assert_eq!(refusal(port, BASE), 401);
    drop(Client::connect_with(port, secret.as_bytes()));
    // What was right before is not remembered.
    file.beside("users", &format!("alice:{}\n", hash("other")));
    with(&format!("auth-file = {users}"), &first);
    assert_eq!(refusal(port, &secret), 401);
    drop(Client::connect_with(port, other.as_bytes()));

    file.beside("page.txt", "a page");
    with(&format!("web = {}\nhealth = /healthz", file.directory.display()), &first);
    let mut kept = open(port);
    assert_eq!(get(&mut kept, "/healthz").status, 200);
    assert_eq!(get(&mut kept, "/page.txt").status, 200);
    // A connection between two requests ends: its next one is for another.
    with("", &first);
    assert!(matches!(kept.read(&mut [0; 1]), Ok(0)));
    assert_eq!(refusal(port, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"), 426);

    with("idle-timeout = 0.1\nlog-format = json", &first);
    let mut idle = Client::connect(port);
    assert!(idle.end().is_some(), "an idle session ends");
    assert!(daemon.log().last().unwrap().starts_with('{'), "{:?}", daemon.log().last());
    echoes(&mut old, b"still there");
    assert_eq!(old.close_now(), Some(1000));
}

/// Whatever is wrong, all of it is refused, with one line that names it, and nobody notices.
#[test]
fn thirty_bad_configurations_change_nothing() {
    let peer = Peer::echo();
    let good = format!("[core]\nhealth = /good\n{}", peer_section(&peer));
    let file = File::new("bad", &good);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("listen = 127.0.0.1:{}", other.local_addr().unwrap().port());
    let users = file.beside("users", "alice\n");
    let daemon = Daemon::of_file(&[file.path()], &format!("listen = 127.0.0.1:{}", free_port()));
    let text = fs::read_to_string(file.path()).unwrap();
    let mut client = Client::connect(daemon.port());
    let core = [
        ("ping = -1", "ping: '-1'"),
        ("pinng = 5", "is it ping?"),
        ("ping = 5 # often", "a comment has a line of its own"),
        ("ping", "is not KEY = VALUE"),
        ("origin = https://", "origin: "),
        ("allow = 10.0.0.1/8", "the network is 10.0.0.0/8"),
        ("deny = all", "deny: 'all'"),
        ("rate = 0", "rate: '0'"),
        ("trusted-proxy = 10/8", "trusted-proxy: "),
        ("forwarded-header = Forwarded", "say who they are"),
        ("peer-allow = ::/0/0", "peer-allow: "),
        ("auth-file = /nowhere/users", "/nowhere/users: No such file"),
        ("auth-file = USERS", "users:1: is not USER:HASH"),
        ("web = /nowhere", "cannot serve '/nowhere'"),
        ("web-redirect = vnc.html", "web-redirect: "),
        ("health = healthz", "health: 'healthz'"),
        ("max-message = 1", "max-message: '1'"),
        ("max-connections = 0", "max-connections: '0'"),
        ("max-connections = 1000000", "max-connections: "),
        ("query-threads = 0", "query-threads: '0'"),
        ("log-format = xml", "log-format: 'xml'"),
        ("send-proxy = v3", "send-proxy: 'v3'"),
        ("plugins = /nowhere", "plugins: /nowhere: No such file"),
        ("backend = file", "backend: needs a directory"),
        ("listen = unix:/nowhere/s", "websocksy.conf:2: listen: cannot listen on unix:/nowhere/s"),
        ("listen = 192.0.2.1:80", "websocksy.conf:2: listen: cannot listen on 192.0.2.1 port 80"),
        ("listen = nowhere.invalid:80", "cannot listen on nowhere.invalid port 80"),
        (&taken, "Address already in use"),
        ("listen = systemd:x", "needs a restart"),
        ("listen = 127.0.0.1:1 frob", "'frob' is not a word for a listener"),
        ("tls-cert = /nowhere", "tls-cert: "),
        ("[frob]", "is neither [core] nor [backend]"),
    ];
    for (line, says) in core {
        let line = line.replace("USERS", &users);
        file.write(&text.replacen("[core]", &format!("[core]\n{line}"), 1));
        let refused = refused(&daemon);
        assert!(refused.contains(says), "{line}: {refused}");
        assert!(refused.contains("configuration 1 stays"), "{refused}");
        echoes(&mut client, line.as_bytes());
    }
    let backend = [
        ("framing = none", "no framing is named \"none\""),
        ("host = ftp://localhost", "host: "),
        ("host = tcp://localhost:99999", "host: "),
        ("frob = 1", "frob: "),
    ];
    for (line, says) in backend {
        file.write(&(text.clone() + line + "\n"));
        let refused = refused(&daemon);
        assert!(refused.contains(says) || refused.contains("already"), "{line}: {refused}");
    }
    fs::write(file.path(), "").unwrap();
    assert!(refused(&daemon).contains("websocksy.conf: is empty"));
    fs::remove_file(file.path()).unwrap();
    assert!(refused(&daemon).contains("websocksy.conf: No such file"));
    // Whoever opens a FIFO waits for somebody who writes to it.
    let fifo = file.directory.join("fifo");
    for path in [&file.path, &fifo] {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        let line = refused(&daemon);
        assert!(line.contains(&format!("{}: is no regular file", path.display())), "{line}");
        let _ = fs::remove_file(file.path());
        file.write(&text.replacen("[core]", &format!("[core]\nauth-file = {}", fifo.display()), 1));
    }
    // What was in force is in force, and the good file is taken again.
    assert_eq!(get(&mut open(daemon.port()), "/good").status, 200);
    echoes(&mut Client::connect(daemon.port()), b"new");
    file.write(&text);
    reload(&daemon, 2);
    echoes(&mut client, b"the same");
}

/// Addresses come and go; one that stays is not closed, nor who waits there.
#[test]
fn listeners_come_and_go() {
    let peer = Peer::echo();
    let file = File::new("listeners", &format!("[core]\n{}", peer_section(&peer)));
    let (stays, goes, comes) = (free_port(), free_port(), free_port());
    let daemon = Daemon::of_file(
        &[file.path()],
        &format!("listen = 127.0.0.1:{stays}\nlisten = 127.0.0.1:{goes}"),
    );
    let directory = SocketDirectory::new("reload");
    let socket = directory.socket();
    let mut old = Client::connect(goes);
    let text = format!(
        "[core]\nlisten = unix:{} mode=0600\nlisten = 127.0.0.1:{comes}\nlisten = 127.0.0.1:{stays}\n{}",
        socket.display(),
        peer_section(&peer)
    );
    let inode = |port: u16| {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let local = format!("0100007F:{port:04X}");
        let line = table.lines().find(|line| line.contains(&format!(" {local} 00000000:0000 0A")));
        line.map(|line| line.split_whitespace().nth(9).unwrap().to_owned())
    };
    let before = inode(stays);
    file.write(&text);
    reload(&daemon, 2);
    assert!(before.is_some() && inode(stays) == before, "{before:?}");
    echoes(&mut old, b"came by an address that is closed");
    assert!(TcpStream::connect(("127.0.0.1", goes)).is_err());
    for port in [stays, comes] {
        echoes(&mut Client::connect(port), b"new");
    }
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut unix = UnixStream::connect(&socket).unwrap();
    unix.write_all(BASE.as_bytes()).unwrap();
    let mut head = [0; 12];
    unix.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    // One that somebody removed is made again, one that is not wanted any more is removed.
    fs::remove_file(&socket).unwrap();
    reload(&daemon, 3);
    assert!(UnixStream::connect(&socket).is_ok());
    file.write(&format!("[core]\nlisten = 127.0.0.1:{stays}\nping = 0\n{}", peer_section(&peer)));
    reload(&daemon, 4);
    assert!(!socket.exists() && inode(stays) == before);
    assert!(TcpStream::connect(("127.0.0.1", comes)).is_err());
    drop(unix);
    assert_eq!(old.close_now(), Some(1000));
}

/// What cannot be without a restart says so, and what is in the way.
#[test]
fn a_place_that_cannot_change_says_what_is_in_the_way() {
    let peer = Peer::echo();
    for workers in ["", "workers = 2\n"] {
        let text =
            |core: &str| format!("[core]\n{workers}health = /up\n{core}{}", peer_section(&peer));
        let port = free_port();
        let listen = |addresses: &[&str]| -> String {
            addresses.iter().map(|address| format!("listen = {address}:{port}\n")).collect()
        };
        let file = File::new("in-the-way", &text(&listen(&["[::]"])));
        let daemon = Daemon::of_file(&[file.path()], "");
        let name = format!("[::]:{port}");
        let in_the_way = format!("needs a restart: {name}, where it listens now, is in the way");
        let without = format!("needs a restart: {name} is with IPv4, and is to be without it");
        for (addresses, says) in [
            (&["[::]", "0.0.0.0"][..], without.as_str()),
            (&["127.0.0.1"], &in_the_way),
            (&["[::1]"], &in_the_way),
        ] {
            file.write(&text(&listen(addresses)));
            let line = refused(&daemon);
            assert!(line.ends_with(says), "{workers}{addresses:?}: {line}");
            assert!(
                line.contains("configuration 1 stays: ") && line.contains(": listen: "),
                "{line}"
            );
            assert!(all_answer(&daemon, "/up"), "{line}");
        }
        // And back: what leaves IPv4 to another one cannot take it.
        let file = File::new("in-the-way-back", &text(&listen(&["[::]", "0.0.0.0"])));
        drop(daemon);
        let daemon = Daemon::of_file(&[file.path()], "");
        file.write(&text(&listen(&["[::]"])));
        let line = refused(&daemon);
        let with = format!("needs a restart: {name} is without IPv4, and is to be with it");
        assert!(line.ends_with(&with), "{line}");
    }
}

/// An address of IPv6 stays as it is where one of IPv4 with its port comes and goes.
#[test]
fn one_address_is_not_in_the_way_of_another() {
    let peer = Peer::echo();
    let port = free_port();
    let text =
        |core: &str| format!("[core]\nlisten = [::1]:{port}\n{core}\n{}", peer_section(&peer));
    let file = File::new("families", &text(""));
    let daemon = Daemon::of_file(&[file.path()], "");
    file.write(&text(&format!("listen = 127.0.0.1:{port}")));
    reload(&daemon, 2);
    echoes(&mut Client::connect(port), b"over IPv4");
    file.write(&text(""));
    reload(&daemon, 3);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(TcpStream::connect(("::1", port)).is_ok());
}

fn put(directory: &Path, version: u32) {
    plugins::compile(
        directory,
        "backend_new.so",
        "reload/backend.c",
        &[&format!("-DVERSION={version}")],
    );
    fs::rename(directory.join("backend_new.so"), directory.join("backend_it.so")).unwrap();
}

/// A C back end whose file is another: new clients ask a fresh instance with framings of its own, and
/// the old one is cleaned up after its last query.
#[test]
fn a_changed_back_end_is_loaded_beside_the_old_one() {
    let peer = Peer::echo();
    let file = File::new("fresh", "");
    let directory = file.directory.join("plugins");
    fs::create_dir(&directory).unwrap();
    put(&directory, 1);
    let gate = file.directory.join("gate");
    let text = |more: &str| {
        format!(
            "[core]\nplugins = {}\nbackend = it\n{more}[backend]\nport = {}\ngate = {}\n",
            directory.display(),
            peer.port(),
            gate.display()
        )
    };
    file.write(&text(""));
    let daemon = Daemon::start(&[file.path()]);
    let mut old = Client::connect(daemon.port());
    let marked = |client: &mut Client, mark: &[u8]| {
        client.frame(0x81, b"_");
        assert_eq!(client.message(), (1, mark.to_vec()));
    };
    marked(&mut old, b"1");
    // The same file: the same instance, whatever else changes.
    file.write(&text("ping = 7\n"));
    assert!(reload(&daemon, 2).contains("back end it as before"));
    assert_eq!((count(&daemon, ": init"), count(&daemon, ": cleanup")), (1, 0));
    // Its last query takes its time.
    let mut slow = open(daemon.port());
    slow.write_all(BASE.replace("GET /", "GET /slow").as_bytes()).unwrap();
    let asks = || {
        let mut more = open(daemon.port());
        more.write_all(BASE.as_bytes()).unwrap();
        more.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        more.read(&mut [0; 1]).map_err(|error| error.kind())
    };
    assert_eq!(asks(), Err(ErrorKind::WouldBlock), "the one thread is busy");
    put(&directory, 2);
    assert!(reload(&daemon, 3).contains("back end it anew"));
    daemon.wait_for_log("version 2: init after 0 queries");
    let mut new = Client::connect(daemon.port());
    marked(&mut new, b"2");
    marked(&mut old, b"1");
    assert_eq!(count(&daemon, ": cleanup"), 0, "a query runs");
    fs::write(&gate, "").unwrap();
    common::read_upgrade(&mut slow);
    let mut slow = Client::over(slow);
    marked(&mut slow, b"1");
    daemon.wait_for_log("version 1: cleanup");
    // Another configuration of the same file is another instance, too, and it may be refused.
    file.write(&(text("") + "frob = 1\n"));
    assert!(refused(&daemon).contains("frob"));
    eventually("the one that was refused is cleaned up", || count(&daemon, ": cleanup") == 2);
    marked(&mut Client::connect(daemon.port()), b"2");
    file.write(&text("query-threads = 2\n"));
    reload(&daemon, 4);
    eventually("so is the one before", || count(&daemon, ": cleanup") == 3);
    marked(&mut Client::connect(daemon.port()), b"2");
    for client in [&mut old, &mut new, &mut slow] {
        client.frame(0x81, b"_");
        client.message();
    }
}

/// Who hangs is waited for until a deadline, and not in the way of the next reload.
#[test]
fn a_back_end_that_hangs_is_given_up() {
    let peer = Peer::echo();
    let file = File::new("hangs", "");
    let directory = file.directory.join("plugins");
    fs::create_dir(&directory).unwrap();
    put(&directory, 1);
    let gate = file.directory.join("gate");
    let text = |core: &str, backend: &str| {
        format!(
            "[core]\nplugins = {}\nbackend = it\nreload-timeout = 0.5\n{core}\n[backend]\n\
             port = {}\n{backend}\n",
            directory.display(),
            peer.port()
        )
    };
    let hangs = |key: &str| format!("{key} = {}", gate.display());
    file.write(&text("", ""));
    let daemon = Daemon::start(&[file.path()]);
    let mut client = Client::connect(daemon.port());
    let mut serves = || {
        for client in [&mut client, &mut Client::connect(daemon.port())] {
            client.frame(0x81, b"_");
            assert_eq!(client.message(), (1, b"1".to_vec()));
        }
    };
    for number in 1..=4 {
        file.write(&text("", &hangs("hang")));
        let line = refused(&daemon);
        let says = format!(
            "configuration {number} stays: {}:8: hang: configure of back end it has not returned within \
             0.5 s; its thread is left behind with what it has loaded ({number} of at most 4)",
            file.path()
        );
        assert!(line.ends_with(&says), "{line}");
        serves();
        if number < 4 {
            file.write(&text(&format!("ping = {number}"), ""));
            reload(&daemon, number + 1);
        }
    }
    assert!(refused(&daemon).ends_with("needs a restart: 4 reloads before it have not returned"));
    serves();
    // What comes back late is cleaned up, and counts no more.
    assert_eq!(count(&daemon, "version 1: cleanup"), 0);
    fs::write(&gate, "").unwrap();
    eventually("they are cleaned up", || count(&daemon, "version 1: cleanup") == 4);
    eventually("reloads go on", || {
        daemon.signal("HUP");
        within(Duration::from_secs(1), || count(&daemon, "configuration 5 is in force") > 0)
    });
    serves();
    drop(client);

    fs::remove_file(&gate).unwrap();
    file.write(&text("workers = 2", ""));
    let daemon = Daemon::start(&[file.path()]);
    let all = children(&daemon);
    for (key, left) in [("hang", false), ("hang-worker", true)] {
        file.write(&text("workers = 2", &hangs(key)));
        let line = refused(&daemon);
        let says = format!(
            "{}:8: {key}: configure of back end it has not returned within 0.5 s",
            file.path()
        );
        assert!(line.contains(&says) && line.contains("configuration 1 stays: "), "{line}");
        assert_eq!(line.contains("its thread is left behind"), left, "{line}");
        eventually("the check is gone", || children(&daemon) == all);
    }
    file.write(&text("workers = 2\nhealth = /up", ""));
    reload(&daemon, 2);
    assert!(all_answer(&daemon, "/up"));
}

/// A port that came with a reload goes with it, though a thread of each worker hangs for ever.
#[test]
fn workers_leave_no_port_open_behind_a_thread_that_hangs() {
    let peer = Peer::echo();
    let file = File::new("hangs-and-listens", "");
    let directory = file.directory.join("plugins");
    fs::create_dir(&directory).unwrap();
    put(&directory, 1);
    let gate = file.directory.join("gate");
    let text = |core: &str, backend: &str| {
        format!(
            "[core]\nplugins = {}\nbackend = it\nreload-timeout = 1\nworkers = 2\n{core}\n[backend]\n\
             port = {}\n{backend}\n",
            directory.display(),
            peer.port()
        )
    };
    file.write(&text("", ""));
    let (port, more) = (free_port(), free_port());
    let one = format!("listen = 127.0.0.1:{port}");
    let daemon = Daemon::of_file(&[file.path()], &one);
    let both = format!("{one}\nlisten = 127.0.0.1:{more}");
    file.write(&text(&both, &format!("hang-worker = {}", gate.display())));
    let line = refused(&daemon);
    assert!(line.contains("its thread is left behind"), "{line}");
    let closed = || TcpStream::connect(("127.0.0.1", more)).is_err();
    eventually("nobody listens there", closed);
    file.write(&text(&both, ""));
    reload(&daemon, 2);
    Client::connect(more).close_now();
    // What comes back late opens nothing.
    fs::write(&gate, "").unwrap();
    eventually("it is cleaned up", || count(&daemon, "version 1: cleanup") >= 2);
    assert_eq!(listening(&daemon, more), 2);
    file.write(&text(&one, ""));
    reload(&daemon, 3);
}

/// Two hundred reloads, half of them with another listener and peer, while sessions echo.
#[test]
fn reloads_under_load_lose_nobody_and_keep_nothing() {
    const RELOADS: usize = 200;
    let peer = Peer::echo();
    let text = |n: usize| format!("[core]\nping = {}\n{}", 20 + n % 2, peer_section(&peer));
    let file = File::new("load", &text(0));
    let daemon = Daemon::start(&[file.path()]);
    let mut clients: Vec<_> = (0..50).map(|_| Client::connect(daemon.port())).collect();
    let mut round = |n: usize| {
        file.write(&text(n));
        daemon.signal("HUP");
        for client in &mut clients {
            client.frame(0x81, format!("message {n}").as_bytes());
        }
        for client in &mut clients {
            assert_eq!(client.message(), (1, format!("message {n}").into_bytes()));
        }
        let new = format!("configuration {} is in force", n + 2);
        assert!(within(PATIENCE, || count(&daemon, &new) > 0), "{new}");
    };
    (0..50).for_each(&mut round);
    let before = daemon.rss_kib();
    (50..RELOADS).for_each(&mut round);
    let after = daemon.rss_kib();
    assert!(after < before + 512, "{before} KiB, then {after} KiB");
}

/// What a service manager is told (sd_notify(3)), and SIGHUP when it comes too early or too late.
#[test]
fn the_manager_is_told_of_a_reload_and_a_drain_has_none() {
    let manager = Manager::listen("reload");
    let peer = Peer::echo();
    let file = File::new("manager", &format!("[core]\n{}", peer_section(&peer)));
    let variables = [("NOTIFY_SOCKET", manager.name.as_str())];
    let mut daemon = Daemon::with_environment(&variables, &[file.path()]);
    assert_eq!(manager.heard(), "READY=1");
    for more in ["", "[frob]\n"] {
        file.write(&format!("[core]\n{}{more}", peer_section(&peer)));
        daemon.signal("HUP");
        let usec =
            manager.heard().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse::<u64>();
        assert!(usec.unwrap() > 0);
        assert_eq!(manager.heard(), "READY=1");
    }
    let client = Client::connect(daemon.port());
    daemon.signal("TERM");
    assert_eq!(manager.heard(), "STOPPING=1");
    daemon.signal("HUP");
    daemon.wait_for_log("SIGHUP is ignored: the daemon ends");
    drop(client);
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
}

/// `--check` and `--show-config` on the real binary.
#[test]
fn a_configuration_is_checked_and_shown_without_a_start() {
    let run = |arguments: &[&str]| {
        let output = Command::new(binary()).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = port.local_addr().unwrap().port().to_string();
    let file = File::new("check", "[core]\nping = 7\n[backend]\nframing = newline\n");
    let directory = file.directory.join("plugins");
    fs::create_dir(&directory).unwrap();
    put(&directory, 1);
    let plugins = directory.to_str().unwrap();
    // Nothing is bound: another one has the port.
    let good = (Some(0), "websocksy: the configuration is good\n".to_owned());
    let (code, said, log) = run(&["--check", "-p", &taken, "-l", "127.0.0.1", file.path()]);
    assert_eq!((code, said), good, "{log}");
    let flags = ["--check", "--plugins", plugins, "-b", "it", "-c"];
    let (code, said, log) = run(&[&flags[..], &["port=1"]].concat());
    assert_eq!((code, said), good, "{log}");
    assert!(log.contains("init") && log.contains("cleanup"), "{log}");
    for (arguments, says) in [
        (&[&flags[..], &["frob=1"]].concat()[..], "--config: frob: "),
        (&["--check", "--web", "/nowhere"], "--web: cannot serve '/nowhere'"),
        (&["--check", "--auth-file", "/nowhere"], "--auth-file: /nowhere: "),
        (&["--check", "-l", "unix:/s user=nobody-here"], "--listen: 'user=nobody-here'"),
    ] {
        let (code, said, log) = run(arguments);
        assert_eq!((code, said.as_str()), (Some(2), ""), "{log}");
        let last = log.lines().last().unwrap();
        assert!(last.starts_with(&format!("websocksy: {says}")), "{log}");
    }
    let arguments = ["--show-config", file.path(), "--ping", "9", "--plugins", plugins];
    let pairs = ["-c", "port=1", "-c", "api-key=hush", "-c", "url=redis://u:hush@h"];
    let back_end = ["-b", "it"];
    let (code, shown, log) = run(&[&arguments[..], &["-c", "port=5901"]].concat());
    assert_eq!(code, Some(0), "{log}");
    for line in ["# --ping", "ping = 9", "framing = newline", "# default: port = 8001"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    assert!(shown.contains(&format!("# {}:4\nframing", file.path())), "{shown}");
    let secret = File::new("secret", "[core]\n");
    let (_, hidden, _) = run(&[&["--show-config", secret.path()][..], &back_end, &pairs].concat());
    assert!(hidden.contains("port = 1") && !hidden.contains("hush"), "{hidden}");
    // It is a file that means the same.
    file.write(&shown);
    let (code, again, log) = run(&["--show-config", file.path()]);
    assert_eq!(code, Some(0), "{log}");
    let values = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(values(&again), values(&shown));
}

/// A check gives up, and says in which call it hung, and at which of the operator's lines.
#[test]
fn a_check_says_at_what_it_hangs() {
    let file = File::new("hung", "");
    let directories = ["it", "more"].map(|name| file.directory.join(name));
    for directory in &directories {
        fs::create_dir(directory).unwrap();
        put(directory, 1);
    }
    let [it, more] = &directories;
    let framing = more.join("more.so");
    fs::rename(more.join("backend_it.so"), &framing).unwrap();
    let keys = |plugins: &Path, more: &str| {
        let plugins = plugins.display();
        format!("[core]\nreload-timeout = 0.5\nplugins = {plugins}\n{more}")
    };
    let text = keys(it, "backend = it\n[backend]\nport = 1\ngate = /secret\n");
    let (loads, framing) = (keys(more, ""), framing.display());
    let path = file.path();
    for (call, text, says) in [
        ("init", &text, format!("{path}:4: backend: init of back end it")),
        ("configure", &text, format!("{path}:6: port: configure of back end it")),
        ("check", &text, "websocksy_check of back end it".into()),
        ("cleanup", &text, "cleanup of back end it".into()),
        ("constructor", &text, format!("{path}:4: backend: init of back end it")),
        ("constructor", &loads, format!("loading {framing}")),
    ] {
        file.write(text);
        let (code, log) = check_that_hangs(call, &[path]);
        let says = format!("websocksy: {says} has not returned within 0.5 s");
        assert_eq!((code, log.lines().last()), (Some(2), Some(says.as_str())), "{call}: {log}");
        assert!(!log.contains("/secret"), "{log}");
    }
    file.write(&keys(it, "backend = it\n"));
    let (_, log) = check_that_hangs("configure", &["-c", "port=1", path]);
    assert!(
        log.ends_with(": --config: port: configure of back end it has not returned within 0.5 s\n"),
        "{log}"
    );
}

/// How a check ends whose plug-in hangs in this call, and what it says.
fn check_that_hangs(call: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    command.env("HANGS_IN", call).arg("--check").args(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = within(PATIENCE, || child.try_wait().unwrap().is_some());
    if !ended {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A plug-in that ends the process does not end it as if all was well: a service manager starts it again.
#[test]
fn a_plug_in_that_calls_exit_is_a_fault() {
    let directory = File::new("leaves", "").directory.join("plugins");
    fs::create_dir_all(&directory).unwrap();
    plugins::compile(&directory, "backend_crash.so", "workers/crash.c", &[]);
    let plugins = directory.to_str().unwrap();
    let says = "websocksy: a plug-in ended the process by exit(3)\n";
    let start = ["-p", "0", "-l", "127.0.0.1", "--plugins", plugins, "-b", "crash"];
    for check in [&["--check"][..], &[]] {
        let arguments = [check, &start, &["-c", "leave=now"]].concat();
        let output = Command::new(binary()).args(&arguments).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{log}");
        assert!(log.ends_with(says), "{log}");
    }
    // What it forks may: that is another process.
    let arguments = [&["--check"], &start[..], &["-c", "helper=now", "-c", "port=1"]].concat();
    let output = Command::new(binary()).args(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut daemon = Daemon::start(&[&start[4..], &["-c", "port=1"]].concat());
    let mut stream = open(daemon.port());
    stream.write_all(BASE.replacen(" / ", " /leave ", 1).as_bytes()).unwrap();
    daemon.wait_for_log(says.trim_end());
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(2));
}

/// The numbers say which configuration is in force, and whether the last one was refused; the listeners
/// that came and went are told apart.
#[test]
fn numbers_know_of_reloads() {
    let peer = Peer::echo();
    let admin = "[core]\nadmin = 127.0.0.1:0\n";
    let file = File::new("numbers", &format!("{admin}{}", peer_section(&peer)));
    let daemon = Daemon::start(&[file.path()]);
    let line = daemon.wait_for_log("admin pages on 127.0.0.1:");
    let pages: u16 = line.rsplit_once(':').unwrap().1.parse().unwrap();
    let says = |expected: [u32; 2]| {
        let mut page = open(pages);
        page.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let text = String::from_utf8(read_answer(&mut page, false).rest).unwrap();
        for (name, value) in
            ["config_generation", "config_last_reload_successful"].iter().zip(expected)
        {
            let line = format!("websocksy_{name} {value}");
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    };
    says([1, 1]);
    reload(&daemon, 2);
    says([2, 1]);
    file.write("[core]\nfrob = 1\n");
    refused(&daemon);
    says([2, 0]);
    file.write(&format!("{admin}{}", peer_section(&peer)));
    reload(&daemon, 3);
    says([3, 1]);
}

/// The operator's numbers; some worker answers.
fn number(daemon: &Daemon, name: &str) -> String {
    let line = daemon.wait_for_log("admin pages on 127.0.0.1:");
    let mut stream = open(line.rsplit_once(':').unwrap().1.parse().unwrap());
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let text = String::from_utf8(read_answer(&mut stream, false).rest).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("websocksy_{name} ")));
    line.unwrap().to_owned()
}

/// Whether all workers answer health checks at this path; each is asked a few times by chance.
fn all_answer(daemon: &Daemon, path: &str) -> bool {
    (0..24).all(|_| {
        let mut stream = open(daemon.port());
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream, false).status == 200
    })
}

#[test]
fn workers_change_together_or_not_at_all() {
    let directory = plugins::scratch("reload-workers");
    plugins::compile(&directory, "backend_crash.so", "workers/crash.c", &[]);
    let peer = Peer::echo();
    let text = |core: &str, backend: &str| {
        format!(
            "[core]\nworkers = 3\nadmin = 127.0.0.1:0\nplugins = {}\nbackend = crash\n{core}\n\
             [backend]\nport = {}\n{backend}\n",
            directory.display(),
            peer.port()
        )
    };
    let file = File::new("reload-together", &text("health = /1", ""));
    let daemon = Daemon::start(&[file.path()]);
    let mut client = Client::connect(daemon.port());
    let before = children(&daemon);
    file.write(&text("health = /2", ""));
    let line = reload(&daemon, 2);
    assert!(line.contains("listening on 127.0.0.1:"), "{line}");
    assert!(all_answer(&daemon, "/2"));
    assert_eq!(number(&daemon, "config_generation"), "2");
    let refused = [
        (text("health = /3\npinng = 3", ""), "websocksy.conf:7: pinng: is not a key of [core]"),
        // What crashes while it is tried takes nobody with it.
        (text("health = /3", "crash = now"), "the check was killed by SIGSEGV"),
        (
            text("health = /3", "leave = now"),
            "configuration 2 stays: a plug-in ended the process by exit(3)",
        ),
        (
            text("health = /3", "vanish = now"),
            "the check ended with exit status 0 before it was done",
        ),
        // What only they can know.
        (text("health = /3", "").replace("= 3", "= 2"), "workers: needs a restart"),
        (
            text("health = /3\nstall-timeout = 9", ""),
            "stall-timeout: needs a restart to be another",
        ),
        (text("health = /3\npin-workers = yes", ""), "pin-workers: needs a restart to be another"),
    ];
    for (n, (wrong, why)) in refused.iter().enumerate() {
        file.write(wrong);
        daemon.signal("HUP");
        eventually("it is refused", || count(&daemon, "reload refused") == n + 1);
        let line = daemon.wait_for_log(why);
        assert!(line.contains("reload refused, configuration 2 stays: "), "{line}");
        assert!(all_answer(&daemon, "/2"), "{why}");
        eventually("the numbers say so", || {
            number(&daemon, "config_last_reload_successful") == "0"
        });
    }
    assert_eq!(count(&daemon, "SIGHUP: reading"), 1 + refused.len());
    file.write(&text("health = /4", ""));
    reload(&daemon, 3);
    assert!(all_answer(&daemon, "/4"));
    assert_eq!(number(&daemon, "config_last_reload_successful"), "1");
    assert_eq!(children(&daemon), before, "nobody was lost");
    client.frame(0x81, b"still here");
    assert_eq!(client.message().1, b"still here");
}

fn children(daemon: &Daemon) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", daemon.pid());
    let children = fs::read_to_string(path).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The workers of a daemon that listen at a port of 127.0.0.1.
fn listening(daemon: &Daemon, port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(" 0100007F:{port:04X} 00000000:0000 0A");
    let inodes: Vec<String> = table
        .lines()
        .filter(|line| line.contains(&local))
        .map(|line| format!("socket:[{}]", line.split_whitespace().nth(9).unwrap()))
        .collect();
    let has_one = |worker: &&u32| {
        let descriptors = fs::read_dir(format!("/proc/{worker}/fd")).unwrap();
        let mut links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        links.any(|link| inodes.iter().any(|inode| link.to_str() == Some(inode)))
    };
    children(daemon).iter().filter(has_one).count()
}

/// The same as in one process: addresses come and go in all workers, or in none.
#[test]
fn listeners_of_workers_come_and_go() {
    let peer = Peer::echo();
    let text =
        |core: &str| format!("[core]\nworkers = 2\nhealth = /up\n{core}\n{}", peer_section(&peer));
    let (stays, goes, comes) = (free_port(), free_port(), free_port());
    let file = File::new(
        "workers-listeners",
        &text(&format!("listen = 127.0.0.1:{stays}\nlisten = 127.0.0.1:{goes}")),
    );
    let directory = SocketDirectory::new("reload-workers");
    let socket = directory.socket();
    let daemon = Daemon::of_file(&[file.path()], "");
    let before = children(&daemon);
    let mut old: Vec<_> = (0..8).map(|_| Client::connect(goes)).collect();
    let with_new = text(&format!(
        "listen = unix:{} mode=0600\nlisten = 127.0.0.1:{comes}\nlisten = 127.0.0.1:{stays}",
        socket.display()
    ));
    // One of two new places is somebody else's: neither is there afterwards.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().port();
    file.write(&with_new.replace("[core]", &format!("[core]\nlisten = 127.0.0.1:{taken}")));
    let line = refused(&daemon);
    let says = format!(
        "websocksy.conf:2: listen: cannot listen on 127.0.0.1 port {taken}: Address already in use"
    );
    assert!(line.contains(&says) && line.contains("configuration 1 stays"), "{line}");
    assert!(TcpStream::connect(("127.0.0.1", comes)).is_err() && !socket.exists());
    // What the workers refuse closes again what was opened for them.
    file.write(&with_new.replace("workers = 2", "workers = 3"));
    assert!(refused(&daemon).contains("workers: needs a restart"));
    eventually("nobody listens", || TcpStream::connect(("127.0.0.1", comes)).is_err());
    assert!(!socket.exists() && listening(&daemon, goes) == 2);

    file.write(&with_new);
    let line = reload(&daemon, 2);
    assert!(line.contains(&format!("127.0.0.1:{comes}, 127.0.0.1:{stays}")), "{line}");
    let news = format!("listening on 127.0.0.1:{comes}, workers: 2");
    assert_eq!((count(&daemon, &news), count(&daemon, "no longer listening on ")), (1, 1));
    assert_eq!([comes, stays].map(|port| listening(&daemon, port)), [2, 2]);
    eventually("nobody listens", || TcpStream::connect(("127.0.0.1", goes)).is_err());
    assert_eq!(listening(&daemon, goes), 0);
    old.iter_mut().for_each(|client| echoes(client, b"came by an address that is closed"));
    let mut new: Vec<_> = (0..24).map(|n| Client::connect([stays, comes][n % 2])).collect();
    new.iter_mut().for_each(|client| echoes(client, b"new"));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let through = |path: &Path| {
        let mut unix = UnixStream::connect(path).unwrap();
        unix.write_all(BASE.as_bytes()).unwrap();
        let mut head = [0; 12];
        unix.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 101");
    };
    (0..4).for_each(|_| through(&socket));
    assert_eq!(children(&daemon), before, "nobody was lost");
    // A worker that begins later listens where the others do.
    kill("KILL", before[0]);
    daemon.wait_for_log("worker is up again");
    assert_eq!([comes, stays].map(|port| listening(&daemon, port)), [2, 2]);
    // A new program has them all, too, and can go on from there.
    daemon.signal("USR2");
    daemon.wait_for_log("goes on, workers: 2");
    (0..12).for_each(|_| echoes(&mut Client::connect(comes), b"of the next program"));
    file.write(&text(&format!("listen = 127.0.0.1:{goes}\nlisten = 127.0.0.1:{stays}")));
    reload(&daemon, 2); // of the new program
    eventually("it goes", || TcpStream::connect(("127.0.0.1", comes)).is_err());
    assert!(!socket.exists());
    (0..12).for_each(|_| echoes(&mut Client::connect(goes), b"back again"));
    assert_eq!([goes, stays].map(|port| listening(&daemon, port)), [2, 2]);
    drop((old, new));
}

/// Who waits in the queue of an address that goes is served.
#[test]
fn who_waits_where_workers_listen_no_more_is_let_in() {
    let peer = Peer::echo();
    let (stays, goes) = (free_port(), free_port());
    let text = |core: &str| {
        format!("[core]\nworkers = 2\nlisten = 127.0.0.1:{stays}\n{core}\n{}", peer_section(&peer))
    };
    let file = File::new("workers-waiting", &text(&format!("listen = 127.0.0.1:{goes}")));
    let daemon = Daemon::of_file(&[file.path()], "");
    let all = children(&daemon);
    file.write(&text(""));
    daemon.signal("HUP");
    daemon.wait_for_log("SIGHUP: reading");
    eventually("the check begins", || children(&daemon).len() > all.len());
    all.iter().for_each(|worker| kill("STOP", *worker));
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = open(goes);
            stream.write_all(BASE.as_bytes()).unwrap();
            stream
        })
        .collect();
    all.iter().for_each(|worker| kill("CONT", *worker));
    daemon.wait_for_log("configuration 2 is in force");
    for mut stream in waiting {
        common::read_upgrade(&mut stream);
        echoes(&mut Client::over(stream), b"served");
    }
    eventually("nobody listens", || TcpStream::connect(("127.0.0.1", goes)).is_err());
}

/// One that cannot say yes keeps all others from changing.
#[test]
fn a_worker_that_dies_meanwhile_keeps_all_from_changing() {
    let file = File::new("reload-dies", "[core]\nworkers = 3\nhealth = /1\n");
    let daemon = Daemon::start(&[file.path()]);
    let all = children(&daemon);
    kill("STOP", all[1]);
    file.write("[core]\nworkers = 3\nhealth = /2\n");
    daemon.signal("HUP");
    // The check has ended when there are no others than workers again.
    eventually("the check begins", || children(&daemon).len() > all.len());
    eventually("and ends", || children(&daemon) == all);
    std::thread::sleep(Duration::from_millis(300));
    // Meanwhile the others serve as before.
    assert_eq!(count(&daemon, "is in force"), 0);
    kill("KILL", all[1]);
    daemon.wait_for_log("reload refused, configuration 1 stays: worker 2 was killed by SIGKILL");
    daemon.wait_for_log("worker is up again");
    assert!(all_answer(&daemon, "/1"));
    // A worker does nothing by itself.
    children(&daemon).into_iter().for_each(|worker| kill("HUP", worker));
    reload(&daemon, 2);
    assert_eq!(count(&daemon, "SIGHUP: reading"), 2);
}

#[test]
fn the_service_manager_hears_of_workers_reloads() {
    let manager = Manager::listen("reload-workers");
    let file = File::new("reload-manager", "[core]\nworkers = 2\n");
    let variables = [("NOTIFY_SOCKET", manager.name.as_str())];
    let daemon = Daemon::with_environment(&variables, &[file.path()]);
    assert_eq!(manager.heard(), "READY=1");
    for (text, says) in [("workers = 2", "is in force"), ("workers = 3", "reload refused")] {
        file.write(&format!("[core]\n{text}\n"));
        daemon.signal("HUP");
        let heard = manager.heard();
        let time = heard.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(time.parse::<u64>().unwrap() > 0, "{heard}");
        assert_eq!(manager.heard(), "READY=1");
        daemon.wait_for_log(says);
    }
}

/// What an upgrade cannot change is said, and the old workers go on.
#[test]
fn an_upgrade_has_as_many_workers_as_before() {
    let file = File::new("reload-count", "[core]\nworkers = 1\nhealth = /up\n");
    let daemon = Daemon::start(&[file.path()]);
    let before = children(&daemon);
    file.write("[core]\nworkers = 2\nhealth = /up\n");
    daemon.signal("USR2");
    let line = daemon.wait_for_log("the upgrade failed, and all stays as it was");
    assert!(line.contains("workers: needs a restart to be another number"), "{line}");
    eventually("the old one goes on", || children(&daemon) == before);
    assert!(all_answer(&daemon, "/up"));
    // One that is only started again takes the other number for what it is, a file that has changed.
    kill("KILL", before[0]);
    daemon.wait_for_log("worker is up again");
    assert!(all_answer(&daemon, "/up"));
}
