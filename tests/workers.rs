//! Worker processes on the real binary: what one that dies takes with it, and that nobody else
//! notices.
#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not their helpers

mod common;

use common::{
    Answer, BASE, Client, Daemon, End, Event, Manager, PATIENCE, Peer, SocketDirectory, binary,
    eventually, free_port, kill, plugins,
};
use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The worker processes of a daemon, in the order in which they began.
fn workers(daemon: &Daemon) -> Vec<u32> {
    children(daemon.pid())
}

fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn start(peer: &Peer, workers: &str, arguments: &[&str]) -> Daemon {
    Daemon::before(peer, "auto", &[&["--workers", workers], arguments].concat())
}

/// The workers that serve these clients, each the only one that has its client's socket.
fn servers(clients: &[Client], workers: &[u32]) -> Vec<u32> {
    let owners: HashMap<String, u32> =
        workers.iter().flat_map(|pid| sockets(*pid).into_iter().map(|own| (own, *pid))).collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let inodes: HashMap<(&str, &str), &str> = table
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect(); // proc(5)
            Some(((*words.get(1)?, *words.get(2)?), *words.get(9)?))
        })
        .collect();
    let server = |client: &Client| {
        let [ours, theirs] = [client.stream().local_addr(), client.stream().peer_addr()]
            .map(|address| format!("0100007F:{:04X}", address.unwrap().port()));
        owners[inodes[&(theirs.as_str(), ours.as_str())]]
    };
    clients.iter().map(server).collect()
}

/// The inodes of a process's sockets.
fn sockets(pid: u32) -> Vec<String> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let inode =
        |link: PathBuf| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.into());
    links.filter_map(inode).collect()
}

/// Says something, and hears it again.
fn echoes(client: &mut Client) -> bool {
    client.frame(0x81, b"still here");
    client.message() == (1, b"still here".to_vec())
}

#[test]
fn workers_are_called_what_their_supervisor_is() {
    let peer = Peer::echo();
    let daemon = start(&peer, "2", &[]);
    let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    let names: Vec<String> = workers(&daemon).iter().map(name).collect();
    assert_eq!(names, ["websocksy\n", "websocksy\n"]);
}

#[test]
fn clients_are_spread_over_workers() {
    let peer = Peer::echo();
    let daemon = start(&peer, "4", &["--pin-workers"]);
    let workers = workers(&daemon);
    assert_eq!(workers.len(), 4);
    let mut clients: Vec<Client> = (0..200).map(|_| Client::connect(daemon.port())).collect();
    let mut counts = vec![0; workers.len()];
    for own in servers(&clients, &workers) {
        counts[workers.iter().position(|worker| *worker == own).unwrap()] += 1;
    }
    // By chance: the mean is 50, and 25 is more than four standard deviations from it.
    assert!(counts.iter().all(|count| (25..=75).contains(count)), "{counts:?}");
    assert!(clients.iter_mut().all(echoes));
    clients.into_iter().for_each(|mut client| assert_eq!(client.close_now(), Some(1000)));
}

#[test]
fn a_worker_that_is_killed_takes_its_own_sessions_only() {
    let peer = Peer::echo();
    let daemon = start(&peer, "2", &[]);
    let before = workers(&daemon);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(daemon.port())).collect();
    let mut owners = servers(&clients, &before).into_iter();
    let victim = owners.clone().next().unwrap();
    let (lost, kept): (Vec<_>, Vec<_>) =
        clients.drain(..).partition(|_| owners.next() == Some(victim));
    kill("KILL", victim);
    let line = daemon.wait_for_log("was killed by SIGKILL");
    assert!(line.contains("starting it again") && line.contains("worker="), "{line}");
    for mut client in kept {
        assert!(echoes(&mut client));
        assert_eq!(client.close_now(), Some(1000));
    }
    drop(lost);
    daemon.wait_for_log("worker is up again");
    eventually("another one is there", || workers(&daemon).len() == 2);
    assert!(!workers(&daemon).contains(&victim));
    for _ in 0..20 {
        let mut client = Client::connect(daemon.port());
        assert!(echoes(&mut client));
        assert_eq!(client.close_now(), Some(1000));
    }
}

/// What became of many clients.
#[derive(Debug, Default)]
struct Fates {
    answered: usize,
    /// Nobody listened.
    refused: usize,
    /// Hung up on before an answer: a worker that was killed had accepted them.
    lost: usize,
    /// Neither, within the time that a test has.
    forgotten: usize,
}

/// Clients that come at a steady rate and ask for the health check, which needs no peer.
struct Crowd {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Fates>>,
}

