//! The configuration file: `[core]` and `[backend]` with `key = value` lines.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::nearest::nearest;
use super::option::{CONFIG, PORT};
use super::options;
use super::setting::Setting;
use super::show::Written;
use super::{
    BackendStep, Config, ConfigError, Origin, PlacedStep, listen, steps, tls_options,
    worker_options,
};
use crate::logging::Escaped;
use crate::worker;

/// The longest line, in bytes: a path and a framing's configuration fit many times over.
const MAX_LINE: usize = 64 * 1024;

/// The key whose value may be any bytes, as they are written.
const FRAMING_CONFIG: &str = "framing-config";

/// The longest file, in bytes: a device named by mistake (`/dev/zero`) does not fill memory.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// What editors on some systems put before the text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What a file says about the back end.
#[derive(Default)]
pub(super) struct FileSteps {
    /// The steps, in their order: the one of `[core]` first.
    pub(super) steps: Vec<PlacedStep>,
    /// A key that stands twice, which is wrong for the built-in back end.
    pub(super) twice: Option<ConfigError>,
    /// What stands in `[core]`.
    pub(super) written: Vec<Written>,
}

/// Reads the bytes of a configuration file that messages call `path`.
///
/// # Errors
/// One line that names file, line and key.
pub fn from_file(path: &Path, bytes: &[u8]) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let FileSteps { steps, twice, .. } = apply(path, bytes, &mut config)?;
    tls_options::check(&config)?;
    worker_options::check(&config)?;
    steps::join(&mut config, steps, Vec::new(), twice)?;
    Ok(config)
}

