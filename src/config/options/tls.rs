//! TLS, to clients and to peers.

use crate::config::option::Opt;
use crate::config::setting::Setting;
use crate::config::tls_options::{CERTIFICATE, TlsOption};

pub(super) const OPTIONS: &[Opt] = &[
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
];

/// An option of TLS.
const fn tls(long: &'static str, hint: &'static str, help: &'static str, option: TlsOption) -> Opt {
    Opt { short: "", long, hint, help, setting: Some(Setting::Tls(option)) }
}
