//! The files that a configuration is made of, as they were when a supervisor read them: in one piece of
//! memory that its workers are handed. So one that begins later is what the others are, and one that
//! gave up the right to open a file need not.

use std::cell::RefCell;
use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::getppid;

use super::handoff::adopt;

/// The variable of the environment that says whose process's snapshot is open, and where.
pub const FILES: &str = "WEBSOCKSY_FILES";

/// What is kept of a file, bytes: one more than those take who read it, so that they say it is too long.
const MOST: u64 = 4 * 1024 * 1024 + 1;

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its type and permissions (inode(7)).
    pub mode: u32,
    /// What stood in it.
    pub bytes: Vec<u8>,
}

impl Kept {
    /// The file at `path`, if it is a regular one that can be read; others say why it is not.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        handed(path).or_else(|| {
            let mut options = OpenOptions::new();
            let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
            let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
            let mut bytes = Vec::new();
            file.take(MOST).read_to_end(&mut bytes).ok()?;
            Some(Self { mode: metadata.mode(), bytes })
        })
    }
}

thread_local! {
    /// What this thread reads instead of files of these names.
    static HANDED: RefCell<Vec<(PathBuf, Kept)>> = const { RefCell::new(Vec::new()) };
}

/// From now on this thread reads these files so, and none of those before.
pub fn hand(files: Vec<(PathBuf, Kept)>) {
    HANDED.set(files);
}

/// A file that this thread was handed.
#[must_use]
pub fn handed(path: &Path) -> Option<Kept> {
    let of = |files: &Vec<(PathBuf, Kept)>| {
        files.iter().find(|(own, _)| own == path).map(|(_, kept)| kept.clone())
    };
    HANDED.with_borrow(of)
}

/// Files in memory that nobody can change any more.
#[derive(Debug)]
pub struct Snapshot(OwnedFd);

impl Snapshot {
    /// Of these files.
    ///
    /// # Errors
    /// There is no memory, or no descriptor.
    pub fn of(files: &[(PathBuf, Kept)]) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut memory = File::from(memfd_create(c"websocksy-files", flags)?);
        for (path, Kept { mode, bytes }) in files {
            let path = path.as_os_str().as_bytes();
            writeln!(memory, "{mode} {} {}", path.len(), bytes.len())?;
            memory.write_all(path)?;
            memory.write_all(bytes)?;
        }
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
        fcntl(&memory, FcntlArg::F_ADD_SEALS(seals | SealFlag::F_SEAL_SEAL))?;
        Ok(Self(memory.into()))
    }

    /// The one that this process was handed, by the program that ran in it before or by its parent; once.
    ///
    /// # Errors
    /// It is not there.
    pub fn of_process() -> io::Result<Option<Self>> {
        let told = env::var(FILES).ok();
        let told = told.as_deref().and_then(|told| told.split_once(':'));
        let Some((Ok(by), Ok(fd))) = told.map(|(by, fd)| (by.parse::<u32>(), fd.parse())) else {
            return Ok(None);
        };
        let parent = u32::try_from(getppid().as_raw());
        if by != std::process::id() && parent != Ok(by) {
            return Ok(None); // somebody else's child has the variable, too
        }
        adopt(fd).map(|own| Some(Self(own)))
    }

    /// The files of it.
    ///
    /// # Errors
    /// It is no snapshot, or there is no memory.
    pub fn read(self) -> io::Result<Vec<(PathBuf, Kept)>> {
        let Self(memory) = self;
        let memory = File::from(memory);
        let length = usize::try_from(memory.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        // From its beginning: whoever else has it may be somewhere else in it.
        memory.read_exact_at(&mut bytes, 0)?;
        let mut rest = bytes.as_slice();
        let mut files = Vec::new();
        while !rest.is_empty() {
            let (file, behind) = next(rest).ok_or(io::ErrorKind::InvalidData)?;
            files.push(file);
            rest = behind;
        }
        Ok(files)
    }
}

/// The first file, and what stands behind it.
fn next(bytes: &[u8]) -> Option<((PathBuf, Kept), &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let mode = words.next()?.parse().ok()?;
    let mut length = || words.next()?.parse::<usize>().ok();
    let (path, file) = (length()?, length()?);
    let (path, rest) = rest.get(1..)?.split_at_checked(path)?;
    let (bytes, rest) = rest.split_at_checked(file)?;
    let path = PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()));
    Some(((path, Kept { mode, bytes: bytes.to_vec() }), rest))
}

impl AsFd for Snapshot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Snapshot {
    fn from(memory: OwnedFd) -> Self {
        Self(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_was_handed_over_is_read_whatever_is_there() {
        let path = env::temp_dir().join(format!("websocksy-handed-{}", std::process::id()));
        fs::write(&path, "as it was\n\0").unwrap();
        let named = |name: &str| PathBuf::from(name);
        let files = vec![
            (path.clone(), Kept::of(&path).unwrap()),
            (named("/a b\n"), Kept { mode: 0o100_600, bytes: Vec::new() }),
            (named(""), Kept { mode: 0, bytes: b"1 2 3\n".to_vec() }),
        ];
        let snapshot = Snapshot::of(&files).unwrap();
        let again = Snapshot::from(snapshot.as_fd().try_clone_to_owned().unwrap());
        let mut written = File::from(snapshot.as_fd().try_clone_to_owned().unwrap());
        assert!(written.write_all(b"x").is_err(), "it is sealed");
        fs::remove_file(&path).unwrap();
        assert_eq!(Kept::of(&path), None);
        for snapshot in [snapshot, again] {
            assert_eq!(snapshot.read().unwrap(), files);
        }
        hand(files);
        assert_eq!(handed(&path).unwrap().bytes, b"as it was\n\0");
        assert_eq!(std::thread::spawn(move || Kept::of(&path)).join().unwrap(), None);
        hand(Vec::new());
        assert_eq!(handed(Path::new("")), None);
    }

    #[test]
    fn what_is_no_snapshot_is_none() {
        for wrong in
            [&b"x"[..], b"1 2\n", b"1 1 1\na", b"1 1 1\n", b"-1 0 0\n", b"1 9999999999 1\n"]
        {
            let memory = memfd_create(c"wrong", MFdFlags::MFD_CLOEXEC).unwrap();
            let mut file = File::from(memory);
            file.write_all(wrong).unwrap();
            assert!(Snapshot(file.into()).read().is_err(), "{wrong:?}");
        }
        // A directory has no bytes.
        assert_eq!(Kept::of(Path::new("/")), None);
    }
}
