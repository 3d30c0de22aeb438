use super::*;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A directory of its own for each test, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("backend_token-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn backend(&self, keys: &[(&str, &str)]) -> TokenBackend {
        let mut backend = TokenBackend::new();
        for (key, value) in keys {
            let value = value.replace("{D}", self.0.to_str().unwrap());
            backend.configure(key, &value).unwrap();
        }
        backend
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn found(backend: &TokenBackend, token: &str, now: Instant) -> Option<Peer> {
    let table = backend.table(now);
    table.get(token.as_bytes()).map(|route| route.peer(&Client::new(b"/", &[], &[])))
}

fn peer(port: u16) -> Option<Peer> {
    Some(Peer::new(format!("tcp://h:{port}")))
}

#[test]
fn configurations() {
    let directory = Directory::new("configurations");
    directory.write("a", "");
    let cases = [
        ("file", "{D}/a", ""),
        ("file", "{D}", "is a directory: write dir="),
        ("file", "{D}/none", "No such file"),
        ("file", "a", "absolute"),
        ("file", "/dev/null", "regular"),
        ("dir", "{D}", ""),
        ("dir", "{D}/a", "not a directory: write file="),
        ("dir", "{D}/none", "No such file"),
        ("dir", "", "absolute"),
        ("framing", "auto", ""),
        ("protocol", "", "subprotocol"),
        ("File", "{D}/a", "'file', 'dir', 'framing'"),
    ];
    for (key, value, reason) in cases {
        let value = value.replace("{D}", directory.0.to_str().unwrap());
        let answer = TokenBackend::new().configure(key, &value).err().unwrap_or_default();
        assert!(answer.contains(reason) && answer.is_empty() == reason.is_empty(), "{answer}");
    }
    let error = TokenBackend::new().check().unwrap_err();
    assert!(error.contains("'file' or 'dir'"), "{error}");
    assert_eq!(directory.backend(&[("file", "{D}/a")]).check(), Ok(()));
}

#[test]
fn a_change_counts_at_the_next_look() {
    let directory = Directory::new("change");
    directory.write("a", "x: h:1\n");
    let backend = directory.backend(&[("file", "{D}/a")]);
    backend.check().unwrap();
    let mut now = Instant::now();
    assert_eq!(found(&backend, "x", now), peer(1));
    // As long as before, and at once: in the same tick of the file system's clock.
    for port in 2..6 {
        directory.write("a", &format!("x: h:{port}\n"));
        now += LOOK_INTERVAL;
        assert_eq!(found(&backend, "x", now), peer(port));
    }
    fs::rename(directory.0.join("a"), directory.0.join("b")).unwrap();
    now += LOOK_INTERVAL;
    assert_eq!(found(&backend, "x", now), peer(5), "what was known counts");
    directory.write("new", "y: h:9\n");
    fs::rename(directory.0.join("new"), directory.0.join("a")).unwrap();
    assert_eq!(found(&backend, "y", now), None, "it is not looked at that often");
    now += LOOK_INTERVAL;
    assert_eq!((found(&backend, "y", now), found(&backend, "x", now)), (peer(9), None));
}

#[test]
fn files_of_a_directory() {
    let directory = Directory::new("directory");
    for (name, token) in [("b", "x"), ("a", "x"), (".hidden", "h"), ("old~", "o"), ("c", "z")] {
        directory.write(name, &format!("{token}: h:{}\n", name.len()));
    }
    directory.write("b", "x: h:7\n");
    fs::create_dir(directory.0.join("sub")).unwrap();
    let fifo = directory.0.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let backend = directory.backend(&[("dir", "{D}")]);
    backend.check().unwrap();
    let now = Instant::now();
    assert_eq!(found(&backend, "x", now), peer(7), "in the order of the files' names");
    assert_eq!((found(&backend, "h", now), found(&backend, "o", now)), (None, None));
    fs::remove_file(directory.0.join("c")).unwrap();
    directory.write("d", "w: h:4\n");
    let now = now + LOOK_INTERVAL;
    assert_eq!((found(&backend, "z", now), found(&backend, "w", now)), (None, peer(4)));
    fs::remove_dir_all(&directory.0).unwrap();
    assert_eq!(found(&backend, "w", now + LOOK_INTERVAL), peer(4), "the directory is not there");
}

#[test]
fn who_asks_by_what() {
    let directory = Directory::new("who");
    directory.write("a", "x: h:1\ny: h:1 protocol=mqtt framing=binary\n");
    let backend = directory.backend(&[("file", "{D}/a"), ("protocol", "none")]);
    backend.check().unwrap();
    let cases: [(&[u8], Option<Peer>); 6] = [
        (b"/x", peer(1)),
        (b"/websockify?token=x", peer(1)),
        (b"/x?token=y", peer(1).map(|peer| peer.framing("binary").protocol(1))),
        (b"/z", None),
        (b"/x?token=", None),
        (b"/", None),
    ];
    for (endpoint, expected) in cases {
        let client = Client::new(endpoint, &[b"binary", b"mqtt"], &[]);
        assert_eq!(backend.query(&client), expected, "{}", endpoint.escape_ascii());
    }
}
