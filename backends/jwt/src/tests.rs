use super::*;
use crate::key::Algorithm;
use crate::token::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::json;

/// RFC 7515, appendix A.1.
const RFC_SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const RFC_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
    dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The same payload, signed as in appendix A.3.
const RFC_ES256: &str = "eyJhbGciOiJFUzI1NiJ9.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
    DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const RFC_EXPIRES: u64 = 1_300_819_380;

/// What stands before the key in a SubjectPublicKeyInfo (RFC 5480, RFC 8410).
const OF_P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\
    \xce\x3d\x03\x01\x07\x03\x42\x00";
const OF_ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

const NOW: u64 = 1_700_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn pem(of: &[u8], key: &[u8]) -> Vec<u8> {
    let body = STANDARD.encode([of, key].concat());
    let lines: Vec<_> =
        body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")).into()
}

fn rules(keys: Vec<Key>) -> Rules {
    Rules { keys, leeway: LEEWAY, ..Rules::default() }
}

fn secret() -> Key {
    Key::new(Algorithm::Hs256, SECRET, false).unwrap()
}

fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn hs256(claims: &Value) -> String {
    signed(&json!({"alg": "HS256", "typ": "JWT"}), claims, |message| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
        ring::hmac::sign(&key, message).as_ref().to_vec()
    })
}

#[test]
fn tokens_of_the_rfcs() {
    let point = [
        &[4][..],
        &decoded("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
        &decoded("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
    ];
    let keys = vec![
        Key::new(Algorithm::Hs256, RFC_SECRET.as_bytes(), true).unwrap(),
        Key::new(Algorithm::Es256, &pem(OF_P256, &point.concat()), false).unwrap(),
    ];
    let rules = rules(keys);
    for token in [RFC_TOKEN, RFC_ES256] {
        let claims = token::read(token.as_bytes(), &rules, RFC_EXPIRES - 1).unwrap();
        assert_eq!(
            (claims.all["iss"].as_str(), claims.expires),
            (Some("joe"), Some(RFC_EXPIRES as f64))
        );
        let late = token::read(token.as_bytes(), &rules, RFC_EXPIRES + LEEWAY);
        assert_eq!(late, Err(Fault::Expired));
        assert!(token::read(token.as_bytes(), &rules, RFC_EXPIRES + LEEWAY - 1).is_ok());
    }
    // RFC 8037, appendix A.4, whose payload is no JSON.
    let key = decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let key = Key::new(Algorithm::EdDsa, &pem(OF_ED25519, &key), false).unwrap();
    let signature = decoded(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    assert!(key.verifies(message, &signature) && !key.verifies(b"another", &signature));
}

#[test]
fn every_changed_character_is_seen() {
    let rules = rules(vec![secret()]);
    let token = hs256(&json!({"exp": NOW + 60, "host": "h", "port": 1}));
    assert!(token::read(token.as_bytes(), &rules, NOW).is_ok());
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(token::read(&changed, &rules, NOW).is_err(), "{at}");
        assert!(token::read(&token.as_bytes()[..at], &rules, NOW).is_err(), "cut at {at}");
    }
}

/// One algorithm a key: a public key is no secret, and "none" is no algorithm.
#[test]
fn the_algorithm_is_the_keys() {
    let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap();
    let public = pem(OF_ED25519, pair.public_key().as_ref());
    let rules = rules(vec![Key::new(Algorithm::EdDsa, &public, false).unwrap()]);
    let claims = json!({"exp": NOW + 60});
    let good =
        signed(&json!({"alg": "EdDSA"}), &claims, |message| pair.sign(message).as_ref().into());
    assert!(token::read(good.as_bytes(), &rules, NOW).is_ok());
    let with_public = |message: &[u8]| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public);
        ring::hmac::sign(&key, message).as_ref().to_vec()
    };
    let cases = [
        (signed(&json!({"alg": "HS256"}), &claims, with_public), Fault::Algorithm),
        (signed(&json!({"alg": "none"}), &claims, |_| Vec::new()), Fault::Algorithm),
        (signed(&json!({"alg": "eddsa"}), &claims, |_| Vec::new()), Fault::Algorithm),
        (signed(&json!({}), &claims, |_| Vec::new()), Fault::Form),
        (signed(&json!({"alg": ["EdDSA"]}), &claims, |_| Vec::new()), Fault::Form),
        (signed(&json!({"alg": "EdDSA"}), &claims, |_| Vec::new()), Fault::Signature),
        (
            signed(&json!({"alg": "EdDSA", "crit": ["b64"], "b64": false}), &claims, |message| {
                pair.sign(message).as_ref().into()
            }),
            Fault::Critical,
        ),
        ("a.b.c.d.e".into(), Fault::Encrypted),
        (format!("{good}."), Fault::Form),
        (String::new(), Fault::Form),
    ];
    for (token, fault) in cases {
        assert_eq!(token::read(token.as_bytes(), &rules, NOW), Err(fault), "{token}");
    }
}

#[test]
fn keys_that_cannot_be() {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let pair = pair.unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        pair.as_ref(),
        &SystemRandom::new(),
    );
    let public = pem(OF_P256, pair.unwrap().public_key().as_ref());
    for (algorithm, file, is_base64, reason) in [
        (Algorithm::Hs256, &b"short\n"[..], false, "5 bytes"),
        (Algorithm::Hs256, &public, false, "no secret"),
        (Algorithm::Hs256, b"!", true, "base64url"),
        (Algorithm::Es256, &public, true, "base64 is for"),
        (Algorithm::Rs256, &public, false, "another kind than RS256"),
        (Algorithm::EdDsa, &public, false, "another kind than EdDSA"),
        (Algorithm::Es256, b"", false, "no public key"),
        (
            Algorithm::Es256,
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            false,
            { "no public key" },
        ),
    ] {
        let error = Key::new(algorithm, file, is_base64).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    assert!(Key::new(Algorithm::Es256, &public, false).is_ok());
}

