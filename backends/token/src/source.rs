//! Where the tokens are: files, and directories of files.

use std::fs::{self, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest that all files together may be, bytes: a million tokens or so.
pub(crate) const SIZE_LIMIT: u64 = 64 << 20;
/// The most files in a directory.
const MOST_FILES: usize = 10_000;
/// A file that was written to in this time before it was read may have been written to again in the
/// same tick of its clock.
const CLOCK_TICK: Duration = Duration::from_secs(2);

/// One of the operator's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    /// All files in it, but for those whose names begin with a dot or end in `~`.
    Directory(PathBuf),
}

/// What tells that a file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    identity: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

/// What the files were like when they were read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    stamps: Vec<Stamp>,
    /// Whether a change since would show in these.
    is_settled: bool,
    /// What they said: a hash of it.
    digest: Option<u64>,
}

impl Source {
    pub(crate) fn file(value: &str) -> Result<Self, String> {
        let path = absolute(value)?;
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                Err(format!("{value} is a directory: write dir={value}"))
            }
            Ok(found) if found.is_file() => Ok(Self::File(path)),
            Ok(_) => Err(format!("{value} is no regular file")),
            Err(error) => Err(format!("{value}: {error}")),
        }
    }

    pub(crate) fn directory(value: &str) -> Result<Self, String> {
        let path = absolute(value)?;
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Self::Directory(path)),
            Ok(_) => Err(format!("{value} is not a directory: write file={value}")),
            Err(error) => Err(format!("{value}: {error}")),
        }
    }

    /// Its files as they are now, in the order of their names.
    fn stamps(&self) -> Result<Vec<Stamp>, String> {
        let directory = match self {
            Self::File(path) => {
                return match fs::metadata(path) {
                    Ok(found) if found.is_file() => Ok(vec![Stamp::new(path.clone(), &found)]),
                    Ok(_) => Err(format!("{} is no regular file", path.display())),
                    Err(error) => Err(at(path)(error)),
                };
            }
            Self::Directory(path) => path,
        };
        let mut stamps = Vec::new();
        for entry in fs::read_dir(directory).map_err(at(directory))? {
            let path = entry.map_err(at(directory))?.path();
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if name.starts_with(b".") || name.ends_with(b"~") {
                continue;
            }
            match fs::metadata(&path) {
                Ok(found) if found.is_file() => stamps.push(Stamp::new(path, &found)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {} // gone meanwhile
                Err(error) => return Err(at(&path)(error)),
            }
            if stamps.len() > MOST_FILES {
                return Err(format!("{}: more than {MOST_FILES} files", directory.display()));
            }
        }
        stamps.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(stamps)
    }
}

impl Stamp {
    fn new(path: PathBuf, found: &Metadata) -> Self {
        Self {
            path,
            identity: (found.dev(), found.ino()),
            size: found.size(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether its last change is so long ago that a later one has another time.
    fn is_old(&self) -> bool {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::from_secs(self.changed.0.try_into().unwrap_or_default());
        since > changed + CLOCK_TICK
    }
}

/// The contents of files, and where they are from.
pub(crate) type Texts = Vec<(PathBuf, Vec<u8>)>;

impl Read {
    /// Reads all files if one of them may be another than it was; none if they say the same.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub(crate) fn again(&mut self, sources: &[Source]) -> Result<Option<Texts>, String> {
        let mut stamps = Vec::new();
        for source in sources {
            stamps.extend(source.stamps()?);
        }
        if self.is_settled && self.stamps == stamps {
            return Ok(None);
        }
        let is_settled = stamps.iter().all(Stamp::is_old);
        let total: u64 = stamps.iter().map(|stamp| stamp.size).sum();
        if total > SIZE_LIMIT {
            return Err(format!("the files have {total} bytes, more than {SIZE_LIMIT}"));
        }
        let mut texts = Vec::new();
        for Stamp { path, .. } in &stamps {
            match text(path) {
                Ok(text) => texts.push((path.clone(), text)),
                // Gone since it was listed: the next look finds the directory changed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(at(path)(error)),
            }
        }
        let digest = Some(digest(&texts));
        let is_same = self.digest == digest;
        *self = Self { stamps, is_settled, digest };
        Ok(if is_same { None } else { Some(texts) })
    }
}

fn digest(texts: &Texts) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish()
}

/// The contents of a regular file. Looked at before it is opened: to open a FIFO is to wait.
fn text(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut text = Vec::new();
    if file.metadata()?.is_file() {
        file.take(SIZE_LIMIT).read_to_end(&mut text)?;
    }
    Ok(text)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

fn absolute(value: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    if path.is_relative() { Err(format!("{value:?} is not an absolute path")) } else { Ok(path) }
}
