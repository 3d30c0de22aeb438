//! What is opened below a directory, and what is not, whatever lies there.

use super::*;
use crate::proto::http::HeadParser;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A directory `root` with everything in it that may lie in one, beside a secret.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("websocksy-{}-{name}", std::process::id()));
        let root = place.join("root");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::create_dir_all(root.join("odd/index.html")).unwrap();
        for (file, text) in [
            ("secret", "secret"),
            ("root/index.html", "home"),
            ("root/a.js", "script"),
            ("root/a.js.gz", "zipped"),
            ("root/a.js.br", "brotli"),
            ("root/a b.txt", "blank"),
            ("root/%2e%2e", "percent"),
            ("root/sub/index.html", "sub"),
            ("root/sub/deep/x.txt", "deep"),
            ("root/.hidden", "hidden"),
            ("root/.git/config", "hidden"),
        ] {
            fs::write(place.join(file), text).unwrap();
        }
        for (target, link) in [
            ("a.js", "inside.js"),
            ("../a.js", "sub/up.js"),
            ("sub", "linked"),
            ("../secret", "outside"),
            ("../..", "sub/above"),
            ("../../secret", "sub/outside"),
            ("/etc/passwd", "absolute"),
            ("/proc/self/root/etc/passwd", "magic"),
            ("/", "slash"),
            ("loop", "loop"),
            ("nowhere", "dangling"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(root.join("a.js"), root.join("own")).unwrap();
        let fifo = root.join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        drop(UnixListener::bind(root.join("socket")).unwrap());
        Self(place)
    }

    fn root(&self) -> Arc<Path> {
        self.0.join("root").into()
    }

    /// The status of the answer to a request, and its content.
    fn ask(&self, path: &str, fields: &str) -> (u16, String) {
        let mut parser = HeadParser::of_any_request();
        let text = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        assert_eq!(parser.push(text.as_bytes()), Ok(Some(text.len())), "{path}");
        let request = Box::new(Request::new(parser.finish()).unwrap());
        let now = SystemTime::now();
        match (FileJob::Open { root: self.root(), request, now }).run() {
            FileDone::Opened { response, ahead, .. } => {
                (response.status.code(), String::from_utf8_lossy(&ahead).into())
            }
            FileDone::Read(_) => unreachable!(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_there_and_what_is_not_to_be_had() {
    let place = Place::new("corpus");
    for (path, status, text) in [
        ("/", 200, "home"),
        ("/index.html", 200, "home"),
        ("//index.html", 200, "home"),
        ("/a.js?x=../..", 200, "script"),
        ("/a%20b.txt", 200, "blank"),
        ("/%252e%252e", 200, "percent"),
        ("/sub/", 200, "sub"),
        ("/sub", 301, ""),
        ("/linked/deep/x.txt", 200, "deep"),
        ("/inside.js", 200, "script"),
        ("/sub/up.js", 200, "script"),
        ("/a.js.gz", 200, "zipped"),
        ("/a.js/", 404, ""),
        ("/a.js/x", 404, ""),
        ("/empty/", 404, ""),
        ("/empty", 301, ""),
        ("/odd/", 404, ""),
        ("/fifo", 404, ""),
        ("/socket", 404, ""),
        ("/nothing", 404, ""),
        ("/dangling", 404, ""),
        ("/loop", 404, ""),
        ("/outside", 404, ""),
        ("/sub/outside", 404, ""),
        ("/sub/above/secret", 404, ""),
        ("/absolute", 404, ""),
        ("/own", 404, ""),
        ("/slash/etc/passwd", 404, ""),
        ("/magic", 404, ""),
        ("/.hidden", 404, ""),
        ("/.git/config", 404, ""),
        ("/sub/../a.js", 404, ""),
        ("/../secret", 404, ""),
        ("/..%2fsecret", 404, ""),
        ("/%2e%2e/secret", 404, ""),
        ("/sub/%2e%2e/%2e%2e/secret", 404, ""),
        ("/..\\secret", 404, ""),
        ("/%00", 404, ""),
    ] {
        assert_eq!(place.ask(path, ""), (status, text.to_owned()), "{path}");
    }
    let long = format!("/{}", "a".repeat(300));
    assert_eq!(place.ask(&long, "").0, 404);
    let deep = "/a".repeat(6000);
    assert_eq!(place.ask(&deep, "").0, 404);
}

#[test]
fn a_coded_file_is_taken_unless_it_is_older() {
    let place = Place::new("coded");
    for (accepts, text) in [
        ("", "script"),
        ("Accept-Encoding: gzip\r\n", "zipped"),
        ("Accept-Encoding: gzip, br\r\n", "brotli"),
        ("Accept-Encoding: br;q=0, gzip\r\n", "zipped"),
    ] {
        assert_eq!(place.ask("/a.js", accepts), (200, text.into()), "{accepts}");
    }
    assert_eq!(
        place.ask("/a b.txt".replace(' ', "%20").as_str(), "Accept-Encoding: gzip\r\n").1,
        "blank"
    );
    let later = SystemTime::now() + Duration::from_secs(60);
    fs::File::options()
        .write(true)
        .open(place.root().join("a.js"))
        .unwrap()
        .set_modified(later)
        .unwrap();
    assert_eq!(place.ask("/a.js", "Accept-Encoding: gzip, br\r\n").1, "script");
    // A coded file is looked up below the directory as any other.
    fs::remove_file(place.root().join("a.js.gz")).unwrap();
    symlink("../secret", place.root().join("a.js.gz")).unwrap();
    assert_eq!(place.ask("/a.js", "Accept-Encoding: gzip\r\n").1, "script");
}

/// A link that is now a file's inside, now the way out, and a directory that is now itself, now a
/// link to the one above: whatever is found is one that may be seen.
#[test]
fn what_is_exchanged_while_it_is_looked_up_leads_nowhere_else() {
    let place = Place::new("race");
    let (root, over) = (place.root(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let swap = |target: &str, name: &str| {
                let next = root.join("next");
                let _ = fs::remove_file(&next);
                symlink(target, &next).unwrap();
                fs::rename(&next, root.join(name)).unwrap();
            };
            while !over.load(Ordering::Relaxed) {
                for (file, directory) in [("a.js", "sub"), ("../secret", "..")] {
                    swap(file, "turning");
                    swap(directory, "revolving");
                }
            }
        });
        let (start, mut found) = (Instant::now(), 0);
        while found < 2000 && start.elapsed() < Duration::from_secs(5) {
            for path in ["/turning", "/revolving/index.html", "/revolving/secret"] {
                let (status, text) = place.ask(path, "");
                assert!(["script", "sub", "home", ""].contains(&&*text), "{path}: {text}");
                assert!([200, 404].contains(&status), "{path}: {status}");
                found += usize::from(status == 200);
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(found > 0, "nothing was ever there");
    });
}

#[test]
fn a_directory_that_is_another_one_today() {
    let place = Place::new("moved");
    let root = place.root();
    assert!(check(&root).is_ok());
    assert!(check(&root.join("a.js")).is_err());
    assert!(check(&root.join("nothing")).is_err());
    fs::rename(&root, place.0.join("old")).unwrap();
    assert_eq!(place.ask("/", "").0, 404);
    fs::create_dir(&root).unwrap();
    fs::write(root.join("index.html"), "new").unwrap();
    assert_eq!(place.ask("/", ""), (200, "new".into()));
}

#[test]
fn pieces_of_a_file() {
    let place = Place::new("pieces");
    let file = Arc::new(fs::File::open(place.root().join("index.html")).unwrap());
    for (at, length, expected) in [(0, 2, "ho"), (2, 10, "me"), (4, 10, ""), (400, 1, "")] {
        let job = FileJob::Read { file: Arc::clone(&file), at, length };
        let FileDone::Read(Ok(piece)) = job.run() else { panic!("not read") };
        assert_eq!(piece, expected.as_bytes());
    }
}

#[test]
fn what_the_operator_should_know_of() {
    let is_odd = |number| super::is_odd(&io::Error::from_raw_os_error(number));
    assert!([libc::EACCES, libc::EIO, libc::EMFILE, libc::ESTALE].into_iter().all(is_odd));
    assert!(![libc::ENOENT, libc::ENOTDIR, libc::ELOOP, libc::EXDEV].into_iter().any(is_odd));
}
