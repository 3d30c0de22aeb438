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

/// A back end that comes with the daemon as a plug-in.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// What it is called.
    pub name: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// The back ends that come with the daemon as plug-ins.
pub const BUNDLED: &[Bundled] = &[
    Bundled {
        name: "file",
        keys: &[
            Key { name: "path", hint: "DIR", help: "Where the files are, an absolute path" },
            Key {
                name: "expression",
                hint: "NAME",
                help: "A file below it that names peers, one a line, with %endpoint%, \
                       %cookie:NAME% and %header:NAME% in its name; may be repeated",
            },
        ],
    },
    Bundled {
        name: "token",
        keys: &[
            Key {
                name: "file",
                hint: "FILE",
                help: "Lines of TOKEN: HOST:PORT, as websockify has them; may be repeated. The token \
                       is ?token= or the last part of the path. framing, framing-config, protocol and \
                       send-proxy are for all, or stand behind a peer as KEY=VALUE",
            },
            Key { name: "dir", hint: "DIR", help: "A directory of such files" },
        ],
    },
    Bundled {
        name: "jwt",
        keys: &[
            Key {
                name: "key",
                hint: "ALG FILE",
                help: "A key that signs tokens: RS256, ES256 or EdDSA and a public key in PEM, or HS256 \
                       and a secret; may be repeated. The claims host and port name the peer",
            },
            Key { name: "audience", hint: "NAME", help: "What aud has to be; may be repeated" },
            Key { name: "issuer", hint: "NAME", help: "What iss has to be" },
            Key {
                name: "leeway",
                hint: "SECONDS",
                help: "How far clocks may be apart (default 30)",
            },
            Key { name: "without-exp", hint: "yes", help: "Take tokens that never expire" },
            Key { name: "end-sessions", hint: "yes", help: "End a session when its token expires" },
        ],
    },
    Bundled {
        name: "redis",
        keys: &[
            Key {
                name: "url",
                hint: "URL",
                help: "redis://HOST[:PORT][/DB], rediss:// for TLS, or unix:///PATH; with sentinel, \
                       redis://MASTER[/DB]",
            },
            Key {
                name: "sentinel",
                hint: "HOST[:PORT]",
                help: "Who says where the master is (default port 26379); may be repeated",
            },
            Key { name: "password-file", hint: "FILE", help: "What its password is in" },
            Key {
                name: "ca-file",
                hint: "FILE",
                help: "Who signs certificates of rediss:// (default Mozilla's roots)",
            },
            Key { name: "cert-file", hint: "FILE", help: "The certificate that it is shown" },
            Key { name: "key-file", hint: "FILE", help: "The key of that" },
            Key { name: "prefix", hint: "TEXT", help: "What its keys have before the token" },
            Key { name: "timeout", hint: "SECONDS", help: "How long it may take (default 2)" },
            Key { name: "ttl", hint: "SECONDS", help: "How long an answer is kept (default 10)" },
            Key {
                name: "negative-ttl",
                hint: "SECONDS",
                help: "How long it is kept that there is none (default 1)",
            },
            Key {
                name: "stale",
                hint: "SECONDS",
                help: "How old an answer may be while Redis is away (default 86400)",
            },
            Key {
                name: "lease",
                hint: "COUNT",
                help: "The most sessions of a token over all bridges (default any number)",
            },
            Key {
                name: "lease-ttl",
                hint: "SECONDS",
                help: "How long a session counts whose bridge was killed (default 30)",
            },
            Key {
                name: "lease-failure",
                hint: "WORD",
                help: "While Redis is away, open lets in who is known (default), closed nobody",
            },
            Key {
                name: "lease-prefix",
                hint: "TEXT",
                help: "What the keys that count have before the token (default lease:)",
            },
        ],
    },
    Bundled {
        name: "http",
        keys: &[
            Key {
                name: "url",
                hint: "URL",
                help: "The service that is asked, http:// or https://: 2xx with JSON that has a host, or \
                       401, 403, 404, 429",
            },
            Key {
                name: "forward",
                hint: "NAME",
                help: "A header field of clients that it is told; may be repeated",
            },
            Key { name: "peer", hint: "PEER", help: "Where clients go if it names no host" },
            Key {
                name: "timeout",
                hint: "SECONDS",
                help: "How long it may take (default 2); ttl, negative-ttl and stale as for redis",
            },
        ],
    },
    Bundled {
        name: "srv",
        keys: &[
            Key {
                name: "name",
                hint: "NAME",
                help: "The service whose SRV records name the peers: _vnc._tcp.{token}.example.org, or \
                       without {token}",
            },
            Key {
                name: "server",
                hint: "ADDRESS",
                help: "A name server (default those of /etc/resolv.conf); may be repeated. timeout, ttl, \
                       negative-ttl and stale as for redis",
            },
        ],
    },
];

/// Every key, in the order of the help text.
pub const KEYS: &[Key] = &[
    Key {
        name: "host",
        hint: "PEER",
        help: "The peer (default tcp://localhost); may be repeated: if one cannot be reached, the next \
               is tried",
    },
    Key {
        name: "balance",
        hint: "HOW",
        help: "Which of several hosts is tried first: the first of the list, any (random), the one \
               with the least sessions, or by a hash of the client's address (default first)",
    },
    Key {
        name: "retry-after",
        hint: "SECONDS",
        help: "How long one that could not be reached is tried last (default 10)",
    },
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
