//! `--sandbox` on the real binary: what a plug-in gets at that somebody took over, and that all that the
//! daemon itself does goes on.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    BASE, Client, Daemon, Peer, SocketDirectory, binary, eventually, frame, free_port, open,
    plugins, read_answer,
};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

/// What somebody would try, and what the sandbox says.
const TRIED: [(&str, &str); 6] = [
    ("family", "EPERM"),
    ("read", "EACCES"),
    ("make", "EACCES"),
    ("run", "EPERM"),
    ("signal", "EPERM"),
    ("look into", "EPERM"),
];

/// A directory with the plug-in, and one beside it with a secret.
struct Place {
    plugins: PathBuf,
    hidden: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let (plugins, hidden) =
            (plugins::scratch(name), plugins::scratch(&format!("{name}-hidden")));
        plugins::compile(&plugins, "backend_confined.so", "plugins/confined.c", &[]);
        fs::write(hidden.join("secret"), "a secret").unwrap();
        Self { plugins, hidden }
    }

    /// A configuration of the plug-in, in a file beside it.
    fn configuration(&self, peer: &Peer, core: &str) -> String {
        let Self { plugins, hidden } = self;
        let path = plugins.join("websocksy.conf");
        let hidden = hidden.display();
        let text = format!(
            "[core]\nplugins = {}\nbackend = confined\n{core}\n[backend]\n\
             secret = @{hidden}/secret\nmade = @{hidden}/made\npeer = tcp://127.0.0.1:{}\n",
            plugins.display(),
            peer.port()
        );
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[track_caller]
fn echoes(daemon: &Daemon) {
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"through");
    assert_eq!(client.message().1, b"through");
    assert_eq!(client.close_now(), Some(1000));
}

#[test]
fn a_plug_in_gets_at_nothing_that_was_not_named() {
    let (place, peer) = (Place::new("confined"), Peer::echo());
    let daemon = Daemon::start(&[&place.configuration(&peer, "sandbox = yes")]);
    echoes(&daemon);
    for when in ["configure", "query"] {
        for (what, errno) in TRIED {
            daemon.wait_for_log(&format!("confined: {when}: {what}: {errno}"));
        }
    }
    assert!(!place.hidden.join("made").exists());

    // What the operator names is the plug-in's.
    let core = format!("sandbox = yes\nsandbox-path = {}", place.hidden.display());
    let daemon = Daemon::start(&[&place.configuration(&peer, &core)]);
    echoes(&daemon);
    daemon.wait_for_log("confined: query: read: DONE");
    daemon.wait_for_log("confined: query: make: DONE");
    daemon.wait_for_log("confined: query: run: EPERM");
    assert!(place.hidden.join("made").exists());

    // The plug-in can do all of it without a sandbox, or nothing was shown above.
    let daemon = Daemon::start(&[&place.configuration(&peer, "")]);
    echoes(&daemon);
    for what in ["read", "make", "signal", "look into"] {
        daemon.wait_for_log(&format!("confined: query: {what}: DONE"));
    }
    assert!(!daemon.log().iter().any(|line| line.contains("run: ")));
}

/// A changed back end and changed listeners come by SIGHUP; what would need more than the sandbox left is
/// refused.
#[test]
fn a_reload_goes_on_in_the_sandbox() {
    let (place, peer) = (Place::new("confined-reload"), Peer::echo());
    let directory = SocketDirectory::new("sandbox");
    let (socket, first) = (directory.socket(), format!("listen = {}", directory.place()));
    let listen = format!("listen = 127.0.0.1:{}", free_port());
    let file = place.configuration(&peer, &format!("sandbox = yes\n{first}"));
    let daemon = Daemon::of_file(&[&file], &listen);
    echoes(&daemon);
    let reload = |core: &str, says: &str| {
        place.configuration(&peer, core);
        daemon.signal("HUP");
        daemon.wait_for_log(says);
    };
    plugins::compile(&place.plugins, "backend_confined.so", "plugins/confined.c", &["-O2"]);
    reload(&format!("sandbox = yes\n{listen}"), "configuration 2 is in force");
    eventually("the socket is gone", || !socket.exists());
    reload(&format!("sandbox = yes\n{listen}\n{first}"), "configuration 3 is in force");
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(BASE.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 101");
    drop(stream);

    let web = format!("sandbox = yes\n{listen}\nweb = {}", place.hidden.display());
    let far = place.hidden.display();
    reload(&web, &format!("sandbox: needs a restart to let it at {far}, which it gave up"));
    reload(&listen, "sandbox: is not there any more, which needs a restart");
    echoes(&daemon);
}

/// What the operator names is read, written and served.
#[test]
fn what_the_configuration_names_goes_on() {
    let directory = plugins::scratch("named");
    let fifo = directory.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::write(directory.join("index.html"), "<p>").unwrap();
    let (host, web) = (format!("host=fifotx://{}", fifo.display()), directory.to_str().unwrap());
    let daemon = Daemon::start(&["--sandbox", "--web", web, "-c", &host, "-c", "framing=binary"]);
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || {
            let mut read = [0; 4];
            fs::File::open(fifo).unwrap().read_exact(&mut read).unwrap();
            read
        }
    });
    // Whoever opens it to write before there is a reader is refused, fifo(7).
    let mut client = None;
    eventually("there is a reader", || {
        let mut stream = open(daemon.port());
        stream.write_all(BASE.as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        client = (&start == b"HTTP/1.1 101").then_some(stream);
        client.is_some()
    });
    client.unwrap().write_all(&frame(0x82, b"fifo")).unwrap();
    assert_eq!(&reader.join().unwrap(), b"fifo");
    let mut browser = open(daemon.port());
    browser.write_all(b"GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let page = read_answer(&mut browser, false);
    assert_eq!((page.status, page.rest.as_slice()), (200, &b"<p>"[..]));

    // A name is looked up by the system's files.
    let peer = Peer::echo();
    let host = format!("host=tcp://localhost:{}", peer.port());
    echoes(&Daemon::start(&["--sandbox", "-c", &host, "-c", "framing=binary"]));
}

fn seccomp(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Seccomp:")).unwrap();
    line.trim().to_owned()
}

/// Workers are confined; their supervisor, which starts more of them, is not.
#[test]
fn workers_are_confined() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--sandbox", "--workers", "1"]);
    echoes(&daemon);
    let children =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid())).unwrap();
    let worker: u32 = children.trim().parse().unwrap();
    assert_eq!([seccomp(daemon.pid()), seccomp(worker)], ["0", "2"]);
    common::kill("KILL", worker);
    eventually("there is another", || {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid()));
        children.unwrap().trim().parse().is_ok_and(|next: u32| next != worker)
    });
    echoes(&daemon);
}

#[test]
fn a_path_that_is_not_there_is_refused() {
    let check = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        let output = command.args(["--check", "-l", "127.0.0.1"]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, line) = check(&["--sandbox", "--sandbox-path", "/nowhere/at-all"]);
    assert_eq!(code, Some(2));
    let says = "--sandbox-path: /nowhere/at-all: No such file or directory (os error 2)";
    assert!(line.contains(says), "{line}");
    assert_eq!(check(&["--sandbox"]).0, Some(0));
}
