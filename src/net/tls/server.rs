//! How clients are met.

use std::sync::Arc;
use std::time::SystemTime;

use ring::digest;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig, WebPkiClientVerifier};

use super::certificates::Certificates;
use super::tickets::TicketKeys;
use super::{files, validity, versions, words};
use crate::config::{ClientAuth, ConfigError, TlsSettings};

/// What is spoken within TLS (RFC 7301): an upgrade is of HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";

/// The configuration for clients; none where there is no certificate. What is shown to them is added to
/// `shown`, each with its end, seconds from 1970.
pub(super) fn config(
    settings: &TlsSettings,
    crypto: &Arc<CryptoProvider>,
    now: SystemTime,
    shown: &mut Vec<(String, u64)>,
) -> Result<Option<Arc<ServerConfig>>, ConfigError> {
    let Some(first) = settings.certificates.first() else { return Ok(None) };
    let mut pairs = Vec::new();
    for pair in &settings.certificates {
        let key = files::certified_key(&pair.certificate, pair.key.as_ref(), crypto, now)?;
        let end = key.cert.first().and_then(|leaf| validity::end(leaf));
        shown.extend(end.map(|end| (pair.certificate.path.display().to_string(), end)));
        pairs.push(key);
    }
    let failed = |error: rustls::Error| files::bad(&first.certificate, words::of(&error));
    let builder = ServerConfig::builder_with_provider(Arc::clone(crypto))
        .with_protocol_versions(&versions::from(settings.min_version))
        .map_err(failed)?;
    let (verifier, trust) = client_verifier(settings, crypto)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Certificates(pairs)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ticketer(settings, &trust)?;
    Ok(Some(Arc::new(config)))
}

/// Who judges clients' certificates, if anybody, and what stands for whom it trusts.
type Verifier = (Option<Arc<dyn ClientCertVerifier>>, Vec<u8>);

fn client_verifier(
    settings: &TlsSettings,
    crypto: &Arc<CryptoProvider>,
) -> Result<Verifier, ConfigError> {
    let Some(file) = &settings.client_ca else { return Ok((None, Vec::new())) };
    let roots = files::authorities(file)?;
    let trust = fingerprint(&roots, settings.client_auth());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(crypto));
    let builder = match settings.client_auth() {
        ClientAuth::Required => builder,
        ClientAuth::Optional => builder.allow_unauthenticated(),
    };
    let verifier = builder.build().map_err(|error| files::bad(file, error))?;
    Ok((Some(verifier), trust))
}

/// Stands for whom a server trusts: a resumed session is not judged again.
fn fingerprint(roots: &RootCertStore, auth: ClientAuth) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(match auth {
        ClientAuth::Required => b"required",
        ClientAuth::Optional => b"optional",
    });
    for root in &roots.roots {
        for part in [root.subject.as_ref(), root.subject_public_key_info.as_ref()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    context.finish().as_ref().to_vec()
}

/// Keys of the operator's, or random ones that are good until the process ends.
fn ticketer(settings: &TlsSettings, trust: &[u8]) -> Result<Arc<dyn ProducesTickets>, ConfigError> {
    if let Some(file) = &settings.tickets {
        return Ok(Arc::new(TicketKeys::load(file, trust)?));
    }
    provider::Ticketer::new()
        .map_err(|error| ConfigError::new("tls-tickets", format!("no random keys: {error}")))
}
