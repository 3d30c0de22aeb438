//! The scripted sessions: a peer of each kind, and what is said over it.

use super::talk::{Stop, Talk};
use crate::common::plugins::{compile, scratch};
use crate::common::{Peer, noise, within};
use socket2::{Domain, Socket, Type};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The daemon waits for nobody longer than a second.
const IMPATIENT: [&str; 12] = [
    "--handshake-timeout",
    "1",
    "--query-timeout",
    "1",
    "--connect-timeout",
    "1",
    "--close-timeout",
    "0.5",
    "--write-timeout",
    "1",
    "-k",
    "1",
];
/// How long a side that lingers does not end its stream: longer than the close time-out.
const LINGERS: Duration = Duration::from_millis(800);

/// How a peer is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Tcp,
    Name,
    Unix,
    Udp,
    UnixDgram,
    FifoTx,
    FifoRx,
    Plugin,
}

/// How a session goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Course {
    /// Messages there and back, and the client closes.
    ClientCloses,
    /// The peer ends its stream.
    PeerEnds,
    /// The client ends without a close frame.
    ClientVanishes,
    /// The client closes, and neither side ends its stream then.
    BothLinger,
    /// The request is not HTTP.
    BadHead,
    /// Nobody is there, or the back end knows nobody.
    Nobody,
}

/// A script: a course over a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) transport: Transport,
    pub(crate) course: Course,
}

const fn scenario(name: &'static str, transport: Transport, course: Course) -> Scenario {
    Scenario { name, transport, course }
}

pub(crate) const SCENARIOS: [Scenario; 16] = [
    scenario("tcp", Transport::Tcp, Course::ClientCloses),
    scenario("tcp, peer ends", Transport::Tcp, Course::PeerEnds),
    scenario("tcp, client vanishes", Transport::Tcp, Course::ClientVanishes),
    scenario("tcp, both linger", Transport::Tcp, Course::BothLinger),
    scenario("bad head", Transport::Tcp, Course::BadHead),
    scenario("tcp, nobody there", Transport::Tcp, Course::Nobody),
    scenario("name", Transport::Name, Course::ClientCloses),
    scenario("name, nobody there", Transport::Name, Course::Nobody),
    scenario("unix", Transport::Unix, Course::ClientCloses),
    scenario("unix, peer ends", Transport::Unix, Course::PeerEnds),
    scenario("udp", Transport::Udp, Course::ClientCloses),
    scenario("unix-dgram", Transport::UnixDgram, Course::ClientCloses),
    scenario("fifotx", Transport::FifoTx, Course::ClientCloses),
    scenario("fiforx", Transport::FifoRx, Course::PeerEnds),
    scenario("plug-in", Transport::Plugin, Course::ClientCloses),
    scenario("plug-in, no peer", Transport::Plugin, Course::Nobody),
];

/// A scenario with its peer running. Dropping it ends the peer.
pub(crate) struct Stage {
    pub(crate) scenario: Scenario,
    host: String,
    plugins: Option<PathBuf>,
    directory: PathBuf,
    peer: Option<Peer>,
    nobody: Option<Socket>,
    server: Option<JoinHandle<()>>,
    stopped: Arc<AtomicBool>,
}

