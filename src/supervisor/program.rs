//! Where is the program that runs, and what has come in its place?

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What runs now, whatever lies in its place since.
pub(super) const RUNNING: &str = "/proc/self/exe";

/// Where it was started from by this name: a path, or a command that the shell found. Links are not
/// followed, since they may point to a newer program by now.
pub(super) fn path(name: &OsStr) -> PathBuf {
    if name.as_bytes().contains(&b'/') {
        return PathBuf::from(name);
    }
    let directories = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&directories)
        .map(|directory| directory.join(name))
        .find(|path| is_program(path));
    found.unwrap_or_else(|| original(fs::read_link(RUNNING).unwrap_or_default()))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}

/// The kernel's name for a program that was replaced, without what it adds (proc(5)).
fn original(path: PathBuf) -> PathBuf {
    let mut bytes = path.into_os_string().into_vec();
    if bytes.ends_with(b" (deleted)") {
        bytes.truncate(bytes.len() - b" (deleted)".len());
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_the_shell_finds_them() {
        assert_eq!(path(OsStr::new("/opt/a")), Path::new("/opt/a"));
        assert_eq!(path(OsStr::new("./a")), Path::new("./a"));
        assert!(path(OsStr::new("sh")).ends_with("sh"));
        // A name that is nothing's: the program itself.
        assert_eq!(path(OsStr::new("no-such-program")), fs::read_link(RUNNING).unwrap());
        assert_eq!(original("/opt/a (deleted)".into()), Path::new("/opt/a"));
        assert_eq!(original("/opt/a".into()), Path::new("/opt/a"));
    }
}
