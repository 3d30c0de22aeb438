//! Keys, each for one algorithm: what a token says of its own is compared, and never followed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{self, UnparsedPublicKey};
use spki::ObjectIdentifier;
use spki::der::DecodePem;
use std::fmt;
use std::fs;
use websocksy_routes::read_secret;

/// The shortest secret for HS256, bytes: as long as its hash (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;
/// The longest file of a public key, bytes.
const LONGEST_FILE: u64 = 64 << 10;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What a token is signed with (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    const NAMES: [(&'static str, Self); 4] = [
        ("HS256", Self::Hs256),
        ("RS256", Self::Rs256),
        ("ES256", Self::Es256),
        ("EdDSA", Self::EdDsa),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }
}

/// A key, which verifies what was signed by its algorithm.
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    verifier: Verifier,
}

enum Verifier {
    Secret(hmac::Key),
    Public(UnparsedPublicKey<Vec<u8>>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.algorithm).finish()
    }
}

impl Key {
    /// A key as an operator writes it: `ALGORITHM FILE`, and for a secret in base64url
    /// `HS256 base64 FILE`.
    pub(crate) fn configured(value: &str) -> Result<Self, String> {
        let wanted = "write key=ALGORITHM FILE";
        let (name, rest) = value.split_once(' ').ok_or_else(|| format!("{value:?}: {wanted}"))?;
        let algorithm = Algorithm::NAMES.iter().find(|(own, _)| *own == name);
        let Some((_, algorithm)) = algorithm else {
            return Err(format!("{name:?} is none of HS256, RS256, ES256 and EdDSA: {wanted}"));
        };
        let (is_base64, path) = match rest.trim().split_once(' ') {
            Some(("base64", path)) => (true, path.trim()),
            _ => (false, rest.trim()),
        };
        if !path.starts_with('/') {
            return Err("is not the absolute path of a file behind the algorithm".into());
        }
        let file = match algorithm {
            Algorithm::Hs256 => read_secret(path)?,
            _ => read_public(path)?,
        };
        Self::new(*algorithm, &file, is_base64).map_err(|why| format!("{path}: {why}"))
    }

    /// The key in a file.
    pub(crate) fn new(algorithm: Algorithm, file: &[u8], is_base64: bool) -> Result<Self, String> {
        let verifier = match algorithm {
            Algorithm::Hs256 => Verifier::Secret(secret(file, is_base64)?),
            _ if is_base64 => return Err("base64 is for the secret of HS256".into()),
            _ => Verifier::Public(public(algorithm, file)?),
        };
        Ok(Self { algorithm, verifier })
    }

    /// Whether this key made that signature of the message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.verifier {
            Verifier::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Verifier::Public(key) => key.verify(message, signature).is_ok(),
        }
    }
}

/// What is in the file of a public key.
fn read_public(path: &str) -> Result<Vec<u8>, String> {
    let at = |why: &dyn fmt::Display| format!("{path}: {why}");
    let size = fs::metadata(path).map_err(|error| at(&error))?;
    if !size.is_file() || size.len() > LONGEST_FILE {
        return Err(at(&"is no file of a key"));
    }
    fs::read(path).map_err(|error| at(&error))
}

fn secret(file: &[u8], is_base64: bool) -> Result<hmac::Key, String> {
    if file.starts_with(b"-----BEGIN ") {
        // The classic confusion: a public key is no secret.
        return Err("is no secret, as HS256 needs, but a key in PEM".into());
    }
    // An editor's line end is no part of it.
    let text = file.strip_suffix(b"\n").unwrap_or(file);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let decoded = match is_base64 {
        true => {
            let text = text.strip_suffix(b"=").unwrap_or(text);
            let text = text.strip_suffix(b"=").unwrap_or(text);
            URL_SAFE_NO_PAD.decode(text).map_err(|_| "is not base64url")?
        }
        false => text.to_vec(),
    };
    if decoded.len() < SHORTEST_SECRET {
        let length = decoded.len();
        return Err(format!("a secret of {length} bytes; HS256 needs {SHORTEST_SECRET} or more"));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &decoded))
}

fn public(algorithm: Algorithm, file: &[u8]) -> Result<UnparsedPublicKey<Vec<u8>>, String> {
    let no_key = || "is no public key in PEM (-----BEGIN PUBLIC KEY-----)".to_owned();
    let spki = spki::SubjectPublicKeyInfoOwned::from_pem(file).map_err(|_| no_key())?;
    let key = spki.subject_public_key.as_bytes().ok_or_else(no_key)?.to_vec();
    let curve = || spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
    let oid = spki.algorithm.oid;
    let (fits, parameters): (bool, &'static dyn signature::VerificationAlgorithm) = match algorithm
    {
        Algorithm::Rs256 => (oid == RSA, &signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Es256 => {
            (oid == ELLIPTIC && curve() == Some(P256), &signature::ECDSA_P256_SHA256_FIXED)
        }
        Algorithm::EdDsa => (oid == ED25519, &signature::ED25519),
        Algorithm::Hs256 => return Err(no_key()),
    };
    if !fits {
        return Err(format!("is a key of another kind than {} needs", algorithm.name()));
    }
    Ok(UnparsedPublicKey::new(parameters, key))
}
