//! The command line.

use std::ffi::OsString;
use std::path::Path;

use getopts::{Fail, HasArg, Matches, Occur, Options};

use super::options::{FILE, HELP, OPTIONS, ORIGIN, Setting, VERSION};
use super::{Config, ConfigError, file};
use crate::logging::Escaped;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the daemon.
    Run(Box<Config>),
    /// Print this help text.
    Help(String),
    /// Print this version.
    Version(String),
}

/// Reads the arguments after the program's name, and the file that they name.
///
/// # Errors
/// One line that names the flag, or the file with line and key.
pub fn from_args(args: impl Iterator<Item = OsString>) -> Result<Command, ConfigError> {
    let options = options();
    let matches = options.parse(utf8(args)?).map_err(misuse)?;
    if matches.opt_present(HELP) {
        return Ok(Command::Help(options.usage("Usage: websocksy [OPTIONS] [FILE]")));
    }
    if matches.opt_present(VERSION) {
        return Ok(Command::Version(format!("websocksy {}\n", env!("CARGO_PKG_VERSION"))));
    }
    configure(&matches).map(|config| Command::Run(Box::new(config)))
}

fn options() -> Options {
    let mut options = Options::new();
    for opt in OPTIONS {
        let has_arg = if opt.hint.is_empty() { HasArg::No } else { HasArg::Yes };
        let once = opt.setting.as_ref().is_some_and(|s| !s.repeats()) || opt.long == FILE;
        let occur = if once { Occur::Optional } else { Occur::Multi };
        options.opt(opt.short, opt.long, &opt.description(), opt.hint, has_arg, occur);
    }
    options
}

fn utf8(args: impl Iterator<Item = OsString>) -> Result<Vec<String>, ConfigError> {
    args.map(|arg| {
        arg.into_string().map_err(|arg| {
            ConfigError::new(format!("'{}'", Escaped(arg.as_encoded_bytes())), "is not UTF-8")
        })
    })
    .collect()
}

fn misuse(fail: Fail) -> ConfigError {
    let (name, problem) = match fail {
        Fail::ArgumentMissing(name) => (name, "needs a value"),
        Fail::UnrecognizedOption(name) => (name, "is no option; see --help"),
        Fail::OptionMissing(name) => (name, "is missing"),
        Fail::OptionDuplicated(name) => (name, "is given twice"),
        Fail::UnexpectedArgument(name) => (name, "takes no value"),
    };
    let dashes = if name.chars().count() == 1 { "-" } else { "--" };
    ConfigError::new(format!("{dashes}{}", Escaped(&name)), problem)
}

fn configure(matches: &Matches) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    if let Some(path) = file_name(matches)? {
        file::load(Path::new(&path), &mut config)?;
    }
    if matches.opt_present(ORIGIN) {
        config.origins.clear(); // flags win over the file, they do not add to it
    }
    for (flag, setting, value) in in_order(matches) {
        let origin = format!("--{flag}").into();
        let applied = setting.apply(&mut config, &value, &origin);
        applied.map_err(|problem| ConfigError::new(origin, problem))?;
    }
    Ok(config)
}

/// The file of `-f`, or the one argument that is no flag.
fn file_name(matches: &Matches) -> Result<Option<String>, ConfigError> {
    let flag = matches.opt_str(FILE);
    let mut names = flag.into_iter().chain(matches.free.iter().cloned());
    let first = names.next();
    match names.next() {
        None => Ok(first),
        Some(extra) => Err(ConfigError::new(
            format!("'{}'", Escaped(&extra)),
            "is a second configuration file; only one is read",
        )),
    }
}

/// The settings as they were written: each `--config` goes to the `--backend` before it.
fn in_order(matches: &Matches) -> Vec<(&'static str, &'static Setting, String)> {
    let mut given = Vec::new();
    for opt in OPTIONS {
        let Some(setting) = &opt.setting else { continue };
        for (position, value) in matches.opt_strs_pos(opt.long) {
            given.push((position, opt.long, setting, value));
        }
    }
    given.sort_by_key(|(position, ..)| *position);
    given.into_iter().map(|(_, flag, setting, value)| (flag, setting, value)).collect()
}
