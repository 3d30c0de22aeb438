//! The daemon: flags to [`Config`](websocksy::config::Config), configuration to the reactor, an
//! exit code.

use std::env;
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};
use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

use websocksy::config::{self, Command, Config};
use websocksy::reactor::Ended;
use websocksy::{logging, memory, reactor};

/// A command line or a configuration that cannot be.
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    match config::from_args(env::args_os().skip(1)) {
        Ok(Command::Run(config)) => run(*config),
        Ok(Command::Print(text)) => print(&text),
        Err(error) => fail(MISCONFIGURED, &error),
    }
}

fn run(config: Config) -> ExitCode {
    memory::share_one_heap();
    panic::set_hook(Box::new(cannot_start));
    let log = match logging::init(config.log) {
        Ok(log) => log,
        Err(error) => return fail(1, &error),
    };
    let ended = match reactor::start(config) {
        Ok(started) => {
            drop(panic::take_hook());
            started.run()
        }
        Err(error) => Ended { outcome: Err(error), busy: false },
    };
    log.flush(logging::FLUSH_TIMEOUT);
    let code = match ended.outcome {
        Ok(()) => 0,
        Err(error) => {
            say(&error);
            error.exit_code()
        }
    };
    if ended.busy {
        exit_at_once(code);
    }
    ExitCode::from(code)
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
