//! A service that says where clients go, and who may come.

use super::{away, back_in_a_second, daemon, host, reply, request, session, status};
use crate::common::{Peer, eventually};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

type Fields = HashMap<String, String>;
type Answers = Arc<Mutex<Box<dyn Fn(&Fields) -> String + Send>>>;

/// A small service over HTTP/1.1, which keeps connections.
struct Service {
    port: u16,
    answers: Answers,
    asked: Arc<Mutex<Vec<Fields>>>,
}

impl Service {
    fn start(answers: impl Fn(&Fields) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Answers = Arc::new(Mutex::new(Box::new(answers)));
        let service = Self { port, answers, asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&service.answers), Arc::clone(&service.asked));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
                thread::spawn(move || serve(stream, &answers, &asked));
            }
        });
        service
    }

    fn answer(&self, answers: impl Fn(&Fields) -> String + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn url(&self) -> String {
        format!("url=http://127.0.0.1:{}/route", self.port)
    }
}

/// Requests of one connection; an answer of nothing is none.
fn serve(mut stream: TcpStream, answers: &Answers, asked: &Mutex<Vec<Fields>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut fields = Fields::new();
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        assert_eq!(line, "GET /route HTTP/1.1\r\n");
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            fields.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let answer = answers.lock().unwrap()(&fields);
        if answer.is_empty() {
            let _ = reader.read(&mut [0]); // it hangs until it is given up
            return;
        }
        if fields.contains_key("x-forwarded-uri") {
            asked.lock().unwrap().push(fields);
        }
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn uri(fields: &Fields) -> &str {
    fields.get("x-forwarded-uri").map_or("", |uri| uri)
}

#[test]
fn a_service_says_where_to() {
    let echo = Peer::echo();
    let place = host(&echo);
    let service = Service::start(move |fields| match uri(fields) {
        "/json?a=b" => {
            response("200 OK", &format!("{{\"host\":\"{place}\",\"protocol\":\"none\"}}"))
        }
        "/several" => response("200 OK", &format!("{{\"host\":\"127.0.0.1:1 {place}\"}}")),
        "/barred" => response("200 OK", "{\"host\":\"192.0.2.1\",\"port\":80}"),
        "/nowhere" => response("204 No Content", ""),
        "/wrong" => response("200 OK", "{\"host\":[]}"),
        "/401" => response("401 Unauthorized", "log in\nplease"),
        "/403" => response("403 Forbidden", ""),
        "/429" => response("429 Too Many Requests", "slowly")
            .replace("\r\n\r\n", "\r\nRetry-After: 9\r\n\r\n"),
        _ => response("404 Not Found", "no"),
    });
    let keys = [&*service.url(), "forward=Cookie", "ttl=0.3"];
    let daemon = daemon("http", &keys, &["--peer-allow", "127.0.0.0/8", "--query-threads", "2"]);
    drop(session(
        &daemon,
        &request("/json?a=b", "Cookie: a=1\r\nX-Forwarded-Uri: /x\r\nX-Other: 1\r\n"),
    ));
    let asked = service.asked.lock().unwrap().pop().unwrap();
    let said = |name: &str| asked.get(name).map(String::as_str);
    assert_eq!(said("x-original-uri"), Some("/json?a=b"));
    assert_eq!(said("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!((said("cookie"), said("x-other")), (Some("a=1"), None));
    for (endpoint, expected) in [
        ("/several", 101),
        ("/barred", 403),
        ("/nowhere", 404),
        ("/wrong", 404),
        ("/401", 401),
        ("/403", 403),
        ("/429", 429),
        ("/none", 404),
    ] {
        assert_eq!(status(&daemon, endpoint), expected, "{endpoint}");
    }
    assert_eq!(reply(&daemon, "/401").rest, b"log in\n");
    assert_eq!(reply(&daemon, "/429").values("retry-after"), ["9"]);
    daemon.wait_for_log("its answer names no peer: it is no JSON object with a host");
    let before = service.asked();
    (0..5).for_each(|_| assert_eq!(status(&daemon, "/401"), 401));
    assert_eq!(service.asked(), before + 5, "a refusal is not remembered");
}

#[test]
fn an_authoriser_says_who_may_come() {
    let echo = Peer::echo();
    let service = Service::start(|fields| match fields.get("cookie").map(String::as_str) {
        Some("login=good") => response("200 OK", "hello"),
        _ => response("401 Unauthorized", ""),
    });
    let keys = [&*service.url(), "forward=Cookie", &format!("peer={}", host(&echo))];
    let daemon = daemon("http", &keys, &[]);
    assert_eq!(status(&daemon, "/"), 401);
    let head = request("/", "Cookie: login=good\r\n");
    drop(session(&daemon, &head));
    let asked = service.asked();
    drop(session(&daemon, &head));
    assert_eq!(service.asked(), asked, "it is remembered");
    assert_eq!(status(&daemon, "/"), 401, "another cookie is another question");
}

/// What is known is served while the service is away, what is not is 503, and it is found again within a
/// second: when it hangs, and when it fails.
#[test]
fn known_routes_outlive_the_service() {
    let echo = Peer::echo();
    let body = format!("{{\"host\":\"{}\"}}", host(&echo));
    let good = move |fields: &Fields| match uri(fields) {
        "/gone" => response("404 Not Found", ""),
        _ => response("200 OK", &body),
    };
    let service = Service::start(good.clone());
    // A question that hangs is waited for so long, also when the service is back.
    let daemon = daemon("http", &[&*service.url(), "ttl=0.1", "timeout=1.5"], &[]);
    let mut stays = session(&daemon, &request("/known", ""));
    for hangs in [true, false] {
        service
            .answer(move |_| if hangs { String::new() } else { response("502 Bad Gateway", "") });
        thread::sleep(Duration::from_millis(200)); // what is known is not fresh any more
        let begin = Instant::now();
        while begin.elapsed() < away() {
            assert_eq!(status(&daemon, "/known"), 101);
            let refusal = reply(&daemon, &format!("/new-{hangs}"));
            assert_eq!((refusal.status, &*refusal.values("retry-after").concat()), (503, "2"));
            thread::sleep(Duration::from_millis(50));
        }
        service.answer(good.clone());
        back_in_a_second(&daemon, &format!("/new-{hangs}"));
        eventually("it is asked again", || status(&daemon, "/gone") == 404);
        stays.frame(0x82, b"still");
        assert_eq!(stays.message().1, b"still");
    }
    let log = daemon.log();
    let said = |word: &str| log.iter().filter(|line| line.contains(word)).count();
    assert_eq!((said(" is away: "), said(" is back")), (2, 2), "{log:#?}");
}
