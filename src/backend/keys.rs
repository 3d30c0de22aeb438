//! The keys of the built-in back end. Its errors and the help text list them from here.

/// A key of the built-in back end.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// What it is called.
    pub name: &'static str,
    /// What its value is called.
    pub hint: &'static str,
    /// What it says.
    pub help: &'static str,
}

/// Every key, in the order of the help text.
pub const KEYS: &[Key] = &[
    Key { name: "host", hint: "PEER", help: "The peer (default tcp://localhost)" },
    Key {
        name: "port",
        hint: "PORT",
        help: "Its port, a number or a service, where host has none (default 5900)",
    },
    Key {
        name: "protocol",
        hint: "NAME",
        help: "Agree on this subprotocol; * for the first that the client offers, none for none \
               (default binary if it is offered, else the first but base64)",
    },
    Key {
        name: "framing",
        hint: "FRAMING",
        help: "How the peer's stream is cut into messages (default auto)",
    },
    Key { name: "framing-config", hint: "TEXT", help: "What the framing is told" },
];
