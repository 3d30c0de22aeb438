//! Files that hold a password or a key.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;

/// The longest of these, bytes.
const LONGEST: u64 = 64 << 10;
/// What everybody may do to a file.
const OF_OTHERS: u32 = 0o007;

/// What is in a file that holds a secret; one that everybody may read or write is refused, as the daemon
/// refuses its own.
///
/// # Errors
/// What is wrong, behind the file's name.
pub fn read_secret(path: &str) -> Result<Vec<u8>, String> {
    let at = |why: &dyn std::fmt::Display| format!("{path}: {why}");
    // Before it is opened: to open a FIFO is to wait.
    if !fs::metadata(path).map_err(|error| at(&error))?.is_file() {
        return Err(at(&"is no regular file"));
    }
    let file = File::open(path).map_err(|error| at(&error))?;
    let mode = file.metadata().map_err(|error| at(&error))?.permissions().mode();
    if mode & OF_OTHERS != 0 {
        let mode = mode & 0o7777;
        return Err(at(&format!("is open to everybody (mode {mode:04o}); chmod o= it")));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| at(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(at(&format!("is longer than {LONGEST} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[test]
    fn what_everybody_may_read_is_no_secret() {
        let path = std::env::temp_dir().join(format!("websocksy-secret-{}", std::process::id()));
        let name = path.to_str().unwrap();
        let read = |mode, bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read_secret(name)
        };
        for mode in [0o600, 0o400, 0o640, 0o660] {
            assert_eq!(read(mode, b"word"), Ok(b"word".to_vec()), "{mode:o}");
        }
        for (mode, said) in [(0o644, "0644"), (0o602, "0602"), (0o601, "0601"), (0o666, "0666")] {
            let refusal = format!("{name}: is open to everybody (mode {said}); chmod o= it");
            assert_eq!(read(mode, b"word"), Err(refusal));
        }
        assert!(read(0o600, &[b'x'; LONGEST as usize]).is_ok());
        let long = read(0o600, &[b'x'; LONGEST as usize + 1]).unwrap_err();
        assert_eq!(long, format!("{name}: is longer than 65536 bytes"));
        fs::remove_file(&path).unwrap();
        let gone = read_secret(name).unwrap_err();
        assert!(gone.starts_with(&format!("{name}: No such file")), "{gone}");
        assert_eq!(read_secret("/dev/null").unwrap_err(), "/dev/null: is no regular file");
    }
}
