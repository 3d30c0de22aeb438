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

/// The back end of the plug-in that comes with the daemon: its name, and its keys.
pub const BUNDLED: (&str, &[Key]) = (
    "file",
    &[
        Key { name: "path", hint: "DIR", help: "Where the files are, an absolute path" },
        Key {
            name: "expression",
            hint: "NAME",
            help: "A file below it that names peers, one a line, with %endpoint%, %cookie:NAME% and \
                   %header:NAME% in its name; may be repeated",
        },
    ],
);

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
