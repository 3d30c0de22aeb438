//! What keeps the daemon from starting, and what it passes over.

use super::{text, with_plugin};
use crate::common::plugins::{compile, scratch};
use crate::common::{Client, Daemon, Peer, binary};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// What the daemon says when it does not start for a fault of the operator's.
#[track_caller]
fn refusal(arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(["-p", "0"]).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    said.lines().last().unwrap_or_default().to_owned()
}

/// G08 to G10, C-59: a back end that is none is named, and nothing runs with it.
#[test]
fn back_ends_that_are_none() {
    let directory = scratch("none");
    let variants: [(&str, &[&str], &str); 5] = [
        ("version0", &["-DAPI_VERSION=0"], "version 0"),
        ("version2", &["-DAPI_VERSION=2"], "version 2"),
        ("noquery", &["-DNO_QUERY"], "query"),
        ("noinit", &["-DNO_INIT"], "init"),
        ("unresolved", &["-DUNRESOLVED"], "this_function_is_nowhere"),
    ];
    for (name, flags, reason) in variants {
        compile(&directory, &format!("backend_{name}.so"), "abi/backend.c", flags);
        let said = refusal(&["--plugins", text(&directory), "-b", name]);
        assert!(said.contains(&format!("backend_{name}.so")) && said.contains(reason), "{said}");
    }
    fs::write(directory.join("backend_text.so"), "no shared object").unwrap();
    fs::create_dir(directory.join("backend_directory.so")).unwrap();
    for name in ["text", "directory", "missing", "../none/version0"] {
        let said = refusal(&["--plugins", text(&directory), "-b", name]);
        assert!(said.contains(name), "{said}");
    }
}

/// C-63: a back end without `configure` and `cleanup` is one, until somebody configures it.
#[test]
fn configure_is_optional() {
    let directory = scratch("unconfigurable");
    let flags = ["-DNO_CONFIGURE", "-DNO_CLEANUP"];
    compile(&directory, "backend_bare.so", "abi/backend.c", &flags);
    drop(Daemon::start(&["--plugins", text(&directory), "-b", "bare"]));
    let said = refusal(&["--plugins", text(&directory), "-b", "bare", "-c", "good=1"]);
    assert!(said.contains("takes no configuration"), "{said}");
    let directory = with_plugin("configurable", "backend_told.so", "abi/backend.c");
    drop(Daemon::start(&["--plugins", text(&directory), "-b", "told", "-c", "good=1"]));
    let said = refusal(&["--plugins", text(&directory), "-b", "told", "-c", "bad=1"]);
    assert!(said.contains("bad"), "{said}");
}

/// G24, C-60: code is loaded only from where the operator alone can have put it.
#[test]
fn directories_that_are_not_trusted() {
    let directory = with_plugin("untrusted", "framing.so", "abi/framing.c");
    assert!(refusal(&["--plugins", "plugins"]).contains("absolute"));
    assert!(refusal(&["--plugins", "/no/such/directory"]).contains("/no/such/directory"));
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refusal(&["--plugins", text(&directory)]).contains("everybody may write"));
}

/// G10, C-61: one bad framing is named and skipped; the others are there.
#[test]
fn framings_that_cannot_be_loaded_are_skipped() {
    let directory = with_plugin("skipped", "m.so", "abi/framing.c");
    for bad in ["a.so", "z.so"] {
        fs::write(directory.join(bad), "no shared object").unwrap();
    }
    let echo = Peer::echo();
    let arguments = ["--plugins", text(&directory), "-c", "framing-config=n"];
    let daemon = Daemon::before(&echo, "obedient", &arguments);
    for bad in ["a.so", "z.so"] {
        let line = daemon.wait_for_log(bad);
        assert!(line.contains("skipped"), "{line}");
    }
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"x");
    assert_eq!(client.message(), (2, b"x".to_vec()));
}

/// C-64: a framing that the operator misspells is an error at start, not `auto`.
#[test]
fn framings_that_nobody_registered() {
    let said = refusal(&["-c", "framing=newlines"]);
    assert!(said.contains("newlines"), "{said}");
}
