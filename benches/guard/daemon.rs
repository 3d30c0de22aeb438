//! The daemon under a tool that counts.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cases::{Case, With};
use crate::secure;

/// How long anything may take: valgrind is slow, and so may the machine be.
const PATIENCE: Duration = Duration::from_secs(60);

/// What counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    /// Instructions in user space.
    Callgrind,
    /// System calls.
    Strace,
}

impl Tool {
    pub(crate) const ALL: [Self; 2] = [Self::Callgrind, Self::Strace];

    /// What runs the daemon, as a process of this number: strace steps aside with `-D`.
    fn command(self, out: &Path, with: With) -> Command {
        let mut command = Command::new(match self {
            Self::Callgrind => "valgrind",
            Self::Strace => "strace",
        });
        match self {
            Self::Callgrind => {
                let file = format!("--callgrind-out-file={}", out.display());
                command.args(["-q", "--tool=callgrind", &file])
            }
            Self::Strace => {
                // What the thread that writes the log calls depends on when it wakes.
                command.args(if with == With::Log { &["-D"][..] } else { &["-D", "-f"] });
                command.args(["-c", "-U", "name,calls", "-o"]).arg(out)
            }
        };
        command
    }

    /// What it wrote that it counted.
    fn count(self, text: &str) -> Option<Count> {
        let number = |word| {
            let mut lines = text.lines().map(str::split_whitespace);
            lines.find_map(|mut words| {
                (words.next()? == word).then(|| words.next()?.parse().ok())?
            })
        };
        match self {
            Self::Callgrind => Some(Count { total: number("totals:")?, waits: 0 }),
            Self::Strace => {
                let waits = number("epoll_wait")?;
                Some(Count { total: number("total")? - waits, waits })
            }
        }
    }
}

/// Instructions or system calls; of these, waits are counted for themselves.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    pub(crate) total: u64,
    pub(crate) waits: u64,
}

/// A daemon before a peer that is ours.
pub(crate) struct Daemon {
    child: Child,
    tool: Tool,
    out: PathBuf,
    port: u16,
    /// Where it finds its peer.
    pub(crate) peers: TcpListener,
}

impl Daemon {
    pub(crate) fn start(binary: &Path, tool: Tool, case: &Case, units: usize) -> io::Result<Self> {
        let peers = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        peers.set_nonblocking(true)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let directory = Path::new("target/guard");
        fs::create_dir_all(directory)?;
        let out = directory.join(format!("{}.{units}.{tool:?}", case.name));
        let _ = fs::remove_file(&out);
        let mut command = tool.command(&out, case.with);
        command.arg(binary).args(["-k", "0", "-p", &port.to_string()]);
        command.args(["-c", &format!("host=tcp://{}", peers.local_addr()?)]).args(case.arguments);
        if case.with == With::Tls {
            command.args(["-l", "127.0.0.1 tls", "--tls-cert"]).arg(secure::certificate_file()?);
        } else {
            command.args(["-l", "127.0.0.1"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if case.with == With::Log {
            command.env("RUST_LOG", "info").stderr(Stdio::null());
        } else {
            command.env("RUST_LOG", "off");
        }
        let started = command.spawn();
        let child =
            started.map_err(|error| io::Error::new(error.kind(), format!("{tool:?}: {error}")))?;
        Ok(Self { child, tool, out, port, peers })
    }

    /// A connection to it; the first waits until it listens.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let refused = |error: &io::Error| error.kind() == ErrorKind::ConnectionRefused;
        let socket = in_time(|| match TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            Err(error) if refused(&error) => None,
            outcome => Some(outcome),
        })??;
        prepared(socket)
    }

    /// The connection that it makes to its peer.
    pub(crate) fn accept(&self) -> io::Result<TcpStream> {
        let (socket, _) = in_time(|| match self.peers.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            outcome => Some(outcome),
        })??;
        socket.set_nonblocking(false)?;
        prepared(socket)
    }

    /// Waits until it sleeps, which it must be seen to do three times in a row: so nothing that
    /// follows meets it half-way, and its turns are the same in every run.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let file = format!("/proc/{}/stat", self.child.id());
        let mut asleep = 0;
        in_time(|| {
            let stat = fs::read_to_string(&file).ok()?;
            let state = stat.rsplit_once(") ")?.1.chars().next()?;
            asleep = if state == 'S' { asleep + 1 } else { 0 };
            (asleep == 3).then_some(())
        })
    }

    /// Ends it; returns what was counted.
    pub(crate) fn stop(mut self) -> io::Result<Count> {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status()?;
        if !kill.success() || !self.child.wait()?.success() {
            return Err(io::Error::other("the daemon did not end well"));
        }
        // strace writes when the daemon is gone.
        in_time(|| self.tool.count(&fs::read_to_string(&self.out).ok()?))
    }
}

impl Drop for Daemon {
    /// After a failure it is still there.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prepared(socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// What `look` finds, looking again and again.
fn in_time<T>(mut look: impl FnMut() -> Option<T>) -> io::Result<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Ok(found);
        }
        thread::sleep(Duration::from_micros(30));
    }
    Err(ErrorKind::TimedOut.into())
}