impl Stage {
    pub(crate) fn set(scenario: Scenario) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wsy-sweep-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut stage = Self {
            scenario,
            host: String::new(),
            plugins: None,
            directory,
            peer: None,
            nobody: None,
            server: None,
            stopped: Arc::default(),
        };
        stage.begin();
        stage
    }

    fn begin(&mut self) {
        let path = self.directory.join("fifo-or-socket");
        let at_path = |scheme| format!("{scheme}://{}", path.display());
        self.host = match self.scenario.transport {
            Transport::Tcp => format!("tcp://127.0.0.1:{}", self.tcp()),
            Transport::Name => format!("tcp://{}:{}", local_name(), self.tcp()),
            Transport::Plugin => {
                let directory = scratch(self.directory.file_name().unwrap().to_str().unwrap());
                compile(&directory, "backend_told.so", "abi/backend.c", &[]);
                self.plugins = Some(directory);
                format!("tcp://127.0.0.1:{}", self.tcp())
            }
            Transport::Unix => {
                self.server = Some(unix(&path, Arc::clone(&self.stopped)));
                at_path("unix")
            }
            Transport::UnixDgram => {
                self.server = Some(unix_datagrams(&path, Arc::clone(&self.stopped)));
                at_path("unix-dgram")
            }
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let port = socket.local_addr().unwrap().port();
                self.server = Some(datagrams(socket, Arc::clone(&self.stopped)));
                format!("udp://127.0.0.1:{port}")
            }
            Transport::FifoTx | Transport::FifoRx => {
                assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
                let tx = self.scenario.transport == Transport::FifoTx;
                at_path(if tx { "fifotx" } else { "fiforx" })
            }
        };
    }

    fn tcp(&mut self) -> u16 {
        if self.scenario.course == Course::Nobody {
            // Bound, so that nobody else is, and not listening.
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            let port = socket.local_addr().unwrap().as_socket().unwrap().port();
            self.nobody = Some(socket);
            return port;
        }
        let peer = Peer::serve(answer);
        let port = peer.port();
        self.peer = Some(peer);
        port
    }

    /// What the daemon is started with.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = IMPATIENT.map(str::to_owned).into();
        let more = match &self.plugins {
            Some(plugins) => {
                vec!["--plugins".into(), plugins.display().to_string(), "-b".into(), "told".into()]
            }
            None => vec!["-c".into(), format!("host={}", self.host), "-c".into(), BINARY.into()],
        };
        arguments.extend(more);
        arguments
    }

    fn fields(&self) -> String {
        match (self.scenario.transport, self.scenario.course) {
            (Transport::Plugin, Course::Nobody) => String::new(),
            (Transport::Plugin, _) => {
                format!("Peer-Host: {}\r\nFraming: binary\r\n", self.host)
            }
            _ => String::new(),
        }
    }

    /// The client's side; it says who it is before anything else.
    pub(crate) fn open(&self, port: u16) -> Talk {
        let transport = self.scenario.transport;
        Talk::open(port, matches!(transport, Transport::Udp | Transport::UnixDgram))
    }

    /// A session that is open and has been used.
    pub(crate) fn begin_talk(&self, talk: &mut Talk) -> Result<(), Stop> {
        talk.upgrade(&self.fields())?;
        talk.echo(b"hello")
    }

    /// The conversation, to its end.
    pub(crate) fn converse(&self, talk: &mut Talk) -> Result<(), Stop> {
        let Scenario { transport, course, .. } = self.scenario;
        match course {
            Course::BadHead => return refused(talk, "NONSENSE\r\n\r\n", 400),
            Course::Nobody => {
                let status = if transport == Transport::Plugin { 404 } else { 502 };
                let head = format!("{}{}\r\n", HEAD, self.fields());
                return refused(talk, &head, status);
            }
            _ => {}
        }
        match transport {
            Transport::FifoTx => self.write_fifo(talk)?,
            Transport::FifoRx => return self.read_fifo(talk),
            _ => {
                talk.upgrade(&self.fields())?;
                talk.exchange()?;
            }
        }
        match course {
            Course::ClientVanishes => talk.vanish(),
            Course::PeerEnds => {
                talk.echo(BYE)?;
                talk.expect_close()
            }
            Course::BothLinger => {
                talk.echo(STAY)?;
                talk.close()?;
                std::thread::sleep(LINGERS);
                Ok(())
            }
            _ => talk.close(),
        }
    }

    /// What goes into a FIFO comes out of it.
    fn write_fifo(&self, talk: &mut Talk) -> Result<(), Stop> {
        let bulk = noise(100_000, 2);
        let mut fifo = self.fifo(OpenOptions::new().read(true)).unwrap();
        talk.upgrade("")?;
        talk.send(0x82, &bulk);
        let mut got = Vec::new();
        let all = within(Duration::from_secs(1), || {
            let _ = fifo.read_to_end(&mut got);
            got.len() >= bulk.len()
        });
        if all && got == bulk {
            return talk.ping();
        }
        // The session may have ended meanwhile, with a reason.
        Err(talk.expect_close().err().unwrap_or(Stop::Stuck("bytes in the FIFO")))
    }

    fn read_fifo(&self, talk: &mut Talk) -> Result<(), Stop> {
        talk.upgrade("")?;
        let bulk = noise(50_000, 3); // less than a FIFO holds, pipe(7)
        if let Ok(mut fifo) = self.fifo(OpenOptions::new().write(true)) {
            let _ = fifo.write_all(&bulk);
        }
        talk.expect(&bulk)?;
        talk.expect_close()
    }

    fn fifo(&self, options: &mut OpenOptions) -> std::io::Result<File> {
        options.custom_flags(libc::O_NONBLOCK).open(self.directory.join("fifo-or-socket"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let path = self.directory.join("fifo-or-socket");
        drop(std::os::unix::net::UnixStream::connect(path)); // wakes the accept
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

const BINARY: &str = "framing=binary";
const BYE: &[u8] = b"bye";
const STAY: &[u8] = b"stay";
const HEAD: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fn refused(talk: &mut Talk, head: &str, expected: u16) -> Result<(), Stop> {
    let status = talk.request(head)?;
    if status != expected {
        return Err(Stop::Refused(status));
    }
    talk.expect_end()
}

/// Sends back what it gets; ends when it is told goodbye, or stays when it is told to.
fn echo(stream: &mut (impl Read + Write)) {
    let (mut buffer, mut stays) = ([0; 16 * 1024], false);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        let bytes = &buffer[..read];
        if stream.write_all(bytes).is_err() || bytes.ends_with(BYE) {
            return;
        }
        stays |= bytes.ends_with(STAY);
    }
    if stays {
        std::thread::sleep(LINGERS);
    }
}

fn answer(mut stream: TcpStream) {
    echo(&mut stream);
}

fn unix(path: &Path, stopped: Arc<AtomicBool>) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            if stopped.load(Ordering::SeqCst) {
                return;
            }
            std::thread::spawn(move || echo(&mut stream));
        }
    })
}

/// How long a datagram peer waits until it looks whether it is to stop.
const LOOKS: Duration = Duration::from_millis(50);

fn datagrams(socket: UdpSocket, stopped: Arc<AtomicBool>) -> JoinHandle<()> {
    socket.set_read_timeout(Some(LOOKS)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while !stopped.load(Ordering::SeqCst) {
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
    })
}

fn unix_datagrams(path: &Path, stopped: Arc<AtomicBool>) -> JoinHandle<()> {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(LOOKS)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while !stopped.load(Ordering::SeqCst) {
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to_addr(&buffer[..length], &from);
            }
        }
    })
}

/// A name of this machine's that is looked up, and is 127.0.0.1: its own, where /etc/hosts has it so,
/// or what inet_aton(3) takes for it.
pub(crate) fn local_name() -> String {
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = hosts.lines().filter(|line| line.starts_with("127.0.0.1"));
    let names = lines.flat_map(|line| line.split_whitespace().skip(1)).filter(|name| {
        !name.eq_ignore_ascii_case("localhost")
            && (*name, 0).to_socket_addrs().is_ok_and(|mut all| all.any(|one| one.is_ipv4()))
    });
    names.last().unwrap_or("127.1").to_owned()
}
