use super::*;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

/// A directory of its own for each test, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("backend_file-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("base/sub")).unwrap();
        fs::write(path.join("secret"), "outside *\n").unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.base().join(name), text).unwrap();
    }

    fn base(&self) -> PathBuf {
        self.0.join("base")
    }

    /// The peer of a client, by a back end with these expressions.
    fn query(&self, expressions: &[&str], client: &Client<'_>) -> Option<Peer> {
        let mut backend = FileBackend::new();
        backend.configure("path", self.base().to_str().unwrap()).unwrap();
        for expression in expressions {
            backend.configure("expression", expression).unwrap();
        }
        backend.query(client)
    }

    /// The same by the endpoint alone, in the file of that name.
    fn endpoint(&self, endpoint: &[u8]) -> Option<Peer> {
        self.query(&["%endpoint%"], &Client::new(endpoint, &[], &[]))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn configurations() {
    let mut backend = FileBackend::new();
    let cases = [
        ("path", "/", true),
        ("path", "", false),
        ("path", ".", false),
        ("path", "/no/such/directory", false),
        ("path", "/etc/passwd", false),
        ("expression", "%endpoint%.txt", true),
        ("expression", "%endpoint", false),
        ("Path", "/", false),
        ("", "", false),
    ];
    for (key, value, taken) in cases {
        assert_eq!(backend.configure(key, value).is_ok(), taken, "{key}={value}");
    }
    assert_eq!(backend.expressions.len(), 1);
    assert_eq!(FileBackend::new().query(&Client::new(b"/", &[], &[])), None, "no path");
}

#[test]
fn expressions_are_tried_in_order() {
    let directory = Directory::new("order");
    directory.write("a", "tcp://a:1 other\n");
    directory.write("b", "tcp://b:1 chat\n");
    directory.write("sub/c_d", "tcp://c:1 *\n");
    let expressions = ["%header:x-none%", "missing", "a", "sub/%cookie:s%", "b"];
    let cases: [(&[u8], &str); 2] = [(b"s=c/d", "tcp://c:1"), (b"s=x", "tcp://b:1")];
    for (cookie, address) in cases {
        let headers: [(&[u8], &[u8]); 1] = [(b"Cookie", cookie)];
        let client = Client::new(b"/", &[b"chat"], &headers);
        assert_eq!(directory.query(&expressions, &client), Some(Peer::new(address).protocol(0)));
    }
    assert_eq!(directory.query(&expressions, &Client::new(b"/", &[b"x"], &[])), None);
}

#[test]
fn nothing_outside_the_base_path() {
    let directory = Directory::new("outside");
    directory.write("inside", "inside *\n");
    symlink("inside", directory.base().join("link")).unwrap();
    symlink("../inside", directory.base().join("sub/link")).unwrap();
    symlink("../secret", directory.base().join("out")).unwrap();
    symlink("/etc/passwd", directory.base().join("absolute")).unwrap();
    symlink("..", directory.base().join("sub/up")).unwrap();
    symlink("../..", directory.base().join("up")).unwrap();
    symlink("loop", directory.base().join("loop")).unwrap();
    let inside = Some(Peer::new("inside"));
    let cases = [
        ("inside", &inside),
        ("link", &inside),
        ("sub/link", &inside),
        ("sub/up/inside", &inside),
        ("out", &None),
        ("absolute", &None),
        ("up/secret", &None),
        ("sub/up/../../secret", &None),
        ("loop", &None),
    ];
    for (path, expected) in cases {
        let client = Client::new(b"/", &[], &[]);
        let peer = peer_in(&directory.base(), Path::new(path), &client, &|_| true);
        assert_eq!(peer, *expected, "{path}");
    }
    for endpoint in ["/../secret", "/..", "/.", "//", "/%2e%2e/secret", "/..%2fsecret", "/out"] {
        assert_eq!(directory.endpoint(endpoint.as_bytes()), None, "{endpoint}");
    }
}

#[test]
fn what_is_no_file_is_passed_over() {
    let directory = Directory::new("kinds");
    let fifo = directory.base().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _listener = UnixListener::bind(directory.base().join("socket")).unwrap();
    directory.write("file", "there *\n");
    directory.write("large", [b"h\n".into(), vec![b'\n'; below::FILE_LIMIT as usize - 1]].concat());
    directory
        .write("largest", [vec![b'\n'; below::FILE_LIMIT as usize - 2], b"h\n".into()].concat());
    let kinds = [
        ("sub", io::ErrorKind::InvalidInput),
        ("fifo", io::ErrorKind::InvalidInput),
        ("socket", io::ErrorKind::InvalidInput),
        ("large", io::ErrorKind::FileTooLarge),
        ("file/x", io::ErrorKind::NotADirectory),
        ("missing", io::ErrorKind::NotFound),
    ];
    for (path, kind) in kinds {
        let error = below::read(&directory.base(), Path::new(path)).unwrap_err();
        assert_eq!(error.kind(), kind, "{path}");
    }
    for endpoint in ["/sub", "/fifo", "/socket", "/large", "/file/x", "/missing"] {
        assert_eq!(directory.endpoint(endpoint.as_bytes()), None, "{endpoint}");
    }
    assert_eq!(directory.endpoint(&[b"/".as_slice(), &b"x".repeat(16_000)].concat()), None);
    assert_eq!(directory.endpoint(b"/largest"), Some(Peer::new("h")));
    let client = Client::new(b"/", &[], &[]);
    let peer = directory.query(&["sub", "fifo", "large", "file"], &client);
    assert_eq!(peer, Some(Peer::new("there")), "the next expression is tried");
}

#[test]
fn names_may_be_any_bytes() {
    let directory = Directory::new("bytes");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(directory.base().join(name), "latin *\n").unwrap();
    let headers: [(&[u8], &[u8]); 1] = [(b"X", b"caf\xe9")];
    let peer = directory.query(&["%header:x%"], &Client::new(b"/", &[], &headers));
    assert_eq!(peer, Some(Peer::new("latin")));
}

#[test]
fn lines_with_an_unknown_framing_are_passed_over() {
    let directory = Directory::new("framing");
    directory.write("f", "first a nosuch\nsecond a known config\n");
    let client = Client::new(b"/", &[b"a"], &[]);
    let peer = peer_in(&directory.base(), Path::new("f"), &client, &|name| name == b"known");
    let expected = Peer::new("second").framing("known").framing_config("config").protocol(0);
    assert_eq!(peer, Some(expected));
}
