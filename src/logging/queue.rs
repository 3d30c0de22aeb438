//! Lines on their way from any thread to the one that writes them.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use log::{Level, Record};

use super::flood::Flood;
use super::format::{Form, Format};

/// Bytes that wait for the thread, which holds as many again at most. A burst of a thousand
/// sessions that start and end is half of it.
const MAX_WAITING: usize = 512 * 1024;

/// The pause after standard error said EAGAIN: somebody we share it with made it non-blocking.
const RETRY: Duration = Duration::from_millis(100);

/// What became of the lines that were not written.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Standard error did not take them.
    pub(super) lost: AtomicU64,
    /// Too many of one kind came.
    pub(super) left_out: AtomicU64,
}

/// Lines on their way from any thread to the one that writes them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    form: RwLock<Form>,
    state: Mutex<State>,
    changed: Condvar,
    pub(super) missing: Missing,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines; never more than [`MAX_WAITING`] bytes.
    waiting: Vec<u8>,
    /// The thread holds lines that are not written yet.
    writing: bool,
    /// How many wait until all is written.
    flushing: usize,
    /// Lines dropped since the last one that was let in.
    lost: usize,
    flood: Flood,
}

impl Queue {
    /// A queue of lines of this form, so many of one kind in a window; zero for any number.
    pub(super) fn new(form: Form, most: u32) -> Self {
        let state = State { flood: Flood::new(most), ..State::default() };
        Self { form: RwLock::new(form), state: Mutex::new(state), ..Self::default() }
    }

    /// Lines have this form, and there are so many of one kind, from now on.
    pub(super) fn renew(&self, format: Format, most: u32) {
        self.form.write().unwrap_or_else(PoisonError::into_inner).format = format;
        self.lock().flood.set_most(most);
    }

    fn form(&self) -> Form {
        *self.form.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock is never held over anything that waits.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a record of `kind`; one without a kind is of none of which there can be too many.
    pub(super) fn push_record(&self, record: &Record<'_>, kind: Option<&str>) {
        if let Some(kind) = kind {
            let mut state = self.lock();
            let (sleeping, was_due) = (state.is_idle(), state.flood.due());
            if !state.flood.admits(kind, Instant::now(), || record.args().to_string()) {
                self.missing.left_out.fetch_add(1, Ordering::Relaxed);
                // The thread does not know yet until when it may sleep.
                if sleeping && was_due != state.flood.due() {
                    self.changed.notify_all();
                }
                return;
            }
        }
        self.push(&self.form().line(record, SystemTime::now()));
    }

    fn push(&self, line: &str) {
        let mut state = self.lock();
        let notice = self.notice(state.lost);
        if notice.len().saturating_add(line.len()) > MAX_WAITING - state.waiting.len() {
            state.lost += 1;
            self.missing.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let sleeping = state.is_idle();
        state.waiting.extend_from_slice(notice.as_bytes());
        state.waiting.extend_from_slice(line.as_bytes());
        state.lost = 0;
        drop(state); // or the thread wakes only to wait for it
        if sleeping {
            self.changed.notify_all();
        }
    }

    /// What stands before a line if so many are missing there.
    fn notice(&self, lost: usize) -> String {
        if lost == 0 {
            return String::new();
        }
        let words = "log lines lost, standard error did not take them";
        self.own_line("log-lost", lost as u64, &format_args!("{words}: {lost}"))
    }

    fn own_line(&self, event: &str, lines: u64, message: &dyn std::fmt::Display) -> String {
        let fields = [("event", log::kv::Value::from(event)), ("lines", lines.into())];
        let args = format_args!("{message}");
        let mut record = Record::builder();
        record.level(Level::Warn).args(args).key_values(&fields);
        self.form().line(&record.build(), SystemTime::now())
    }

    /// Tells what was left out in the windows that are over.
    fn tell_counts(&self, now: Instant) {
        let counts = self.lock().flood.counts(now);
        for (lines, sample) in counts {
            let message =
                format_args!("log lines left out, too many of a kind: {lines} like: {sample}");
            self.push(&self.own_line("log-left-out", lines, &message));
        }
    }

    /// Waits until all lines are written, but no longer than `timeout`; says whether they are.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        self.tell_counts(Instant::now() + super::flood::WINDOW);
        let busy = |state: &mut State| !state.is_idle();
        let mut state = self.lock();
        state.flushing += 1;
        let waited = self.changed.wait_timeout_while(state, timeout, busy);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        state.flushing -= 1;
        !waited.timed_out()
    }

    /// The thread: one write for all lines that wait.
    pub(super) fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        let mut torn = false;
        loop {
            batch.clear();
            self.take(&mut batch);
            if torn {
                send(&mut out, b"\n");
            }
            let unsent = self.send(&mut out, &batch);
            self.sent(unsent.iter().filter(|byte| **byte == b'\n').count());
            let written = batch.strip_suffix(unsent).unwrap_or_default();
            torn = written.last().map_or(torn, |last| *last != b'\n');
        }
    }

