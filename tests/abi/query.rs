//! What a C back end sees of a client, and what becomes of what it returns.

use crate::support::{freed, keep_log, logged, plugin, scratch, variable};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Mutex, OnceLock};
use websocksy::backend::{AddressError, Answer, Backend, BadAnswer, QueryError, Request, Target};
use websocksy::framing::{Framer, Kind, Verdict};
use websocksy::proto::client_addr::{Address, ClientAddr};
use websocksy::proto::handshake::{self, Upgrade};
use websocksy::proto::http;
use websocksy::slab::Slab;

/// A loaded `backend.c`, and where it is.
struct Loaded {
    backend: Mutex<Backend>,
    path: PathBuf,
}

impl Loaded {
    fn new(name: &str) -> Self {
        keep_log();
        let dir = scratch(name);
        let path = plugin(&dir, "backend_it.so", "backend.c", &[]);
        Self { backend: Mutex::new(Backend::load(&dir, "it").unwrap()), path }
    }

    /// The answer to a client whose slot holds this, and the handshake afterwards.
    fn query(&self, client: Client, early: &[u8]) -> (Upgrade, Result<Answer, QueryError>) {
        let slab = Slab::new(1).unwrap();
        let mut slot = slab.claim(0).unwrap();
        slot.read_buffer().set(early);
        let Client { upgrade, socket } = client;
        let client = ClientAddr::new(Address::Unix);
        let (upgrade, listener, loan) = (Box::new(upgrade), "test".into(), slot.lend());
        let (session, proxy, tls, secrets) = (7, None, None, Vec::new());
        let request =
            Request { session, upgrade, socket, client, proxy, tls, listener, loan, secrets };
        let (then, answer) = channel();
        self.backend.lock().unwrap().ask(request, move |request, answer| {
            then.send((request, answer)).unwrap();
        });
        let (request, answer) = answer.recv().unwrap();
        assert!(request.socket.is_none(), "it is closed");
        assert_eq!(slab.take_back(request.loan).read_bytes(), early);
        (*request.upgrade, answer)
    }
}

fn loaded() -> &'static Loaded {
    static BACKEND: OnceLock<Loaded> = OnceLock::new();
    BACKEND.get_or_init(|| Loaded::new("query"))
}

/// What a client said.
struct Client {
    upgrade: Upgrade,
    socket: Option<OwnedFd>,
}

/// A client that asks for `endpoint` and sends these fields after the handshake's.
fn client(endpoint: &str, fields: &[(&str, &str)]) -> Client {
    let mut head = format!(
        "GET {endpoint} HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut parser = http::HeadParser::new();
    assert_eq!(parser.push(head.as_bytes()).unwrap(), Some(head.len()));
    Client { upgrade: handshake::judge(parser.finish(), &[]).unwrap(), socket: None }
}

/// The answer to a client whose fields say what it shall be.
fn ask(fields: &[(&str, &str)]) -> Result<Answer, QueryError> {
    loaded().query(client("/", fields), b"").1
}

fn target(fields: &[(&str, &str)]) -> Result<String, QueryError> {
    ask(fields).map(|answer| answer.target.to_string())
}

/// What `described` in `backend.c` says of a client, and the handshake afterwards.
fn description(client: Client, early: &[u8]) -> (Upgrade, String) {
    let (upgrade, answer) = loaded().query(client, early);
    match answer.unwrap().target {
        Target::FifoTx(path) => (upgrade, path.to_str().unwrap().into()),
        other => panic!("{other}"),
    }
}

#[test]
fn a_query_sees_a_true_websocket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let fields = [("Sec-WebSocket-Protocol", "Chat, mqtt"), ("X-One", "1"), ("x-one", "Two")];
    let mut client = client("/Describe/%7e?Query=1", &fields);
    client.socket = Some(OwnedFd::from(stream));
    let (upgrade, text) = description(client, b"early");
    assert_eq!(
        text,
        "/Describe/%7e?Query=1 same=1 protocols=2 Chat mqtt headers=3 Host=here X-One=1 x-one=Two \
         ws.headers=3 Host X-One x-one client=1 state=1 version=13 key=dGhlIHNhbXBsZSBub25jZQ== \
         upgrade=3 peer=-1,0 empty=1 early=5 early"
    );
    // It wrote over all of this; the answer to the client is made of what the client sent.
    assert_eq!(upgrade.endpoint(), c"/Describe/%7e?Query=1");
    assert_eq!(upgrade.protocols().next(), Some(c"Chat"));
    assert_eq!(upgrade.key(), c"dGhlIHNhbXBsZSBub25jZQ==");
}

