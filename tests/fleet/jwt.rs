//! Peers that signed tokens name; `openssl` signs them.

use super::{daemon, host, is_there, reply, request, session, status};
use crate::common::plugins::scratch;
use crate::common::{Peer, left_out};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = Command::new("openssl");
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

/// A token of RS256.
fn signed(key: &Path, claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", part("{\"alg\":\"RS256\"}"), part(claims));
    let arguments = ["dgst", "-sha256", "-sign", key.to_str().unwrap()];
    let signature = openssl(&arguments, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_signed_token_names_the_peer_and_ends_the_session() {
    if !is_there("openssl", "version") {
        return left_out("tokens that openssl signs", "no openssl");
    }
    let (echo, directory) = (Peer::echo(), scratch("jwt"));
    let (private, public) = (directory.join("private.pem"), directory.join("public.pem"));
    let [private_name, public_name] = [&private, &public].map(|path| path.to_str().unwrap());
    openssl(&["genpkey", "-algorithm", "RSA", "-out", private_name], b"");
    openssl(&["pkey", "-in", private_name, "-pubout", "-out", public_name], b"");
    let key = format!("key=RS256 {public_name}");
    let keys = [&key, "audience=us", "end-sessions=yes", "leeway=0"];
    let daemon = daemon("jwt", &keys, &["--peer-allow", "127.0.0.1/32"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let token = |exp: u64, host: &str| {
        signed(&private, &format!("{{\"exp\":{exp},\"aud\":\"us\",\"host\":\"{host}\"}}"))
    };
    let good = token(now + 3, &host(&echo));
    let mut client = session(&daemon, &request(&format!("/vnc/{good}"), ""));
    drop(session(&daemon, &request(&format!("/?token={good}"), "")));
    drop(session(&daemon, &request("/", &format!("Authorization: Bearer {good}\r\n"))));
    let cases = [
        (token(now + 3, "127.0.0.2:1"), 403, "This may not connect from there."), // --peer-allow
        (token(now + 3, "nowhere"), 403, "the token names no peer"),
        (token(now - 1, &host(&echo)), 401, "the token has expired"),
        (signed(&private, "{\"exp\":99999999999}"), 401, "the token is for another audience"),
        (good.replace(".", ".e"), 401, "the token is not signed by any of the keys"),
        ("e30.e30.e30".into(), 401, "the token is no JWT"),
    ];
    for (token, status, reason) in cases {
        let refusal = reply(&daemon, &format!("/?token={token}"));
        let body = String::from_utf8_lossy(&refusal.rest).into_owned();
        assert_eq!((refusal.status, body.trim_end()), (status, reason));
    }
    assert_eq!(status(&daemon, "/websockify"), 401, "none at all");
    assert_eq!(client.end(), Some(3000), "the token has expired");
    assert_eq!(status(&daemon, &format!("/?token={good}")), 401);
    let log = daemon.log();
    assert!(!log.iter().any(|line| line.contains(&good)), "{log:#?}");
}