impl Crowd {
    /// `rate` clients a second; each thread five, so that some may wait while the others go on.
    fn begin(port: u16, rate: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let begin = |number| {
            let over = Arc::clone(&over);
            let offset = Duration::from_micros(number * 1_000_000 / rate);
            let come = move || {
                let (mut fates, mut next) = (Fates::default(), Instant::now() + offset);
                while !over.load(Ordering::SeqCst) {
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                    next += Duration::from_millis(200);
                    come(port, &mut fates);
                }
                fates
            };
            thread::Builder::new().stack_size(128 * 1024).spawn(come).unwrap()
        };
        let threads = (0..rate / 5).map(begin).collect();
        Self { over, threads }
    }

    fn end(self) -> Fates {
        self.over.store(true, Ordering::SeqCst);
        let fates = self.threads.into_iter().map(|thread| thread.join().unwrap());
        fates.fold(Fates::default(), |all, one| Fates {
            answered: all.answered + one.answered,
            refused: all.refused + one.refused,
            lost: all.lost + one.lost,
            forgotten: all.forgotten + one.forgotten,
        })
    }
}

const ACCEPTED: &str = "websocksy_connections_accepted_total";
const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// One client comes; it leaves by a reset, which keeps its port for nobody.
fn come(port: u16, fates: &mut Fates) {
    let mut stream = match TcpStream::connect(("127.0.0.1", port)) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::TimedOut => return fates.forgotten += 1,
        Err(_) => return fates.refused += 1,
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 1024];
    match stream.write_all(HEALTH).and_then(|()| stream.read(&mut answer)) {
        Ok(0) => fates.lost += 1,
        Ok(length) => {
            assert!(answer[..length].starts_with(b"HTTP/1.1 200 "), "{:?}", &answer[..length]);
            fates.answered += 1;
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            fates.forgotten += 1;
        }
        Err(_) => fates.lost += 1,
    }
    common::reset(stream);
}

/// Kills and clients a second: as many as fit in a test, or with `WORKERS_LONG` for `make workers-long`.
fn scale() -> (usize, u64) {
    if std::env::var_os("WORKERS_LONG").is_some() { (100, 2000) } else { (20, 500) }
}

#[test]
fn nobody_is_refused_while_workers_are_killed() {
    let (kills, rate) = scale();
    let peer = Peer::echo();
    let daemon = start(&peer, "8", &["--health", "/healthz", "--admin", "127.0.0.1:0"]);
    let crowd = Crowd::begin(daemon.port(), rate);
    let mut victim = 0;
    for _ in 0..kills {
        let are_there = |all: &[u32]| all.len() == 8 && !all.contains(&victim);
        eventually("all workers are there", || are_there(&workers(&daemon)));
        victim = workers(&daemon)[0]; // the oldest: each has its turn
        kill("KILL", victim);
        thread::sleep(Duration::from_millis(100));
    }
    let fates = crowd.end();
    println!("{kills} kills, {rate} clients a second: {fates:?}");
    assert_eq!((fates.refused, fates.forgotten), (0, 0), "{fates:?}");
    // What a worker has accepted dies with it: 64 clients a turn at most.
    assert!(fates.lost <= kills * 64 && fates.lost < fates.answered / 10, "{fates:?}");
    eventually("all workers are back", || workers(&daemon).len() == 8);
    // Whoever was lost had been accepted: nobody is reset in a queue. One may be killed between
    // accept(2) and the count of it.
    let accepted = counted(&daemon, ACCEPTED) as usize;
    println!(
        "{accepted} accepted, of whom {} were answered and {} lost",
        fates.answered, fates.lost
    );
    let uncounted = (fates.answered + fates.lost).checked_sub(accepted);
    assert!(uncounted.is_some_and(|number| number <= 1 + kills / 50), "{accepted}: {fates:?}");
}

/// The exact form of the same: a worker that accepts nobody is killed with its queue full.
/// A worker that begins later knows its sockets by where they are, and not by what stands in which line.
#[test]
fn sockets_keep_what_was_said_of_them() {
    let peer = Peer::echo();
    let directory = plugins::scratch("places");
    let path = directory.join("websocksy.conf");
    let [plain, behind] = [free_port(), free_port()];
    let write = |lines: &[String]| {
        let listens: String = lines.iter().map(|line| format!("listen = {line}\n")).collect();
        let backend = format!("[backend]\nhost = tcp://127.0.0.1:{}\n", peer.port());
        let core = "[core]\nworkers = 1\ntrusted-proxy = 127.0.0.1\n";
        fs::write(&path, format!("{core}{listens}{backend}")).unwrap();
    };
    let (first, second) =
        (format!("127.0.0.1:{plain}"), format!("127.0.0.1:{behind} proxy-protocol"));
    write(&[first.clone(), second.clone()]);
    let daemon = Daemon::of_file(&[path.to_str().unwrap()], "");
    let as_before = || {
        let mut client = Client::connect(plain);
        assert!(echoes(&mut client));
        let header = format!("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n{BASE}");
        let mut client = Client::connect_with(behind, header.as_bytes());
        assert!(echoes(&mut client));
    };
    as_before();
    // Another order, and the port in another place.
    write(&[second.clone(), format!("127.0.0.1\nport = {plain}")]);
    let [worker] = workers(&daemon)[..] else { panic!("one worker") };
    kill("KILL", worker);
    daemon.wait_for_log("worker is up again");
    as_before();
    daemon.signal("HUP");
    daemon.wait_for_log("configuration 2 is in force");
    as_before();
    // Somewhere else: a new program does not serve there what was said of another place.
    write(&[format!("127.0.0.1:{}", free_port()), second]);
    daemon.signal("USR2");
    daemon.wait_for_log("--listen, --port or --admin says other places than those in force");
    as_before();
}

