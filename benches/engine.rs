//! Micro-benches of what is done for a session or a turn: a slot of the slab, a query, a call of a
//! plug-in, a turn of the loop. Each beside the plainest thing that does the same, or a budget.
//!
//! `cargo bench --bench engine` runs all; `make backends` builds the plug-in that is called.

use std::cell::RefCell;
use std::fs;
use std::hint::black_box;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use websocksy::backend::{Answer, Asked, Backend, QueryError, Request, Target};
use websocksy::config::Config;
use websocksy::conn::socket::Socket;
use websocksy::framing;
use websocksy::proto::client_addr::ClientAddr;
use websocksy::proto::handshake::{Upgrade, judge};
use websocksy::proto::http::HeadParser;
use websocksy::reactor::{
    Channel, Done, Entrance, Event, Instance, Key, Reactor, Readiness, Signal, System, Ticket,
    Token, Workers,
};
use websocksy::slab::Slab;

const OURS: &str = "websocksy";
const HEAD: &[u8] = b"GET /desk HTTP/1.1\r\n\
    Host: desk.example.org:8001\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Origin: https://desk.example.org\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: binary, base64\r\n\r\n";

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(30)
        .configure_from_args();
    slots(&mut criterion)?;
    queries(&mut criterion)?;
    plug_in(&mut criterion)?;
    turns(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// A slot that a head is read into, beside a C struct that is allocated for each session.
fn slots(criterion: &mut Criterion) -> io::Result<()> {
    const STRUCT: usize = 33_080;
    let slab = Slab::new(1024)?;
    let mut group = criterion.benchmark_group("slab");
    group.bench_function(OURS, |bench| {
        bench.iter(|| {
            let Ok(mut slot) = slab.claim(black_box(7)) else { unreachable!("it is free") };
            let mut buffer = slot.read_buffer();
            buffer.space()[..HEAD.len()].copy_from_slice(HEAD);
            buffer.arrived(HEAD.len());
            slot
        });
    });
    group.bench_function("allocated", |bench| {
        bench.iter(|| {
            let mut memory = vec![0_u8; black_box(STRUCT)];
            memory[..HEAD.len()].copy_from_slice(HEAD);
            memory
        });
    });
    group.finish();
    Ok(())
}

fn upgrade() -> io::Result<Upgrade> {
    let mut parser = HeadParser::new();
    parser.push(HEAD).map_err(|error| io::Error::other(format!("{error:?}")))?;
    judge(parser.finish(), &[]).map_err(|refused| io::Error::other(refused.why))
}

/// The built-in back end's answer, beside an address that is parsed for each client.
fn queries(criterion: &mut Criterion) -> io::Result<()> {
    let mut backend = Backend::builtin();
    for (key, value) in [("host", "tcp://127.0.0.1:5900"), ("framing", "binary")] {
        backend.configure(key, value).map_err(|error| io::Error::other(error.to_string()))?;
    }
    backend.check().map_err(|(key, error)| io::Error::other(format!("{key}: {error}")))?;
    let upgrade = upgrade()?;
    let mut group = criterion.benchmark_group("query");
    group.bench_function(OURS, |bench| {
        bench.iter(|| {
            let asked = Asked { upgrade: black_box(&upgrade), client: None, now: Instant::now() };
            assert!(backend.answer(&asked).is_some_and(|answer| answer.is_ok()));
        });
    });
    group.bench_function("std", |bench| {
        bench.iter(|| (Instant::now(), black_box("127.0.0.1:5900").parse::<SocketAddr>()));
    });
    group.finish();
    Ok(())
}

/// A query of the plug-in `file`, on its thread, beside a thread that sends back what it is sent.
fn plug_in(criterion: &mut Criterion) -> io::Result<()> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/plugins");
    if !plugins.join("backend_file.so").exists() {
        println!("plug-in: left out: make backends has not built it");
        return Ok(());
    }
    let peers = plugins.with_file_name("bench-peers");
    fs::create_dir_all(&peers)?;
    fs::write(peers.join("desk"), "tcp://127.0.0.1:5900 *\n")?;
    let mut backend = Backend::load(&plugins, "file").map_err(io::Error::other)?;
    for (key, value) in [("path", &*peers.to_string_lossy()), ("expression", "%endpoint%")] {
        backend.configure(key, value).map_err(|error| io::Error::other(error.to_string()))?;
    }
    let slab = Slab::new(16)?;
    let mut upgrade = Some(Box::new(upgrade()?));
    let client = ClientAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let (answered, answers) = mpsc::channel();
    let mut group = criterion.benchmark_group("plug-in");
    group.bench_function(OURS, |bench| {
        bench.iter(|| {
            let (Ok(slot), Some(upgrade_now)) = (slab.claim(3), upgrade.take()) else {
                unreachable!("both came back")
            };
            let request = Request {
                session: 1,
                upgrade: upgrade_now,
                socket: None,
                client,
                proxy: None,
                tls: None,
                listener: "bench".into(),
                loan: slot.lend(),
                secrets: Vec::new(),
            };
            let answered = answered.clone();
            backend.ask(request, move |request, answer| {
                let _ = answered.send((request, answer));
            });
            let Ok((request, Ok(_))) = answers.recv() else { unreachable!("it has an answer") };
            drop(slab.take_back(request.loan));
            upgrade = Some(request.upgrade);
        });
    });
    let (there, at_work) = mpsc::channel::<u32>();
    let (back, done) = mpsc::channel();
    let echo = std::thread::spawn(move || at_work.iter().try_for_each(|number| back.send(number)));
    group.bench_function("std, a thread", |bench| {
        bench.iter(|| {
            let _ = there.send(black_box(1));
            done.recv()
        });
    });
    group.finish();
    drop(there);
    let _ = echo.join();
    backend.cleanup();
    Ok(())
}

