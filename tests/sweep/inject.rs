//! The daemon under `inject.c`: its calls counted, and made to fail.

use crate::common::plugins::scratch;
use crate::common::{Daemon, binary, left_out};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the tool exits with where calls cannot be caught: no seccomp, or not for us.
const NOT_PERMITTED: i32 = 124;

/// A system call that a script makes: its name, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) label: String,
}

impl Call {
    /// The thread that makes it, if it is not the first, and what it is about.
    pub(crate) fn parts(&self) -> (&str, &str) {
        self.label.split_once(':').unwrap_or(("", &self.label))
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.name, self.label)
    }
}

/// Calls, and how often each was made.
pub(crate) type Calls = Vec<(Call, usize)>;

/// What is to fail: the calls of this kind from the `first` one, counted from the arming.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) call: Call,
    pub(crate) first: usize,
    /// Once, or until it is lifted.
    pub(crate) persists: bool,
    pub(crate) errno: i32,
}

/// The end of the tool's that takes orders.
pub(crate) struct Control(BufReader<UnixStream>);

impl Control {
    /// Nothing is answered any more when the program is gone.
    fn ask(&mut self, line: &str) -> String {
        let _ = writeln!(self.0.get_mut(), "{line}");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap_or_default();
        answer.trim_end().to_owned()
    }

    fn order(&mut self, line: &str) {
        assert_eq!(self.ask(line), "ok", "{line}");
    }

    fn number(&mut self, line: &str) -> usize {
        let answer = self.ask(line);
        answer.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The program begins.
    pub(crate) fn go(&mut self) {
        self.order("go");
    }

    pub(crate) fn record(&mut self) {
        self.order("record");
    }

    /// As [`record`](Self::record), up to the first call like this.
    pub(crate) fn record_until(&mut self, call: &Call) {
        self.order(&format!("record {} {}", call.name, call.label));
    }

    /// Who comes to this port is a client.
    pub(crate) fn clients_at(&mut self, port: u16) {
        self.order(&format!("port {port}"));
    }

    /// What was called since [`record`](Self::record), and how often.
    pub(crate) fn calls(&mut self) -> Calls {
        let mut calls = Vec::new();
        let mut line = self.ask("calls");
        while let [name, label, count] = line.split_whitespace().collect::<Vec<_>>()[..] {
            let call = Call { name: name.to_owned(), label: label.to_owned() };
            calls.push((call, count.parse().unwrap()));
            line = self.line();
        }
        calls
    }

    pub(crate) fn arm(&mut self, fault: &Fault) {
        let Fault { call: Call { name, label }, first, persists, errno } = fault;
        let last = if *persists { u32::MAX as usize } else { *first };
        // EAGAIN says that there is nothing yet, and so there is an event when there is.
        let edge = u8::from(!persists && *errno == libc::EAGAIN);
        self.order(&format!("arm {name} {label} {first} {last} {errno} {edge}"));
    }

    /// No call fails any more; how many did.
    pub(crate) fn lift(&mut self) -> usize {
        self.number("lift")
    }

    /// All calls so far, of any kind.
    pub(crate) fn total(&mut self) -> usize {
        self.number("total")
    }
}

/// The tool, compiled; none where calls cannot be caught.
pub(crate) fn tool() -> Option<&'static Path> {
    static TOOL: OnceLock<Option<PathBuf>> = OnceLock::new();
    let tool = TOOL.get_or_init(|| {
        let path = scratch("tool").join("inject");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-o"]).arg(&path);
        assert!(command.arg("tests/sweep/inject.c").status().unwrap().success());
        let mut child = launch(&path, Path::new("/bin/true"), &[], Control::go).0;
        let permitted = child.wait().unwrap().code() != Some(NOT_PERMITTED);
        if !permitted {
            left_out("the fault sweep", "no right to catch system calls (seccomp_unotify(2))");
        }
        permitted.then_some(path)
    });
    tool.as_deref()
}

/// Where the tool will call.
fn rendezvous() -> (PathBuf, UnixListener) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("wsy-inject-{}-{number}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    (path, listener)
}

fn meet(path: &Path, listener: &UnixListener) -> Control {
    let stream = listener.accept().unwrap().0;
    let _ = std::fs::remove_file(path);
    Control(BufReader::new(stream))
}

/// A program under the tool, which `prepare` lets begin; standard error is piped.
pub(crate) fn launch(
    tool: &Path,
    program: &Path,
    arguments: &[&str],
    prepare: impl FnOnce(&mut Control),
) -> (std::process::Child, Control) {
    let (path, listener) = rendezvous();
    let mut command = Command::new(tool);
    command.arg(&path).arg(program).args(arguments).env("RUST_LOG", "info");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let mut control = meet(&path, &listener);
    prepare(&mut control);
    (child, control)
}

/// A daemon under the tool that listens already.
pub(crate) fn daemon(tool: &Path, arguments: &[&str]) -> (Daemon, Control) {
    let (path, listener) = rendezvous();
    let name = path.clone();
    let met = std::thread::spawn(move || {
        let mut control = meet(&name, &listener);
        control.go();
        control
    });
    let program = [tool.to_str().unwrap(), path.to_str().unwrap()];
    let daemon = Daemon::under(&program, arguments);
    let mut control = met.join().unwrap();
    control.clients_at(daemon.port());
    (daemon, control)
}

/// The daemon's own program.
pub(crate) fn program() -> &'static Path {
    Path::new(binary())
}