#[test]
fn what_is_asked_of_claims() {
    let with = |change: fn(&mut Rules)| {
        let mut rules = rules(vec![secret()]);
        change(&mut rules);
        rules
    };
    let plain = with(|_| ());
    let meant = with(|rules| rules.audiences = vec!["a".into(), "b".into()]);
    let of = with(|rules| rules.issuer = Some("me".into()));
    let forever = with(|rules| rules.without_end = true);
    let late = NOW + 60;
    let cases = [
        (&plain, json!({"exp": late}), Ok(())),
        (&plain, json!({"exp": NOW as f64 + 0.5}), Ok(())),
        (&plain, json!({"exp": NOW - LEEWAY}), Err(Fault::Expired)),
        (&plain, json!({"exp": "soon"}), Err(Fault::Time)),
        (&plain, json!({"exp": late, "nbf": null}), Err(Fault::Time)),
        (&plain, json!({}), Err(Fault::NoEnd)),
        (&forever, json!({}), Ok(())),
        (&plain, json!({"exp": late, "nbf": NOW + LEEWAY}), Ok(())),
        (&plain, json!({"exp": late, "nbf": NOW + LEEWAY + 1}), Err(Fault::Early)),
        (&meant, json!({"exp": late}), Err(Fault::Audience)),
        (&meant, json!({"exp": late, "aud": "c"}), Err(Fault::Audience)),
        (&meant, json!({"exp": late, "aud": ["c", 1, "b"]}), Ok(())),
        (&meant, json!({"exp": late, "aud": "a"}), Ok(())),
        (&of, json!({"exp": late, "iss": "me"}), Ok(())),
        (&of, json!({"exp": late, "iss": "you"}), Err(Fault::Issuer)),
        (&of, json!({"exp": late}), Err(Fault::Issuer)),
    ];
    for (rules, claims, expected) in cases {
        let read = token::read(hs256(&claims).as_bytes(), rules, NOW);
        assert_eq!(read.map(drop), expected, "{claims}");
    }
    assert_eq!(token::read(hs256(&json!(["exp"])).as_bytes(), &plain, NOW), Err(Fault::Form));
}

#[test]
fn where_claims_lead() {
    let mut backend = JwtBackend::new();
    backend.rules.keys.push(secret());
    let late = NOW + 60;
    let cases = [
        (json!({"exp": late, "host": "h", "port": 1}), Some(Peer::new("tcp://h:1"))),
        (json!({"exp": late, "host": "h", "port": "1"}), Some(Peer::new("tcp://h:1"))),
        (json!({"exp": late, "host": "h:1"}), Some(Peer::new("tcp://h:1"))),
        (json!({"exp": late, "host": "::1", "port": 1}), Some(Peer::new("tcp://[::1]:1"))),
        (json!({"exp": late, "host": "unix:///run/x"}), Some(Peer::new("unix:///run/x"))),
        (
            json!({"exp": late, "host": "h:1", "framing": "newline", "framing-config": "lf"}),
            Some(Peer::new("tcp://h:1").framing("newline").framing_config("lf")),
        ),
        (json!({"exp": late, "port": 1}), None),
        (json!({"exp": late, "host": ["h"]}), None),
        (json!({"exp": late, "host": "h", "port": 1, "protocol": "a b"}), None),
    ];
    for (claims, expected) in cases {
        let endpoint = format!("/?token={}", hs256(&claims));
        let client = Client::new(endpoint.as_bytes(), &[], &[]);
        assert_eq!(backend.peer(&client, NOW).ok(), expected, "{claims}");
    }
    backend.end_sessions = true;
    let token = hs256(&json!({"exp": late, "host": "h", "port": 1}));
    let bearer = format!("bearer {token}");
    let headers: [(&[u8], &[u8]); 1] = [(b"Authorization", bearer.as_bytes())];
    let path = format!("/ws/{token}");
    let expected = Ok(Peer::new("tcp://h:1").max_session(60, EXPIRED));
    assert_eq!(backend.peer(&Client::new(b"/", &[], &headers), NOW), expected);
    let client = Client::new(path.as_bytes(), &[], &[]);
    assert_eq!(backend.peer(&client, NOW), expected);
    assert_eq!(client.concealed(), [token.as_bytes()], "it is not in the log");
    let none = backend.peer(&Client::new(b"/websockify", &[], &[]), NOW);
    assert_eq!(none, Err(Refusal::unauthorized("a token is wanted")));
}

#[test]
fn a_secret_is_nobody_elses() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("websocksy-jwt-{}", std::process::id()));
    let keys = [("HS256", SECRET.to_vec()), ("EdDSA", pem(OF_ED25519, &[7; 32]))];
    for (algorithm, file) in keys {
        std::fs::write(&path, file).unwrap();
        let configured = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Key::configured(&format!("{algorithm} {}", path.display())).map(drop)
        };
        assert_eq!(configured(0o600), Ok(()), "{algorithm}");
        let open = configured(0o644);
        if algorithm == "HS256" {
            let why = open.unwrap_err();
            assert!(why.ends_with(": is open to everybody (mode 0644); chmod o= it"), "{why}");
        } else {
            assert_eq!(open, Ok(()), "everybody may have a public key");
        }
    }
    std::fs::remove_file(&path).unwrap();
}
