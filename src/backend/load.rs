//! Which files are loaded as plug-ins.

use super::error::LoadError;
use super::object;
use super::trust;
use super::vtable::Vtable;
use std::fs;
use std::path::{Path, PathBuf};
use websocksy_abi::WEBSOCKSY_API_VERSION;

/// What the file name of a back end begins with; other plug-ins bring framings.
const BACKEND_PREFIX: &str = "backend_";

/// Loads `backend_NAME.so`, and initialises it.
pub(super) fn backend(dir: &Path, name: &str) -> Result<Vtable, LoadError> {
    if name.is_empty() || name.contains(['/', '\0']) || name.ends_with(".so") {
        return Err(LoadError::Name(name.into()));
    }
    check_directory(dir)?;
    let path = dir.join(format!("{BACKEND_PREFIX}{name}.so"));
    check_file(&path)?;
    let table = Vtable::new(object::backend(&path)?);
    match table.init() {
        WEBSOCKSY_API_VERSION => Ok(table),
        version => Err(LoadError::Version(path, version)),
    }
}

/// Loads every other `*.so` in `dir`, in the order of their names, so that their constructors
/// register framings. One that cannot be loaded is named in the log and skipped.
///
/// # Errors
/// The directory is relative, not trusted, or cannot be read; nothing was loaded.
pub fn load_framings(dir: &Path) -> Result<(), LoadError> {
    check_directory(dir)?;
    let unreadable = |error| LoadError::Unreadable(dir.into(), error);
    let entries = fs::read_dir(dir).map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| is_framing(path));
    paths.sort();
    for path in paths {
        match check_file(&path).and_then(|()| object::framing(&path)) {
            Ok(()) => log::debug!("loaded {}", path.display()),
            Err(error) => log::warn!("plug-in skipped: {error}"),
        }
    }
    Ok(())
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
fn check_file(path: &Path) -> Result<(), LoadError> {
    if !trust::look(path)?.is_file() {
        return Err(LoadError::NotFile(path.into()));
    }
    Ok(())
}
