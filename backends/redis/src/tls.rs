//! TLS to the server and to its sentinels: whom we trust, and what we show.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::sync::Arc;
use websocksy_routes::read_secret;

/// What the operator's files hold, in PEM.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    authority: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl Tls {
    /// The keys that name its files.
    pub(crate) const KEYS: &str = "'ca-file', 'cert-file', 'key-file'";

    /// Reads the file of a key.
    pub(crate) fn file(&mut self, name: &str, path: &str) -> Result<(), String> {
        let is_secret = name == "key-file";
        let pem = match is_secret {
            true => read_secret(path)?,
            false => fs::read(path).map_err(|error| format!("{path}: {error}"))?,
        };
        let wrong = |what| format!("{path}: holds no {what} in PEM");
        if is_secret {
            PrivateKeyDer::from_pem_slice(&pem).map_err(|_| wrong("private key"))?;
            self.key = Some(pem);
            return Ok(());
        }
        let chain = chain(&pem).ok_or_else(|| wrong("certificate"))?;
        if name == "cert-file" {
            self.certificate = Some(pem);
            return Ok(());
        }
        let mut roots = RootCertStore::empty();
        for certificate in chain {
            let added = roots.add(certificate);
            added.map_err(|error| format!("{path}: is no authority's certificate: {error}"))?;
        }
        self.authority = Some(pem);
        Ok(())
    }

    /// Judges them as a whole, where there is TLS or none.
    pub(crate) fn check(&self, is_used: bool) -> Result<(), String> {
        let is_given = self.authority.is_some() || self.certificate.is_some() || self.key.is_some();
        if is_given && !is_used {
            return Err(format!("{} are for rediss://, TLS to Redis", Self::KEYS));
        }
        match (&self.certificate, &self.key) {
            (Some(_), Some(_)) => self.config().map(drop),
            (None, None) => Ok(()),
            _ => Err("'cert-file' and 'key-file' want each other".into()),
        }
    }

    /// As a connection takes them. Without an authority of the operator's it trusts Mozilla's.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        use_ring();
        let mut roots = RootCertStore::empty();
        match self.authority.as_deref().and_then(chain) {
            Some(own) => _ = roots.add_parsable_certificates(own),
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(Arc::new(config.with_no_client_auth()));
        };
        let wrong = |why: String| format!("'cert-file' and 'key-file' are no pair: {why}");
        let chain = chain(certificate).ok_or_else(|| wrong("no certificate".into()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong(error.to_string()))?;
        let config = config.with_client_auth_cert(chain, key);
        config.map(Arc::new).map_err(|error| wrong(error.to_string()))
    }
}

/// Certificates in PEM, one at least.
fn chain(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    Some(chain).filter(|chain| !chain.is_empty())
}

/// Names the code that computes for TLS, which a client of this process could be in doubt about.
fn use_ring() {
    // It may have been named before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