#[test]
fn a_query_sees_no_protocols_and_no_socket() {
    let (_, text) = description(client("/Describe", &[]), b"");
    assert!(text.contains("same=1 protocols=0 headers=1 Host=here ws.headers=1"), "{text}");
    assert!(text.contains("client=0") && text.ends_with("early=0 "), "{text}");
}

#[test]
fn g30_a_query_sees_ten_fields() {
    let names: Vec<String> = (1..90).map(|n| format!("Field-{}", n % 50)).collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let (_, text) = description(client("/Describe", &fields), b"");
    let values: String = names[..9].iter().map(|name| format!(" {name}=")).collect();
    let ten: String = names[..9].iter().map(|name| format!(" {name}")).collect();
    let expected = format!("headers=10 Host=here{values} ws.headers=10 Host{ten} client");
    assert!(text.contains(&expected), "{text}");
}

/// Strings that do not fit into the slot are there all the same.
#[test]
fn a_query_sees_long_strings() {
    let long = "x".repeat(16_000);
    for fields in [&[("X-A", &*long)][..], &[("X-A", &*long), ("X-B", &*long)]] {
        let (_, text) = description(client("/Describe", fields), b"");
        let expected = format!("headers={} Host=here", fields.len() + 1);
        assert!(text.contains(&expected), "{text}");
        assert!(text.contains(&format!("X-A={}", "x".repeat(40))), "{text}");
    }
}

#[test]
fn g07_hosts_and_ports_that_are_missing() {
    let address = |error| Err(QueryError::Address(error));
    for (fields, expected) in [
        (&[][..], Err(QueryError::NoPeer)),
        (&[("transport", "99")], Err(QueryError::NoPeer)),
        (&[("peer-host", "")], address(AddressError::Empty)),
        (&[("transport", "1"), ("peer-host", "h")], address(AddressError::NoPort)),
        (&[("peer-host", "h"), ("peer-port", "")], address(AddressError::NoPort)),
        (&[("peer-host", "h"), ("peer-port", "9")], Ok("tcp://h:9".into())),
        (&[("transport", "5"), ("peer-host", "/s")], Ok("unix:///s".into())),
    ] {
        assert_eq!(target(fields), expected, "{fields:?}");
    }
    assert!(logged(&["peer tcp://h:9 was named without a scheme"]));
}

#[test]
fn g11_transports_that_are_none() {
    for transport in [7, 99, 0x8000_0000, u32::MAX] {
        let fields = [("transport", &*transport.to_string()), ("peer-host", "h")];
        let bad = QueryError::Bad(BadAnswer::Transport(transport));
        assert_eq!(target(&fields), Err(bad));
    }
}

#[test]
fn g12_subprotocols_that_were_not_offered() {
    for (index, expected) in
        [("0", Some(0)), ("1", Some(1)), ("2", None), ("3", None), ("18446744073709551615", None)]
    {
        let fields =
            [("Sec-WebSocket-Protocol", "a, b"), ("peer-host", "h:1"), ("protocol", index)];
        assert_eq!(ask(&fields).unwrap().protocol, expected, "{index}");
    }
    assert_eq!(ask(&[("peer-host", "h:1"), ("protocol", "0")]).unwrap().protocol, None);
}

#[test]
fn g13_strings_that_are_no_text() {
    let bad = |bad| Err(QueryError::Bad(bad));
    for (host, port, config, expected) in [
        ("*1000000", "1", "", bad(BadAnswer::Endless("host"))),
        ("*65536", "1", "", bad(BadAnswer::Endless("host"))),
        ("h", "*1000000", "", bad(BadAnswer::Endless("port"))),
        ("h", "1", "*1000000", bad(BadAnswer::Endless("framing_config"))),
        ("h", "1", "*65535", Ok("tcp://h:1".into())),
        ("h\\xff", "1", "", bad(BadAnswer::NotText("host"))),
        ("h", "1\\xc3", "", bad(BadAnswer::NotText("port"))),
        ("h\\x0d\\x0aX: y", "1", "", bad(BadAnswer::Control("host"))),
        ("h", "1\\x0a", "", bad(BadAnswer::Control("port"))),
        ("\\x7f", "1", "", bad(BadAnswer::Control("host"))),
        // Between the back end and the function: any bytes.
        ("h", "1", "\\xff\\x0d\\x0a", Ok("tcp://h:1".into())),
    ] {
        let fields = [("peer-host", host), ("peer-port", port), ("framing-config", config)];
        assert_eq!(target(&fields), expected, "{fields:?}");
    }
}

