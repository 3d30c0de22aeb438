//! Certificates and keys that the daemon is started with, and does not take.

use crate::common::binary;
use crate::support::{Authority, LATER};
use std::fs::{Permissions, read_to_string, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A key of a curve that is not taken.
const P521: &str = "\
-----BEGIN PRIVATE KEY-----
MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIAjj+j1/AzDQV22UaC
xvKtesLbVtuzbTVdhuERz6t3ycEInC3XzIX8z02HBT9ISpDO6wE/JYmWQDSnm+wn
HArm6wShgYkDgYYABABInf8jRqIoFLt8v7xLJXA9PjQf/yUzD1wKzqB00b08pv/y
9w7hueXQvZJmgXenhGHjuuivwzeCFZfPOTsppKdssQGR1DybrSj6yJObdSHu9JG1
W+HU04FnxUA4Gtjl+u4G+hOzWEfvHC/ibZAO9yBy1Tiwtn2LzpSuS5o1B50r+HoM
Kw==
-----END PRIVATE KEY-----
";

/// PEM of what is no certificate.
const JUNK: &str = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";

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
    let text = |file: &str| read_to_string(file).unwrap();
    let reversed = authority.write("reversed.pem", &(text(&root) + &text(&pair)));
    let strange = authority.write("p521.pem", P521);
    let (junk, empty) = (authority.write("junk.pem", JUNK), authority.write("empty", "\n"));
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
            &["--tls-cert", &pair, "--tls-client-ca", &empty],
            format!("--tls-client-ca: {empty}: has no certificate"),
        ),
        (
            &["--tls-cert", &reversed],
            format!(
                "--tls-cert: {reversed}: the key's own certificate is number 2, and goes first"
            ),
        ),
        (
            &["--tls-cert", &pair, "--tls-key", &strange],
            format!("--tls-key: {strange}: has a key that is not taken here: RSA with 2048 to"),
        ),
        (
            &["--tls-cert", &junk, "--tls-key", &pair],
            format!("--tls-cert: {junk}: its certificate cannot be read: it is no X.509 in DER"),
        ),
        (
            &["--tls-cert", &pair, "--tls-tickets", &empty],
            format!("--tls-tickets: {empty}: has no key: a line of openssl rand -base64 48 is one"),
        ),
        (
            &["--tls-cert", &pair, "--tls-tickets", "/dev/null"],
            "--tls-tickets: /dev/null: is no regular file".into(),
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

/// Clients that are told to trust it refuse to see it here.
#[test]
fn an_authoritys_certificate_as_ones_own_is_warned_of() {
    let authority = Authority::new();
    let own = authority.pair_of_authority();
    let peer = crate::common::Peer::echo();
    let (daemon, _) = crate::support::daemon(&peer, &["--tls-cert", &own]);
    let line =
        daemon.wait_for_log(&format!("--tls-cert: {own}: the certificate is an authority's"));
    assert!(line.contains(" WARN "), "{line}");
}

#[test]
fn what_of_tls_is_of_no_use_is_warned_of() {
    let authority = Authority::new();
    let (root, pair) = (authority.root(), authority.pair("localhost", LATER));
    let peer = crate::common::Peer::echo();
    for (arguments, says) in [
        (
            &["--peer-ca", &root][..],
            Some("--peer-ca: is of no use: the peer is not reached over TLS"),
        ),
        (&["--peer-cert", &pair], Some("--peer-cert: is of no use: the peer is not reached over")),
        (&["--tls-min-version", "1.3"], Some("tls-min-version: is of no use: neither a listener")),
        (&["-l", "127.0.0.1:0 tls", "--tls-cert", &pair, "--tls-min-version", "1.3"], None),
    ] {
        let daemon = crate::common::Daemon::before(&peer, "binary", arguments);
        match says {
            Some(says) => drop(daemon.wait_for_log(says)),
            None => {
                daemon.wait_for_log(" with TLS, back end");
                assert!(!daemon.log().iter().any(|line| line.contains("of no use")));
            }
        }
    }
}
