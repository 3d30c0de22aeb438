//! Before a server that is out to hurt.

use crate::server::Server;
use crate::store::Redis;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use websocksy_plugin::{Client, Peer};
use websocksy_routes::{Options, Store};

const TIMEOUT: Duration = Duration::from_millis(300);
/// Far more than that, and far less than a drip lasts.
const SOON: Duration = Duration::from_secs(2);

/// A server that does this on each connection.
fn serve(act: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || act(stream.unwrap()));
        }
    });
    port
}

fn store(scheme: &str, port: u16) -> Redis {
    let mut server = Server::new(TIMEOUT);
    server.at(&format!("{scheme}://127.0.0.1:{port}")).unwrap();
    Redis::new(server, String::new(), Options::default())
}

/// One byte after the other, each before a read would time out.
fn drip(mut stream: &TcpStream) {
    for _ in 0..50 {
        let _ = stream.write_all(b"x");
        thread::sleep(TIMEOUT / 3);
    }
}

/// The words of each command.
fn commands(stream: &TcpStream) -> impl Iterator<Item = Vec<String>> + use<> {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    std::iter::from_fn(move || {
        let count: usize = lines.next()?[1..].parse().unwrap();
        Some((0..count).filter_map(|_| lines.by_ref().nth(1)).collect())
    })
}

/// Whether a token leads to the peer that is called like it.
fn is_own(store: &Redis, token: &str) -> bool {
    let route = store.ask(token.as_bytes()).unwrap().unwrap().unwrap();
    route.peer(&Client::new(b"/", &[], &[])) == Peer::new(format!("tcp://{token}:1"))
}

#[test]
fn an_answer_that_trickles_has_its_time_and_no_more() {
    let port = serve(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"$1000\r\n");
        drip(&stream);
    });
    let begin = Instant::now();
    assert_eq!(store("redis", port).ask(b"a").unwrap_err(), "no answer in 0.3 s");
    let took = begin.elapsed();
    assert!(took >= TIMEOUT && took < SOON, "{took:?}");
}

#[test]
fn so_has_a_handshake() {
    let port = serve(|mut stream| {
        let _ = stream.write_all(b"\x16\x03\x03\x40\x00");
        drip(&stream);
    });
    let begin = Instant::now();
    assert_eq!(store("rediss", port).probe().unwrap_err(), "no answer in 0.3 s");
    let took = begin.elapsed();
    assert!(took >= TIMEOUT && took < SOON, "{took:?}");
}

#[test]
fn an_answer_too_many_is_nobodys() {
    let port = serve(|mut stream| {
        for command in commands(&stream) {
            let token = command[1].clone();
            let answer = format!("$3\r\n{token}:1\r\n");
            let _ = stream.write_all(answer.repeat(1 + usize::from(token == "a")).as_bytes());
        }
    });
    let store = store("redis", port);
    for token in ["a", "b", "a", "a", "c"] {
        assert!(is_own(&store, token), "{token}");
    }
}

/// It comes when all that was asked is answered, so that it waits in the socket.
#[test]
fn so_is_one_that_comes_later() {
    let port = serve(|mut stream| {
        for command in commands(&stream) {
            let token = command[1].clone();
            let _ = stream.write_all(format!("$3\r\n{token}:1\r\n").as_bytes());
            thread::sleep(TIMEOUT / 10);
            let _ = stream.write_all(b"$3\r\nx:1\r\n");
        }
    });
    let store = store("redis", port);
    for token in ["a", "b"] {
        assert!(is_own(&store, token), "{token}");
        thread::sleep(TIMEOUT);
    }
}