/// A turn in which a client's frame of 64 bytes goes to the peer, over sockets that are memory. Budget:
/// a µs, of some 25 that half a round trip costs with the system's sockets.
fn turns(criterion: &mut Criterion) -> io::Result<()> {
    let memory = Memory::default();
    let config = Config::default();
    let mut reactor = Reactor::new(config, memory.clone(), memory.clone())?;
    let entrance = Entrance { name: "memory".into(), words: Default::default() };
    reactor.listen((), entrance)?;
    let mut events = Vec::new();
    memory.tell(LISTENER, Readiness { readable: true, ..Readiness::default() });
    reactor.turn(&mut events)?;
    memory.arrives(HEAD);
    reactor.turn(&mut events)?;
    memory.tell(PEER, Readiness { writable: true, ..Readiness::default() });
    reactor.turn(&mut events)?;
    assert!(memory.written(CLIENT) > 100, "the client has its 101");
    let frame = [&[0x82, 0x80 | 64, 0x37, 0xfa, 0x21, 0x3d][..], &[b'x'; 64]].concat();
    let mut group = criterion.benchmark_group("turn");
    let mut turns = 0;
    group.bench_function(OURS, |bench| {
        bench.iter(|| {
            memory.arrives(&frame);
            turns += 1;
            reactor.turn(&mut events)
        });
    });
    group.finish();
    assert_eq!(memory.written(PEER), turns * 64, "the peer has them all");
    Ok(())
}

const CLIENT: usize = 0;
const PEER: usize = 1;
const LISTENER: usize = 2;

/// A system with one client, and one peer that takes everything.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    tokens: [Option<Token>; 3],
    events: Vec<Event>,
    input: Vec<u8>,
    written: [usize; 2],
    accepted: bool,
}

impl Memory {
    fn tell(&self, which: usize, readiness: Readiness) {
        let mut state = self.0.borrow_mut();
        let token = state.tokens[which];
        state.events.extend(token.map(|token| (token, readiness)));
    }

    fn arrives(&self, bytes: &[u8]) {
        self.0.borrow_mut().input.extend_from_slice(bytes);
        self.tell(CLIENT, Readiness { readable: true, writable: true, ..Readiness::default() });
    }

