//! The judgement of a handshake: what is let in has all that RFC 6455 §4.2.1 asks for, and either
//! answer is one complete response.

use super::script::Script;
use std::ffi::CStr;
use std::time::SystemTime;
use websocksy::proto::handshake::{Refused, Upgrade, accept, accept_key, judge, refuse};
use websocksy::proto::http::{Head, HeadParser};
use websocksy::proto::origin::OriginPattern;
use websocksy_world::Response;

/// The origin that is let in when the input wants a list of them.
const ORIGIN: &str = "https://a.example";

/// Input: whether origins are looked at, which subprotocol is chosen, and a head.
pub fn handshake(input: &[u8]) {
    let mut script = Script::new(input);
    let origins = match script.byte() {
        b'o' => OriginPattern::parse(ORIGIN).into_iter().collect(),
        _ => Vec::new(),
    };
    let chosen = script.byte().checked_sub(b'0').map(usize::from);
    let bytes = script.rest();

    let Some(head) = parse(bytes) else { return };
    let fields: Vec<_> = head.fields().map(|(n, v)| (lower(n), v.to_vec())).collect();
    match judge(head, &origins) {
        Ok(upgrade) => {
            check_fields(&fields, !origins.is_empty());
            check_strings(&upgrade);
            check_acceptance(&upgrade, chosen);
        }
        Err(refused) => check_refusal(&refused),
    }
}

fn parse(bytes: &[u8]) -> Option<Head> {
    let mut parser = HeadParser::new();
    parser.push(bytes).ok().flatten().map(|_| parser.finish())
}

fn lower(bytes: &[u8]) -> Vec<u8> {
    bytes.to_ascii_lowercase()
}

/// The fields of a handshake that was accepted, item by item of RFC 6455 §4.2.1.
fn check_fields(fields: &[(Vec<u8>, Vec<u8>)], origin_is_checked: bool) {
    let all = |name: &[u8]| -> Vec<&[u8]> {
        fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_slice()).collect()
    };
    let listed = |name: &[u8], wanted: &[u8]| {
        let value = lower(&all(name).join(&b','));
        value.split(|&byte| byte == b',').any(|element| element.trim_ascii() == wanted)
    };
    assert_eq!(all(b"host").len(), 1);
    assert!(listed(b"upgrade", b"websocket") && listed(b"connection", b"upgrade"));
    assert_eq!(all(b"sec-websocket-version"), [b"13"]);
    let [key] = all(b"sec-websocket-key")[..] else { panic!("not one key") };
    assert!(key.len() == 24 && key.ends_with(b"=="));
    assert!(all(b"transfer-encoding").is_empty());
    assert!(matches!(all(b"content-length")[..], [] | [b"0"]));
    if origin_is_checked {
        let [origin] = all(b"origin")[..] else { panic!("not one origin") };
        assert!(origin.eq_ignore_ascii_case(ORIGIN.as_bytes()));
    }
}

/// What a C back end is pointed at.
fn check_strings(upgrade: &Upgrade) {
    let at = |offset: usize| {
        CStr::from_bytes_until_nul(&upgrade.bytes()[offset..]).expect("a string that ends")
    };
    assert_eq!(at(upgrade.endpoint_at()), upgrade.endpoint());
    assert_eq!(at(upgrade.key_at()), upgrade.key());
    assert!(upgrade.endpoint().to_bytes().starts_with(b"/"));

    let protocols: Vec<_> = upgrade.protocols().collect();
    assert!(upgrade.protocols_at().iter().map(|&offset| at(offset)).eq(protocols.iter().copied()));
    for (index, name) in protocols.iter().enumerate() {
        assert!(!name.is_empty() && !protocols[..index].contains(name));
        assert!(name.to_bytes().iter().all(|byte| byte.is_ascii_graphic() && *byte != b','));
    }
    for ((name, value), field) in upgrade.fields().zip(upgrade.fields_at()) {
        assert_eq!((at(field.name), at(field.value)), (name, value));
        let name = lower(name.to_bytes());
        assert!(!name.is_empty() && name != b"upgrade" && name != b"connection");
        let own = [&b"key"[..], b"version", b"protocol"];
        let rest = name.strip_prefix(b"sec-websocket-");
        assert!(rest.is_none_or(|rest| !own.contains(&rest)), "the handshake's own field");
    }
}

fn check_acceptance(upgrade: &Upgrade, chosen: Option<usize>) {
    let mut out = Vec::new();
    accept(upgrade, chosen, &mut out);
    let response = Response::read(&out);
    assert_eq!(response.status, 101);
    assert!(response.body.is_empty());
    assert_eq!(response.all("Upgrade"), ["websocket"]);
    assert_eq!(response.all("Connection"), ["Upgrade"]);
    let proof = accept_key(upgrade.key().to_bytes());
    assert_eq!(response.all("Sec-WebSocket-Accept"), [str::from_utf8(&proof).expect("base64")]);
    let agreed = chosen.and_then(|index| upgrade.protocols().nth(index));
    let agreed: Vec<_> = agreed.iter().map(|name| name.to_str().expect("a token")).collect();
    assert_eq!(response.all("Sec-WebSocket-Protocol"), agreed);
    assert_eq!(response.fields(), 3 + agreed.len());
}

fn check_refusal(refused: &Refused) {
    for date in [None, Some(SystemTime::UNIX_EPOCH)] {
        let mut out = Vec::new();
        refuse(&refused.status.into(), date, &mut out);
        Response::read(&out).check_refusal();
    }
    assert!(matches!(refused.status.code(), 400 | 403 | 426 | 431));
    assert!(!refused.why.is_empty());
}
