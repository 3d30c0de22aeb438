//! Log lines that never wait for whoever reads them, and text from strangers made safe to print.
//!
//! A record becomes one line in a bounded queue, and a thread of its own writes the queue to
//! standard error. A reader that is stuck, gone or out of space costs lines, which are counted,
//! and never a turn of the loop. A record below the level costs the `log` macro's check alone.

mod escape;
mod flood;
mod format;
mod queue;
mod secrets;

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use env_logger::{Builder, Target};
use log::kv::{Key, Value};
use log::{Level, LevelFilter, Record};

pub(crate) use escape::Json;
pub use escape::{Escaped, OneLine, SHOWN};
use format::Form;
pub use format::Format;
use queue::Queue;
pub use secrets::{conceal, concealed};

/// How long the end of the program may wait for the last lines.
pub const FLUSH_TIMEOUT: Duration = Duration::from_millis(250);

/// The field by which lines that tell of the same are of one kind; the others are told apart by
/// where they are made.
const KIND: &str = "ending";

/// How the operator wants the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What a line looks like.
    pub format: Format,
    /// How many lines of one kind a second are written, over ten seconds; zero for any number.
    pub rate: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::default(), rate: 100 }
    }
}

/// The log of the program, which writes as long as the program runs.
#[derive(Debug)]
pub struct Log {
    queue: Arc<Queue>,
}

/// What the program's log has not written, for who counts it.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// Lines that are missing from the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Standard error did not take them.
    pub lost: u64,
    /// Too many of one kind came.
    pub left_out: u64,
}

/// How many lines are missing from the program's log so far.
#[must_use]
pub fn missing() -> Missing {
    let Some(queue) = QUEUE.get() else { return Missing::default() };
    Missing {
        lost: queue.missing.lost.load(Ordering::Relaxed),
        left_out: queue.missing.left_out.load(Ordering::Relaxed),
    }
}

/// The log of a worker process, which several write.
#[derive(Debug)]
pub struct Shared {
    /// The number of the worker, which its lines carry.
    pub worker: usize,
    /// Where all of them write.
    pub out: File,
}

/// Starts logging to standard error, or for one of several processes to what they share, at the
/// levels of `RUST_LOG` (`info` where it is not set).
///
/// # Errors
/// No descriptor or thread is left, a signal cannot be handled, or something logs already.
pub fn init(settings: Settings, shared: Option<Shared>) -> io::Result<Log> {
    let (worker, stderr) = match shared {
        Some(Shared { worker, out }) => (Some(worker), out),
        // A descriptor of our own: whoever holds the lock of `io::stderr` cannot hold us, nor we them.
        None => (None, File::from(io::stderr().as_fd().try_clone_to_owned()?)),
    };
    // Past the file size limit a write is then an error (EFBIG), no longer the end of the process.
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default())?;
    let form = Form { worker, ..Form::of(settings.format, &stderr) };
    let queue = Arc::new(Queue::new(form, most(settings)));
    let drain = Arc::clone(&queue);
    let (runs, running) = channel();
    thread::Builder::new().name("log".into()).spawn(move || {
        let _ = runs.send(());
        drain.write_to(stderr);
    })?;
    // Its own beginning is the last that a thread may fail at.
    running.recv().map_err(io::Error::other)?;
    let (mut builder, complaint) = levels(env::var("RUST_LOG").ok().as_deref());
    let lines = Arc::clone(&queue);
    builder.format(move |_, record| {
        // Who asks for more than information wants all of it.
        let kind = (record.level() <= Level::Info).then(|| kind(record));
        lines.push_record(record, kind.as_deref());
        Ok(())
    });
    // The queue has the line; what env_logger would write itself is empty.
    builder.target(Target::Pipe(Box::new(io::sink())));
    builder.try_init().map_err(io::Error::other)?;
    let _ = QUEUE.set(Arc::clone(&queue));
    if let Some(complaint) = complaint {
        log::warn!("RUST_LOG: {complaint}; logging at info");
    }
    Ok(Log { queue })
}

/// Waits until all lines of the program's log are written, but no longer than `timeout`.
pub fn flush(timeout: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(timeout);
    }
}

/// Lines are written so from now on.
pub fn renew(settings: Settings) {
    if let Some(queue) = QUEUE.get() {
        queue.renew(settings.format, most(settings));
    }
}

/// How many lines of one kind there may be in a window.
fn most(settings: Settings) -> u32 {
    let seconds = flood::WINDOW.as_secs() as usize;
    u32::try_from(settings.rate.saturating_mul(seconds)).unwrap_or(u32::MAX)
}

impl Log {
    /// Waits until all lines are written, but no longer than `timeout`; says whether they are.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.queue.flush(timeout)
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

/// What kind of line this is.
fn kind(record: &Record<'_>) -> String {
    let named = record.key_values().get(Key::from_str(KIND));
    let name = named.as_ref().and_then(Value::to_borrowed_str);
    match name {
        Some(name) => name.to_owned(),
        None => {
            format!("{}:{}", record.file().unwrap_or_default(), record.line().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
