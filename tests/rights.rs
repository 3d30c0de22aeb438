//! What the daemon may do: less than it was started with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{Client, Daemon, PATIENCE, Peer, binary, eventually, left_out};
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const NOBODY: u32 = 65_534;

/// What /proc says of the daemon.
fn status(daemon: &Daemon, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A file that everybody gets to, removed at the end of the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str, mode: u32) -> Self {
        let path = std::env::temp_dir().join(format!("websocksy-{name}-{}", std::process::id()));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn root_becomes_another_user_for_good() {
    if !is_root() {
        return left_out("--user", "not root");
    }
    let peer = Peer::echo();
    let text = format!(
        "[core]\nuser = {NOBODY}\n[backend]\nhost = tcp://127.0.0.1:{}\nframing = auto\n",
        peer.port()
    );
    let file = File::new("rights", &text.replace("[core]", "[core]\ngroup = 65533"), 0o644);
    let daemon = Daemon::start(&[file.path()]);
    daemon.wait_for_log("running as 65534:65533");
    let all = |number: &str| [number; 4].join(" ");
    assert_eq!(status(&daemon, "Uid"), all("65534"));
    assert_eq!(status(&daemon, "Gid"), all("65533"));
    assert_eq!(status(&daemon, "Groups"), "65533");
    assert_eq!(status(&daemon, "CapPrm"), "0000000000000000");
    let mut client = Client::connect(daemon.port());
    client.frame(0x81, b"served");
    assert_eq!(client.message(), (1, b"served".to_vec()));
    // A reload reads what this user may read, and says what it may not.
    let hidden = File::new("rights-users", "alice:x\n", 0o600);
    let core = format!("[core]\ngroup = 65533\nauth-file = {}", hidden.path());
    for (core, says) in [
        (core.as_str(), format!("auth-file: {}: Permission denied", hidden.path())),
        ("[core]\ngroup = 65532", "group: needs a restart".into()),
    ] {
        fs::write(file.path(), text.replace("[core]", core)).unwrap();
        daemon.signal("HUP");
        daemon.wait_for_log(&says);
    }
    fs::write(file.path(), text.replace("[core]", "[core]\nping = 7\ngroup = 65533")).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("configuration 2 is in force");
    client.frame(0x81, b"still");
    assert_eq!(client.message(), (1, b"still".to_vec()));
}

/// What only root may read the supervisor reads for its workers, who are not root any more.
#[test]
fn workers_reload_what_only_root_may_read() {
    if !is_root() {
        return left_out("--user with --workers", "not root");
    }
    let peer = Peer::echo();
    let users = File::new("rights-workers-users", "alice:secret\n", 0o600);
    let text = |core: &str| {
        format!(
            "[core]\nuser = {NOBODY}\nworkers = 2\n{core}\n[backend]\nhost = tcp://127.0.0.1:{}\n",
            peer.port()
        )
    };
    let file = File::new("rights-workers", &text(""), 0o600);
    let daemon = Daemon::start(&[file.path()]);
    assert_eq!(Client::connect(daemon.port()).close_now(), Some(1000));
    let with_users = text(&format!("auth-file = {}", users.path()));
    fs::write(file.path(), &with_users).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log(&format!("auth-file: {}:1: has no bcrypt hash", users.path()));
    let hash = bcrypt::hash_with_salt("secret", 4, [3; 16]).unwrap().to_string();
    fs::write(&users.0, format!("alice:{hash}\n")).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("configuration 2 is in force");
    for _ in 0..12 {
        let mut stream = common::open(daemon.port());
        stream.write_all(common::BASE.as_bytes()).unwrap();
        assert_eq!(common::answer(&mut stream, common::BASE.as_bytes()).status, 401);
    }
    let status = |pid: &str| fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let path = format!("/proc/{0}/task/{0}/children", daemon.pid());
    for worker in fs::read_to_string(path).unwrap().split_whitespace() {
        assert!(status(worker).contains("Uid:\t65534\t65534\t65534\t65534"));
        // Nothing of it stays open.
        let descriptors = fs::read_dir(format!("/proc/{worker}/fd")).unwrap();
        let links = descriptors.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        let is_memory = |link: &PathBuf| link.to_string_lossy().contains("memfd:websocksy");
        let of_ours = |link: &PathBuf| *link == users.0 || *link == file.0 || is_memory(link);
        assert_eq!(links.into_iter().find(of_ours), None);
    }
}

#[test]
fn users_that_cannot_be_are_refused() {
    let refused = |command: &mut Command| {
        let output = command.args(["--check", "-l", "127.0.0.1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap().lines().last().unwrap().to_owned()
    };
    if is_root() {
        for (arguments, says) in [
            (["--user", "nobody-here"], "--user: 'nobody-here' is not a user of this machine"),
            (["--group", "nobody-here"], "--group: 'nobody-here' is not a group of this machine"),
            (["--user", "root"], "--user: is root, which has all power"),
            (["--user", "4000000"], "--user: is a number without an entry of its own"),
        ] {
            let line = refused(Command::new(binary()).args(arguments));
            assert!(line.contains(says), "{line}");
        }
    }
    let copy = std::env::temp_dir().join(format!("websocksy-copy-{}", std::process::id()));
    fs::copy(binary(), &copy).unwrap();
    let command = || {
        let mut command = Command::new(&copy);
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    // Another test may have started a process while the copy was written.
    let mut runs = false;
    eventually("the copy is nobody's to write", || {
        let outcome = command().arg("-V").stdout(Stdio::null()).status();
        runs = outcome.is_ok();
        !outcome.is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy)
    });
    if runs {
        let line = refused(command().args(["--user", "daemon"]));
        assert!(line.contains("--user: only root can become another user"), "{line}");
    }
    fs::remove_file(&copy).unwrap();
}

/// No new privileges, and files for its own user alone; but a Unix socket has the permissions that the
/// operator's umask leaves.
#[test]
fn what_it_runs_and_writes_is_kept_down() {
    let socket = std::env::temp_dir().join(format!("websocksy-umask-{}", std::process::id()));
    let listen = format!("unix:{}", socket.display());
    let mut daemon = Daemon::in_shell("umask 027", &["-l", &listen]);
    assert_eq!(status(&daemon, "NoNewPrivs"), "1");
    assert_eq!(status(&daemon, "Umask"), "0077");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
    daemon.signal("TERM");
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
    assert!(!socket.exists());
}
