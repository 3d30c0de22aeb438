//! The command line.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use getopts::{Fail, HasArg, Matches, Occur, Options};

use super::file::{self, FileSteps};
use super::nearest::nearest;
use super::option::{CHECK, SHOW_CONFIG};
use super::option::{FILE, GENERATE, HELP, LISTEN, ORIGIN, PEER_ALLOW, PORT, SOURCE, VERSION};
use super::options;
use super::proxies::TRUSTED_PROXY;
use super::regular::IRREGULAR;
use super::setting::Setting;
use super::show::{self, Written};
use super::{
    Admin, Config, ConfigError, Origin, completions, help, listen, proxies, sandbox_options, steps,
    tls_options, words, worker_options,
};
use crate::backend;
use crate::logging::Escaped;
use crate::worker;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the daemon.
    Run(Box<Config>),
    /// Say whether it would start.
    Check(Box<Config>),
    /// Print this text: help, the version, a configuration, or what was to be generated.
    Print(String),
}

/// Reads the arguments after the program's name, and the file that they name.
///
/// # Errors
/// One line that names the flag, or the file with line and key.
pub fn from_args(args: impl Iterator<Item = OsString>) -> Result<Command, ConfigError> {
    let options = options();
    let matches = options.parse(utf8(args)?).map_err(misuse)?;
    if matches.opt_present(HELP) {
        return Ok(Command::Print(help::text()));
    }
    if matches.opt_present(VERSION) {
        return Ok(Command::Print(format!("websocksy {}\n", env!("CARGO_PKG_VERSION"))));
    }
    if let Some(what) = matches.opt_str(GENERATE) {
        let generated = completions::generate(&what);
        return generated
            .map(Command::Print)
            .map_err(|problem| ConfigError::new(format!("--{GENERATE}"), problem));
    }
    let Configured { config, shown } = configure(&matches)?;
    Ok(match shown {
        Some(text) => Command::Print(text),
        None if matches.opt_present(CHECK) => Command::Check(Box::new(config)),
        None => Command::Run(Box::new(config)),
    })
}

/// A configuration, and what it means in the words of a file, if that was asked for.
struct Configured {
    config: Config,
    shown: Option<String>,
}

/// Reads what this process was started with again, and the file as it is now.
///
/// # Errors
/// As [`from_args`].
pub fn again() -> Result<Config, ConfigError> {
    let matches = options().parse(utf8(env::args_os().skip(1))?).map_err(misuse)?;
    if let Some(name) = file_name(&matches)? {
        check_rereadable(&name, "it cannot be read again")?;
        let length = match worker::handed(Path::new(&name)) {
            Some(kept) => Some(kept.bytes.len() as u64),
            None => fs::metadata(&name).ok().map(|found| found.len()),
        };
        // A moment of who writes it anew: without any key, everybody would come to anywhere.
        if length == Some(0) {
            let problem = "is empty: if that is meant, restart";
            return Err(ConfigError::new(Escaped(&name).to_string(), problem));
        }
    }
    configure(&matches).map(|configured| configured.config)
}

/// The same for a start, where the file may also be empty.
///
/// # Errors
/// As [`from_args`].
pub fn read() -> Result<Config, ConfigError> {
    let matches = options().parse(utf8(env::args_os().skip(1))?).map_err(misuse)?;
    configure(&matches).map(|configured| configured.config)
}

fn options() -> Options {
    let mut options = Options::new();
    for opt in options::all() {
        let has_arg = if opt.hint.is_empty() { HasArg::No } else { HasArg::Yes };
        let is_text = [FILE, GENERATE].contains(&opt.long);
        let once = opt.setting.as_ref().is_some_and(|s| !s.repeats()) || is_text;
        let occur = if once { Occur::Optional } else { Occur::Multi };
        options.opt(opt.short, opt.long, "", "", has_arg, occur); // the help text is ours
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
        Fail::ArgumentMissing(name) => (name, "needs a value".into()),
        Fail::UnrecognizedOption(name) => {
            let near = nearest(&name, options::all().map(|opt| opt.long));
            let near = near.map_or_else(String::new, |near| format!(" (--{near}?)"));
            (name, format!("is not an option{near}; see --help"))
        }
        Fail::OptionMissing(name) => (name, "is missing".into()),
        Fail::OptionDuplicated(name) => (name, "is given twice".into()),
        Fail::UnexpectedArgument(name) => (name, "takes no value".into()),
    };
    let dashes = if name.chars().count() == 1 { "-" } else { "--" };
    ConfigError::new(format!("{dashes}{}", Escaped(&name)), problem)
}