#[test]
fn the_longest_host_is_read_to_its_end() {
    let error = target(&[("peer-host", "*65535"), ("peer-port", "x")]).unwrap_err();
    assert_eq!(error, QueryError::Address(AddressError::Port("x".into())));
}

#[test]
fn g14_g15_framings() {
    let framing = |fields| format!("{:?}", ask(fields).unwrap().framing);
    let peer = ("peer-host", "tcp://h:1");
    for (fields, name, config) in [
        (&[peer][..], "auto", None),
        (&[peer, ("framing", "nobody's")], "auto", None),
        (&[peer, ("framing", "newline"), ("framing-config", "lf")], "newline", Some("lf")),
        (
            &[peer, ("framing", "separator"), ("framing-config", "\\x0d\\x0a")],
            "separator",
            Some("\r\n"),
        ),
    ] {
        let config = config.map(|config| std::ffi::CString::new(config).unwrap());
        assert_eq!(
            framing(fields),
            format!("Selection {{ framing: {name:?}, config: {config:?} }}"),
            "{fields:?}"
        );
    }
}

/// One test with a back end of its own, because it counts.
#[test]
fn every_string_is_freed_once() {
    let counted = Loaded::new("freed");
    let ask = |fields: &[(&str, &str)]| counted.query(client("/", fields), b"").1;
    let given = || variable::<u64>(&counted.path, "given");
    let freed = || freed(&counted.path);
    for (host, port, config, strings) in [
        ("tcp://h", "1", "c", 3),
        ("tcp://h", "x", "c", 3),
        ("*70000", "*70000", "*70000", 3),
        ("h", "1", "*70000", 3),
        ("\\xff", "1", "c", 3),
        ("http://h", "", "", 3),
    ] {
        for transport in ["0", "99"] {
            let fields = [
                ("transport", transport),
                ("peer-host", host),
                ("peer-port", port),
                ("framing-config", config),
            ];
            drop(ask(&fields));
            assert_eq!(freed(), strings, "{fields:?}");
        }
    }
    // No host, but the others; and nothing at all.
    drop(ask(&[("peer-port", "1"), ("framing-config", "c")]));
    assert_eq!(freed(), 2);
    drop(ask(&[]));
    assert_eq!(freed(), 0);
    assert_eq!(given(), 38);
}

/// A configuration for a framing of a plug-in's stays with the session, its very bytes.
#[test]
fn s4_a_configuration_is_freed_with_its_session() {
    let counted = Loaded::new("s4");
    let fields = [("peer-host", "tcp://h:1"), ("own-framing", "1"), ("framing-config", "c")];
    let ask = || counted.query(client("/", &fields), b"").1.unwrap();
    let freed = || freed(&counted.path);
    // A session, one that never began, and one whose framing function remembers something.
    let mut framer = Framer::new(&ask().framing);
    assert_eq!(freed(), 1, "the host");
    drop(ask());
    assert_eq!(freed(), 2);
    for _ in 0..3 {
        let cut = framer.cut(&mut [b'x', 0], 1, 1);
        assert_eq!(cut, Ok(Verdict::Message { length: 1, kind: Kind::Text }), "its own pointer");
    }
    assert_eq!(freed(), 0);
    framer.end();
    assert_eq!(freed(), 0, "the function may look at it until its last call is over");
    drop(framer);
    assert_eq!(freed(), 1);
}

#[test]
fn c66_what_is_not_from_malloc_is_not_freed() {
    for _ in 0..2 {
        let answer = loaded().query(client("/Literals", &[]), b"").1.unwrap();
        assert_eq!(answer.target.to_string(), "tcp://literal:7");
    }
    for field in ["host", "port", "framing_config"] {
        assert!(logged(&[&format!("the back end's {field} is not from malloc")]), "{field}");
    }
}