/// What is in force is what was accepted, whatever stands in the files by then.
#[test]
fn a_worker_that_begins_later_is_what_the_others_are() {
    let peer = Peer::echo();
    let directory = plugins::scratch("accepted");
    let (path, users) = (directory.join("websocksy.conf"), directory.join("users"));
    let write = |core: &str| {
        let backend = format!("[backend]\nhost = tcp://127.0.0.1:{}\n", peer.port());
        let users = users.display();
        let core = format!("[core]\nworkers = 2\nauth-file = {users}\n{core}\n");
        fs::write(&path, core + &backend).unwrap();
    };
    let allow = |password: &str| {
        let hash = bcrypt::hash_with_salt(password, 4, [3; 16]).unwrap();
        fs::write(&users, format!("alice:{hash}\n")).unwrap();
        fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).unwrap();
    };
    allow("secret");
    write("listen = 127.0.0.1:0\nhealth = /1");
    let daemon = Daemon::of_file(&[path.to_str().unwrap()], "");
    let basic = "Host: h\r\nAuthorization: Basic YWxpY2U6c2VjcmV0"; // alice:secret
    let serves = |health: &str| {
        (0..24).for_each(|_| {
            let request = BASE.replace("Host: h", basic);
            let mut client = Client::connect_with(daemon.port(), request.as_bytes());
            assert!(echoes(&mut client));
            let health = format!("GET {health} HTTP/1.1\r\nHost: h\r\n\r\n");
            let mut stream = common::open(daemon.port());
            stream.write_all(health.as_bytes()).unwrap();
            assert_eq!(common::read_answer(&mut stream, false).status, 200, "{health}");
        });
    };
    let ups = || daemon.log().iter().filter(|line| line.contains("worker is up again")).count();
    let loses_one = |number: usize| {
        kill("KILL", workers(&daemon)[0]);
        eventually("it comes back", || ups() == number);
    };
    serves("/1");
    // Edits that nobody has reloaded yet, and one that a reload refused.
    allow("other");
    write("health = /2");
    loses_one(1);
    serves("/1");
    write("pinng = 1");
    daemon.signal("HUP");
    daemon.wait_for_log("reload refused, configuration 1 stays: ");
    loses_one(2);
    fs::remove_file(&path).unwrap();
    fs::remove_file(&users).unwrap();
    loses_one(3);
    serves("/1");
    allow("secret");
    write("listen = 127.0.0.1:0\nhealth = /3");
    daemon.signal("HUP");
    daemon.wait_for_log("configuration 2 is in force");
    serves("/3");
    write("frob");
    loses_one(4);
    serves("/3");
    // The next program has read it anew, and keeps that.
    write("listen = 127.0.0.1:0\nhealth = /4");
    daemon.signal("USR2");
    daemon.wait_for_log("goes on, workers: 2");
    serves("/4");
    fs::remove_file(&path).unwrap();
    loses_one(5);
    serves("/4");
}

#[test]
fn who_waits_for_a_dead_worker_is_served_by_the_next() {
    let peer = Peer::echo();
    let daemon = start(&peer, "2", &[]);
    let victim = workers(&daemon)[0];
    kill("STOP", victim);
    let waiting: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = common::open(daemon.port());
            stream.write_all(common::BASE.as_bytes()).unwrap();
            stream
        })
        .collect();
    kill("KILL", victim);
    for mut stream in waiting {
        common::read_upgrade(&mut stream);
        assert_eq!(Client::over(stream).close_now(), Some(1000));
    }
}

