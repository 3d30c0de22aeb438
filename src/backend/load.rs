//! Which files are loaded as plug-ins.

use super::copy::FileId;
use super::error::LoadError;
use super::object;
use super::trust;
use super::vtable::Vtable;
use crate::framing::{Registrations, Registry};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use websocksy_abi::WEBSOCKSY_API_VERSION;

/// What the file name of a back end begins with; other plug-ins bring framings.
const BACKEND_PREFIX: &str = "backend_";

/// Loads `backend_NAME.so`, and initialises it.
pub(super) fn backend(dir: &Path, name: &str, anew: bool) -> Result<Vtable, LoadError> {
    let path = backend_file(dir, name)?;
    let table = Vtable::new(object::backend(&path, anew)?);
    match table.init() {
        WEBSOCKSY_API_VERSION => Ok(table),
        version => Err(LoadError::Version(path, version)),
    }
}

fn backend_file(dir: &Path, name: &str) -> Result<PathBuf, LoadError> {
    if name.is_empty() || name.contains(['/', '\0']) || name.ends_with(".so") {
        return Err(LoadError::Name(name.into()));
    }
    check_directory(dir)?;
    let path = dir.join(format!("{BACKEND_PREFIX}{name}.so"));
    check_file(&path)?;
    Ok(path)
}

/// Which file `backend_NAME.so` is now.
///
/// # Errors
/// What keeps it from being loaded.
pub fn backend_id(dir: &Path, name: &str) -> Result<FileId, LoadError> {
    let path = backend_file(dir, name)?;
    let found = fs::metadata(&path).map_err(|error| LoadError::Unreadable(path, error))?;
    Ok(FileId::from(&found))
}

/// The plug-ins that bring framings, and what they registered.
#[derive(Clone)]
pub struct Framings {
    registry: Registry,
    files: Vec<(PathBuf, FileId, Registrations)>,
}

impl Framings {
    /// None yet: the first have the names that the process has, those that come after `before` names
    /// of their own.
    pub fn without(before: Option<&Self>) -> Self {
        let registry = before.map_or_else(Registry::current, |_| Registry::default());
        Self { registry, files: Vec::new() }
    }

    /// Where they are registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Whether these are of the same files.
    pub fn are_those_of(&self, other: &Self) -> bool {
        let ids = |all: &Self| -> Vec<_> {
            all.files.iter().map(|(path, id, _)| (path.clone(), *id)).collect()
        };
        ids(self) == ids(other)
    }

    /// Loads every other `*.so` in `dir`, in the order of their names, so that their constructors
    /// register framings. One that cannot be loaded is named in the log and skipped. Where there are
    /// framings of `before`, these have names of their own, and a file that did not change is not
    /// loaded again. `begins` is told of each that is: its constructor may hang.
    ///
    /// # Errors
    /// The directory is relative, not trusted, or cannot be read; nothing was loaded.
    pub fn load(
        dir: &Path,
        before: Option<&Self>,
        begins: impl Fn(&Path),
    ) -> Result<Self, LoadError> {
        let mut framings = Self::without(before);
        for path in paths(dir)? {
            let found = check_file(&path).map(|file| FileId::from(&file));
            let same = |(known, id, _): &&(PathBuf, FileId, Registrations)| {
                *known == path && found.as_ref().is_ok_and(|found| found == id)
            };
            let known = before.and_then(|before| before.files.iter().find(same));
            if let Some(known) = known {
                framings.registry.adopt(&known.2);
                framings.files.push(known.clone());
                continue;
            }
            begins(&path);
            let load = || object::framing(&path, before.is_some());
            let loaded = found.and_then(|id| {
                let (loaded, registered) = framings.registry.record(load);
                loaded.map(|()| (id, registered))
            });
            match loaded {
                Ok((id, registered)) => {
                    log::debug!("loaded {}", path.display());
                    framings.files.push((path, id, registered));
                }
                Err(error) => log::warn!("plug-in skipped: {error}"),
            }
        }
        Ok(framings)
    }
}

fn paths(dir: &Path) -> Result<Vec<PathBuf>, LoadError> {
    check_directory(dir)?;
    let unreadable = |error| LoadError::Unreadable(dir.into(), error);
    let entries = fs::read_dir(dir).map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| is_framing(path));
    paths.sort();
    Ok(paths)
}

fn is_framing(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.ends_with(b".so") && !name.starts_with(BACKEND_PREFIX.as_bytes())
}

fn check_directory(dir: &Path) -> Result<(), LoadError> {
    if dir.is_relative() {
        return Err(LoadError::Relative(dir.into()));
    }
    if !trust::look(dir)?.is_dir() {
        return Err(LoadError::NotDirectory(dir.into()));
    }
    Ok(())
}

/// Only a regular file is opened: the dynamic linker would wait at a FIFO.
fn check_file(path: &Path) -> Result<Metadata, LoadError> {
    let file = trust::look(path)?;
    if file.is_file() { Ok(file) } else { Err(LoadError::NotFile(path.into())) }
}
