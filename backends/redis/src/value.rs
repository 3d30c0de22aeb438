//! What may stand under a key.

use serde_json::Value;
use websocksy_routes::{Options, Route};

/// A peer, or what is wrong with it.
pub(crate) type Found = Result<Route, String>;

/// A string as websockify has it: `host:port`, or JSON with that as `host`; or with options behind the
/// peer as in a token file.
pub(crate) fn text(bytes: &[u8], all: &Options) -> Found {
    let text = str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?.trim();
    if !text.starts_with('{') {
        return Route::parse(text, all);
    }
    let Ok(Value::Object(object)) = serde_json::from_str(text) else {
        return Err("it begins like JSON, and is none".into());
    };
    Route::of_json(&object, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use websocksy_plugin::{Client, Peer};

    #[test]
    fn values() {
        let all = Options::default();
        let peer = || Peer::new("tcp://h:1");
        let cases: [(&str, Peer); 7] = [
            ("h:1", peer()),
            (" h:1\n", peer()),
            ("h:1 framing=binary", peer().framing("binary")),
            ("{\"host\": \"h:1\"}", peer()),
            ("{\"host\": \"h\", \"port\": 1, \"framing\": \"binary\"}", peer().framing("binary")),
            ("{\"host\": \"unix:///run/x\"}", Peer::new("unix:///run/x")),
            ("{\"host\": \"h:1\", \"send-proxy\": \"v2\"}", peer().send_proxy(2)),
        ];
        for (value, expected) in cases {
            let route = text(value.as_bytes(), &all).unwrap();
            assert_eq!(route.peer(&Client::new(b"/", &[], &[])), expected, "{value}");
        }
        for (value, reason) in [
            ("", "no peer"),
            ("{", "is none"),
            ("{}", "no 'host'"),
            ("{\"host\": []}", "neither a text"),
            ("{\"host\": \"h:1\", \"Framing\": \"auto\"}", "\"Framing\""),
            ("h:1 x", "options"),
        ] {
            let error = text(value.as_bytes(), &all).unwrap_err();
            assert!(error.contains(reason), "{value}: {error}");
        }
        assert!(text(b"\xff", &all).unwrap_err().contains("UTF-8"));
    }
}
