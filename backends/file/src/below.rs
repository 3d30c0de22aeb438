//! Opens files below a base path, and nothing else.

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The longest file that is read, bytes: some 10,000 lines, where a query should take no longer
/// than a connection does.
pub(crate) const FILE_LIMIT: u64 = 1 << 20;

/// How often a file is looked for that is another one each time, or that somebody moves meanwhile.
const ATTEMPTS: usize = 32;

/// The contents of the regular file at `path` below `base`.
///
/// Symbolic links are followed as long as they are relative and lead nowhere above `base`; the kernel
/// sees to it while it opens the file, so that nothing can be exchanged in between.
///
/// # Errors
/// The system's; `PermissionDenied` for a way out of `base`, `InvalidInput` for what is no
/// regular file, `FileTooLarge` for more than [`FILE_LIMIT`] bytes.
pub(crate) fn read(base: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = rustix::fs::openat(CWD, base, directory, Mode::empty())?;
    let mut file = File::from(regular(base.as_fd(), path)?).take(FILE_LIMIT + 1);
    let mut text = Vec::new();
    if file.read_to_end(&mut text)? as u64 > FILE_LIMIT {
        return Err(refused(io::ErrorKind::FileTooLarge, "is longer than 1 MiB"));
    }
    Ok(text)
}

/// The regular file at `path`, open for reading.
fn regular(base: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    for _ in 0..ATTEMPTS {
        // Looked at before it is opened: to open a device or a FIFO is to act on it.
        let seen = rustix::fs::fstat(open(base, path, OFlags::PATH)?)?;
        if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile {
            return Err(refused(io::ErrorKind::InvalidInput, "is no regular file"));
        }
        // Should it be exchanged meanwhile: not waited for.
        let file = open(base, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        if identity(&rustix::fs::fstat(&file)?) == identity(&seen) {
            return Ok(file);
        }
    }
    Err(refused(io::ErrorKind::ResourceBusy, "is exchanged again and again"))
}

fn identity(file: &Stat) -> (u64, u64) {
    (file.st_dev, file.st_ino)
}

/// Opens what is at `path` below `base`.
fn open(base: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(base, path, flags, Mode::empty(), resolve) {
            // Something on the way was moved meanwhile, so that the kernel cannot tell.
            Err(Errno::AGAIN) => {}
            // Before Linux 5.6, or where a filter of system calls knows no newer ones.
            Err(Errno::NOSYS | Errno::PERM) => return walk(base, path, flags),
            Err(Errno::XDEV) => {
                return Err(refused(io::ErrorKind::PermissionDenied, "leads out of the base path"));
            }
            other => return Ok(other?),
        }
    }
    Err(refused(io::ErrorKind::ResourceBusy, "is moved again and again"))
}

/// The same name by name, where the kernel cannot do it at once: symbolic links are not followed.
fn walk(base: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mut names = path.components().map(|name| name.as_os_str()).peekable();
    let mut at: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        if name == ".." || name == "/" {
            return Err(refused(io::ErrorKind::PermissionDenied, "leads out of the base path"));
        }
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let flags = if names.peek().is_some() { on_the_way } else { flags };
        let from = at.as_ref().map_or(base, AsFd::as_fd);
        at = Some(rustix::fs::openat(from, name, flags | OFlags::NOFOLLOW, Mode::empty())?);
    }
    at.ok_or_else(|| refused(io::ErrorKind::NotFound, "has no name"))
}

fn refused(kind: io::ErrorKind, reason: &'static str) -> io::Error {
    io::Error::new(kind, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::RenameFlags;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    /// `base/here/file`, and outside of the base `there/file`; gone with this.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let name = format!("backend_file-{name}-{}", std::process::id());
            let tree = Self(std::env::temp_dir().join(name));
            let _ = fs::remove_dir_all(&tree.0);
            for (directory, text) in [("base/here", "inside"), ("there", "outside")] {
                fs::create_dir_all(tree.0.join(directory)).unwrap();
                fs::write(tree.0.join(directory).join("file"), text).unwrap();
            }
            tree
        }

        fn base(&self) -> PathBuf {
            self.0.join("base")
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// While two names are exchanged all the time, what is read is inside or an error.
    fn exchanged(tree: &Tree, one: &str, other: &str, look: impl Fn() -> io::Result<Vec<u8>>) {
        let over = Arc::new(AtomicBool::new(false));
        let (base, stop) = (tree.base(), Arc::clone(&over));
        let (one, other) = (base.join(one), base.join(other));
        let exchanging = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let mut read = 0;
        for _ in 0..20_000 {
            if let Ok(text) = look() {
                assert_eq!(text, b"inside");
                read += 1;
            }
        }
        over.store(true, Ordering::Relaxed);
        exchanging.join().unwrap();
        assert!(read > 0, "it was never there");
    }

    #[test]
    fn a15_an_exchanged_directory_is_not_followed() {
        let tree = Tree::new("a15-directory");
        symlink("../there", tree.base().join("link")).unwrap();
        exchanged(&tree, "here", "link", || read(&tree.base(), Path::new("here/file")));
    }

    #[test]
    fn a15_an_exchanged_file_is_not_followed() {
        let tree = Tree::new("a15-file");
        symlink("../../there/file", tree.base().join("here/link")).unwrap();
        exchanged(&tree, "here/file", "here/link", || read(&tree.base(), Path::new("here/file")));
    }

    #[test]
    fn an_exchanged_fifo_is_never_waited_for() {
        let tree = Tree::new("fifo");
        let fifo = tree.base().join("here/fifo");
        rustix::fs::mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        exchanged(&tree, "here/file", "here/fifo", || read(&tree.base(), Path::new("here/file")));
    }

    #[test]
    fn without_openat2_no_link_is_followed() {
        let tree = Tree::new("walk");
        symlink("here", tree.base().join("within")).unwrap();
        symlink("../there", tree.base().join("out")).unwrap();
        symlink("file", tree.base().join("here/link")).unwrap();
        let base = OFlags::PATH | OFlags::DIRECTORY;
        let base = rustix::fs::openat(CWD, tree.base(), base, Mode::empty()).unwrap();
        let text = |path: &str| {
            let file = walk(base.as_fd(), Path::new(path), OFlags::RDONLY).ok()?;
            io::read_to_string(File::from(file)).ok()
        };
        assert_eq!(text("here/file").as_deref(), Some("inside"));
        for path in ["within/file", "out/file", "here/link", "../there/file", "/etc/passwd", ""] {
            assert_eq!(text(path), None, "{path:?}");
        }
    }
}
