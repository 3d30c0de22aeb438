//! The file of `--auth-file`.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::access::Passwords;

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
    let file = File::open(path).map_err(|error| at(&error.to_string()))?;
    let metadata = file.metadata().map_err(|error| at(&error.to_string()))?;
    if metadata.is_file() && metadata.mode() & OTHERS != 0 {
        return Err(at("everybody may read or write it; chmod o-rw"));
    }
    let mut bytes = Vec::new();
    let length = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    if length.map_err(|error| at(&error.to_string()))? as u64 > MAX_FILE {
        return Err(at(&format!("is longer than {MAX_FILE} bytes")));
    }
    Passwords::parse(&bytes).map_err(|(line, problem)| match line {
        0 => at(&problem),
        line => format!("{}:{line}: {problem}", path.display()),
    })
}
