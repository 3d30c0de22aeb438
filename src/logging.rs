//! Log lines that never wait for whoever reads them, and text from strangers made safe to print.
//!
//! A record becomes one line in a bounded queue, and a thread of its own writes the queue to
//! standard error. A reader that is stuck, gone or out of space costs lines, which are counted,
//! and never a turn of the loop. A record below the level costs the `log` macro's check alone.

use std::env;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use env_logger::fmt::Formatter;
use env_logger::{Builder, Target};
use log::{LevelFilter, Record};

/// How long the end of the program may wait for the last lines.
pub const FLUSH_TIMEOUT: Duration = Duration::from_millis(250);

/// Bytes that wait for the thread, which holds as many again at most. A burst of a thousand
/// sessions that start and end is half of it.
const MAX_WAITING: usize = 512 * 1024;

/// The pause after standard error said EAGAIN: somebody we share it with made it non-blocking.
const RETRY: Duration = Duration::from_millis(100);

/// How many bytes of a stranger's text a log line shows: enough to recognise it by.
const SHOWN: usize = 256;

/// Bytes from outside, for a log line: printable ASCII but the backslash as it is, all else as
/// `\xNN`, and after 256 bytes an ellipsis. No line can be forged with it (CR, LF, ESC).
#[derive(Clone, Copy, Debug)]
pub struct Escaped<B>(pub B);

impl<B: AsRef<[u8]>> fmt::Display for Escaped<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_ref();
        for &byte in bytes.iter().take(SHOWN) {
            match byte {
                b'\\' => f.write_str("\\x5c")?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        if bytes.len() > SHOWN { f.write_str("…") } else { Ok(()) }
    }
}

/// The log of the program, which writes as long as the program runs.
#[derive(Debug)]
pub struct Log {
    queue: Arc<Queue>,
}

/// Starts logging to standard error at the levels of `RUST_LOG` (`info` where it is not set).
///
/// # Errors
/// No descriptor or thread is left, a signal cannot be handled, or something logs already.
pub fn init() -> io::Result<Log> {
    // A descriptor of our own: whoever holds the lock of `io::stderr` cannot hold us, nor we them.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    // Past the file size limit a write is then an error (EFBIG), no longer the end of the process.
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default())?;
    let queue = Arc::new(Queue::default());
    let drain = Arc::clone(&queue);
    let (runs, running) = channel();
    thread::Builder::new().name("log".into()).spawn(move || {
        let _ = runs.send(());
        drain.write_to(stderr);
    })?;
    // Its own beginning is the last that a thread may fail at.
    running.recv().map_err(io::Error::other)?;
    let (mut builder, complaint) = levels(env::var("RUST_LOG").ok().as_deref());
    builder.format(line).target(Target::Pipe(Box::new(QueueWriter(Arc::clone(&queue)))));
    builder.try_init().map_err(io::Error::other)?;
    if let Some(complaint) = complaint {
        log::warn!("RUST_LOG: {complaint}; logging at info");
    }
    Ok(Log { queue })
}

impl Log {
    /// Waits until all lines are written, but no longer than `timeout`; says whether they are.
    pub fn flush(&self, timeout: Duration) -> bool {
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        let waited = self.queue.changed.wait_timeout_while(self.queue.lock(), timeout, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// A builder with the levels of `spec`, and what is wrong with it: `parse_filters` alone would
/// complain by `eprintln!`, which panics when standard error fails.
fn levels(spec: Option<&str>) -> (Builder, Option<String>) {
    let mut builder = Builder::new();
    builder.filter_level(LevelFilter::Info);
    let Some(spec) = spec.filter(|spec| !spec.is_empty()) else { return (builder, None) };
    match env_filter::Builder::new().try_parse(spec) {
        Ok(_) => builder.parse_filters(spec),
        Err(error) => return (builder, Some(error.to_string())),
    };
    (builder, None)
}

fn line(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = out.timestamp_millis();
    writeln!(out, "{time} {:<5} {}", record.level(), OneLine(record.args()))
}

/// A message without control characters, so that it is one line, and reads as it was written, whoever
/// wrote its parts.
#[derive(Clone, Copy, Debug)]
pub struct OneLine<D>(pub D);

impl<D: fmt::Display> fmt::Display for OneLine<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(WithoutControls(f), "{}", self.0)
    }
}

struct WithoutControls<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for WithoutControls<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, moves)) = rest.char_indices().find(|(_, c)| moves_text(*c)) {
            let (before, from) = rest.split_at(at);
            match u8::try_from(moves) {
                Ok(byte) => write!(self.0, "{before}\\x{byte:02x}")?,
                Err(_) => write!(self.0, "{before}{}", moves.escape_unicode())?,
            }
            rest = from.strip_prefix(moves).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// Whether a terminal may move, hide or turn round other text for this character: controls, line
/// separators, marks of direction (UAX #9).
fn moves_text(c: char) -> bool {
    let is_format = matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || is_format
}

/// Lines on their way from any thread to the one that writes them.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines; never more than [`MAX_WAITING`] bytes.
    waiting: Vec<u8>,
    /// The thread holds lines that are not written yet.
    writing: bool,
    /// Lines dropped since the last one that was let in.
    lost: usize,
}

