//! The file of `--auth-file`.

use std::path::Path;

use crate::access::Passwords;
use crate::config::read_regular;
use crate::worker::Kept;

/// The longest file, bytes: a device named by mistake does not fill memory.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Everybody may read or write it (chmod(1)).
const OTHERS: u32 = 0o006;

/// Reads the users of a file that not everybody may read: who has the hashes tries passwords at home,
/// and who writes there comes in.
///
/// # Errors
/// What is wrong, behind the file's name and line.
pub(super) fn read(path: &Path) -> Result<Passwords, String> {
    let at = |problem: &str| format!("{}: {problem}", path.display());
    let file = read_regular(path, MAX_FILE).map_err(|error| at(&error.to_string()))?;
    let Kept { mode, bytes } = file;
    if mode & OTHERS != 0 {
        return Err(at("everybody may read or write it; chmod o-rw"));
    }
    if bytes.len() as u64 > MAX_FILE {
        return Err(at(&format!("is longer than {MAX_FILE} bytes")));
    }
    Passwords::parse(&bytes).map_err(|(line, problem)| match line {
        0 => at(&problem),
        line => format!("{}:{line}: {problem}", path.display()),
    })
}
