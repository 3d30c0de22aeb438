//! Which files a configuration is about.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{Admin, BackendStep, Config, ListenAddress, PlacedPath};

/// What a daemon of a configuration gets at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Directories and files to read.
    pub(super) read: Vec<PathBuf>,
    /// Directories with FIFOs.
    pub(super) fifos: Vec<PathBuf>,
    /// Directories of sockets to listen on.
    pub(super) sockets: Vec<PathBuf>,
    /// What the operator names: everything but to run it.
    pub(super) write: Vec<PathBuf>,
}

/// What libraries read: of the C library for names, users and libraries, of TLS for who signs.
const SYSTEM: [&str; 8] =
    ["/etc", "/usr", "/lib", "/lib32", "/lib64", "/dev/null", "/dev/urandom", "/proc/self"];

/// Where OpenSSL and its likes are told of other certificates.
const TRUST: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

const FIFO_SCHEMES: [&str; 2] = ["fifotx://", "fiforx://"];

impl Places {
    pub(super) fn of(config: &Config) -> Self {
        let mut places = Self::default();
        places.read.extend(SYSTEM.map(PathBuf::from));
        places.file(Path::new("/etc/resolv.conf"));
        TRUST.iter().filter_map(env::var_os).for_each(|path| places.either(Path::new(&path)));
        config.files().for_each(|path| places.file(path));
        let directories = [config.plugins.as_deref(), config.web.as_deref()];
        places.read.extend(directories.into_iter().flatten().map(PathBuf::from));
        for placed in &config.backend {
            if let BackendStep::Configure(_, value) = &placed.step {
                places.named_by_back_end(value);
            }
        }
        let operators = config.admin.as_ref().map(Admin::listen);
        for listen in config.listen.iter().chain(&operators) {
            if let ListenAddress::Unix(path) = &listen.address {
                places.sockets.push(directory(path));
            }
        }
        let own = config.sandbox.paths.iter();
        places.write.extend(own.map(|PlacedPath { path, .. }| path.clone()));
        places
    }

    /// A file, and what comes in its place: it is replaced by another of its name, and a link by one to
    /// another.
    fn file(&mut self, path: &Path) {
        let linked = fs::canonicalize(path).ok();
        for path in [Some(path), linked.as_deref()].into_iter().flatten() {
            self.read.push(directory(path));
        }
    }

    /// A directory with all that is in it, or a file.
    fn either(&mut self, path: &Path) {
        // The root is everything, and what says no more than `/` as a rule no path.
        if path.parent().is_none() {
            return;
        }
        match path.is_dir() {
            true => self.read.push(path.into()),
            false => self.file(path),
        }
    }

    /// The value of a back end's key may be a path, begin like one and go on as a pattern, or have one
    /// among its words.
    fn named_by_back_end(&mut self, value: &str) {
        let path_of = |scheme: &&str| {
            let (start, path) = value.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(path)
        };
        if let Some(path) = FIFO_SCHEMES.iter().find_map(path_of) {
            return self.fifos.push(directory(Path::new(path)));
        }
        let words = value.split_whitespace().filter(|word| *word != value);
        for word in std::iter::once(value).chain(words).filter(|word| word.starts_with('/')) {
            let fixed = word.split_once('%').map_or(word, |(fixed, _)| fixed);
            self.either(Path::new(fixed));
        }
    }

    /// One of these that is not beneath one of `others`.
    pub(super) fn beyond<'a>(&'a self, others: &Self) -> Option<&'a Path> {
        let is_beyond = |ours: &'a [PathBuf], others: &[&[PathBuf]]| {
            let is_in =
                |path: &Path| others.iter().any(|all| all.iter().any(|o| path.starts_with(o)));
            ours.iter().map(PathBuf::as_path).find(|path| !is_in(path))
        };
        is_beyond(&self.read, &[&others.read, &others.fifos, &others.write])
            .or_else(|| is_beyond(&self.fifos, &[&others.fifos, &others.write]))
            .or_else(|| is_beyond(&self.sockets, &[&others.sockets, &others.write]))
            .or_else(|| is_beyond(&self.write, &[&others.write]))
    }
}

/// The directory that a file is in; the file itself where that is the root, which would be everything.
fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => ".".into(),
        Some(parent) if parent.as_os_str() != OsStr::new("/") => parent.into(),
        _ => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_back_end_names() {
        for (value, read, fifos) in [
            ("tcp://localhost:1", &[][..], &[][..]),
            ("relative/file", &[], &[]),
            ("/nowhere/tokens", &["/nowhere"], &[]),
            ("/nowhere", &["/nowhere"], &[]), // its directory would be everything
            ("/", &[], &[]),
            ("/%token%", &[], &[]),
            ("/usr", &["/usr"], &[]),
            ("/usr/peers-%host%.txt", &["/usr"], &[]),
            ("/nowhere/%host%/x", &["/nowhere"], &[]),
            ("HS256 /nowhere/a key", &["/nowhere"], &[]),
            ("/nowhere/a b/c", &["/nowhere/a b", "/nowhere"], &[]),
            ("fifotx:///nowhere/in", &[], &["/nowhere"]),
            ("FIFORX:///nowhere/out", &[], &["/nowhere"]),
        ] {
            let mut places = Places::default();
            places.named_by_back_end(value);
            let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
            assert_eq!((places.read, places.fifos), (paths(read), paths(fifos)), "{value}");
        }
    }

    #[test]
    fn what_was_given_up_is_found() {
        let of = |read: &str, fifos: &str, sockets: &str, write: &str| {
            let paths = |all: &str| all.split_whitespace().map(PathBuf::from).collect();
            let [read, fifos, sockets, write] = [read, fifos, sockets, write].map(paths);
            Places { read, fifos, sockets, write }
        };
        let before = of("/a /b", "/f", "/s", "/w");
        for (now, expected) in [
            (of("/a/x /b", "/f", "/s/x", "/w/x"), None),
            (of("/a /f /w/x", "/w", "/w", ""), None),
            (of("/a /ab", "", "", ""), Some("/ab")),
            (of("/s", "", "", ""), Some("/s")),
            (of("/a", "/a", "", ""), Some("/a")),
            (of("", "", "/a", ""), Some("/a")),
            (of("", "", "", "/a"), Some("/a")),
        ] {
            assert_eq!(now.beyond(&before), expected.map(Path::new), "{now:?}");
        }
    }
}