impl Queue {
    /// The lock is never held over anything that waits.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        let notice = state.notice(line);
        if notice.len().saturating_add(line.len()) > MAX_WAITING - state.waiting.len() {
            state.lost += 1;
            return;
        }
        let sleeping = state.waiting.is_empty() && !state.writing;
        state.waiting.extend_from_slice(notice.as_bytes());
        state.waiting.extend_from_slice(line);
        state.lost = 0;
        if sleeping {
            self.changed.notify_all();
        }
    }

    /// The thread: one write for all lines that wait.
    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        let mut torn = false;
        loop {
            batch.clear();
            self.take(&mut batch);
            if torn {
                send(&mut out, b"\n");
            }
            let unsent = send(&mut out, &batch);
            self.sent(unsent.iter().filter(|byte| **byte == b'\n').count());
            let written = batch.strip_suffix(unsent).unwrap_or_default();
            torn = written.last().map_or(torn, |last| *last != b'\n');
        }
    }

    fn take(&self, batch: &mut Vec<u8>) {
        let idle = |state: &mut State| state.waiting.is_empty();
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, batch);
        state.writing = true;
    }

    fn sent(&self, lost: usize) {
        let mut state = self.lock();
        state.writing = false;
        state.lost += lost;
        self.changed.notify_all();
    }
}

impl State {
    /// What stands before `line` if lines are missing there, with the time of `line`.
    fn notice(&self, line: &[u8]) -> String {
        if self.lost == 0 {
            return String::new();
        }
        let time = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let time = String::from_utf8_lossy(time);
        format!("{time} WARN  log lines lost, standard error did not take them: {}\n", self.lost)
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

/// What `env_logger` writes to: it hands over one whole line a call.
struct QueueWriter(Arc<Queue>);

impl Write for QueueWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    #[test]
    fn strangers_text_is_printable_ascii() {
        let long = [b'a'; SHOWN + 1];
        let fits = "a".repeat(SHOWN);
        let cases: [(&[u8], &str); 9] = [
            (b"", ""),
            (b"/chat?room=1", "/chat?room=1"),
            (b" ~", " ~"),
            (b"a\\b", "a\\x5cb"),
            (b"a\r\nINFO forged", "a\\x0d\\x0aINFO forged"),
            (b"\x1b[2J\x00\x7f", "\\x1b[2J\\x00\\x7f"),
            ("é".as_bytes(), "\\xc3\\xa9"),
            (&long[1..], &fits),
            (&long, &format!("{fits}…")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Escaped(bytes).to_string(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_record_is_one_line() {
        let cases = [
            ("", ""),
            ("plain é €", "plain é €"),
            ("a\nb\r\n\n", "a\\x0ab\\x0d\\x0a\\x0a"),
            ("\u{1b}[31m\u{9b}m\u{7f}", "\\x1b[31m\\x9bm\\x7f"),
            ("a\u{202e}b\u{2028}", "a\\u{202e}b\\u{2028}"),
        ];
        for (text, expected) in cases {
            assert_eq!(OneLine(text).to_string(), expected);
        }
    }

    #[test]
    fn levels_come_from_the_environment() {
        let invalid = Some("error parsing logger filter: invalid logging spec 'loud'");
        let cases = [
            (None, LevelFilter::Info, None),
            (Some(""), LevelFilter::Info, None),
            (Some("off"), LevelFilter::Off, None),
            (Some("warn,websocksy::conn=trace"), LevelFilter::Trace, None),
            (Some("websocksy=loud"), LevelFilter::Info, invalid),
        ];
        for (spec, expected, complaint) in cases {
            let (mut builder, complained) = levels(spec);
            assert_eq!(builder.build().filter(), expected, "{spec:?}");
            assert_eq!(complained.as_deref(), complaint, "{spec:?}");
        }
    }

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

    fn scripted() -> (Log, Sender<io::Result<usize>>, Receiver<Vec<u8>>) {
        let (answer, answers) = channel();
        let (written, output) = channel();
        let log = Log { queue: Arc::default() };
        let queue = Arc::clone(&log.queue);
        thread::spawn(move || queue.write_to(Scripted { answers, written }));
        (log, answer, output)
    }

    fn text(output: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(output.try_iter().flatten().collect()).unwrap()
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_stuck_reader_costs_lines_and_no_time() {
        let (log, answer, output) = scripted();
        let line = [&b"12:00 INFO  "[..], &[b'x'; 987], b"\n"].concat();
        log.queue.push(b"11:59 INFO  first\n");
        while !log.queue.lock().writing {
            thread::yield_now();
        }
        let room = MAX_WAITING / line.len();
        (0..room + 7).for_each(|_| log.queue.push(&line));
        assert!(log.queue.lock().waiting.len() <= MAX_WAITING);
        assert!(!log.flush(Duration::from_millis(1)), "nothing was written yet");

        drop(answer); // the reader wakes up
        assert!(log.flush(SOON));
        assert_eq!(text(&output).lines().count(), 1 + room);
        log.queue.push(b"12:01 INFO  late\n");
        assert!(log.flush(SOON));
        let notice = "12:01 WARN  log lines lost, standard error did not take them: 7";
        assert_eq!(text(&output), format!("{notice}\n12:01 INFO  late\n"));
        log.queue.push(b"12:02 INFO  later\n");
        assert!(log.flush(SOON));
        assert_eq!(text(&output), "12:02 INFO  later\n");
    }

    #[test]
    fn failing_writes_lose_their_lines_only() {
        let lost = "1\n2 WARN  log lines lost, standard error did not take them: 1\n2 b\n";
        let kinds = [
            (ErrorKind::BrokenPipe, lost),
            (ErrorKind::StorageFull, lost),
            (ErrorKind::Interrupted, "1 a\n2 b\n"),
            (ErrorKind::WouldBlock, "1 a\n2 b\n"),
        ];
        for (kind, expected) in kinds {
            let (log, answer, output) = scripted();
            answer.send(Ok(1)).unwrap();
            answer.send(Err(kind.into())).unwrap();
            drop(answer);
            for line in [b"1 a\n", b"2 b\n"] {
                log.queue.push(line);
                assert!(log.flush(SOON), "{kind}");
            }
            assert_eq!(text(&output), expected, "{kind}");
        }
    }
}
