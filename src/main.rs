//! The daemon: flags to [`Config`](websocksy::config::Config), configuration to the reactor, an
//! exit code.

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use websocksy::config::{self, Command, Config};
use websocksy::{logging, reactor};

/// A command line or a configuration that cannot be.
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    match config::from_args(env::args_os().skip(1)) {
        Ok(Command::Run(config)) => run(*config),
        Ok(Command::Help(text) | Command::Version(text)) => print(&text),
        Err(error) => fail(MISCONFIGURED, &error),
    }
}

fn run(config: Config) -> ExitCode {
    let log = match logging::init() {
        Ok(log) => log,
        Err(error) => return fail(1, &error),
    };
    let outcome = reactor::run(config);
    log.flush(logging::FLUSH_TIMEOUT);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_code(), &error),
    }
}

// A reader that is gone is no fault of ours (`websocksy --help | head -1`): `println!` would panic.
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(code: u8, error: &dyn Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "websocksy: {}", logging::OneLine(error));
    ExitCode::from(code)
}