fn configure(matches: &Matches) -> Result<Configured, ConfigError> {
    let mut config = Config::default();
    let mut from_file = FileSteps::default();
    if let Some(path) = file_name(matches)? {
        from_file = file::load(Path::new(&path), &mut config)?;
        config.file = Some(path.into());
    }
    if matches.opt_present(ORIGIN) {
        config.origins.clear(); // flags win over the file, they do not add to it
    }
    if matches.opt_present(tls_options::CERTIFICATE) {
        config.tls.certificates.clear();
    }
    if matches.opt_present(PEER_ALLOW) {
        config.peers.clear();
    }
    if matches.opt_present(SOURCE) {
        config.sources.clear();
    }
    if matches.opt_present(TRUSTED_PROXY) {
        config.proxies.clear();
    }
    let access_of_file = std::mem::take(&mut config.access);
    if matches.opt_present(LISTEN) {
        config.listen.clear();
    }
    let mut written = Vec::new();
    for (name, setting, value) in in_order(matches) {
        let origin = Origin::from(format!("--{name}"));
        let applied = setting.apply(&mut config, &value, &origin);
        applied.map_err(|problem| ConfigError::new(origin.clone(), problem))?;
        written.push(Written { name, value, origin });
    }
    config.access.append(access_of_file); // flags win over the file: they are asked first
    let operators = config.admin.as_ref().map(Admin::listen);
    let places: Vec<_> = config.listen.iter().cloned().chain(operators).collect();
    listen::check(&places, config.port)?;
    proxies::check(&config)?;
    if matches.opt_present(PORT) {
        listen::check_port(&config.listen, config.port, format!("--{PORT}").into())?;
    }
    tls_options::check(&config)?;
    worker_options::check(&config)?;
    if let (Some(name), Some(_)) = (file_name(matches)?, config.workers.count) {
        check_rereadable(&name, "each worker reads it")?;
    }
    sandbox_options::check(&config)?;
    let flags = std::mem::take(&mut config.backend);
    steps::join(&mut config, from_file.steps, flags, from_file.twice)?;
    let show = || show::text(&config, &from_file.written, &written);
    let shown = matches.opt_present(SHOW_CONFIG).then(show);
    Ok(Configured { config, shown })
}

/// # Errors
/// The file, of which others are to read what it said the first time, is a pipe or a device.
fn check_rereadable(name: &str, why: &str) -> Result<(), ConfigError> {
    if worker::handed(Path::new(name)).is_some() {
        return Ok(());
    }
    match fs::metadata(name) {
        Ok(found) if !found.is_file() => {
            Err(ConfigError::new(Escaped(name).to_string(), format!("{IRREGULAR}: {why}")))
        }
        // Whoever reads it says what is wrong.
        _ => Ok(()),
    }
}

