//! Certificates and keys that the daemon is started with, and does not take.

use crate::common::binary;
use crate::support::{Authority, LATER};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// The one line with which the daemon ends.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let mut command = Command::new(binary());
    command.args(["-p", "0", "-l", "127.0.0.1:0 tls"]).args(arguments);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    said
}

#[test]
fn files_that_are_not_good_are_refused_with_one_line() {
    let authority = Authority::new();
    let pair = authority.pair("localhost", LATER);
    let root = authority.root();
    let open = authority.pair("open.example", LATER);
    set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
    let other = authority.pair("other.example", LATER);
    for (arguments, says) in [
        (
            &["--tls-cert", &open][..],
            format!("--tls-cert: {open}: is open to everybody (mode 0644)"),
        ),
        (
            &["--tls-cert", &root, "--tls-key", &open],
            format!("--tls-key: {open}: is open to every"),
        ),
        (&["--tls-cert", &root], format!("--tls-cert: {root}: has no private key")),
        (&["--tls-cert", &root, "--tls-key", &root], format!("--tls-key: {root}: has no private")),
        (
            &["--tls-cert", &pair, "--tls-key", &other],
            format!("--tls-key: {other}: is not the key of {pair}"),
        ),
        (&["--tls-cert", "/nowhere"], "--tls-cert: /nowhere: No such file".into()),
        (
            &["--tls-cert", &pair, "--tls-client-ca", "/dev/null"],
            "--tls-client-ca: /dev/null: has no certificate".into(),
        ),
        (
            &["--tls-cert", &pair, "--tls-tickets", &pair],
            format!("--tls-tickets: {pair}:1: is not 48 or 80 bytes in base64"),
        ),
    ] {
        let said = refused(arguments);
        assert!(said.starts_with(&format!("websocksy: {says}")), "{says}: {said}");
    }
}

/// Whoever serves a certificate that has run out should hear of it, and not find the door shut.
#[test]
fn a_certificate_that_has_run_out_is_warned_of() {
    let authority = Authority::new();
    let old = authority.pair("localhost", 2020);
    let peer = crate::common::Peer::echo();
    let (daemon, _) = crate::support::daemon(&peer, &["--tls-cert", &old]);
    daemon.wait_for_log(&format!("--tls-cert: {old}: the certificate expired on Wed, 01 Jan 2020"));
}
