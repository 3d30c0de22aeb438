//! The daemon: flags to [`Config`](websocksy::config::Config), configuration to the reactor, an
//! exit code.

use std::env;
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};
use std::panic::{self, PanicHookInfo};
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use websocksy::config::{self, Command, Config};
use websocksy::reactor::{Ended, Source};
use websocksy::worker::{Inheritance, Snapshot, hand};
use websocksy::{logging, memory, reactor, supervisor};

/// A command line or a configuration that cannot be.
const MISCONFIGURED: u8 = 2;

/// The process that ends when [`main`] does, and whether that is so now.
static OURS: AtomicU32 = AtomicU32::new(0);
static ENDS: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    end_by_nobody_else();
    let code = carry_out();
    ENDS.store(true, Ordering::SeqCst);
    code
}

/// A plug-in that calls exit(3) does not end the daemon as if all was well.
#[allow(unsafe_code)] // atexit(3) has no safe wrapper in std
fn end_by_nobody_else() {
    extern "C" fn at_exit() {
        // What a plug-in forked may leave as it likes.
        if !ENDS.load(Ordering::SeqCst) && OURS.load(Ordering::SeqCst) == process::id() {
            logging::flush(logging::FLUSH_TIMEOUT);
            say(&"a plug-in ended the process by exit(3)");
            exit_at_once(MISCONFIGURED);
        }
    }
    OURS.store(process::id(), Ordering::SeqCst);
    // SAFETY: the function takes nothing, does not unwind, and is there until the process ends.
    unsafe { libc::atexit(at_exit) };
}

fn carry_out() -> ExitCode {
    let supervised;
    // What a supervisor read stands for the files that the arguments name.
    match Snapshot::of_process().and_then(|files| files.map(Snapshot::read).transpose()) {
        Ok(files) => {
            supervised = files.is_some();
            hand(files.unwrap_or_default());
        }
        Err(error) => return fail(1, &format_args!("what the supervisor read: {error}")),
    }
    match config::from_args(env::args_os().skip(1)) {
        Ok(Command::Run(config)) => run(*config),
        Ok(Command::Check(config)) => check(*config, supervised),
        Ok(Command::Print(text)) => print(&text),
        Err(error) => fail(MISCONFIGURED, &error),
    }
}

/// Whether the daemon would start; a supervisor that asks is told by the exit code alone.
fn check(config: Config, supervised: bool) -> ExitCode {
    panic::set_hook(Box::new(cannot_start));
    let log = match logging::init(config.log, None) {
        Ok(log) => log,
        Err(error) => return fail(1, &error),
    };
    let checked = reactor::check(config, |error| {
        logging::flush(logging::FLUSH_TIMEOUT);
        say(&error);
        exit_at_once(MISCONFIGURED);
    });
    log.flush(logging::FLUSH_TIMEOUT);
    match checked {
        Ok(()) if supervised => ExitCode::from(supervisor::GOOD),
        Ok(()) => print("websocksy: the configuration is good\n"),
        Err(error) => fail(MISCONFIGURED, &error),
    }
}

fn run(config: Config) -> ExitCode {
    memory::share_one_heap();
    panic::set_hook(Box::new(cannot_start));
    if let Err(error) = reactor::refuse_new_privileges() {
        return fail(1, &format_args!("no new privileges: {error}"));
    }
    let mut inheritance = match Inheritance::take() {
        Ok(inheritance) => inheritance,
        Err(error) => return fail(1, &error),
    };
    let shared = inheritance
        .as_mut()
        .and_then(|own| own.take_log().map(|out| logging::Shared { worker: own.number(), out }));
    let log = match logging::init(config.log, shared) {
        Ok(log) => log,
        Err(error) => return fail(1, &error),
    };
    let supervises = config.workers.count.is_some() || supervisor::goes_on();
    let (code, busy) = match inheritance {
        None if supervises => (watch_over(config), false),
        inheritance => serve(config, inheritance),
    };
    log.flush(logging::FLUSH_TIMEOUT);
    if busy {
        exit_at_once(code);
    }
    ExitCode::from(code)
}

/// Bridges until a signal ends it; the exit status, and whether a thread is still busy.
fn serve(config: Config, supervisor: Option<Inheritance>) -> (u8, bool) {
    let source = match Source::new(config::again) {
        Ok(source) => source,
        Err(error) => {
            say(&format_args!("signal handlers: {error}"));
            return (1, false);
        }
    };
    reactor::keep_files_private();
    let ended = match reactor::start(config, supervisor, source) {
        Ok(started) => {
            drop(panic::take_hook());
            hand(Vec::new());
            started.run()
        }
        Err(error) => Ended { outcome: Err(error), busy: false },
    };
    let code = match ended.outcome {
        Ok(()) => 0,
        Err(error) => {
            say(&error);
            error.exit_code()
        }
    };
    (code, ended.busy)
}

/// Has worker processes do that; the exit status.
fn watch_over(config: Config) -> u8 {
    let ended = supervisor::run(config);
    if let Some(error) = ended.error {
        say(&error);
    }
    ended.code
}

/// A thread that cannot begin panics inside the standard library, and the daemon with it. While it
/// starts that is an error like any other; there may be no memory for more than to say so.
fn cannot_start(panic: &PanicHookInfo<'_>) {
    say(&format_args!("cannot start: {}", SecondLine(panic)));
    exit_at_once(1);
}

/// What stands behind the first line of a text: that of a panic says where in the source it was.
struct SecondLine<D>(D);

impl<D: Display> Display for SecondLine<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Behind<'a, 'f>(&'a mut fmt::Formatter<'f>, bool);
        impl fmt::Write for Behind<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                if self.1 {
                    return self.0.write_str(text);
                }
                let Some((_, rest)) = text.split_once('\n') else { return Ok(()) };
                self.1 = true;
                self.0.write_str(rest)
            }
        }
        write!(Behind(f, false), "{}", self.0)
    }
}

/// Ends the process without taking it apart: a thread may be in the midst of what its destructors
/// would destroy.
#[allow(unsafe_code)] // _exit(2) has no safe wrapper in std
fn exit_at_once(code: u8) -> ! {
    // SAFETY: it takes any number, touches no memory of ours and does not return.
    unsafe { libc::_exit(code.into()) }
}

// A reader that is gone is no fault of ours (`websocksy --help | head -1`): `println!` would panic.
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(code: u8, error: &dyn Display) -> ExitCode {
    say(error);
    ExitCode::from(code)
}

fn say(error: &dyn Display) {
    let _ = writeln!(io::stderr(), "websocksy: {}", logging::OneLine(error));
}
