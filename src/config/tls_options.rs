//! The options of TLS, and what belongs together among them.

use super::Config;
use super::error::{ConfigError, Origin};
use super::tls::{CertificatePair, ClientAuth, PlacedPath, TlsVersion, WITHOUT};
use crate::logging::Escaped;

/// An option of TLS.
#[derive(Clone, Copy)]
pub(super) enum TlsOption {
    Certificate,
    Key,
    ClientCa,
    ClientAuth,
    MinVersion,
    Tickets,
    PeerCa,
    PeerCertificate,
    PeerKey,
}

/// The name of the option that is given once for each pair.
pub(super) const CERTIFICATE: &str = "tls-cert";

impl TlsOption {
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::Certificate | Self::Key)
    }

    pub(super) fn default_value(self) -> Option<&'static str> {
        match self {
            Self::ClientAuth => Some("required"),
            Self::MinVersion => Some("1.2"),
            Self::Certificate | Self::Key | Self::ClientCa | Self::Tickets => None,
            Self::PeerCa | Self::PeerCertificate | Self::PeerKey => None,
        }
    }

    /// Reads `value` into `config`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn apply(
        self,
        config: &mut Config,
        value: &str,
        origin: &Origin,
    ) -> Result<(), String> {
        if !cfg!(feature = "tls") {
            return Err(WITHOUT.into());
        }
        if value.is_empty() {
            return Err("needs a value".into());
        }
        let file = PlacedPath { path: value.into(), origin: origin.clone() };
        let tls = &mut config.tls;
        match self {
            Self::Certificate => {
                tls.certificates.push(CertificatePair { certificate: file, key: None });
            }
            Self::Key => {
                let pair = tls.certificates.last_mut().ok_or("stands before its --tls-cert")?;
                if pair.key.replace(file).is_some() {
                    return Err("is the second key of one --tls-cert".into());
                }
            }
            Self::ClientCa => tls.client_ca = Some(file),
            Self::ClientAuth => tls.client_auth = Some((client_auth(value)?, origin.clone())),
            Self::MinVersion => tls.min_version = version(value)?,
            Self::Tickets => tls.tickets = Some(file),
            Self::PeerCa => tls.peer_ca = Some(file),
            Self::PeerCertificate => tls.peer_cert = Some(file),
            Self::PeerKey => tls.peer_key = Some(file),
        }
        Ok(())
    }
}

fn client_auth(word: &str) -> Result<ClientAuth, String> {
    match word {
        "required" => Ok(ClientAuth::Required),
        "optional" => Ok(ClientAuth::Optional),
        _ => Err(format!("'{}' is neither required nor optional", Escaped(word))),
    }
}

fn version(version: &str) -> Result<TlsVersion, String> {
    match version {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err(format!("'{}' is neither 1.2 nor 1.3", Escaped(version))),
    }
}

/// Looks at all that was written: nothing is for nobody.
///
/// # Errors
/// What lacks something, and what that is.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let tls = &config.tls;
    let lacks = |origin: &Origin, what: &str| {
        Err(ConfigError::new(origin.clone(), format!("needs {what} too")))
    };
    if let (Some((_, origin)), None) = (&tls.client_auth, &tls.client_ca) {
        return lacks(origin, "--tls-client-ca");
    }
    if let (Some(key), None) = (&tls.peer_key, &tls.peer_cert) {
        return lacks(&key.origin, "--peer-cert");
    }
    let listener = config.listen.iter().find(|listen| listen.words.tls);
    match (listener.and_then(|listen| listen.origin.as_ref()), tls.certificates.first()) {
        (Some(origin), None) => return lacks(origin, "--tls-cert"),
        (None, Some(pair)) => {
            let problem = "is for a listener with the word tls: -l '[::]:443 tls'";
            return Err(ConfigError::new(pair.certificate.origin.clone(), problem));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    let for_clients = [&tls.client_ca, &tls.tickets].into_iter().flatten().next();
    if let (Some(file), true) = (for_clients, tls.certificates.is_empty()) {
        return lacks(&file.origin, "--tls-cert");
    }
    Ok(())
}