    /// Writes lines and gives back those that cannot be written. Where other processes write to the
    /// same pipe, only so many bytes at once stay together (pipe(7)): whole lines, unless one is longer.
    fn send<'a>(&self, out: &mut impl Write, mut lines: &'a [u8]) -> &'a [u8] {
        while self.form().worker.is_some() && lines.len() > libc::PIPE_BUF {
            let whole = lines.iter().take(libc::PIPE_BUF).rposition(|byte| *byte == b'\n');
            let Some((now, later)) = whole.and_then(|end| lines.split_at_checked(end + 1)) else {
                break;
            };
            let unsent = send(out, now);
            if !unsent.is_empty() {
                return lines.get(now.len() - unsent.len()..).unwrap_or_default();
            }
            lines = later;
        }
        send(out, lines)
    }

    fn take(&self, batch: &mut Vec<u8>) {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            let due = state.flood.due().map(|due| due.saturating_duration_since(Instant::now()));
            state = match due {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    drop(state);
                    self.tell_counts(Instant::now());
                    self.lock()
                }
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::swap(&mut state.waiting, batch);
        state.writing = true;
    }

    fn sent(&self, lost: usize) {
        self.missing.lost.fetch_add(lost as u64, Ordering::Relaxed);
        let mut state = self.lock();
        state.writing = false;
        state.lost += lost;
        if state.flushing > 0 {
            self.changed.notify_all();
        }
    }
}

impl State {
    /// Whether all that was taken is written.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.writing
    }
}

