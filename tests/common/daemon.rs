//! The real binary as a child process: its port, its log, and what the kernel says it holds.

use super::{PATIENCE, Peer, eventually, kill, within};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The user and group that own nothing, by convention.
const NOBODY: u32 = 65_534;

/// A running daemon on a free port of 127.0.0.1. When it is dropped, its descriptors must be back
/// at the number it started with, so every test ends with that check; then it is killed.
pub(crate) struct Daemon {
    child: Child,
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
    baseline: usize,
}

impl Daemon {
    /// Starts it with `arguments` after the ones that make it listen on a free local port.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::launch(Command::new(binary()), arguments)
    }

    /// In front of `peer`, with `framing` and further arguments.
    pub(crate) fn before(peer: &Peer, framing: &str, arguments: &[&str]) -> Self {
        let host = format!("host=tcp://127.0.0.1:{}", peer.port());
        let framing = format!("framing={framing}");
        Self::start(&[&["-c", &host, "-c", &framing], arguments].concat())
    }

    /// With these arguments and nothing else. The first is a configuration file, whose section `[core]`
    /// is told where to listen.
    pub(crate) fn of_file(arguments: &[&str], listen: &str) -> Self {
        let text = fs::read_to_string(arguments[0]).unwrap();
        fs::write(arguments[0], text.replacen("[core]", &format!("[core]\n{listen}"), 1)).unwrap();
        let mut command = Command::new(binary());
        command.stdin(Stdio::null());
        Self::run_as_told(command, arguments)
    }

    /// As [`Daemon::start`], with at most `limit` descriptors. That is what it is left with once it
    /// runs: at its start it would fit the number of clients to them.
    pub(crate) fn with_descriptors(limit: usize, arguments: &[&str]) -> Self {
        let daemon = Self::start(arguments);
        super::limit_descriptors(daemon.child.id(), &format!("{limit}:{limit}"));
        daemon
    }

    /// As [`Daemon::start`], after a shell did `setup`.
    pub(crate) fn in_shell(setup: &str, arguments: &[&str]) -> Self {
        Self::launch(in_shell(setup), arguments)
    }

    /// As [`Daemon::start`], with these variables in its environment.
    pub(crate) fn with_environment(variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.envs(variables.iter().copied());
        Self::launch(command, arguments)
    }

    /// As [`Daemon::start`], from a copy of the binary.
    pub(crate) fn copied(path: &Path, arguments: &[&str]) -> Self {
        Self::launch(Command::new(path), arguments)
    }

    /// As [`Daemon::start`], under a program that becomes it.
    pub(crate) fn under(program: &[&str], arguments: &[&str]) -> Self {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(binary());
        Self::launch(command, arguments)
    }

    /// As [`Daemon::start`], without the rights of root, where the binary may be run so.
    pub(crate) fn unprivileged(arguments: &[&str]) -> Option<Self> {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Some(Self::start(arguments));
        }
        // A copy, since the checkout may lie where only root gets to.
        let copy = std::env::temp_dir().join(format!("websocksy-{}", std::process::id()));
        fs::copy(binary(), &copy).unwrap();
        let command = || {
            let mut command = Command::new(&copy);
            command.uid(NOBODY).gid(NOBODY);
            command
        };
        let runs = command().arg("-V").stdout(Stdio::null()).status().is_ok();
        let daemon = runs.then(|| Self::launch(command(), arguments));
        fs::remove_file(&copy).unwrap();
        daemon
    }

    /// As [`Daemon::start`], and handed `socket` as a service manager would, under `name`.
    pub(crate) fn handed(socket: OwnedFd, name: &str, arguments: &[&str]) -> Self {
        let variables = format!("LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES={name}");
        let mut command = in_shell(&format!("exec 3<&0 </dev/null && export {variables}"));
        command.stdin(socket);
        Self::run(command, arguments)
    }

    fn launch(mut command: Command, arguments: &[&str]) -> Self {
        command.stdin(Stdio::null());
        Self::run(command, arguments)
    }

    fn run(mut command: Command, arguments: &[&str]) -> Self {
        command.args(["-p", "0", "-l", "127.0.0.1"]);
        Self::run_as_told(command, arguments)
    }

    fn run_as_told(mut command: Command, arguments: &[&str]) -> Self {
        command.args(arguments);
        command.env("RUST_LOG", "info").stdout(Stdio::null());
        let mut child = spawn(command.stderr(Stdio::piped()));
        let log = keep_lines(child.stderr.take().unwrap());
        let mut port = None;
        eventually("the daemon says where it listens", || {
            port = log.lock().unwrap().iter().find_map(|line| listening_port(line));
            let ended = child.try_wait().unwrap();
            assert!(port.is_some() || ended.is_none(), "{ended:?}: {:?}", log.lock().unwrap());
            port.is_some()
        });
        let mut daemon = Self { child, port: port.unwrap(), log, baseline: 0 };
        daemon.baseline = daemon.fds();
        daemon
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many descriptors it holds now.
    pub(crate) fn fds(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// How many descriptors it held when it had just started.
    pub(crate) fn baseline(&self) -> usize {
        self.baseline
    }

    /// Waits until no session is left of those the test opened.
    #[track_caller]
    pub(crate) fn settle(&self) {
        let settled = within(PATIENCE, || self.fds() <= self.baseline);
        assert!(settled, "{} descriptors of {}: {:?}", self.fds(), self.baseline, self.links());
    }

    fn links(&self) -> Vec<String> {
        let names = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let link = |entry: fs::DirEntry| fs::read_link(entry.path()).ok();
        names.flatten().filter_map(link).map(|path| path.display().to_string()).collect()
    }

    /// Resident memory, KiB, exact (the counters of `status` lag by some pages a thread).
    pub(crate) fn rss_kib(&self) -> u64 {
        self.number("smaps_rollup", "Rss:")
    }

    /// What of that is the program itself, which comes as it runs for the first time, KiB.
    pub(crate) fn program_kib(&self) -> u64 {
        self.rss_kib().saturating_sub(self.number("smaps_rollup", "Anonymous:"))
    }

    /// From now on [`Daemon::peak_kib`] counts anew.
    pub(crate) fn reset_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// The most resident memory since [`Daemon::reset_peak`], KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.number("status", "VmHWM:")
    }

    fn number(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Processor time of all its threads so far, milliseconds; the kernel counts in steps of ten.
    pub(crate) fn cpu_ms(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        let fields = after_name.split_whitespace().skip(11).take(2); // utime and stime, proc(5)
        fields.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
    }

    /// Sends it `signal`, named as kill(1) does: `TERM`, `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        kill(signal, self.child.id());
    }

    /// Its exit status, when it ends before `limit` is over.
    pub(crate) fn exit_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        within(limit, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a log line that contains `text` and returns it.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let mut found = None;
        within(PATIENCE, || {
            found = self.log().into_iter().find(|line| line.contains(text));
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("no log line with {text:?} in {:#?}", self.log()))
    }
}

/// Starts it. A copy of the binary that was just written is busy for a moment, where another test has
/// forked meanwhile.
fn spawn(command: &mut Command) -> Child {
    let mut child = None;
    eventually("the binary is not busy", || match command.spawn() {
        Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => false,
        spawned => {
            child = Some(spawned.unwrap());
            true
        }
    });
    child.unwrap()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let ended = self.child.try_wait().unwrap();
        if !std::thread::panicking() && ended.is_none() {
            self.settle();
            let log = self.log();
            assert!(!log.iter().any(|line| line.contains("panicked")), "{log:#?}");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of the binary under test: the one that Cargo built for it, or another, such as a release
/// build.
pub(crate) fn binary() -> &'static str {
    static NAMED: OnceLock<Option<String>> = OnceLock::new();
    let named = NAMED.get_or_init(|| std::env::var("WEBSOCKSY_BINARY").ok());
    named.as_deref().unwrap_or(env!("CARGO_BIN_EXE_websocksy"))
}

/// The binary as a command that a shell runs after `setup`, in the shell's own process.
pub(crate) fn in_shell(setup: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{setup} && exec \"$0\" \"$@\""), binary()]);
    command
}

fn keep_lines(stderr: ChildStderr) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr.take(1 << 30)).lines().map_while(Result::ok) {
            kept.lock().unwrap().push(line);
        }
    });
    lines
}

/// The port in a line that says `listening on ADDRESS:PORT`.
fn listening_port(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("listening on ")?;
    let address = rest.split_whitespace().next()?;
    address.trim_end_matches([',', '.']).rsplit(':').next()?.parse().ok()
}
