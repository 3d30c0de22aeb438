//! Which certificate a client is shown.

use std::cell::Cell;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

thread_local! {
    /// `rustls` shows nobody else what the client calls us, and it asks for a certificate while a hello is
    /// read.
    static ASKED: Cell<Option<Box<str>>> = const { Cell::new(None) };
}

/// The name in the hello that was read last, once.
pub(super) fn asked() -> Option<Box<str>> {
    ASKED.take()
}

/// The pairs of certificate and key, in the operator's order; at least one.
#[derive(Debug)]
pub(super) struct Certificates(pub(super) Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificates {
    /// One for the name that the client asks for (RFC 6066 §3), and of these one whose key it can
    /// check; otherwise the first.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let Self(pairs) = self;
        ASKED.set(hello.server_name().map(Into::into));
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named: Vec<_> = pairs
            .iter()
            .filter(|pair| name.as_ref().is_some_and(|name| is_for(pair, name)))
            .collect();
        let candidates = if named.is_empty() { pairs.iter().collect() } else { named };
        let checkable = |pair: &&&Arc<CertifiedKey>| {
            pair.key.choose_scheme(hello.signature_schemes()).is_some()
        };
        candidates.iter().find(checkable).or(candidates.first()).copied().cloned()
    }
}

fn is_for(pair: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = pair.cert.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    parsed.is_some_and(|leaf| verify_server_name(&leaf, name).is_ok())
}
