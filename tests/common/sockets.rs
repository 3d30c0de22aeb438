//! Unix sockets that a daemon listens on.

use std::fs;
use std::path::PathBuf;

/// A directory for a socket, gone when the test is. Its path has no blank in it, which the sources' may
/// have, and is no longer than a socket's may be.
pub(crate) struct SocketDirectory(pub(crate) PathBuf);

impl SocketDirectory {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("websocksy-listen-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("ws.sock")
    }

    /// As `-l` has it.
    pub(crate) fn place(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
