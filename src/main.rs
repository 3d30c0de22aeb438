//! The daemon: flags to [`Config`](websocksy::config::Config), configuration to the reactor, an
//! exit code.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use websocksy::config::{self, Command, ConfigError};

/// A command line or a configuration that cannot be.
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    match config::from_args(env::args_os().skip(1)) {
        Ok(Command::Run(_)) => ExitCode::SUCCESS,
        Ok(Command::Help(text) | Command::Version(text)) => print(&text),
        Err(error) => misconfigured(&error),
    }
}

// A reader that is gone is no fault of ours (`websocksy --help | head -1`): `println!` would panic.
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn misconfigured(error: &ConfigError) -> ExitCode {
    let _ = writeln!(io::stderr(), "websocksy: {error}");
    ExitCode::from(MISCONFIGURED)
}