#[test]
fn a_plug_in_that_crashes_is_named_and_costs_one_worker() {
    let directory = plugins::scratch("workers-crash");
    plugins::compile(&directory, "backend_crash.so", "workers/crash.c", &[]);
    let peer = Peer::echo();
    let (plugins, port) = (directory.to_str().unwrap(), format!("port={}", peer.port()));
    let arguments = ["--workers", "2", "--plugins", plugins, "-b", "crash", "-c", &port];
    let daemon = Daemon::start(&[&arguments[..], &["--admin", "127.0.0.1:0"]].concat());
    let before = workers(&daemon);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(daemon.port())).collect();
    const COUNT: &str = "websocksy_plugin_counts_total{name=\"crash_queries\"}";
    assert!(counted(&daemon, COUNT) <= 20);
    // That of the workers that did not answer is a few seconds old.
    eventually("what plug-ins count is known", || counted(&daemon, COUNT) == 20);
    let mut crashing = common::open(daemon.port());
    let request = common::BASE.replacen(" / ", " /crash ", 1);
    crashing.write_all(request.as_bytes()).unwrap();
    let line = daemon.wait_for_log("was killed by SIGSEGV");
    assert!(line.contains("its last words: about to crash"), "{line}");
    daemon.wait_for_log("worker is up again");
    assert!((20..=21).contains(&counted(&daemon, COUNT)));
    let kept: Vec<u32> = before.into_iter().filter(|pid| workers(&daemon).contains(pid)).collect();
    assert_eq!(kept.len(), 1);
    let mut lived = 0;
    for client in &mut clients {
        if client.try_send(&common::frame(0x81, b"x")) && client.event() != Event::End(End::Reset) {
            lived += 1;
        }
    }
    assert!((1..20).contains(&lived), "{lived}");
}

/// One socket for all workers, and its file goes with the daemon and not before.
#[test]
fn unix_sockets_and_inherited_ones_are_one_for_all() {
    let peer = Peer::echo();
    let directory = SocketDirectory::new("workers");
    let (path, listen) = (directory.socket(), directory.place());
    let handed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = handed.local_addr().unwrap().port();
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    let arguments = ["--workers", "2", "-l", &listen, "-l", "systemd:web", "-c", &host];
    let mut daemon = Daemon::handed(handed.into(), "web", &arguments);
    let serve = |times: usize| {
        for _ in 0..times {
            assert_eq!(Client::connect(port).close_now(), Some(1000));
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(common::BASE.as_bytes()).unwrap();
            let mut answer = [0; 13];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 101 ");
        }
    };
    serve(20);
    workers(&daemon).into_iter().for_each(|worker| kill("KILL", worker));
    serve(20);
    daemon.signal("USR2");
    daemon.wait_for_log("goes on, workers: 2");
    serve(20);
    assert!(path.exists());
    daemon.signal("TERM");
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn limits_are_everybodys() {
    let peer = Peer::echo();
    let daemon = start(&peer, "4", &["--max-connections", "10"]);
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(daemon.port())).collect();
    for _ in 0..20 {
        let mut refused = common::open(daemon.port());
        let answer = common::answer(&mut refused, common::BASE.as_bytes());
        assert_eq!(answer.status, 503);
    }
    let all = workers(&daemon);
    let owners = servers(&clients, &all);
    let victim = owners[0];
    let held = owners.iter().filter(|owner| **owner == victim).count();
    kill("KILL", victim);
    daemon.wait_for_log("worker is up again");
    // The dead one's places are free again, and no more than those.
    clients.retain(|client| client.stream().take_error().unwrap().is_none());
    let mut more: Vec<Client> = (0..held).map(|_| Client::connect(daemon.port())).collect();
    let mut refused = common::open(daemon.port());
    assert_eq!(common::answer(&mut refused, common::BASE.as_bytes()).status, 503);
    assert!(more.iter_mut().all(echoes));
}

#[test]
fn limits_of_an_address_are_of_all_workers() {
    let peer = Peer::echo();
    let daemon = start(&peer, "4", &["--max-per-address", "6"]);
    let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(daemon.port())).collect();
    let refused = |daemon: &Daemon| {
        let mut stream = common::open(daemon.port());
        stream.write_all(common::BASE.as_bytes()).unwrap();
        common::answer(&mut stream, common::BASE.as_bytes()).status
    };
    assert!((0..10).all(|_| refused(&daemon) == 503));
    let all = workers(&daemon);
    let owners = servers(&clients, &all);
    let held = owners.iter().filter(|owner| **owner == owners[0]).count();
    kill("KILL", owners[0]);
    daemon.wait_for_log("worker is up again");
    clients.extend((0..held).map(|_| Client::connect(daemon.port())));
    assert_eq!(refused(&daemon), 503);
    drop(clients);

    let daemon = start(&peer, "4", &["--rate", "5/600"]);
    let _clients: Vec<Client> = (0..5).map(|_| Client::connect(daemon.port())).collect();
    assert!((0..10).all(|_| refused(&daemon) == 429));
}