/// The file of `-f`, or the one argument that is not a flag.
fn file_name(matches: &Matches) -> Result<Option<String>, ConfigError> {
    let flag = matches.opt_str(FILE);
    if let Some(error) = another_bridges(&matches.free) {
        return Err(error);
    }
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

/// Other bridges' arguments are `[[HOST:]PORT] PEER`. Here they would say too little, for a peer
/// needs a framing too, and one that is not VNC another than theirs: says what to write.
fn another_bridges(arguments: &[String]) -> Option<ConfigError> {
    if let Some(word) =
        arguments.iter().find(|word| words::is_word(word) && !Path::new(word).exists())
    {
        let problem = format!("stands behind its address, in one argument: -l 'ADDRESS {word}'");
        return Some(ConfigError::new(format!("'{word}'"), problem));
    }
    if let [word] = arguments
        && let Some(flag) = without_flag(word)
    {
        let problem = format!("is not a file; write {flag}");
        return Some(ConfigError::new(format!("'{}'", Escaped(word)), problem));
    }
    let exists = |word: &String| Path::new(word).exists();
    let joined: String;
    let (peer, place) = match arguments {
        [peer] => (peer, None),
        [host, port] if port.parse::<u16>().is_ok() && !exists(host) && !exists(port) => {
            joined = format!("{host}:{port}");
            (&joined, None)
        }
        [place, peer] => (peer, Some(listen_flags(place)?)),
        _ => return None,
    };
    if exists(peer) || peer.contains(char::is_control) {
        return None;
    }
    let host = peer_meant(peer)?;
    let flags = place.map_or_else(String::new, |flags| flags + " ");
    Some(ConfigError::new(
        format!("'{}'", Escaped(peer)),
        format!(
            "is not a file; to bridge to a peer write {flags}-c host={}, and -c framing=binary for \
             bytes that are not text, such as VNC",
            Escaped(host)
        ),
    ))
}

/// The peer that `word` names, if it was meant for one.
fn peer_meant(word: &str) -> Option<String> {
    let form_of = |name: &str| {
        let prefix = format!("{name}://");
        backend::SCHEMES.iter().map(|scheme| scheme.form).find(|form| form.starts_with(&prefix))
    };
    if let Some((scheme, address)) = word.split_once(':')
        && let Some(form) = form_of(scheme)
    {
        // With too few slashes, or as many as it takes.
        let slashes = if form.ends_with(":PORT") { "//" } else { "///" };
        return Some(format!("{scheme}:{slashes}{}", address.trim_start_matches('/')));
    }
    // Other bridges have schemes that no peer of ours speaks: `ws`, `http`.
    let address = word.split_once("://").map_or(word, |(_, address)| address);
    matches!(listen::parse(address), Ok((_, Some(_)))).then(|| format!("tcp://{address}"))
}

/// What to write instead of a key and its value, or a port, that lack their flag.
fn without_flag(word: &str) -> Option<String> {
    if Path::new(word).exists() || word.contains(char::is_control) {
        return None;
    }
    if let Ok(port) = word.trim_start_matches(':').parse::<u16>() {
        return Some(format!(
            "-p {port} to listen there, and -c host=tcp://HOST:PORT for the peer"
        ));
    }
    let (key, value) = word.split_once('=')?;
    let value = Escaped(value);
    if steps::is_builtin_key(key) {
        return Some(format!("-c {key}={value}"));
    }
    let opt = options::all().find(|opt| opt.long == key && !opt.hint.is_empty())?;
    Some(format!("--{} {value}", opt.long))
}

/// `PORT`, `:PORT` or `HOST:PORT` as flags.
fn listen_flags(place: &str) -> Option<String> {
    if let Ok(port) = place.strip_prefix(':').unwrap_or(place).parse::<u16>() {
        return Some(format!("-p {port}"));
    }
    let is_number = place.bytes().all(|byte| byte.is_ascii_digit());
    listen::parse(place).ok().filter(|_| !is_number).map(|_| format!("-l {place}"))
}

/// The settings as they were written: each `--config` goes to the `--backend` before it.
fn in_order(matches: &Matches) -> Vec<(&'static str, &'static Setting, String)> {
    let mut given = Vec::new();
    for opt in options::all() {
        let Some(setting) = &opt.setting else { continue };
        if opt.hint.is_empty() {
            let yes = |position| (position, opt.long, setting, "yes".to_owned());
            given.extend(matches.opt_positions(opt.long).into_iter().map(yes));
        }
        for (position, value) in matches.opt_strs_pos(opt.long) {
            given.push((position, opt.long, setting, value));
        }
    }
    given.sort_by_key(|(position, ..)| *position);
    given.into_iter().map(|(_, flag, setting, value)| (flag, setting, value)).collect()
}
