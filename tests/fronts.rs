//! Real proxies: what HAProxy and nginx in front say of a client, and what they read of it as peers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;
#[cfg(feature = "tls")]
#[path = "fronts/extended_connect.rs"]
mod extended_connect;

use common::{BASE, Client, Daemon, Peer, free_port, left_out, open, upgrade};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Where Debian keeps servers, which is not in everybody's path.
const SBIN: &str = "/usr/sbin";

/// A server with a configuration of its own, as long as this lives.
struct Front {
    child: Child,
    directory: PathBuf,
    port: u16,
}

impl Front {
    /// Runs `program` by what `configure` makes of a free port and a directory; none where it is not
    /// installed.
    fn start(
        program: &str,
        arguments: &[&str],
        configure: impl Fn(u16, &str) -> String,
    ) -> Option<Self> {
        let path = format!("{}:{SBIN}", std::env::var("PATH").unwrap_or_default());
        let is_there = |directory: &str| PathBuf::from(directory).join(program).exists();
        if !path.split(':').any(is_there) {
            left_out("real proxies", &format!("no {program}"));
            return None;
        }
        let port = free_port();
        let name = format!("websocksy-{program}-{}-{port}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let file = directory.join("conf");
        fs::write(&file, configure(port, directory.to_str().unwrap())).unwrap();
        let log = fs::File::create(directory.join("log")).unwrap();
        let child = Command::new(program)
            .env("PATH", path)
            .args(arguments)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut front = Self { child, directory, port };
        common::eventually("it listens", || {
            let ended = front.child.try_wait().unwrap();
            assert!(ended.is_none(), "{:?}", fs::read_to_string(front.directory.join("log")));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(front)
    }

    fn haproxy(lines: &str) -> Option<Self> {
        let lines = lines.to_owned();
        Self::start("haproxy", &["-db", "-f"], move |port, _| {
            let own = format!("127.0.0.1:{port}");
            "defaults\n mode http\n timeout connect 10s\n timeout client 20s\n timeout server 20s\n"
                .to_owned()
                + &lines.replace("OWN", &own)
        })
    }

    /// nginx that carries streams and not requests; none where it cannot.
    fn nginx_stream(server: &str) -> Option<Self> {
        const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
        if !PathBuf::from(MODULE).exists() {
            left_out("nginx's streams", &format!("no {MODULE} (libnginx-mod-stream)"));
            return None;
        }
        let server = server.to_owned();
        Self::start("nginx", &["-c"], move |port, directory| {
            format!(
                "load_module {MODULE}; daemon off; master_process off; pid {directory}/pid; \
                 error_log stderr;\nevents {{}}\nstream {{ server {{ {} }} }}\n",
                server.replace("OWN", &format!("127.0.0.1:{port}"))
            )
        })
    }

    fn nginx(server: &str) -> Option<Self> {
        let server = server.to_owned();
        Self::start("nginx", &["-c"], move |port, directory| {
            let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let paths = kinds.map(|kind| format!("{kind}_temp_path {directory}/{kind};"));
            format!(
                "daemon off; master_process off; pid {directory}/pid; error_log stderr;\n\
                 events {{}}\nhttp {{ access_log off; {}\nserver {{ {} }} }}\n",
                paths.concat(),
                server.replace("OWN", &format!("127.0.0.1:{port}"))
            )
        })
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A daemon that takes a proxy's clients at a port of its own, and that port.
fn proxied(peer: &Peer) -> (Daemon, u16) {
    let port = free_port();
    let place = format!("127.0.0.1:{port} proxy-protocol");
    let arguments = ["-l", &place, "--trusted-proxy", "127.0.0.1"];
    (Daemon::before(peer, "binary", &arguments), port)
}

/// Shakes hands from a port that is known, through a front.
fn through(port: u16) -> (Client, String) {
    let mut stream = open(port);
    let own = stream.local_addr().unwrap().to_string();
    upgrade(&mut stream, BASE.as_bytes());
    (Client::over(stream), own)
}

#[test]
fn haproxy_says_who_its_clients_are() {
    let peer = Peer::echo();
    let (daemon, port) = proxied(&peer);
    for option in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"]
    {
        let lines = format!(
            "frontend f\n bind OWN\n unique-id-format %{{+X}}o%ci%cp\n default_backend b\n\
             backend b\n server s 127.0.0.1:{port} {option}\n"
        );
        let Some(front) = Front::haproxy(&lines) else { return };
        let (mut client, own) = through(front.port);
        daemon.wait_for_log(&format!("{own} -> tcp://"));
        client.frame(0x82, b"hello");
        assert_eq!(client.message(), (2, b"hello".to_vec()));
        client.close_now();
    }
    assert!(!daemon.log().iter().any(|line| line.contains("hung up")), "{:?}", daemon.log());
}

/// It looks every 50 ms whether we are well, by a header that says LOCAL and no more.
#[test]
fn haproxys_checks_of_our_health_are_no_lines() {
    let peer = Peer::echo();
    let (daemon, port) = proxied(&peer);
    let lines = format!(
        "frontend f\n bind OWN\n default_backend b\n\
         backend b\n server s 127.0.0.1:{port} check inter 50ms send-proxy-v2 check-send-proxy\n"
    );
    let Some(front) = Front::haproxy(&lines) else { return };
    std::thread::sleep(std::time::Duration::from_millis(500));
    let (mut client, _) = through(front.port);
    client.close_now();
    drop(front);
    daemon.settle();
    let said = |line: &&String| line.contains("hung up") || line.contains("left");
    assert_eq!(daemon.log().iter().find(said), None);
}

#[test]
fn nginx_says_who_its_clients_are() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--trusted-proxy", "127.0.0.1"]);
    let server = format!(
        "listen OWN; location / {{ proxy_pass http://127.0.0.1:{}; proxy_http_version 1.1; \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; \
         proxy_set_header X-Forwarded-For \"$http_x_forwarded_for, 192.0.2.7:$remote_port\"; }}",
        daemon.port()
    );
    let Some(front) = Front::nginx(&server) else { return };
    let mut stream = open(front.port);
    let port = stream.local_addr().unwrap().port();
    let request = BASE.replacen("\r\n", "\r\nX-Forwarded-For: 198.51.100.66\r\n", 1);
    upgrade(&mut stream, request.as_bytes());
    Client::over(stream).close_now();
    daemon.wait_for_log(&format!("192.0.2.7:{port} -> tcp://"));
}

/// Streams, of which nginx says more than their bytes.
#[test]
fn nginxs_streams_say_who_their_clients_are() {
    let peer = Peer::echo();
    let (daemon, port) = proxied(&peer);
    let server = format!("listen OWN; proxy_pass 127.0.0.1:{port}; proxy_protocol on;");
    let Some(front) = Front::nginx_stream(&server) else { return };
    let (mut client, own) = through(front.port);
    let line = daemon.wait_for_log(&format!("{own} -> tcp://"));
    assert!(line.contains(" proxy=127.0.0.1:"), "{line}");
    client.frame(0x82, b"hello");
    assert_eq!(client.message(), (2, b"hello".to_vec()));
    client.close_now();
}

/// What a peer that expects a PROXY header makes of ours: it answers with what it has read.
#[track_caller]
fn read_back(front: &Front, version: &str, words: &str) {
    let host = format!("host=tcp://127.0.0.1:{}", front.port);
    let arguments = ["-c", &host, "-c", "framing=binary", "--trusted-proxy", "127.0.0.1"];
    let daemon = Daemon::start(&[&arguments[..], &["--send-proxy", version]].concat());
    let request = BASE.replace("Host: h", "Host: desk.example.org:8443");
    for address in ["192.0.2.7", "2001:db8::7"] {
        let field = format!("\r\nX-Forwarded-For: {address}\r\n");
        let request = request.replacen("\r\n", &field, 1);
        let mut client = Client::connect_with(daemon.port(), request.as_bytes());
        client.frame(0x82, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        while let common::Event::Data(_, _, bytes) = client.event() {
            answer.extend(bytes);
        }
        let answer = String::from_utf8_lossy(&answer);
        let expected = words.replace("ADDRESS", address);
        assert!(answer.trim_end().ends_with(&expected), "{version}: {answer} {expected}");
    }
}

/// What the same peer says to a client of which there is no address to tell.
#[track_caller]
fn takes_clients_of_unix_sockets(front: &Front, name: &str) {
    let path = common::plugins::scratch(name).join("own.sock");
    let (host, listen) =
        (format!("host=tcp://127.0.0.1:{}", front.port), format!("unix:{}", path.display()));
    for version in ["v1", "v2"] {
        let arguments = ["-c", &host, "-c", "framing=binary", "--send-proxy", version];
        let daemon = Daemon::start(&[&arguments[..], &["-l", &listen]].concat());
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(common::PATIENCE)).unwrap();
        client.write_all(BASE.as_bytes()).unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        client.write_all(&common::frame(0x82, request)).unwrap();
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains("HTTP/1.1 200 ") {
            let mut piece = [0; 1024];
            let length = client.read(&mut piece).unwrap();
            let so_far = String::from_utf8_lossy(&heard);
            assert!(length > 0, "{version}: {so_far} {:?}", daemon.log());
            heard.extend(&piece[..length]);
        }
    }
}

#[test]
fn haproxy_as_a_peer_reads_who_the_client_is() {
    let lines = "frontend f\n bind OWN accept-proxy\n http-request return status 200 \
                 content-type text/plain lf-string \"%[src] %[fc_pp_authority]\"\n";
    let Some(front) = Front::haproxy(lines) else { return };
    read_back(&front, "v1", "ADDRESS");
    read_back(&front, "v2", "ADDRESS desk.example.org");
    takes_clients_of_unix_sockets(&front, "to-haproxy");
}

#[test]
fn nginx_as_a_peer_reads_who_the_client_is() {
    let server = "listen OWN proxy_protocol; location / { default_type text/plain; \
                  return 200 \"$proxy_protocol_addr\"; }";
    let Some(front) = Front::nginx(server) else { return };
    for version in ["v1", "v2"] {
        read_back(&front, version, "ADDRESS");
    }
    takes_clients_of_unix_sockets(&front, "to-nginx");
}
