//! `file`: peers from files whose names are made of what the client said.

#![forbid(unsafe_code)]

mod below;
pub mod lines;
pub mod template;

use std::io;
use std::path::{Path, PathBuf};
use template::Template;
use websocksy_plugin::{Backend, Client, Peer, export_backend, framing_exists, log, warn};

/// Looks through files below a base path for the first line that fits a client.
#[derive(Debug, Default)]
pub struct FileBackend {
    base: Option<PathBuf>,
    expressions: Vec<Template>,
}

impl Backend for FileBackend {
    fn new() -> Self {
        Self::default()
    }

    fn configure(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "path" => self.base = Some(directory(value)?),
            "expression" => self.expressions.push(value.parse()?),
            _ => return Err("the keys are 'path' and 'expression'".into()),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.base.is_none() {
            return Err("file needs the key 'path', a directory".into());
        }
        if self.expressions.is_empty() {
            return Err("file needs the key 'expression', such as %endpoint%".into());
        }
        Ok(())
    }

    fn query(&self, client: &Client<'_>) -> Option<Peer> {
        let Some(base) = &self.base else {
            log("file: no peer can be found without a 'path'");
            return None;
        };
        let paths = self.expressions.iter().filter_map(|expression| expression.expand(client));
        paths.filter_map(|path| peer_in(base, &path, client, &framing_exists)).next()
    }
}

export_backend!(FileBackend);

fn directory(value: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    if path.is_relative() {
        return Err(format!("{value:?} is not an absolute path"));
    }
    if path.is_dir() { Ok(path) } else { Err(format!("{value:?} is not a directory")) }
}

/// The peer for a client in one file, if the file is there and has one.
fn peer_in(
    base: &Path,
    path: &Path,
    client: &Client<'_>,
    known: &dyn Fn(&[u8]) -> bool,
) -> Option<Peer> {
    match below::read(base, path) {
        Ok(text) => {
            let path = base.join(path);
            let report = |number, reason| {
                warn(&format!("file: {}:{number}: {reason}", path.display()));
            };
            lines::select(&text, client.protocols(), known, Peer::check, report)
        }
        Err(error) => {
            if !is_missing(&error) {
                log(&format!("file: {path:?}: {error}"));
            }
            None
        }
    }
}

/// Whether there just is no such file; a name too long to exist is none.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    )
}

#[cfg(test)]
mod tests;
