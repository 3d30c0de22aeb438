//! The one list of options. The command line, the file, the help text and the man page's test are
//! all made from it.

use std::ops::RangeInclusive;

use super::proxies::{FORWARDED_HEADER, SEND_PROXY, TRUSTED_PROXY};
use super::setting::{MAX_CLIENTS, Setting};
use super::tls_options::{CERTIFICATE, TlsOption};
use super::values::Zero;
use crate::access::Verdict;

/// An option of the daemon.
pub(super) struct Opt {
    /// The letter after `-`; empty for none.
    pub(super) short: &'static str,
    /// The name after `--`, which is also the key in the file.
    pub(super) long: &'static str,
    /// What its value is called; empty for an option without one.
    pub(super) hint: &'static str,
    /// What it does, for `--help`.
    pub(super) help: &'static str,
    /// What it sets; none for what only the command line acts on.
    pub(super) setting: Option<Setting>,
}

pub(super) const HELP: &str = "help";
pub(super) const GENERATE: &str = "generate";
pub(super) const VERSION: &str = "version";
pub(super) const FILE: &str = "file";
pub(super) const ORIGIN: &str = "origin";
pub(super) const PEER_ALLOW: &str = "peer-allow";
pub(super) const LISTEN: &str = "listen";
pub(super) const CONFIG: &str = "config";
pub(super) const PORT: &str = "port";

/// Each thread is a stack and a plug-in call that may hang: more is a slip of the finger.
const MAX_QUERY_THREADS: usize = 256;

/// No standard error takes as many.
const MAX_LOG_RATE: usize = 1_000_000;

/// Messages no shorter than a frame with the shortest header, and no longer than one read.
const MESSAGE_BYTES: RangeInclusive<usize> = 125..=256 * 1024;

