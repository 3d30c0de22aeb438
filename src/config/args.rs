//! The command line.

use std::ffi::OsString;
use std::path::Path;

use getopts::{Fail, HasArg, Matches, Occur, Options};

use super::file::{self, FileSteps};
use super::nearest::nearest;
use super::options::{FILE, GENERATE, HELP, LISTEN, OPTIONS, ORIGIN, PEER_ALLOW, PORT, VERSION};
use super::proxies::TRUSTED_PROXY;
use super::setting::Setting;
use super::{Config, ConfigError, completions, help, listen, proxies, steps, tls_options};
use crate::backend;
use crate::logging::Escaped;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the daemon.
    Run(Box<Config>),
    /// Print this text: help, the version, or what was to be generated.
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
    configure(&matches).map(|config| Command::Run(Box::new(config)))
}

fn options() -> Options {
    let mut options = Options::new();
    for opt in OPTIONS {
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
            let near = nearest(&name, OPTIONS.iter().map(|opt| opt.long));
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

fn configure(matches: &Matches) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let mut from_file = FileSteps::default();
    if let Some(path) = file_name(matches)? {
        from_file = file::load(Path::new(&path), &mut config)?;
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
    if matches.opt_present(TRUSTED_PROXY) {
        config.proxies.clear();
    }
    let access_of_file = std::mem::take(&mut config.access);
    if matches.opt_present(LISTEN) {
        config.listen.clear();
    }
    for (flag, setting, value) in in_order(matches) {
        let origin = format!("--{flag}").into();
        let applied = setting.apply(&mut config, &value, &origin);
        applied.map_err(|problem| ConfigError::new(origin, problem))?;
    }
    config.access.append(access_of_file); // flags win over the file: they are asked first
    listen::check(&config.listen, config.port)?;
    proxies::check(&config)?;
    if matches.opt_present(PORT) {
        listen::check_port(&config.listen, config.port, format!("--{PORT}").into())?;
    }
    tls_options::check(&config)?;
    let flags = std::mem::take(&mut config.backend);
    steps::join(&mut config, from_file.steps, flags, from_file.twice)?;
    Ok(config)
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
    if let [word] = arguments
        && let Some(flag) = without_flag(word)
    {
        let problem = format!("is not a file; write {flag}");
        return Some(ConfigError::new(format!("'{}'", Escaped(word)), problem));
    }
    let (peer, place) = match arguments {
        [peer] => (peer, None),
        [place, peer] => (peer, Some(listen_flags(place)?)),
        _ => return None,
    };
    if Path::new(peer).exists() || peer.contains(char::is_control) {
        return None;
    }
    let is_ours = |name: &str| {
        let prefix = format!("{name}://");
        backend::SCHEMES.iter().any(|scheme| scheme.form.starts_with(&prefix))
    };
    let host = match peer.split_once("://") {
        Some((scheme, _)) if is_ours(scheme) => peer.clone(),
        // Other bridges have schemes that no peer of ours speaks: `ws`, `http`.
        other => match other.map_or(peer.as_str(), |(_, address)| address) {
            address if matches!(listen::parse(address), Ok((_, Some(_)))) => {
                format!("tcp://{address}")
            }
            _ => return None,
        },
    };
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
    let opt = OPTIONS.iter().find(|opt| opt.long == key && !opt.hint.is_empty())?;
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
    for opt in OPTIONS {
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
