//! A worker process: how it is begun, what it says, and how it ended.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Instant;

use log::warn;
use mio::net::UnixDatagram;
use mio::unix::pipe::Receiver;
use mio::{Interest, Registry, Token};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup};

use super::state::{self, WorkerState};
use super::words::Words;
use crate::reactor::WorkerSockets;
use crate::worker::{FILES, Handoff, LONGEST, Message, Said, Snapshot, VARIABLE, adopt, send};

/// What a service manager tells a process of ours is for the supervisor.
pub(super) const MANAGERS: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    state::VARIABLE,
];

/// Reads of one worker's standard error in a turn: as much as a pipe holds.
const READS: usize = 16;
/// Messages that one worker's are taken of in a turn.
const HEARD: usize = 64;

/// The program that workers run.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) name: OsString,
    pub(super) arguments: Vec<OsString>,
}

/// What all workers are handed.
pub(super) struct Heirloom<'a> {
    pub(super) sockets: &'a WorkerSockets,
    pub(super) log: &'a OwnedFd,
    pub(super) table: &'a OwnedFd,
    pub(super) files: &'a Snapshot,
}

/// Workers that are to take over.
pub(super) struct Upgrade {
    pub(super) program: Program,
    /// What the configuration file says by now.
    pub(super) files: Rc<Snapshot>,
    /// In the order of their numbers, as far as they have begun.
    pub(super) workers: Vec<Process>,
    pub(super) until: Instant,
}

/// A worker process.
pub(super) struct Process {
    pid: Pid,
    pub(super) row: usize,
    pub(super) started: Instant,
    /// It takes clients.
    pub(super) ready: bool,
    /// When it last told us that it turns.
    pub(super) heard: Instant,
    /// When it was killed for being stuck.
    pub(super) aborted: Option<Instant>,
    pub(super) words: Words,
    pub(super) number: usize,
    token: Token,
    control: UnixDatagram,
    stderr: Receiver,
    /// There is more to read, and no event will say so again.
    more: bool,
    /// It was to be told that others take its place, and there was no room for the message.
    pub(super) untold: bool,
}

impl Process {
    /// Begins a worker. What `told` says of descriptors is filled in here.
    pub(super) fn spawn(
        program: &Program,
        mut told: Handoff,
        heirloom: &Heirloom<'_>,
        (registry, token): (&Registry, Token),
        now: Instant,
    ) -> io::Result<Self> {
        let (ours, theirs) = UnixDatagram::pair()?;
        let (stderr, their_stderr) = io::pipe()?;
        // Copies stay open over exec(3), unlike all else that we hold, and are closed below.
        let own: Vec<_> = heirloom.sockets.of(told.number - 1).collect();
        let mut copies = Vec::new();
        for descriptor in [heirloom.log.as_fd(), theirs.as_fd(), heirloom.table.as_fd()] {
            copies.push(dup(descriptor)?);
        }
        for (place, socket) in own {
            let copy = dup(socket)?;
            told.listeners.push((place.into(), copy.as_raw_fd()));
            copies.push(copy);
        }
        if let [log, control, table, ..] = copies.as_slice() {
            [told.log, told.control, told.table] = [log, control, table].map(AsRawFd::as_raw_fd);
        }
        let files = dup(heirloom.files.as_fd())?;
        told.parent = std::process::id();
        let mut command = Command::new(&program.path);
        command.arg0(&program.name).args(&program.arguments).env(VARIABLE, told.to_string());
        command.env(FILES, handed_on(&files));
        MANAGERS.iter().for_each(|name| _ = command.env_remove(name));
        command.stdin(Stdio::null()).stderr(their_stderr);
        // A terminal's Ctrl-C is for the supervisor, who tells the workers.
        let child = command.process_group(0).spawn()?;
        drop((copies, files));
        let mut own = Self {
            pid: Pid::from_raw(child.id().cast_signed()),
            row: told.row,
            started: now,
            ready: false,
            heard: now,
            aborted: None,
            words: if told.speaks { Words::kept() } else { Words::default() },
            number: told.number,
            token,
            control: ours,
            stderr: Receiver::from(OwnedFd::from(stderr)),
            more: false,
            untold: false,
        };
        own.watch(registry).inspect_err(|_| own.signal(Signal::SIGKILL))?;
        Ok(own)
    }