    fn written(&self, which: usize) -> usize {
        self.0.borrow().written[which]
    }
}

impl System for Memory {
    type Listener = ();
    type Transport = End;
    type Workers = Self;
    type Events = Vec<Event>;

    fn events(&self) -> Vec<Event> {
        Vec::new()
    }

    fn now(&mut self) -> Instant {
        Instant::now()
    }

    fn wait(&mut self, _: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        events.append(&mut self.0.borrow_mut().events);
        Ok(())
    }

    fn iter(events: &Vec<Event>) -> impl Iterator<Item = Event> {
        events.iter().copied()
    }

    fn next_signal(&mut self) -> Option<Signal> {
        None
    }

    fn watch_listener(&mut self, (): &mut (), token: Token) -> io::Result<()> {
        self.0.borrow_mut().tokens[LISTENER] = Some(token);
        Ok(())
    }

    fn accept(&mut self, (): &()) -> io::Result<(End, ClientAddr)> {
        if std::mem::replace(&mut self.0.borrow_mut().accepted, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Ok((End { memory: self.clone(), which: CLIENT }, address.into()))
    }

    fn stop_listening(&mut self, (): ()) {}

    fn watch(&mut self, end: &mut End, token: Token) -> io::Result<()> {
        self.0.borrow_mut().tokens[end.which] = Some(token);
        Ok(())
    }

    fn connect_tcp(&mut self, _: SocketAddr, _: Option<IpAddr>) -> io::Result<End> {
        Ok(End { memory: self.clone(), which: PEER })
    }

    fn connect_udp(&mut self, _: SocketAddr, _: Option<IpAddr>) -> io::Result<End> {
        Err(ErrorKind::Unsupported.into())
    }

    fn connect_unix(&mut self, _: &Path) -> io::Result<End> {
        Err(ErrorKind::Unsupported.into())
    }

    fn connect_unix_datagram(&mut self, _: &Path) -> io::Result<End> {
        Err(ErrorKind::Unsupported.into())
    }

    fn open_fifo(&mut self, _: &Path, _: bool) -> io::Result<End> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Workers<Key> for Memory {
    fn answer(&mut self, _: Instance, _: &Asked<'_>) -> Option<Result<Answer, QueryError>> {
        let target = Target::Tcp { host: "127.0.0.1".into(), port: 5900 };
        let framing = framing::by_name("binary")?;
        Some(Ok(Answer::new(target, framing, None)))
    }

    fn query(&mut self, _: Instance, _: Key, _: Request) -> io::Result<Ticket> {
        Err(ErrorKind::Unsupported.into())
    }

    fn cancel_query(&mut self, _: Ticket) -> bool {
        false
    }

    fn look_up(&mut self, _: &str) -> io::Result<Ticket> {
        Err(ErrorKind::Unsupported.into())
    }

    fn cancel_look_up(&mut self, _: Ticket) -> bool {
        false
    }

    fn next(&mut self) -> Option<Done<Key>> {
        None
    }
}

/// One end of the session.
struct End {
    memory: Memory,
    which: usize,
}

impl Socket for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.memory.0.borrow_mut();
        let length = state.input.len();
        if self.which == PEER || length == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..length].copy_from_slice(&state.input);
        state.input.clear();
        Ok(length)
    }

    fn write(&mut self, parts: &[IoSlice<'_>], _: bool) -> io::Result<usize> {
        let length = parts.iter().map(|part| part.len()).sum();
        self.memory.0.borrow_mut().written[self.which] += length;
        Ok(length)
    }

    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) {}

    fn unacknowledged(&self) -> usize {
        0
    }

    fn reads_unasked(&self) -> bool {
        true
    }
}

impl Channel for End {
    fn reads_in_pieces(&self) -> bool {
        false
    }

    fn connect_outcome(&self) -> Option<io::Result<()>> {
        Some(Ok(()))
    }

    fn set_nodelay(&self) -> io::Result<()> {
        Ok(())
    }

    fn keep_alive(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn duplicate(&self) -> io::Result<OwnedFd> {
        Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.into())
    }
}
