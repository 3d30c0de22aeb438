//! Peers that DNS names, and the name server away.

use super::{Server, away, back_in_a_second, daemon, is_there, reply, request, session, status};
use crate::common::{Peer, eventually, free_port, left_out};
use std::net::UdpSocket;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// A name server of its own.
struct Dns {
    server: Server,
    port: u16,
}

impl Dns {
    /// Serves these records of `fleet.test`.
    fn start(records: &[String]) -> Option<Self> {
        if !is_there("/usr/sbin/dnsmasq", "--version") {
            left_out("peers that DNS names", "no dnsmasq");
            return None;
        }
        let port = free_port();
        Some(Self { server: Self::serve(port, records), port })
    }

    fn serve(port: u16, records: &[String]) -> Server {
        let mut command = Command::new("/usr/sbin/dnsmasq");
        command
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--pid-file=", "--user=", "--bind-interfaces", "--listen-address=127.0.0.1"])
            .args(["--local=/fleet.test/", "--local=/localhost/", "--local-ttl=1"])
            .arg(format!("--port={port}"))
            .args(records);
        let server = Server::start(&mut command);
        eventually("the name server answers", || Self::answers(port));
        server
    }

    /// Whether it answers a question for the root's name servers with anything.
    fn answers(port: u16) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";
        socket.send(question).is_ok() && socket.recv(&mut [0; 512]).is_ok()
    }

    fn key(&self) -> String {
        format!("server=127.0.0.1:{}", self.port)
    }
}

fn srv(service: &str, target: &str, port: u16, priority: u16, weight: u16) -> String {
    format!("--srv-host=_vnc._tcp.{service}.fleet.test,{target},{port},{priority},{weight}")
}

const NAME: &str = "name=_vnc._tcp.{token}.fleet.test";

#[test]
fn a_service_names_its_servers() {
    let (echo, dead) = (Peer::echo(), free_port());
    let live = echo.port();
    let mut records = vec![
        "--host-record=a.fleet.test,127.0.0.1".to_owned(),
        srv("plain", "a.fleet.test", live, 0, 0),
        srv("second", "a.fleet.test", dead, 1, 9),
        srv("second", "a.fleet.test", live, 2, 0),
        srv("barred", "192.0.2.1", live, 0, 0),
        srv("local", "localhost", live, 0, 0),
        "--srv-host=_vnc._tcp.gone.fleet.test".into(),
    ];
    // More than a datagram holds: asked again over TCP.
    records.extend((0..60).map(|at| {
        srv(
            "many",
            "a.fleet.test",
            if at == 7 { live } else { dead },
            if at == 7 { 1 } else { 2 + at },
            0,
        )
    }));
    let Some(mut dns) = Dns::start(&records) else { return };
    let keys = [NAME, &*dns.key()];
    let daemon = daemon("srv", &keys, &["--peer-allow", "127.0.0.0/8", "--query-threads", "2"]);
    for endpoint in ["/plain", "/?token=second", "/local", "/many"] {
        drop(session(&daemon, &request(endpoint, "")));
    }
    daemon.wait_for_log(&format!("the next is tcp://127.0.0.1:{live}"));
    for (endpoint, expected) in
        [("/none", 404), ("/gone", 404), ("/a.b", 404), ("/", 404), ("/barred", 403)]
    {
        assert_eq!(status(&daemon, endpoint), expected, "{endpoint}");
    }
    // A change counts when the records' own time is over, a second.
    drop(dns.server);
    dns.server = Dns::serve(dns.port, &[srv("none", "127.0.0.1", live, 0, 0)]);
    eventually("it is there", || status(&daemon, "/none") == 101);
    eventually("it is gone", || status(&daemon, "/plain") == 404);
}

/// What is known is served while the name server is away, what is not is 503, and it is found again within
/// a second: when it hangs, and when it is gone.
#[test]
fn known_routes_outlive_the_name_server() {
    let echo = Peer::echo();
    let records = ["known", "new"].map(|name| srv(name, "127.0.0.1", echo.port(), 0, 0));
    let Some(mut dns) = Dns::start(&records) else { return };
    let keys = [NAME, &*dns.key(), "timeout=0.5", "negative-ttl=0.1", "ttl=0.1"];
    let daemon = daemon("srv", &keys, &[]);
    let mut stays = session(&daemon, &request("/known", ""));
    for (hangs, new) in [(true, "/new"), (false, "/newer")] {
        dns.server.signal(if hangs { "STOP" } else { "KILL" });
        thread::sleep(Duration::from_millis(200)); // what is known is not fresh any more
        let begin = Instant::now();
        while begin.elapsed() < away() {
            assert_eq!(status(&daemon, "/known"), 101);
            let refusal = reply(&daemon, new);
            assert_eq!((refusal.status, &*refusal.values("retry-after").concat()), (503, "2"));
            thread::sleep(Duration::from_millis(50));
        }
        if hangs {
            dns.server.signal("CONT");
            eventually("the name server answers", || Dns::answers(dns.port));
        } else {
            let newer = srv("newer", "127.0.0.1", echo.port(), 0, 0);
            dns.server = Dns::serve(dns.port, &[&records[..], &[newer]].concat());
        }
        back_in_a_second(&daemon, new);
        eventually("it is asked again", || status(&daemon, "/nobody") == 404);
        stays.frame(0x82, b"still");
        assert_eq!(stays.message().1, b"still");
    }
    let log = daemon.log();
    let said = |word: &str| log.iter().filter(|line| line.contains(word)).count();
    assert_eq!((said(" is away: "), said(" is back")), (2, 2), "{log:#?}");
}
