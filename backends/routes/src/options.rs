//! How a peer is spoken to, for all of a back end's peers or for one.

use websocksy_plugin::{Client, Peer};

/// The keys of a back end that say how its peers are spoken to, and the same behind one of its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    framing: Option<String>,
    framing_config: Option<String>,
    protocol: Option<String>,
    send_proxy: Option<u8>,
}

impl Options {
    /// What these keys are called, for the words of an error.
    pub const KEYS: &str = "'framing', 'framing-config', 'protocol' and 'send-proxy'";

    /// Takes a key; none if it is not one of these.
    ///
    /// # Errors
    /// What is wrong with its value.
    pub fn set(&mut self, key: &str, value: &str) -> Option<Result<(), String>> {
        match key {
            "framing" => self.framing = Some(value.into()),
            "framing-config" => self.framing_config = Some(value.into()),
            "protocol" if protocol_is_good(value) => self.protocol = Some(value.into()),
            "protocol" => return Some(Err(format!("{value:?} is not the name of a subprotocol"))),
            "send-proxy" => match version(value) {
                Some(version) => self.send_proxy = Some(version),
                None => return Some(Err(format!("{value:?} is not v1, v2 or no"))),
            },
            _ => return None,
        }
        Some(Ok(()))
    }

    /// Judges them as a whole, for a peer of which nothing else is known.
    ///
    /// # Errors
    /// What is wrong: a framing that does not exist, or does not take its configuration.
    pub fn check(&self) -> Result<(), String> {
        self.apply(Peer::new("tcp://localhost:1")).check()
    }

    /// A peer that is spoken to as these say.
    pub(crate) fn apply(&self, peer: Peer) -> Peer {
        let peer = self.send_proxy.into_iter().fold(peer, Peer::send_proxy);
        let peer = self.framing.clone().into_iter().fold(peer, Peer::framing);
        self.framing_config.clone().into_iter().fold(peer, Peer::framing_config)
    }

    /// These where they say something, and otherwise `others`. A framing that is chosen here does not
    /// get the configuration of another.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        let others = others.clone();
        let config = if self.framing.is_some() { None } else { others.framing_config };
        Self {
            framing: self.framing.or(others.framing),
            framing_config: self.framing_config.or(config),
            protocol: self.protocol.or(others.protocol),
            send_proxy: self.send_proxy.or(others.send_proxy),
        }
    }

    /// Which of the client's subprotocols is agreed on. As with the built-in back end: `*` stands for
    /// the first, `none` for none; without a word of the operator's it is `binary`, or else the first
    /// but `base64`.
    pub(crate) fn agreed(&self, client: &Client<'_>) -> Option<usize> {
        let offered = client.protocols();
        let named = |name: &[u8]| offered.iter().position(|one| one.eq_ignore_ascii_case(name));
        match self.protocol.as_deref() {
            None => named(b"binary")
                .or_else(|| offered.iter().position(|one| !one.eq_ignore_ascii_case(b"base64"))),
            Some("none") => None,
            Some("*") => offered.first().map(|_| 0),
            Some(name) => named(name.as_bytes()),
        }
    }
}

/// The version of the PROXY header that a peer is sent; 0 for none.
fn version(value: &str) -> Option<u8> {
    match value {
        "no" => Some(0),
        "v1" => Some(1),
        "v2" => Some(2),
        _ => None,
    }
}

/// Whether a subprotocol can have this name: a token (RFC 9110 §5.6.2), as are `*` and `none`.
pub fn protocol_is_good(name: &str) -> bool {
    let marks = b"!#$%&'*+-.^_`|~";
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        let mut options = Options::default();
        for (key, value) in pairs {
            options.set(key, value).unwrap().unwrap();
        }
        options
    }

    #[test]
    fn keys_and_values() {
        let mut options = Options::default();
        for (key, value, reason) in [
            ("protocol", "", "subprotocol"),
            ("protocol", "a b", "subprotocol"),
            ("send-proxy", "v3", "v1, v2 or no"),
        ] {
            let error = options.set(key, value).unwrap().unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(options, Options::default());
        assert!(options.set("Framing", "auto").is_none());
    }

    #[test]
    fn an_entry_stands_before_all() {
        let all = options(&[("framing", "separator"), ("framing-config", "x"), ("protocol", "a")]);
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Pairs<'_>, Pairs<'_>); 3] = [
            (&[], &[("framing", "separator"), ("framing-config", "x"), ("protocol", "a")]),
            (&[("framing", "binary")], &[("framing", "binary"), ("protocol", "a")]),
            (
                &[("framing-config", "y"), ("protocol", "b"), ("send-proxy", "no")],
                &[
                    ("framing", "separator"),
                    ("framing-config", "y"),
                    ("protocol", "b"),
                    ("send-proxy", "no"),
                ],
            ),
        ];
        for (own, together) in cases {
            assert_eq!(options(own).or(&all), options(together), "{own:?}");
        }
    }

    #[test]
    fn which_subprotocol_is_agreed_on() {
        type Case<'a> = (Option<&'a str>, &'a [&'a [u8]], Option<usize>);
        let cases: [Case<'_>; 9] = [
            (None, &[], None),
            (None, &[b"base64", b"Binary"], Some(1)),
            (None, &[b"base64", b"mqtt"], Some(1)),
            (None, &[b"base64"], None),
            (Some("none"), &[b"binary"], None),
            (Some("*"), &[b"x", b"binary"], Some(0)),
            (Some("*"), &[], None),
            (Some("MQTT"), &[b"x", b"mqtt"], Some(1)),
            (Some("mqtt"), &[b"x"], None),
        ];
        for (protocol, offered, expected) in cases {
            let own = protocol.map(|name| ("protocol", name));
            let client = Client::new(b"/", offered, &[]);
            assert_eq!(
                options(own.as_slice()).agreed(&client),
                expected,
                "{protocol:?} {offered:?}"
            );
        }
    }
}