#[test]
fn they_end_together() {
    for (signal, terminal) in [("TERM", false), ("INT", true)] {
        let peer = Peer::echo();
        let mut daemon = start(&peer, "3", &[]);
        let all = workers(&daemon);
        let mut clients: Vec<Client> = (0..9).map(|_| Client::connect(daemon.port())).collect();
        if terminal {
            all.iter().for_each(|worker| kill(signal, *worker)); // whoever tells everybody
        }
        daemon.signal(signal);
        for client in &mut clients {
            assert_eq!(client.event(), Event::Close(Some(1001), "shutting down".into()));
            client.close(1001);
            assert_eq!(client.event(), Event::End(End::Fin));
        }
        assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0), "{signal}");
        assert!(all.iter().all(|worker| !is_alive(*worker)));
    }
}

#[test]
fn a_second_signal_is_in_a_hurry() {
    let peer = Peer::echo();
    let mut daemon = start(&peer, "2", &["--drain-timeout", "60"]);
    let client = Client::connect(daemon.port()); // it does not answer the close frame
    daemon.signal("TERM");
    daemon.wait_for_log("ending 1 sessions");
    daemon.signal("TERM");
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
    drop(client);
}

fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn they_die_with_their_supervisor() {
    let peer = Peer::echo();
    let mut daemon = start(&peer, "3", &[]);
    let all = workers(&daemon);
    kill("KILL", daemon.pid());
    assert!(daemon.exit_within(PATIENCE).is_some());
    eventually("all are gone", || all.iter().all(|worker| !is_alive(*worker)));
    eventually("nobody listens", || TcpStream::connect(("127.0.0.1", daemon.port())).is_err());
}

#[test]
fn a_second_daemon_is_refused_the_port() {
    let peer = Peer::echo();
    let daemon = start(&peer, "2", &[]);
    let listen = format!("127.0.0.1:{}", daemon.port());
    for workers in [&["--workers", "2"][..], &[]] {
        let output = Command::new(binary()).args(["-l", &listen]).args(workers).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{workers:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("cannot listen on 127.0.0.1"), "{said}");
    }
}