/// Reads the file at `path` into `config`, and what it says for the back end.
pub(super) fn load(path: &Path, config: &mut Config) -> Result<FileSteps, ConfigError> {
    let bytes = read(path).map_err(|error| ConfigError::new(file_name(path), error.to_string()))?;
    apply(path, &bytes, config)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match worker::handed(path) {
        Some(kept) => bytes = kept.bytes,
        None => _ = File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?,
    }
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("is longer than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

fn apply(path: &Path, bytes: &[u8], config: &mut Config) -> Result<FileSteps, ConfigError> {
    let mut reader = Reader::new(path, config);
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    for line in bytes.split(|byte| *byte == b'\n') {
        reader.number += 1;
        reader.line(line)?;
    }
    let Reader { mut backend, twice, port, written, .. } = reader;
    listen::check(&config.listen, config.port)?;
    if let Some(origin) = port {
        listen::check_port(&config.listen, config.port, origin)?;
    }
    let mut steps = std::mem::take(&mut config.backend);
    steps.append(&mut backend);
    Ok(FileSteps { steps, twice, written })
}

fn file_name(path: &Path) -> String {
    Escaped(path.as_os_str().as_bytes()).to_string()
}

#[derive(Clone, Copy)]
enum Section {
    Core,
    Backend,
}

struct Reader<'a> {
    config: &'a mut Config,
    file: String,
    /// The line being read, from 1.
    number: usize,
    section: Option<Section>,
    /// The single-valued keys so far, with their lines.
    seen: Vec<(&'static str, usize)>,
    /// Where the port stands.
    port: Option<Origin>,
    written: Vec<Written>,
    /// The steps of `[backend]`, kept back: they follow the `backend` of `[core]` wherever it is.
    backend: Vec<PlacedStep>,
    /// The keys of `[backend]` so far, with their lines.
    keys: Vec<(String, usize)>,
    /// The first that stood there before.
    twice: Option<ConfigError>,
}

impl<'a> Reader<'a> {
    fn new(path: &Path, config: &'a mut Config) -> Self {
        Self {
            config,
            file: file_name(path),
            number: 0,
            section: None,
            seen: Vec::new(),
            port: None,
            written: Vec::new(),
            backend: Vec::new(),
            keys: Vec::new(),
            twice: None,
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), ConfigError> {
        let text = text(line).map_err(|problem| self.error(&problem))?;
        if text.is_empty() || text.starts_with(['#', ';']) {
            return Ok(());
        }
        if text.starts_with('[') {
            self.section = Some(self.section_named(text)?);
            return Ok(());
        }
        let (key, value) = text
            .split_once('=')
            .map(|(key, value)| (key.trim_ascii(), value.trim_ascii()))
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| self.error(&format!("'{}' is not KEY = VALUE", Escaped(text))))?;
        self.pair(key, value)
    }

    fn section_named(&self, text: &str) -> Result<Section, ConfigError> {
        match text {
            "[core]" => Ok(Section::Core),
            "[backend]" => Ok(Section::Backend),
            _ => Err(self.error(&format!("'{}' is neither [core] nor [backend]", Escaped(text)))),
        }
    }

    fn pair(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let origin = Origin::from(format!("{}:{}: {}", self.file, self.number, Escaped(key)));
        let done = match self.section {
            None => Err("stands before any section; begin with [core] or [backend]".into()),
            Some(Section::Core) => self.core(key, value, &origin),
            Some(Section::Backend) => self.backend(key, value, &origin),
        };
        done.map_err(|problem| ConfigError::new(origin, problem))
    }

    fn core(&mut self, key: &str, value: &str, origin: &Origin) -> Result<(), String> {
        let (name, setting) = core_key(key).ok_or_else(|| no_core_key(key))?;
        if !setting.repeats() {
            self.once(name)?;
        }
        steps::no_comment(value)?;
        setting.apply(self.config, value, origin)?;
        steps::no_quotes(value)?;
        self.written.push(Written { name, value: value.into(), origin: origin.clone() });
        if name == PORT {
            self.port = Some(origin.clone());
        }
        Ok(())
    }

    fn once(&mut self, name: &'static str) -> Result<(), String> {
        if let Some((_, first)) = self.seen.iter().find(|(seen, _)| *seen == name) {
            return Err(set_in(*first));
        }
        self.seen.push((name, self.number));
        Ok(())
    }

    fn backend(&mut self, key: &str, value: &str, origin: &Origin) -> Result<(), String> {
        // What a plug-in's key may hold, and what bytes separate messages, is not ours to say.
        if key == FRAMING_CONFIG {
            steps::no_comment_of(&['#'], value)?;
        } else if steps::is_builtin_key(key) {
            steps::no_comment(value)?;
            steps::no_quotes(value)?;
        }
        match self.keys.iter().find(|(seen, _)| seen == key) {
            Some(_) if steps::may_repeat(key) => {}
            Some((_, first)) if self.twice.is_none() => {
                self.twice = Some(ConfigError::new(origin.clone(), set_in(*first)));
            }
            _ => self.keys.push((key.into(), self.number)),
        }
        let step = BackendStep::Configure(key.into(), value.into());
        self.backend.push(PlacedStep { step, origin: origin.clone() });
        Ok(())
    }

    fn error(&self, problem: &str) -> ConfigError {
        ConfigError::new(format!("{}:{}", self.file, self.number), problem)
    }
}

fn core_key(key: &str) -> Option<(&'static str, &'static Setting)> {
    let opt = options::all().find(|opt| opt.long == key)?;
    opt.setting.as_ref().filter(|s| s.is_core_key()).map(|s| (opt.long, s))
}

fn set_in(line: usize) -> String {
    format!("was set in line {line} already")
}

/// What is wrong with a key that [core] does not have.
fn no_core_key(key: &str) -> String {
    let is_not = "is not a key of [core]";
    if steps::is_builtin_key(key) {
        return format!("{is_not}, but of [backend]");
    }
    if key == CONFIG {
        return format!("{is_not}: what is for the back end stands in [backend]");
    }
    if options::all().any(|opt| opt.long == key) {
        return format!("{is_not}: it is for the command line only");
    }
    let keys = options::all().map(|opt| opt.long).filter(|key| core_key(key).is_some());
    match nearest(key, keys) {
        Some(near) => format!("{is_not}; is it {near}?"),
        None => is_not.into(),
    }
}

/// Whether [core] has a key of this name.
pub fn is_core_key(key: &str) -> bool {
    core_key(key).is_some()
}

/// The line as text, without white space around it (nor the CR of a CRLF).
fn text(line: &[u8]) -> Result<&str, String> {
    if line.len() > MAX_LINE {
        return Err(format!("is longer than {MAX_LINE} bytes"));
    }
    if line.contains(&0) {
        return Err("holds a NUL byte".into());
    }
    std::str::from_utf8(line).map(str::trim_ascii).map_err(|_| "is not UTF-8".into())
}