    /// One that a program before this one began.
    pub(super) fn resume(
        state: &WorkerState,
        (registry, token): (&Registry, Token),
        now: Instant,
    ) -> io::Result<Self> {
        let mut own = Self {
            pid: Pid::from_raw(state.pid),
            row: state.row,
            started: now,
            ready: true,
            heard: now,
            aborted: None,
            words: Words::default(),
            number: state.number,
            token,
            control: UnixDatagram::from(adopt(state.control)?),
            stderr: Receiver::from(adopt(state.stderr)?),
            more: false,
            untold: false,
        };
        own.watch(registry)?;
        Ok(own)
    }

    /// Where it tells us how things are, and its standard error.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.control.as_fd(), self.stderr.as_fd()]
    }

    fn watch(&mut self, registry: &Registry) -> io::Result<()> {
        self.stderr.set_nonblocking(true)?;
        registry.register(&mut self.control, self.token, Interest::READABLE)?;
        registry.register(&mut self.stderr, self.token, Interest::READABLE)
    }

    pub(super) fn is(&self, token: Token) -> bool {
        self.token == token
    }

    /// Its token, if it is to be listened to without an event.
    pub(super) fn has_more(&self) -> Option<Token> {
        self.more.then_some(self.token)
    }

    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// Sends it a signal, if it is still there.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }

    /// How it ended, if it did.
    pub(super) fn ended(&self) -> Option<WaitStatus> {
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR) => None,
            Ok(status) => Some(status),
            Err(_) => Some(WaitStatus::Exited(self.pid, 1)), // somebody else has waited for it
        }
    }

    /// Says something to it, as far as that goes at once: nobody waits for one that does not read.
    pub(super) fn tell(&self, message: &Message) {
        if let Some(bytes) = message.encode() {
            let _ = self.control.send(&bytes);
        }
    }

    /// The same, and hands it these descriptors.
    pub(super) fn hand(&self, message: &Message, handed: &[BorrowedFd<'_>]) {
        if let Some(bytes) = message.encode() {
            let _ = send(self.control.as_fd(), &bytes, handed);
        }
    }

    /// Tells it that others take its place.
    pub(super) fn retire(&mut self) {
        let bytes = Message { peer: 0, number: 0, said: Said::Retire }.encode();
        self.untold = bytes.is_some_and(|bytes| self.control.send(&bytes).is_err());
    }

    /// Takes what it told us, and not for ever what it tells us meanwhile; says whether it has just
    /// become ready, and what it says to others.
    pub(super) fn listen(&mut self, now: Instant) -> (bool, Vec<Message>) {
        let mut bytes = vec![0; LONGEST];
        let (mut became_ready, mut messages) = (false, Vec::new());
        self.more = true;
        for _ in 0..HEARD {
            let Ok(length) = self.control.recv(&mut bytes) else {
                self.more = false;
                break;
            };
            self.heard = now;
            let said = bytes.get(..length).unwrap_or_default();
            if said.starts_with(b"READY=1") && !self.ready {
                (self.ready, became_ready) = (true, true);
            }
            messages.extend(Message::parse(said));
        }
        self.more |= self.read_words();
        (became_ready, messages)
    }

    /// Reads what it wrote to standard error, and not for ever what it writes meanwhile; says whether
    /// there is more.
    fn read_words(&mut self) -> bool {
        let mut bytes = [0; 4096];
        for _ in 0..READS {
            match self.stderr.read(&mut bytes) {
                Ok(0) => return false,
                Ok(length) => {
                    let read = bytes.get(..length).unwrap_or_default();
                    let lines = self.words.push(read);
                    lines.iter().for_each(|line| say(self.number, line));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Its last words, once it has ended.
    pub(super) fn last_words(&mut self, registry: &Registry) -> &str {
        self.read_words();
        if let Some(line) = self.words.end() {
            say(self.number, &line);
        }
        let _ = registry.deregister(&mut self.control);
        let _ = registry.deregister(&mut self.stderr);
        self.words.last()
    }
}

/// What a child of ours, or the next program in our place, is told of files that it is handed.
pub(super) fn handed_on(files: &OwnedFd) -> String {
    format!("{}:{}", std::process::id(), files.as_raw_fd())
}

/// A line that a worker wrote beside the log.
pub(super) fn say(worker: usize, line: &str) {
    warn!(event = "stderr", worker = worker; "{line}");
}