/// What only a worker can find out is told once, too, with the right status.
#[test]
fn mistakes_are_told_once() {
    for (arguments, code, says) in [
        (&["-c", "host=gopher://x"][..], 2, "--config: host: "),
        (&["-c", "host=tcp://127.0.0.1:1", "-c", "framing=none"], 2, "--config: framing: "),
        (&["--max-connections", "1000000"], 2, "--max-connections: 1000000 clients need"),
    ] {
        let mut command = Command::new(binary());
        command.args(["-l", "127.0.0.1:0", "--workers", "3"]).args(arguments);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with(&format!("websocksy: {says}")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_worker_that_is_stuck_is_replaced() {
    let directory = plugins::scratch("workers-stuck");
    plugins::compile(&directory, "stuck.so", "workers/stuck.c", &[]);
    let peer = Peer::echo();
    let arguments = ["--stall-timeout", "1", "--workers", "2", "--plugins"];
    let arguments = [&arguments[..], &[directory.to_str().unwrap()]].concat();
    let daemon = Daemon::before(&peer, "stuck", &arguments);
    let before = workers(&daemon);
    let mut client = Client::connect(daemon.port());
    client.frame(0x81, b"well");
    assert_eq!(client.message().1, b"well");
    client.frame(0x81, b"stuck");
    let line = daemon.wait_for_log("has been in one turn for");
    assert!(line.contains(", in a function of the framing 'stuck': replacing it"), "{line}");
    daemon.wait_for_log("was killed by SIGABRT");
    daemon.wait_for_log("worker is up again");
    assert_eq!(workers(&daemon).iter().filter(|worker| before.contains(worker)).count(), 1);
}

/// A copy of the binary, in the place of an older one.
fn install(name: &str) -> PathBuf {
    let path = plugins::scratch(name).join("websocksy");
    replace(&path);
    path
}

fn replace(path: &Path) {
    let new = path.with_extension("new");
    fs::copy(binary(), &new).unwrap();
    fs::rename(&new, path).unwrap();
}

#[test]
fn a_new_binary_comes_without_a_gap() {
    let (upgrades, rate) = if scale().0 == 100 { (20, 2000) } else { (3, 500) };
    let peer = Peer::echo();
    let path = install("upgrade");
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    let admin = ["--admin", "127.0.0.1:0"];
    let arguments = [&["--workers", "2", "--health", "/healthz", "-c", &host][..], &admin].concat();
    let mut daemon = Daemon::copied(&path, &arguments);
    let (crowd, begin) = (Crowd::begin(daemon.port(), rate), Instant::now());
    let (mut clients, mut accepted) = (Vec::new(), 0);
    for number in 1..=upgrades {
        clients.push(Client::connect(daemon.port()));
        let before = workers(&daemon);
        replace(&path);
        daemon.signal("USR2");
        let says_so = |line: &&String| line.contains("goes on, workers: 2");
        eventually("it is another program", || {
            daemon.log().iter().filter(says_so).count() == number
        });
        assert!(clients.iter_mut().all(echoes));
        let fresh = workers(&daemon).into_iter().filter(|pid| !before.contains(pid));
        assert_eq!(fresh.count(), 2);
        let now = counted(&daemon, ACCEPTED);
        assert!(now >= accepted, "{accepted} were accepted, and {now} now");
        accepted = now;
    }
    let fates = crowd.end();
    let reached = fates.answered as f64 / begin.elapsed().as_secs_f64();
    println!("{upgrades} upgrades, {reached:.0} of {rate} clients a second: {fates:?}");
    assert!(counted(&daemon, ACCEPTED) as usize >= fates.answered, "{accepted}: {fates:?}");
    assert!(fates.answered > 100, "{fates:?}");
    assert_eq!((fates.refused, fates.lost, fates.forgotten), (0, 0, 0), "{fates:?}");
    clients.into_iter().for_each(|mut client| assert_eq!(client.close_now(), Some(1000)));
    eventually("old workers end with their sessions", || workers(&daemon).len() == 2);
    // The next one is looked after as the first was.
    kill("KILL", workers(&daemon)[0]);
    daemon.wait_for_log("was killed by SIGKILL");
    eventually("it is started again", || workers(&daemon).len() == 2);
    assert_eq!(Client::connect(daemon.port()).close_now(), Some(1000));
    daemon.signal("TERM");
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn a_new_binary_that_does_not_come_up_changes_nothing() {
    let peer = Peer::echo();
    let path = install("upgrade-fails");
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    let daemon = Daemon::copied(&path, &["--workers", "2", "-c", &host]);
    let before = workers(&daemon);
    let mut client = Client::connect(daemon.port());
    fs::remove_file(&path).unwrap();
    daemon.signal("USR2");
    let line = daemon.wait_for_log("the upgrade failed");
    assert!(line.contains("No such file"), "{line}");
    fs::write(&path, "#!/bin/sh\necho I am broken >&2\nexit 3\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    daemon.signal("USR2");
    let line = daemon.wait_for_log("ended with exit status 3");
    assert!(line.contains("I am broken"), "{line}");
    eventually("nothing has changed", || workers(&daemon) == before);
    assert!(echoes(&mut client));
    assert_eq!(client.close_now(), Some(1000));
}

/// Who signals all processes of a unit upgrades once, by the supervisor, and workers alone not at all.
#[test]
fn workers_let_nobody_but_their_supervisor_replace_them() {
    let peer = Peer::echo();
    let path = install("upgrade-all");
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    let daemon = Daemon::copied(&path, &["--workers", "2", "-c", &host]);
    let before = workers(&daemon);
    let serves = || {
        for mut client in (0..20).map(|_| Client::connect(daemon.port())).collect::<Vec<_>>() {
            assert!(echoes(&mut client));
            assert_eq!(client.close_now(), Some(1000));
        }
    };
    before.iter().for_each(|worker| kill("USR2", *worker));
    serves();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    before.iter().for_each(|worker| kill("USR2", *worker));
    daemon.signal("USR2");
    daemon.wait_for_log("the upgrade failed, and all stays as it was");
    serves();
    eventually("nothing has changed", || workers(&daemon) == before);
    assert!(!daemon.log().iter().any(|line| line.contains("others take new clients")));
}

#[test]
fn sessions_of_old_workers_end_when_the_operator_says() {
    let peer = Peer::echo();
    let daemon = start(&peer, "1", &["--upgrade-drain", "1"]);
    let mut client = Client::connect(daemon.port());
    daemon.signal("USR2");
    assert_eq!(client.event(), Event::Close(Some(1012), "restarting".into()));
    assert_eq!(Client::connect(daemon.port()).close_now(), Some(1000));
    client.close(1012);
    assert_eq!(client.event(), Event::End(End::Fin));
    eventually("the old one is gone", || workers(&daemon).len() == 1);
}

#[test]
fn the_service_manager_hears_of_the_whole() {
    let manager = Manager::listen("workers");
    let variables = [("NOTIFY_SOCKET", manager.name.as_str()), ("WATCHDOG_USEC", "400000")];
    let mut daemon = Daemon::with_environment(&variables, &["--workers", "2"]);
    assert_eq!(manager.heard(), "READY=1");
    (0..3).for_each(|_| assert_eq!(manager.heard(), "WATCHDOG=1"));
    daemon.signal("USR2");
    while manager.heard() != "READY=1" {}
    assert_eq!(manager.heard(), "WATCHDOG=1");
    daemon.signal("TERM");
    while manager.heard() != "STOPPING=1" {}
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
}

/// What the operator's pages say, whichever worker answers.
fn ask(daemon: &Daemon, request: &str) -> Answer {
    let line = daemon.wait_for_log("admin pages on 127.0.0.1:");
    let mut stream = common::open(line.rsplit_once(':').unwrap().1.parse().unwrap());
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    common::read_answer(&mut stream, false)
}

/// A list, and the workers that it is without.
fn listed(daemon: &Daemon, path: &str) -> (Vec<Value>, String) {
    let answer = ask(daemon, &format!("GET {path}"));
    assert_eq!(answer.status, 200);
    let missing = answer.values("websocksy-left-out").join(" ");
    (serde_json::from_slice(&answer.rest).unwrap(), missing)
}

/// The sum of all samples of this name.
fn counted(daemon: &Daemon, name: &str) -> u64 {
    let answer = ask(daemon, "GET /metrics");
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.rest).unwrap();
    let samples = text.lines().filter_map(|line| line.strip_prefix(name));
    let of_name = samples.filter(|rest| rest.starts_with(['{', ' ']));
    of_name.map(|rest| rest.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn numbers_are_of_all_workers_and_counters_never_go_back() {
    let peer = Peer::echo();
    let daemon = start(&peer, "3", &["--admin", "127.0.0.1:0"]);
    let mut clients: Vec<Client> = (0..30).map(|_| Client::connect(daemon.port())).collect();
    assert!(clients.iter_mut().all(echoes));
    // Whoever answers, it is the same.
    for _ in 0..12 {
        let sessions = counted(&daemon, "websocksy_sessions");
        assert_eq!((counted(&daemon, ACCEPTED), sessions), (30, 30));
    }
    let all = workers(&daemon);
    let owners = servers(&clients, &all);
    let victim = owners[0];
    let lost = owners.iter().filter(|owner| **owner == victim).count() as u64;
    kill("KILL", victim);
    daemon.wait_for_log("worker is up again");
    assert_eq!(counted(&daemon, ACCEPTED), 30);
    assert_eq!(counted(&daemon, "websocksy_sessions"), 30 - lost);
    let _more: Vec<Client> = (0..10).map(|_| Client::connect(daemon.port())).collect();
    assert_eq!(counted(&daemon, ACCEPTED), 40);
    // A new binary of the same version goes on counting.
    daemon.signal("USR2");
    daemon.wait_for_log("goes on, workers: 3");
    assert_eq!(counted(&daemon, ACCEPTED), 40);
    assert_eq!(counted(&daemon, "websocksy_sessions"), 40 - lost);
}

#[test]
fn sessions_of_all_workers_are_listed_and_closed() {
    let peer = Peer::echo();
    let daemon = start(&peer, "3", &["--admin", "127.0.0.1:0", "--max-connections", "40"]);
    let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(daemon.port())).collect();
    let address = |client: &Client| client.stream().local_addr().unwrap().to_string();
    let mut there: Vec<String> = clients.iter().map(address).collect();
    there.sort();
    // Whoever answers, it is the same.
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..9 {
        let (all, missing) = listed(&daemon, "/sessions");
        let text = |session: &Value, name: &str| session[name].as_str().unwrap().to_owned();
        let mut found: Vec<String> = all.iter().map(|one| text(one, "client")).collect();
        found.sort();
        assert_eq!((found, missing.as_str()), (there.clone(), ""));
        ids = all.iter().map(|session| text(session, "id")).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 40, "{all:?}");
        let workers: HashMap<u64, usize> = all.iter().fold(HashMap::new(), |mut counts, one| {
            *counts.entry(one["worker"].as_u64().unwrap()).or_default() += 1;
            counts
        });
        assert!(workers.keys().all(|worker| (1..=3).contains(worker)), "{workers:?}");
        assert_eq!(workers.len(), 3, "{workers:?}");
    }
    for _ in 0..5 {
        let mut refused = common::open(daemon.port());
        assert_eq!(common::answer(&mut refused, common::BASE.as_bytes()).status, 503);
    }
    eventually("all refusals are known", || listed(&daemon, "/refusals").0.len() == 5);
    for _ in 0..6 {
        let (all, _) = listed(&daemon, "/refusals");
        let times: Vec<f64> = all.iter().map(|one| one["time"].as_f64().unwrap()).collect();
        assert!(times.len() == 5 && times.is_sorted(), "{times:?}");
    }
    for id in &ids {
        let closed = ask(&daemon, &format!("POST /sessions/{id}/close"));
        assert_eq!(closed.status, 200, "{id}");
        assert_eq!(closed.rest, format!("{{\"closed\":\"{id}\"}}\n").as_bytes());
    }
    assert!(clients.iter_mut().all(|client| client.end() == Some(1001)));
    drop(clients);
    eventually("nobody is there", || listed(&daemon, "/sessions").0.is_empty());
    for id in ["0-0", "1-0-0", &ids[0]] {
        assert_eq!(ask(&daemon, &format!("POST /sessions/{id}/close")).status, 404, "{id}");
    }
}

/// Lists of many parts are whole, while sessions come and go and others ask, too.
#[test]
fn long_lists_of_all_workers_are_whole() {
    let peer = Peer::echo();
    let daemon = start(&peer, "2", &["--admin", "127.0.0.1:0"]);
    let clients: Vec<Client> = (0..400).map(|_| Client::connect(daemon.port())).collect();
    let address = |client: &Client| client.stream().local_addr().unwrap().to_string();
    let there: Vec<String> = clients.iter().map(address).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let _guest = Client::connect(daemon.port());
                    let (all, missing) = listed(&daemon, "/sessions");
                    let found: Vec<&str> =
                        all.iter().map(|session| session["client"].as_str().unwrap()).collect();
                    let twice = |own: &&String| found.iter().filter(|one| *one == own).count() != 1;
                    assert_eq!(there.iter().find(twice), None);
                    assert_eq!(missing, "");
                }
            });
        }
    });
    drop(clients);
}

