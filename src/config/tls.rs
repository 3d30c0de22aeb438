//! What the operator chose of TLS. The files are read when the daemon starts.

use std::path::{Path, PathBuf};

use super::error::Origin;

/// Why nothing of it can be.
pub(super) const WITHOUT: &str = "is not possible: this binary was built without TLS";

/// A file, and where the operator named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedPath {
    /// The file.
    pub path: PathBuf,
    /// Whom to point at when it is not good.
    pub origin: Origin,
}

/// A certificate with its chain, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePair {
    /// PEM, the certificate itself first.
    pub certificate: PlacedPath,
    /// PEM; none where it is in the same file.
    pub key: Option<PlacedPath>,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Who shows none is refused.
    #[default]
    Required,
    /// Who shows one is refused if it is not good.
    Optional,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246
    #[default]
    V1_2,
    /// RFC 8446
    V1_3,
}

/// What the operator chose of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// What clients are shown: by the name that they ask for, the first otherwise.
    pub certificates: Vec<CertificatePair>,
    /// Who may sign clients' certificates; none to ask for none.
    pub client_ca: Option<PlacedPath>,
    /// Whether clients must show one, and where that was written.
    pub client_auth: Option<(ClientAuth, Origin)>,
    /// The oldest version that is spoken, to clients and to peers.
    pub min_version: TlsVersion,
    /// The keys of session tickets; none for random ones.
    pub tickets: Option<PlacedPath>,
    /// Who may sign peers' certificates; none for those whom the system trusts.
    pub peer_ca: Option<PlacedPath>,
    /// What peers are shown that ask for a certificate.
    pub peer_cert: Option<PlacedPath>,
    /// Its key; none where it is in the same file.
    pub peer_key: Option<PlacedPath>,
}

impl TlsSettings {
    /// Whether clients must show a certificate where they are asked for one.
    #[must_use]
    pub fn client_auth(&self) -> ClientAuth {
        self.client_auth.as_ref().map_or_else(ClientAuth::default, |(auth, _)| *auth)
    }

    /// All files of it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.certificates.iter();
        let pairs = pairs.flat_map(|pair| [Some(&pair.certificate), pair.key.as_ref()]);
        let Self { client_ca, tickets, peer_ca, peer_cert, peer_key, .. } = self;
        let others = [client_ca, tickets, peer_ca, peer_cert, peer_key].map(Option::as_ref);
        pairs.chain(others).flatten().map(|file| file.path.as_path())
    }

    /// Whether some file of it holds a secret.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.certificates.is_empty() || self.tickets.is_some() || self.peer_cert.is_some()
    }

    /// Whether anything of it is for peers.
    #[must_use]
    pub fn names_peers(&self) -> bool {
        self.peer_ca.is_some() || self.peer_cert.is_some()
    }
}
