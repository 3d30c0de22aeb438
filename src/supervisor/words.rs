//! What a worker writes to its standard error beside the log: words of plug-ins, of libraries, and its
//! last ones.

use std::time::Duration;

use nix::sys::wait::WaitStatus;

/// A line that is longer is cut.
const LONGEST: usize = 1024;
/// What is kept of a worker that has not started yet.
const KEPT: usize = 64 * 1024;

/// The lines of a stream as it comes.
#[derive(Debug, Default)]
pub(super) struct Words {
    line: Vec<u8>,
    last: String,
    /// All of it, until [`Words::let_go`].
    kept: Option<Vec<u8>>,
}

impl Words {
    /// Keeps what comes, too: it may be why the worker does not start.
    pub(super) fn kept() -> Self {
        Self { kept: Some(Vec::new()), ..Self::default() }
    }

    /// Takes the next bytes; gives back the lines that are complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = LONGEST.saturating_sub(self.line.len());
            self.line.extend_from_slice(text.get(..room).unwrap_or(text));
            if text.len() < piece.len() {
                lines.extend(self.end_line());
            }
        }
        match &mut self.kept {
            None => lines,
            Some(kept) => {
                let room = KEPT.saturating_sub(kept.len());
                kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                Vec::new()
            }
        }
    }

    /// The end of the stream; its last line may have none.
    pub(super) fn end(&mut self) -> Option<String> {
        self.end_line().filter(|_| self.kept.is_none())
    }

    fn end_line(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
        if line.is_empty() {
            return None;
        }
        line.clone_into(&mut self.last);
        Some(line)
    }

    /// What was kept; from now on lines are given out as they come.
    pub(super) fn let_go(&mut self) -> Vec<u8> {
        self.kept.take().unwrap_or_default()
    }

    /// The last line there was.
    pub(super) fn last(&self) -> &str {
        &self.last
    }
}

/// How a process ended, in words.
pub(super) fn ended(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("ended with exit status {code}"),
        WaitStatus::Signaled(_, signal, core) => {
            let core = if core { " and dumped core" } else { "" };
            format!("was killed by {}{core}", signal.as_str())
        }
        status => format!("is gone: {status:?}"),
    }
}

/// When it is started again, in words.
pub(super) fn again(pause: Duration) -> String {
    if pause.is_zero() {
        return "starting it again".into();
    }
    format!("starting it again in {} s", pause.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;
    use nix::unistd::Pid;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let text = b"one\n\ntwo \xff\nthree";
        for size in 1..=text.len() {
            let mut words = Words::default();
            let mut lines: Vec<_> = text.chunks(size).flat_map(|piece| words.push(piece)).collect();
            assert_eq!(words.last(), "two \u{fffd}");
            lines.extend(words.end());
            assert_eq!(lines, ["one", "two \u{fffd}", "three"], "{size}");
            assert_eq!((words.end(), words.last()), (None, "three"));
        }
    }

    #[test]
    fn what_is_kept_is_as_it_was_and_has_a_bound() {
        let mut words = Words::kept();
        assert!(words.push(b"websocksy: no\nmore").is_empty() && words.end().is_none());
        assert_eq!(words.let_go(), b"websocksy: no\nmore");
        assert_eq!(words.push(b"now\n"), ["now"]);
        let mut words = Words::kept();
        (0..100).for_each(|_| assert!(words.push(&[b'x'; 4096]).is_empty()));
        assert!(words.line.len() == LONGEST && words.let_go().len() == KEPT);
    }

    #[test]
    fn ends_have_names() {
        let pid = Pid::from_raw(1);
        assert_eq!(ended(WaitStatus::Exited(pid, 3)), "ended with exit status 3");
        let signal = |core| WaitStatus::Signaled(pid, Signal::SIGSEGV, core);
        assert_eq!(ended(signal(false)), "was killed by SIGSEGV");
        assert_eq!(ended(signal(true)), "was killed by SIGSEGV and dumped core");
        assert_eq!(again(Duration::ZERO), "starting it again");
        assert_eq!(again(Duration::from_millis(400)), "starting it again in 0.4 s");
    }
}