#[test]
fn a_stuck_worker_is_left_out_and_named() {
    let peer = Peer::echo();
    let daemon = start(&peer, "2", &["--admin", "127.0.0.1:0"]);
    let clients: Vec<Client> = (0..20).map(|_| Client::connect(daemon.port())).collect();
    let victim = workers(&daemon)[1];
    let lost = servers(&clients, &workers(&daemon)).iter().filter(|own| **own == victim).count();
    let (all, _) = listed(&daemon, "/sessions");
    let is_its = |session: &&Value| session["worker"] == 2;
    let held = all.iter().find(is_its).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(all.iter().filter(is_its).count(), lost);
    kill("STOP", victim);
    let (all, missing) = listed(&daemon, "/sessions");
    assert_eq!((all.len(), missing.as_str()), (20 - lost, "2"));
    daemon.wait_for_log("admin: /sessions without worker 2: no answer");
    assert_eq!(ask(&daemon, &format!("POST /sessions/{held}/close")).status, 503);
    // One that dies while it is waited for is not waited for any longer.
    thread::scope(|scope| {
        let asked = scope.spawn(|| listed(&daemon, "/sessions"));
        thread::sleep(Duration::from_millis(300));
        kill("KILL", victim);
        assert_eq!(asked.join().unwrap().0.len(), 20 - lost);
    });
    daemon.wait_for_log("worker is up again");
    let (all, missing) = listed(&daemon, "/sessions");
    assert_eq!((all.len(), missing.as_str()), (20 - lost, ""));
    assert_eq!(ask(&daemon, &format!("POST /sessions/{held}/close")).status, 404);
}

