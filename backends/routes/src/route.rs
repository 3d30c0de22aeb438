//! What is found under a token: a peer, and how it is spoken to.

use crate::Options;
use serde_json::{Map, Value};
use std::collections::HashMap;
use websocksy_plugin::{Client, Peer};

/// A peer that clients are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    peer: Peer,
    options: Options,
}

impl Route {
    /// A peer with an address as websockify writes it, `host:port`, or with a scheme of ours; or several
    /// with blanks between them, of which the next is tried if one cannot be reached.
    ///
    /// # Errors
    /// What is wrong with an address, or with the options.
    pub fn new(addresses: &str, options: Options) -> Result<Self, String> {
        let mut addresses = addresses.split_ascii_whitespace().map(with_scheme);
        let first = addresses.next().ok_or("it has no peer: write HOST:PORT")?;
        let mut peer = options.apply(Peer::new(first));
        peer.check()?;
        for (further, address) in addresses.enumerate() {
            if further == MOST_FURTHER {
                return Err(format!("more than {} peers", MOST_FURTHER + 1));
            }
            options.apply(Peer::new(address.clone())).check()?;
            peer = peer.or(address);
        }
        Ok(Self { peer, options })
    }

    /// An entry of a text: an address, and options behind it, `KEY=VALUE` each, of which
    /// `framing-config` is the last and has the rest of the text, and `or` names a further peer. What they
    /// do not say, `others` do.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str, others: &Options) -> Result<Self, String> {
        let (address, mut rest) = field(text);
        if address.is_empty() {
            return Err("it has no peer: write HOST:PORT".into());
        }
        let (mut options, mut addresses) = (Options::default(), address.to_owned());
        while !rest.is_empty() {
            let (own, behind) = match rest.strip_prefix("framing-config=") {
                Some(_) => (rest, ""),
                None => field(rest),
            };
            if let Some(further) = own.strip_prefix("or=") {
                addresses = format!("{addresses} {further}");
                rest = behind;
                continue;
            }
            let known = own.split_once('=').and_then(|(key, value)| options.set(key, value));
            known.unwrap_or_else(|| {
                Err(format!(
                    "{own:?} is none of the options behind a peer, 'or', {}",
                    Options::KEYS
                ))
            })?;
            rest = behind;
        }
        Self::new(&addresses, options.or(others))
    }

    /// A record: `host`, with its port or with `port` beside it, and options. What they do not say,
    /// `others` do.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn of_fields(fields: &HashMap<String, String>, others: &Options) -> Result<Self, String> {
        let host = fields.get("host").ok_or("it has no 'host'")?;
        let mut options = Options::default();
        for (name, value) in fields {
            let known = match &**name {
                "host" | "port" => Some(Ok(())),
                _ => options.set(name, value),
            };
            known.unwrap_or_else(|| {
                Err(format!("{name:?} is none of 'host', 'port', {}", Options::KEYS))
            })?;
        }
        let address = match fields.get("port") {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        Self::new(&address, options.or(others))
    }

    /// The same of an object, whose members are texts or numbers.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn of_json(object: &Map<String, Value>, others: &Options) -> Result<Self, String> {
        let fields = object.iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            Value::Number(number) => Ok((name.clone(), number.to_string())),
            _ => Err(format!("its {name:?} is neither a text nor a number")),
        });
        Self::of_fields(&fields.collect::<Result<_, String>>()?, others)
    }

    /// The peer for a client, with the subprotocol agreed on.
    pub fn peer(&self, client: &Client<'_>) -> Peer {
        self.options.agreed(client).into_iter().fold(self.peer.clone(), Peer::protocol)
    }
}

/// The most peers beside the first that the core takes.
const MOST_FURTHER: usize = 15;

/// The first word of a text, and what follows it, without blanks around either.
fn field(text: &str) -> (&str, &str) {
    let text = text.trim_matches(BLANKS);
    let (field, rest) = text.split_at(text.find(BLANKS).unwrap_or(text.len()));
    (field, rest.trim_start_matches(BLANKS))
}

const BLANKS: [char; 2] = [' ', '\t'];

/// An address as the core wants it. What has a slash in it has a scheme, or gets the core's own words.
fn with_scheme(address: &str) -> String {
    match address.strip_prefix("unix_socket:") {
        Some(path) => format!("unix://{path}"),
        None if address.contains('/') => address.into(),
        None => format!("tcp://{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let all = Options::default();
        let peer = || Peer::new("tcp://h:1");
        let cases: [(&str, Peer); 9] = [
            ("h:1", peer()),
            ("  h:1\t", peer()),
            ("tcp://h:1", peer()),
            ("[::1]:1", Peer::new("tcp://[::1]:1")),
            ("unix:///run/a,b", Peer::new("unix:///run/a,b")),
            ("unix_socket:/run/a", Peer::new("unix:///run/a")),
            ("h:1 framing=newline  framing-config=add:crlf # x", {
                peer().framing("newline").framing_config("add:crlf # x")
            }),
            ("h:1 send-proxy=v2 protocol=none", peer().send_proxy(2)),
            ("h:1 or=i:2 framing=auto or=unix:///run/x", {
                peer().framing("auto").or("tcp://i:2").or("unix:///run/x")
            }),
        ];
        for (text, expected) in cases {
            let route = Route::parse(text, &all).unwrap();
            assert_eq!(route.peer(&Client::new(b"/", &[], &[])), expected, "{text}");
        }
        for (text, reason) in [
            ("", "no peer"),
            (" ", "no peer"),
            ("h:1 x", "\"x\" is none of the options"),
            ("h:1 frame=binary", "'framing-config'"),
            ("h:1 send-proxy=2", "v1, v2 or no"),
        ] {
            let error = Route::parse(text, &all).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_subprotocol_is_each_clients_own() {
        let route = Route::parse("h:1 protocol=mqtt", &Options::default()).unwrap();
        let client = Client::new(b"/", &[b"x", b"mqtt"], &[]);
        assert_eq!(route.peer(&client), Peer::new("tcp://h:1").protocol(1));
    }
}