/// Every option, in the order of the help text.
pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        short: "p",
        long: PORT,
        hint: "PORT",
        help: "The TCP port where --listen has none; 0 for one that the kernel chooses",
        setting: Some(Setting::Port(|c| &mut c.port)),
    },
    Opt {
        short: "l",
        long: LISTEN,
        hint: "ADDRESS",
        help: "Listen on HOST[:PORT], unix:/PATH or systemd[:NAME]; words may follow in the same \
               argument (tls, proxy-protocol; mode=, user=, group= of a Unix socket); repeatable; \
               :: is IPv4 too",
        setting: Some(Setting::Listen),
    },
    Opt {
        short: "b",
        long: "backend",
        hint: "NAME",
        help: "Load backend_NAME.so to find peers; without it the built-in back end does",
        setting: Some(Setting::Backend),
    },
    Opt {
        short: "c",
        long: CONFIG,
        hint: "KEY=VALUE",
        help: "Configure the back end loaded at that moment; repeatable, in order",
        setting: Some(Setting::BackendPair),
    },
    Opt {
        short: "",
        long: "plugins",
        hint: "DIR",
        help: "Look for plug-ins in this directory",
        setting: Some(Setting::Plugins),
    },
    Opt {
        short: "f",
        long: FILE,
        hint: "FILE",
        help: "Read this configuration file first; flags win over it",
        setting: None,
    },
    Opt {
        short: "",
        long: ORIGIN,
        hint: "ORIGIN",
        help: "Admit only browsers on pages of this origin; repeatable",
        setting: Some(Setting::WebOrigin(|c| &mut c.origins)),
    },
    Opt {
        short: "",
        long: "allow",
        hint: "CIDR",
        help: "Admit clients of this network, and with that no others; first match wins",
        setting: Some(Setting::Access(Verdict::Allow)),
    },
    Opt {
        short: "",
        long: "deny",
        hint: "CIDR",
        help: "Hang up on clients of this network; in order with --allow, first match wins",
        setting: Some(Setting::Access(Verdict::Deny)),
    },
    Opt {
        short: "",
        long: "auth-file",
        hint: "FILE",
        help: "Ask for a name and password of this file, made by htpasswd -B",
        setting: Some(Setting::AuthFile),
    },
    Opt {
        short: "",
        long: "rate",
        hint: "COUNT[/SECONDS]",
        help: "The most new sessions from one address in this time, 1 second if none is written",
        setting: Some(Setting::Rate(|c| &mut c.rate)),
    },
    Opt {
        short: "",
        long: TRUSTED_PROXY,
        hint: "CIDR",
        help: "Take a proxy's word for who its clients are, in this network, or unix; repeatable",
        setting: Some(Setting::TrustedProxy),
    },
    Opt {
        short: "",
        long: FORWARDED_HEADER,
        hint: "NAME",
        help: "Where trusted proxies say so: X-Forwarded-For, Forwarded or X-Real-IP",
        setting: Some(Setting::ForwardedHeader),
    },
    Opt {
        short: "",
        long: SEND_PROXY,
        hint: "VERSION",
        help: "Begin peers' streams with a PROXY header, v1 or v2, that says who the client is",
        setting: Some(Setting::SendProxy),
    },
    Opt {
        short: "",
        long: PEER_ALLOW,
        hint: "CIDR",
        help: "Dial peers in this network, and with that no others; repeatable",
        setting: Some(Setting::PeerAllow),
    },
    Opt {
        short: "",
        long: "explain-refusals",
        hint: "",
        help: "Refuse handshakes by a 101 and a close frame, whose code pages can read",
        setting: Some(Setting::Switch(|c| &mut c.explain_refusals)),
    },
    Opt {
        short: "k",
        long: "ping",
        hint: "SECONDS",
        help: "Ping a client that has been silent this long, drop it after as long again",
        setting: Some(Setting::Seconds(Zero::Off, |c| &mut c.deadlines.ping)),
    },
    Opt {
        short: "",
        long: "handshake-timeout",
        hint: "SECONDS",
        help: "Time for a client's whole request head",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.deadlines.handshake)),
    },
    Opt {
        short: "",
        long: "query-timeout",
        hint: "SECONDS",
        help: "Time for the back end to name the peer",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.deadlines.query)),
    },
    Opt {
        short: "",
        long: "connect-timeout",
        hint: "SECONDS",
        help: "Time for the peer's name look-up and connect together",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.deadlines.connect)),
    },
    Opt {
        short: "",
        long: "close-timeout",
        hint: "SECONDS",
        help: "Time for a client's close frame and for either socket's goodbye",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.deadlines.close)),
    },
    Opt {
        short: "",
        long: "write-timeout",
        hint: "SECONDS",
        help: "Give up a side that has bytes waiting and takes none for this long",
        setting: Some(Setting::Seconds(Zero::Off, |c| &mut c.deadlines.write)),
    },
    Opt {
        short: "",
        long: "idle-timeout",
        hint: "SECONDS",
        help: "End a session without data either way for this long",
        setting: Some(Setting::Seconds(Zero::Off, |c| &mut c.deadlines.idle)),
    },
    Opt {
        short: "",
        long: "max-session",
        hint: "SECONDS",
        help: "End a session after this long, whatever it does",
        setting: Some(Setting::Seconds(Zero::Off, |c| &mut c.deadlines.session)),
    },
    Opt {
        short: "",
        long: "health",
        hint: "PATH",
        help: "Answer GET and HEAD of this path with 200, or with 503 while the daemon ends",
        setting: Some(Setting::Path(|c| &mut c.health)),
    },
    Opt {
        short: "",
        long: "web",
        hint: "DIR",
        help: "Serve the files of this directory to whoever asks for no WebSocket",
        setting: Some(Setting::Web),
    },
    Opt {
        short: "",
        long: "web-redirect",
        hint: "PATH",
        help: "Send whoever asks for / and no WebSocket to this path",
        setting: Some(Setting::Place(|c| &mut c.web_redirect)),
    },
    Opt {
        short: "",
        long: "drain-timeout",
        hint: "SECONDS",
        help: "Time for sessions to end after SIGTERM or SIGINT",
        setting: Some(Setting::Seconds(Zero::Refused, |c| &mut c.drain_timeout)),
    },
    Opt {
        short: "",
        long: "max-connections",
        hint: "COUNT",
        help: "The most clients at once",
        setting: Some(Setting::MaxConnections),
    },
    Opt {
        short: "",
        long: "max-per-address",
        hint: "COUNT",
        help: "The most clients at once from one address; 0 for no limit",
        setting: Some(Setting::Count(0..=MAX_CLIENTS, |c| &mut c.max_per_address)),
    },
    Opt {
        short: "",
        long: "max-message",
        hint: "BYTES",
        help: "The longest message to a client with the framings auto and binary",
        setting: Some(Setting::Count(MESSAGE_BYTES, |c| &mut c.max_message)),
    },
    Opt {
        short: "",
        long: "query-threads",
        hint: "COUNT",
        help: "Threads that ask the back end; more than one only for plug-ins that allow it",
        setting: Some(Setting::Count(1..=MAX_QUERY_THREADS, |c| &mut c.query_threads)),
    },
    tls(
        CERTIFICATE,
        "FILE",
        "Certificate with its chain (PEM) for listeners with the word tls; repeatable, chosen by \
         the name that a client asks for, the first otherwise",
        TlsOption::Certificate,
    ),
    tls(
        "tls-key",
        "FILE",
        "Key (PEM) of the --tls-cert before it, unless it is in the same file",
        TlsOption::Key,
    ),
    tls(
        "tls-client-ca",
        "FILE",
        "Ask clients for a certificate that one of these (PEM) has signed",
        TlsOption::ClientCa,
    ),
    tls(
        "tls-client-auth",
        "WORD",
        "required: refuse clients without a certificate; optional: let them in",
        TlsOption::ClientAuth,
    ),
    tls(
        "tls-min-version",
        "VERSION",
        "The oldest TLS that is spoken: 1.2 or 1.3",
        TlsOption::MinVersion,
    ),
    tls(
        "tls-tickets",
        "FILE",
        "Keys of session tickets, shared by processes and machines: lines of 48 or 80 bytes in \
         base64; the first encrypts",
        TlsOption::Tickets,
    ),
    tls(
        "peer-ca",
        "FILE",
        "Verify tls:// peers by these certificates (PEM), not by the system's",
        TlsOption::PeerCa,
    ),
    tls(
        "peer-cert",
        "FILE",
        "Certificate with its chain (PEM) for tls:// peers that ask for one",
        TlsOption::PeerCertificate,
    ),
    tls(
        "peer-key",
        "FILE",
        "Key (PEM) of --peer-cert, unless it is in the same file",
        TlsOption::PeerKey,
    ),
    Opt {
        short: "",
        long: "log-format",
        hint: "FORMAT",
        help: "Log lines as text or as json, one object a line",
        setting: Some(Setting::LogFormat),
    },
    Opt {
        short: "",
        long: "log-rate",
        hint: "COUNT",
        help: "Log lines of one kind a second, over ten seconds; 0 for no limit",
        setting: Some(Setting::Count(0..=MAX_LOG_RATE, |c| &mut c.log.rate)),
    },
    Opt {
        short: "",
        long: "log-query",
        hint: "",
        help: "Log the values of a request's query, which may be secrets, and not ***",
        setting: Some(Setting::Switch(|c| &mut c.log_query)),
    },
    Opt {
        short: "",
        long: GENERATE,
        hint: "WHAT",
        help: "Print complete-bash, complete-zsh or complete-fish for a shell and exit",
        setting: None,
    },
    Opt { short: "h", long: HELP, hint: "", help: "Print this text and exit", setting: None },
    Opt { short: "V", long: VERSION, hint: "", help: "Print the version and exit", setting: None },
];

impl Opt {
    /// The help text and, where there is one, the default.
    pub(super) fn description(&self) -> String {
        match self.setting.as_ref().and_then(Setting::default_value) {
            Some(value) => format!("{} (default {value})", self.help),
            None => self.help.into(),
        }
    }
}

/// An option of TLS.
const fn tls(long: &'static str, hint: &'static str, help: &'static str, option: TlsOption) -> Opt {
    Opt { short: "", long, hint, help, setting: Some(Setting::Tls(option)) }
}