/// Old workers are asked for what they still have, and the last ten minutes go on.
#[test]
fn lists_go_on_over_an_upgrade() {
    let peer = Peer::echo();
    let daemon = start(&peer, "2", &["--admin", "127.0.0.1:0"]);
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(daemon.port())).collect();
    let begin = |daemon: &Daemon| listed(daemon, "/history").0[0]["time"].as_f64().unwrap();
    let before = begin(&daemon);
    daemon.signal("USR2");
    daemon.wait_for_log("goes on, workers: 2");
    let more: Vec<Client> = (0..10).map(|_| Client::connect(daemon.port())).collect();
    let (all, missing) = listed(&daemon, "/sessions");
    assert_eq!((all.len(), missing.as_str()), (20, ""));
    assert!((begin(&daemon) - before).abs() < 1.0);
    let own = clients[0].stream().local_addr().unwrap().to_string();
    let of_old = all.iter().find(|session| session["client"] == own.as_str()).unwrap();
    let close = format!("POST /sessions/{}/close", of_old["id"].as_str().unwrap());
    assert_eq!(ask(&daemon, &close).status, 200);
    assert_eq!(clients[0].end(), Some(1001));
    drop(more);
}

/// One worker that is ready will do.
#[test]
fn readiness_is_of_all_workers() {
    let port = common::free_port();
    let host = format!("host=tcp://127.0.0.1:{port}");
    let arguments = ["--workers", "2", "--admin", "127.0.0.1:0", "-c", &host];
    let daemon = Daemon::start(&[&arguments[..], &["-c", "retry-after=600"]].concat());
    assert!((0..10).all(|_| ask(&daemon, "GET /readyz").status == 200));
    let refused = || {
        let mut stream = common::open(daemon.port());
        stream.write_all(common::BASE.as_bytes()).unwrap();
        common::answer(&mut stream, common::BASE.as_bytes()).status
    };
    // Both have tried it soon; what one says of itself to the other is a few seconds old.
    assert!((0..20).all(|_| refused() == 502));
    eventually("no worker is ready", || (0..10).all(|_| ask(&daemon, "GET /readyz").status == 503));
    assert_eq!(counted(&daemon, "websocksy_ready"), 0);
    // The next worker knows nothing of that.
    kill("KILL", workers(&daemon)[0]);
    daemon.wait_for_log("worker is up again");
    assert!((0..10).all(|_| ask(&daemon, "GET /readyz").status == 200));
}
