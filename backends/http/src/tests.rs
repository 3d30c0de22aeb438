use super::service::{Asked, Service, Verdict, field_name, url};
use super::*;
use ureq::Body;
use ureq::http::Response;

fn asked(client: &Client<'_>, forward: &[&str]) -> String {
    let forward: Vec<_> = forward.iter().map(ToString::to_string).collect();
    String::from_utf8(Asked::of(client, &forward).into_key()).unwrap()
}

#[test]
fn what_is_said_of_a_client() {
    let plain = Client::new(b"/a?b=c", &[], &[]);
    let own = "X-Forwarded-Method: GET\nX-Forwarded-Uri: /a?b=c\nX-Original-URI: /a?b=c";
    let headers: [(&[u8], &[u8]); 4] = [
        (b"Host", b"h:1"),
        (b"cookie", b"a=1"),
        (b"Cookie", b"b=2"),
        (b"X-User", b"J\xc3\xb6rg\tX"),
    ];
    let full = Client::new(b"/a?b=c", &[b"binary", b"mqtt"], &headers)
        .with_property(c"address", b"192.0.2.1")
        .with_property(c"user", b"");
    let cases: [(&Client<'_>, &[&str], &str); 4] = [
        (&plain, &[], ""),
        (&plain, &["Cookie"], ""),
        (&full, &[], ""),
        (&full, &["Cookie", "X-User"], "\nCookie: a=1; b=2\nX-User: Jörg\tX"),
    ];
    for (client, forward, more) in cases {
        let known = match client.headers() {
            [] => "",
            _ => {
                "\nX-Forwarded-Host: h:1\nX-Forwarded-For: 192.0.2.1\n\
                 X-Websocket-Protocols: binary, mqtt"
            }
        };
        assert_eq!(asked(client, forward), format!("{own}{known}{more}"));
    }
}

#[test]
fn a_key_is_all_that_is_said() {
    let client = Client::new(b"/a: b", &[], &[(b"Cookie", b"a: b")]);
    let said = Asked::of(&client, &["Cookie".into()]);
    let key = Asked::of(&client, &["Cookie".into()]).into_key();
    assert_eq!(Asked::from_key(&key), said);
    let other = Client::new(b"/a: b", &[], &[(b"Cookie", b"a: c")]);
    assert_ne!(Asked::of(&other, &["Cookie".into()]).into_key(), key);
}

/// What an answer comes to, in words.
fn verdict(peer: Option<&str>, status: u16, retry_after: &str, body: &str) -> String {
    let options = Options::default();
    let peer = peer.map(|peer| Route::new(peer, options.clone()).unwrap());
    let service = Service::new("http://h/".into(), TIMEOUT, peer, options);
    let mut answer = Response::builder().status(status);
    if !retry_after.is_empty() {
        answer = answer.header("Retry-After", retry_after);
    }
    let answer = answer.body(Body::builder().data(body.to_owned())).unwrap();
    match service.verdict(answer) {
        Ok(Some(Verdict::Peer(route))) => {
            let peer = route.peer(&Client::new(b"/", &[], &[]));
            match [Peer::new("tcp://own:1"), Peer::new("tcp://h:1")]
                .iter()
                .position(|one| *one == peer)
            {
                Some(0) => "own".into(),
                Some(_) => "h:1".into(),
                None => format!("{peer:?}"),
            }
        }
        Ok(Some(Verdict::Bad(why))) => format!("bad: {why}"),
        Ok(Some(Verdict::Refused(refusal))) => format!("{refusal:?}"),
        Ok(None) => "none".into(),
        Err(why) => format!("away: {why}"),
    }
}

#[test]
fn answers() {
    let own = Some("own:1");
    let json = "{\"host\": \"h:1\"}";
    for (peer, status, body, expected) in [
        (None, 200, json, "h:1"),
        (None, 201, "{\"host\": \"h\", \"port\": 1}", "h:1"),
        (own, 200, json, "h:1"),
        (own, 200, "", "own"),
        (own, 204, "", "own"),
        (own, 200, "<html>", "own"),
        (own, 200, "{\"user\": 7}", "own"),
        (own, 200, "{\"host\": []}", "bad: its \"host\" is neither a text nor a number"),
        (None, 200, "{\"user\": \"x\"}", "bad: it has no 'host'"),
        (None, 200, "", "bad: it is no JSON object with a host"),
        (None, 200, "[]", "bad: it is no JSON object with a host"),
        (own, 404, json, "none"),
        (own, 302, "", "away: it answers with 302"),
        (own, 400, "", "away: it answers with 400"),
        (own, 500, json, "away: it answers with 500"),
        (own, 503, "", "away: it answers with 503"),
    ] {
        assert_eq!(verdict(peer, status, "", body), expected, "{status} {body}");
    }
}

#[test]
fn refusals_have_their_reason_and_their_time() {
    let long = "x".repeat(200);
    let cases = [
        (401, "", " log in \r\nplease", Refusal::unauthorized("log in")),
        (403, "", "", Refusal::forbidden("")),
        (403, "7", "no", Refusal::forbidden("no").retry_after(7)),
        (429, "9", "slowly", Refusal::too_many("slowly").retry_after(9)),
        (429, "Fri, 27 Nov 2026 00:00:00 GMT", "slowly", Refusal::too_many("slowly")),
        (429, "-1", "", Refusal::too_many("")),
        (401, "", &long, Refusal::unauthorized(&long[..123])),
    ];
    for (status, retry_after, body, expected) in cases {
        assert_eq!(verdict(None, status, retry_after, body), format!("{expected:?}"));
    }
    let endless = "x".repeat(65 << 10);
    assert!(verdict(Some("own:1"), 200, "", &endless).starts_with("away: "));
}

#[test]
fn urls() {
    for value in ["http://h", "http://h:1/a?b=c", "https://[::1]:443/"] {
        assert_eq!(url(value).unwrap(), value);
    }
    for (value, says) in [
        ("", "write http://"),
        ("h:80", "write http://"),
        ("/path", "write http://"),
        ("ftp://h/", "write http://"),
        ("http://", "write http://"),
        ("http://a b/", "write http://"),
        ("http://user:secret@h/", "a password"),
    ] {
        let error = url(value).unwrap_err();
        assert!(error.contains(says) && !error.contains("secret"), "{value}: {error}");
    }
}

#[test]
fn fields_that_are_handed_on() {
    for name in ["Cookie", "X-Real-User", "Authorization"] {
        assert_eq!(field_name(name).unwrap(), name);
    }
    for (name, says) in [
        ("", "no header field"),
        ("a b", "no header field"),
        ("X-Forwarded-For", "says itself"),
        ("x-original-URI", "says itself"),
        ("Host", "says itself"),
    ] {
        let error = field_name(name).unwrap_err();
        assert!(error.contains(says), "{name}: {error}");
    }
}

#[test]
fn keys() {
    let mut backend = HttpBackend::new();
    for (key, value, says) in [
        ("timeout", "0", "some time"),
        ("timeout", "x", "seconds"),
        ("URL", "http://h", "the keys are 'url'"),
        ("protocol", "a b", "subprotocol"),
    ] {
        let error = backend.configure(key, value).unwrap_err();
        assert!(error.contains(says), "{key}={value}: {error}");
    }
    for at in 0..MOST_FORWARDED {
        backend.configure("forward", &format!("X-{at}")).unwrap();
    }
    assert!(backend.configure("forward", "Cookie").unwrap_err().contains("more than 32"));
}
