//! Certificates and keys, from PEM files (RFC 7468).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use log::warn;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use super::words;
use crate::config::{ConfigError, PlacedPath, read_regular};

/// The longest file: every root that a system has fits.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// What everybody may do to a file.
const OF_OTHERS: u32 = 0o007;

/// Why a file is not good, as one line.
pub(super) fn bad(file: &PlacedPath, problem: impl std::fmt::Display) -> ConfigError {
    ConfigError::new(file.origin.clone(), format!("{}: {problem}", file.path.display()))
}

/// Reads a file; one that holds a secret is refused if everybody may read or write it.
pub(super) fn read(
    file: &PlacedPath,
    is_secret: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, ConfigError> {
    let kept = read_regular(&file.path, MAX_FILE).map_err(|error| bad(file, error))?;
    let (mode, bytes) = (kept.mode, kept.bytes);
    if bytes.len() as u64 > MAX_FILE {
        return Err(bad(file, format!("is longer than {MAX_FILE} bytes")));
    }
    if is_secret(&bytes) && mode & OF_OTHERS != 0 {
        let problem = format!("is open to everybody (mode {:04o}); chmod o= it", mode & 0o7777);
        return Err(bad(file, problem));
    }
    Ok(bytes)
}

/// The certificates of a file, at least one.
fn certificates_in(
    file: &PlacedPath,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let certificates = certificates.map_err(|error| bad(file, format!("is not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(bad(file, "has no certificate (PEM: -----BEGIN CERTIFICATE-----)"));
    }
    Ok(certificates)
}

/// The certificates that are trusted to sign others.
pub(super) fn authorities(file: &PlacedPath) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(file, &read(file, |_| false)?)? {
        roots.add(certificate).map_err(|error| bad(file, words::of(&error)))?;
    }
    Ok(roots)
}

/// A certificate with those that lead to its root, and its key: from a file of its own or from the same.
pub(super) fn certified_key(
    certificate: &PlacedPath,
    key: Option<&PlacedPath>,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<Arc<CertifiedKey>, ConfigError> {
    let bytes = read(certificate, |bytes| key.is_none() && private_key(bytes).is_some())?;
    let chain = certificates_in(certificate, &bytes)?;
    let doubt = match chain.first() {
        Some(leaf) => judge(certificate, leaf, provider, now)?,
        None => None,
    };
    let (key_file, key_bytes) = match key {
        Some(file) => (file, read(file, |_| true)?),
        None => (certificate, bytes),
    };
    let key = private_key(&key_bytes).ok_or_else(|| no_key(key_file, &key_bytes, key.is_none()))?;
    let own = |(at, leaf): (usize, &CertificateDer<'static>)| {
        let alone = CertifiedKey::from_der(vec![leaf.clone()], key.clone_key(), provider);
        alone.is_ok().then_some(at + 1)
    };
    let certified = CertifiedKey::from_der(chain.clone(), key.clone_key(), provider);
    let certified = certified.map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            match chain.iter().enumerate().find_map(own) {
                Some(number) => bad(
                    certificate,
                    format!("the key's own certificate is number {number}, and goes first"),
                ),
                None => bad(key_file, format!("is not the key of {}", certificate.path.display())),
            }
        }
        Error::General(_) => bad(
            key_file,
            "has a key that is not taken here: RSA with 2048 to 8192 bits, P-256, P-384, Ed25519 are",
        ),
        error => bad(key_file, words::of(&error)),
    })?;
    // Who is told of an error is told of nothing else.
    doubt.into_iter().for_each(|doubt| warn!("{doubt}"));
    Ok(Arc::new(certified))
}

fn private_key(bytes: &[u8]) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(bytes).ok()
}

fn no_key(file: &PlacedPath, bytes: &[u8], in_certificate: bool) -> ConfigError {
    let encrypted = bytes.windows(9).any(|word| word == b"ENCRYPTED");
    bad(
        file,
        match (encrypted, in_certificate) {
            (true, _) => "has a key with a password, which nobody can type in here: take it off",
            (false, true) => "has no private key (PEM); if it has a file of its own, name that too",
            (false, false) => "has no private key (PEM: -----BEGIN PRIVATE KEY-----)",
        },
    )
}

/// Whether a certificate can be read, and what there is to warn of: its time is over, or has not come, or
/// others will not take it since it is an authority's.
fn judge(
    file: &PlacedPath,
    leaf: &CertificateDer<'_>,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<Option<ConfigError>, ConfigError> {
    let parsed = ParsedCertificate::try_from(leaf).map_err(|error| bad(file, words::of(&error)))?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    // Nobody's signature will do, but the time is looked at before.
    let judged = verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &RootCertStore::empty(),
        &[],
        UnixTime::since_unix_epoch(now),
        provider.signature_verification_algorithms.all,
    );
    let Err(Error::InvalidCertificate(error)) = judged else { return Ok(None) };
    let is_doubtful = words::is_of_time(&error) || words::is_of_authority(&error);
    let problem = format!("the certificate {}", words::certificate(&error));
    Ok(is_doubtful.then(|| bad(file, problem)))
}
