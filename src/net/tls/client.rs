//! How peers are met.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::client::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;

use super::{files, versions, words};
use crate::config::{ConfigError, TlsSettings};

/// The configuration for peers, and who is trusted to know them, in words.
pub(super) fn config(
    settings: &TlsSettings,
    crypto: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Result<(Arc<ClientConfig>, String), ConfigError> {
    let (roots, trusted) = match &settings.peer_ca {
        Some(file) => {
            (files::authorities(file)?, format!("the certificates in {}", file.path.display()))
        }
        None => system_roots(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(crypto))
        .with_protocol_versions(&versions::from(settings.min_version))
        .map_err(|error| ConfigError::new("tls-min-version", words::of(&error)))?
        .with_root_certificates(roots);
    let config = match &settings.peer_cert {
        Some(certificate) => {
            let key = settings.peer_key.as_ref();
            let certified = files::certified_key(certificate, key, crypto, now)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        None => builder.with_no_client_auth(),
    };
    Ok((Arc::new(config), trusted))
}

/// The system's, or those of SSL_CERT_FILE; where there are none, as in a container of nothing but
/// the daemon, Mozilla's as they were when it was built.
fn system_roots() -> (RootCertStore, String) {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good > 0 {
        return (roots, format!("the system's {good} root certificates"));
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
    let number = roots.len();
    (roots, format!("{number} root certificates that are built in (the system has none{why})"))
}

/// The name that a peer's certificate is for. A zone (RFC 4007 §11) is of this machine alone.
pub(super) fn name(host: &str) -> Option<ServerName<'static>> {
    let host = host.split_once('%').map_or(host, |(address, _)| address);
    ServerName::try_from(host.to_owned()).ok()
}
