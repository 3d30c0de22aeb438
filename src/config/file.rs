//! The configuration file: `[core]` and `[backend]` with `key = value` lines.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::{OPTIONS, Setting};
use super::{BackendStep, Config, ConfigError, Origin, PlacedStep};
use crate::logging::Escaped;

/// The longest line, in bytes: a path and a framing's configuration fit many times over.
const MAX_LINE: usize = 64 * 1024;

/// The longest file, in bytes: a device named by mistake (`/dev/zero`) does not fill memory.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Reads the bytes of a configuration file that messages call `path`.
///
/// # Errors
/// One line that names file, line and key.
pub fn from_file(path: &Path, bytes: &[u8]) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    apply(path, bytes, &mut config)?;
    Ok(config)
}

/// Reads the file at `path` into `config`.
pub(super) fn load(path: &Path, config: &mut Config) -> Result<(), ConfigError> {
    let bytes = read(path).map_err(|error| ConfigError::new(file_name(path), error.to_string()))?;
    apply(path, &bytes, config)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if length as u64 > MAX_FILE {
        return Err(io::Error::other(format!("is longer than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

fn apply(path: &Path, bytes: &[u8], config: &mut Config) -> Result<(), ConfigError> {
    let mut reader = Reader::new(path, config);
    for line in bytes.split(|byte| *byte == b'\n') {
        reader.number += 1;
        reader.line(line)?;
    }
    let Reader { mut backend, .. } = reader;
    config.backend.append(&mut backend);
    Ok(())
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
    /// The steps of `[backend]`, kept back: they follow the `backend` of `[core]` wherever it is.
    backend: Vec<PlacedStep>,
}

impl<'a> Reader<'a> {
    fn new(path: &Path, config: &'a mut Config) -> Self {
        let file = file_name(path);
        Self { config, file, number: 0, section: None, seen: Vec::new(), backend: Vec::new() }
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
            None => Err("stands before any section".into()),
            Some(Section::Core) => self.core(key, value, &origin),
            Some(Section::Backend) => {
                let step = BackendStep::Configure(key.into(), value.into());
                self.backend.push(PlacedStep { step, origin: origin.clone() });
                Ok(())
            }
        };
        done.map_err(|problem| ConfigError::new(origin, problem))
    }

    fn core(&mut self, key: &str, value: &str, origin: &Origin) -> Result<(), String> {
        let (name, setting) = core_key(key).ok_or("is no key of [core]")?;
        if !setting.repeats_in_file() {
            self.once(name)?;
        }
        setting.apply(self.config, value, origin)
    }

    fn once(&mut self, name: &'static str) -> Result<(), String> {
        if let Some((_, first)) = self.seen.iter().find(|(seen, _)| *seen == name) {
            return Err(format!("was set in line {first} already"));
        }
        self.seen.push((name, self.number));
        Ok(())
    }

    fn error(&self, problem: &str) -> ConfigError {
        ConfigError::new(format!("{}:{}", self.file, self.number), problem)
    }
}

fn core_key(key: &str) -> Option<(&'static str, &'static Setting)> {
    let opt = OPTIONS.iter().find(|opt| opt.long == key)?;
    opt.setting.as_ref().filter(|s| s.is_core_key()).map(|s| (opt.long, s))
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
