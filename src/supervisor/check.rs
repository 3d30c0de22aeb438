//! Whether a configuration would start, found out by a process of its own: what crashes there takes
//! nobody with it.

use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use mio::unix::pipe::Receiver;
use mio::{Interest, Registry, Token};
use nix::sys::wait::WaitStatus;
use nix::unistd::dup;

use super::process::{MANAGERS, Program, handed_on};
use super::words::{Words, ended};
use crate::worker::{FILES, Snapshot};

/// What the check of a good configuration ends with where a supervisor asked: a plug-in that calls
/// exit(3) is no sign of one.
pub const GOOD: u8 = 113;

/// A check that is under way.
pub(super) struct Check {
    child: Child,
    stderr: Receiver,
    words: Words,
    pub(super) until: Instant,
}

impl Check {
    /// Has the program look at what its arguments and these files say. It gives up by itself, with a line
    /// that says at what; one that cannot even do that is killed at the given time.
    pub(super) fn begin(
        (program, files): (&Program, &Snapshot),
        (registry, token): (&Registry, Token),
        until: Instant,
    ) -> io::Result<Self> {
        let (stderr, theirs) = io::pipe()?;
        let mut stderr = Receiver::from(OwnedFd::from(stderr));
        stderr.set_nonblocking(true)?;
        registry.register(&mut stderr, token, Interest::READABLE)?;
        let mut command = Command::new(&program.path);
        command.arg0(&program.name).arg("--check").args(&program.arguments);
        let files = dup(files.as_fd())?; // stays open over exec(3)
        command.env(FILES, handed_on(&files));
        MANAGERS.iter().for_each(|name| _ = command.env_remove(name));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(theirs).process_group(0);
        let child = command.spawn()?;
        Ok(Self { child, stderr, words: Words::default(), until })
    }

    /// How it went, once it has ended: if it would not start, why.
    pub(super) fn outcome(&mut self, now: Instant) -> Option<Result<(), String>> {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = self.stderr.read(&mut bytes) {
            // What it remarks on, the workers remark on, too.
            self.words.push(bytes.get(..length).unwrap_or_default());
        }
        match self.child.try_wait() {
            Ok(None) if now < self.until => None,
            Ok(None) => {
                self.give_up();
                self.words.end();
                let last = self.words.last();
                Some(Err(format!(
                    "the check did not give up and was killed; its last words: {last}"
                )))
            }
            Ok(Some(status)) if status.code() == Some(GOOD.into()) => Some(Ok(())),
            Ok(Some(status)) => {
                self.words.end();
                let last = self.words.last();
                Some(Err(match (last.strip_prefix("websocksy: "), status.code()) {
                    (Some(why), Some(_)) => why.into(),
                    _ if last.is_empty() => format!("the check {} before it was done", how(status)),
                    _ => format!("the check {}; its last words: {last}", how(status)),
                }))
            }
            Err(error) => Some(Err(format!("the check: {error}"))),
        }
    }

    /// Ends it, whatever it does.
    pub(super) fn give_up(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn how(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    let pid = nix::unistd::Pid::from_raw(0);
    match WaitStatus::from_raw(pid, status.into_raw()) {
        Ok(status) => ended(status),
        Err(_) => status.to_string(),
    }
}