/// Writes `bytes` and gives back those that cannot be written.
fn send<'a>(out: &mut impl Write, mut bytes: &'a [u8]) -> &'a [u8] {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(_) => break, // gone (EPIPE, EBADF) or full (ENOSPC): it may take the next lines
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Standard error as a script: each write waits for its answer.
    struct Scripted {
        answers: Receiver<io::Result<usize>>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = self.answers.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.written.send(bytes[..taken].to_vec()).map_err(io::Error::other)?;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn scripted() -> (Arc<Queue>, Sender<io::Result<usize>>, Receiver<Vec<u8>>) {
        let (answer, answers) = channel();
        let (written, output) = channel();
        let log = Arc::new(Queue::default());
        let queue = Arc::clone(&log);
        thread::spawn(move || queue.write_to(Scripted { answers, written }));
        (log, answer, output)
    }

    fn text(output: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(output.try_iter().flatten().collect()).unwrap()
    }

    const SOON: Duration = Duration::from_secs(10);

    /// What a notice says.
    fn notice(lost: usize) -> String {
        format!("log lines lost, standard error did not take them: {lost} lines={lost}")
    }

    /// The lines, those that stand for others without their time.
    fn lines(output: &Receiver<Vec<u8>>) -> Vec<String> {
        let own = |line: &str| line.split_once("Z WARN  ").map(|(_, rest)| rest.to_owned());
        text(output).lines().map(|line| own(line).unwrap_or(line.into())).collect()
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_no_time() {
        let (log, answer, output) = scripted();
        let line = format!("12:00 INFO  {}\n", "x".repeat(987));
        log.push("11:59 INFO  first\n");
        while !log.lock().writing {
            thread::yield_now();
        }
        let room = MAX_WAITING / line.len();
        (0..room + 7).for_each(|_| log.push(&line));
        assert!(log.lock().waiting.len() <= MAX_WAITING);
        assert!(!log.flush(Duration::from_millis(1)), "nothing was written yet");

        drop(answer); // the reader wakes up
        assert!(log.flush(SOON));
        assert_eq!(lines(&output).len(), 1 + room);
        log.push("12:01 INFO  late\n");
        assert!(log.flush(SOON));
        assert_eq!(lines(&output), [&notice(7), "12:01 INFO  late"]);
        log.push("12:02 INFO  later\n");
        assert!(log.flush(SOON));
        assert_eq!(text(&output), "12:02 INFO  later\n");
        assert_eq!(log.missing.lost.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn failing_writes_lose_their_lines_only() {
        let lost = ["1", &notice(1), "2 b"];
        let whole = ["1 a", "2 b"];
        let kinds = [
            (ErrorKind::BrokenPipe, &lost[..]),
            (ErrorKind::StorageFull, &lost),
            (ErrorKind::Interrupted, &whole),
            (ErrorKind::WouldBlock, &whole),
        ];
        for (kind, expected) in kinds {
            let (log, answer, output) = scripted();
            answer.send(Ok(1)).unwrap();
            answer.send(Err(kind.into())).unwrap();
            drop(answer);
            for line in ["1 a\n", "2 b\n"] {
                log.push(line);
                assert!(log.flush(SOON), "{kind}");
            }
            assert_eq!(lines(&output), expected, "{kind}");
        }
    }

    /// Several processes write to one pipe, which keeps so many bytes of a write together.
    #[test]
    fn a_workers_lines_are_written_whole() {
        let (written, output) = channel();
        let (answer, answers) = channel();
        let form = Form { worker: Some(1), ..Form::default() };
        let log = Arc::new(Queue::new(form, 0));
        let line = format!("{}\n", "x".repeat(999));
        (0..20).for_each(|_| log.push(&line));
        log.push(&format!("{}\n", "y".repeat(5000)));
        (0..6).for_each(|_| answer.send(Ok(usize::MAX)).unwrap());
        let queue = Arc::clone(&log);
        thread::spawn(move || queue.write_to(Scripted { answers, written }));
        assert!(log.flush(SOON));
        let writes: Vec<usize> = output.try_iter().map(|bytes: Vec<u8>| bytes.len()).collect();
        assert_eq!(writes, [4000, 4000, 4000, 4000, 4000, 5001]);
    }

    #[test]
    fn the_end_tells_what_a_flood_left_out() {
        let (written, output) = channel();
        let (answer, answers) = channel();
        drop(answer);
        let log = Arc::new(Queue::new(Form::default(), 3));
        for n in 0..10 {
            let args = format_args!("refused {n}");
            log.push_record(&Record::builder().level(Level::Info).args(args).build(), Some("a"));
        }
        let queue = Arc::clone(&log);
        thread::spawn(move || queue.write_to(Scripted { answers, written }));
        assert!(log.flush(SOON));
        let text = text(&output);
        let said: Vec<_> = text.lines().collect();
        assert_eq!(said.len(), 4, "{text}");
        assert!(said[2].ends_with(" INFO  refused 2"), "{text}");
        let count = " WARN  log lines left out, too many of a kind: 7 like: refused 3 lines=7";
        assert!(said[3].ends_with(count), "{text}");
        assert_eq!(log.missing.left_out.load(Ordering::Relaxed), 7);
    }
}
