//! Files: found, opened and read where a disk may take its time.

mod beneath;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use beneath::{Directory, Found};

use crate::http::files::{self, Coding, Facts, Name};
use crate::http::{Body, Request, Response};
use crate::proto::http::{Method, Status};

/// What is read of a file when it is opened: all of most.
const AHEAD: u64 = 64 * 1024;

/// Something to do with a file.
#[derive(Debug)]
pub enum FileJob {
    /// Find what a request asks for below this directory.
    Open {
        /// The directory.
        root: Arc<Path>,
        /// The request.
        request: Box<Request>,
        /// The time of day.
        now: SystemTime,
    },
    /// Read up to `length` bytes.
    Read {
        /// Of what.
        file: Arc<File>,
        /// From here on.
        at: u64,
        /// How many.
        length: usize,
    },
}

/// What came of it.
#[derive(Debug)]
pub enum FileDone {
    /// The answer to a request.
    Opened {
        /// The request.
        request: Box<Request>,
        /// The answer.
        response: Response,
        /// The file that its content is in.
        file: Option<Arc<File>>,
        /// The beginning of the content.
        ahead: Vec<u8>,
        /// What the operator should know of.
        problem: Option<String>,
    },
    /// The bytes that are there; none at the end.
    Read(io::Result<Vec<u8>>),
}

impl FileJob {
    /// Does it, as long as it takes.
    pub(super) fn run(self) -> FileDone {
        match self {
            Self::Open { root, request, now } => open(&root, request, now),
            Self::Read { file, at, length } => FileDone::Read(read(&file, at, length)),
        }
    }
}

/// Whether files below this directory can be served: it is there, and the system knows openat2.
///
/// # Errors
/// They cannot.
pub(crate) fn check(root: &Path) -> io::Result<()> {
    match Directory::open(root)?.regular(b".")? {
        Found::Directory => Ok(()),
        Found::File(_) | Found::Special => Err(ErrorKind::NotADirectory.into()),
    }
}

fn open(root: &Path, request: Box<Request>, now: SystemTime) -> FileDone {
    let mut problem = None;
    let (response, file) = match (files::name_of(request.path()), Directory::open(root)) {
        (Some(name), Ok(root)) => find(&root, &request, &name, now).unwrap_or_else(|error| {
            problem = is_odd(&error).then(|| format!("the file cannot be read: {error}"));
            (failed(&error), None)
        }),
        (Some(_), Err(error)) => {
            problem = Some(format!("cannot open '{}': {error}", root.display()));
            (failed(&error), None)
        }
        (None, _) => (files::not_found(), None),
    };
    let mut ahead = Vec::new();
    if let (Some(file), Body::Stored { at, length }, Method::Get) =
        (&file, &response.body, request.method())
    {
        // What cannot be read now is asked for again, and then its error is heard.
        ahead = read(file, *at, AHEAD.min(*length) as usize).unwrap_or_default();
    }
    FileDone::Opened { request, response, file: file.map(Arc::new), ahead, problem }
}

/// Whether it is another error than those that a path gets which names nothing, or leads out.
fn is_odd(error: &io::Error) -> bool {
    let usual = [libc::ENOENT, libc::ENOTDIR, libc::ENAMETOOLONG, libc::ELOOP, libc::EXDEV];
    !error.raw_os_error().is_some_and(|number| usual.contains(&number))
}

fn find(
    root: &Directory,
    request: &Request,
    name: &Name,
    now: SystemTime,
) -> io::Result<(Response, Option<File>)> {
    let relative = name.relative();
    let plain = match root.regular(&relative)? {
        Found::File(file) => file,
        Found::Directory if !name.is_index() => {
            return Ok((files::add_slash(request, name), None));
        }
        Found::Directory | Found::Special => return Ok((files::not_found(), None)),
    };
    let (length, modified) = facts(&plain)?;
    let mut found = (plain, Facts { length, modified, coding: Coding::Identity, varies: false });
    // The latter is the shorter one.
    for coding in [Coding::Gzip, Coding::Brotli] {
        let sibling = [&relative, coding.suffix().as_bytes()].concat();
        let Ok(Found::File(file)) = root.regular(&sibling) else { continue };
        let (length, coded) = facts(&file)?;
        // One that is older is of an earlier version.
        if coded < modified {
            continue;
        }
        found.1.varies = true;
        if files::takes(request, coding) {
            found = (file, Facts { length, modified: coded, coding, varies: true });
        }
    }
    Ok((files::answer(request, name, &found.1, now), Some(found.0)))
}

fn facts(file: &File) -> io::Result<(u64, SystemTime)> {
    let metadata = file.metadata()?;
    Ok((metadata.len(), metadata.modified()?))
}

/// What a client is told when a file cannot be opened.
fn failed(error: &io::Error) -> Response {
    let lacks = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EIO];
    if error.raw_os_error().is_some_and(|number| lacks.contains(&number)) {
        return Response::text(Status::Unavailable, "The file cannot be read now.\n");
    }
    files::not_found()
}

/// At least one byte, if there is one.
fn read(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    loop {
        match file.read_at(&mut bytes, at) {
            Ok(n) => {
                bytes.truncate(n);
                return Ok(bytes);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
