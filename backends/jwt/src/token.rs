//! Tokens: what is in them, and whether they are good (RFC 7515 §3.1, RFC 7519 §7.2).

use crate::key::Key;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt;

/// What an operator asks of a token.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) keys: Vec<Key>,
    /// One of these has to be in `aud`; none: it does not matter.
    pub(crate) audiences: Vec<String>,
    /// What `iss` has to be.
    pub(crate) issuer: Option<String>,
    /// How far clocks may be apart, seconds.
    pub(crate) leeway: u64,
    /// Whether a token may be good for ever.
    pub(crate) without_end: bool,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Form,
    Encrypted,
    Algorithm,
    Critical,
    Signature,
    NoEnd,
    Time,
    Expired,
    Early,
    Audience,
    Issuer,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "the token is no JWT",
            Self::Encrypted => "the token is encrypted, and only signed ones are taken",
            Self::Algorithm => "the token is signed by an algorithm that no key has",
            Self::Critical => "the token has critical header parameters",
            Self::Signature => "the token is not signed by any of the keys",
            Self::NoEnd => "the token has no exp",
            Self::Time => "the token's exp or nbf is no time",
            Self::Expired => "the token has expired",
            Self::Early => "the token is not good yet",
            Self::Audience => "the token is for another audience",
            Self::Issuer => "the token is of another issuer",
        })
    }
}

/// What a good token says.
#[derive(Debug, PartialEq)]
pub(crate) struct Claims {
    pub(crate) all: Map<String, Value>,
    /// When it expires, in seconds since 1970.
    pub(crate) expires: Option<f64>,
}

/// The claims of a token, if it is good at `now`, in seconds since 1970.
pub(crate) fn read(token: &[u8], rules: &Rules, now: u64) -> Result<Claims, Fault> {
    let parts: Vec<&[u8]> = token.split(|&byte| byte == b'.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err(if parts.len() == 5 { Fault::Encrypted } else { Fault::Form });
    };
    let signed = token.get(..header.len() + 1 + payload.len()).ok_or(Fault::Form)?;
    let header = object(header)?;
    let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Fault::Form)?;
    if header.contains_key("crit") {
        return Err(Fault::Critical); // RFC 7515 §4.1.11: we understand none
    }
    let mut keys = rules.keys.iter().filter(|key| key.algorithm.name() == algorithm).peekable();
    keys.peek().ok_or(Fault::Algorithm)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Fault::Form)?;
    if !keys.any(|key| key.verifies(signed, &signature)) {
        return Err(Fault::Signature);
    }
    judge(object(payload)?, rules, now)
}

/// Whether what is signed is good, too.
fn judge(all: Map<String, Value>, rules: &Rules, now: u64) -> Result<Claims, Fault> {
    let time = |name| match all.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Fault::Time),
    };
    let (expires, begins) = (time("exp")?, time("nbf")?);
    let (now, leeway) = (now as f64, rules.leeway as f64);
    match expires {
        None if !rules.without_end => return Err(Fault::NoEnd),
        Some(expires) if now >= expires + leeway => return Err(Fault::Expired),
        _ => {}
    }
    if begins.is_some_and(|begins| now + leeway < begins) {
        return Err(Fault::Early);
    }
    let is_meant = |value: &Value| {
        value.as_str().is_some_and(|name| rules.audiences.iter().any(|own| own == name))
    };
    let fits = match all.get("aud") {
        Some(Value::Array(names)) => names.iter().any(is_meant),
        Some(name) => is_meant(name),
        None => false,
    };
    if !fits && !rules.audiences.is_empty() {
        return Err(Fault::Audience);
    }
    let issuer = all.get("iss").and_then(Value::as_str);
    if rules.issuer.is_some() && rules.issuer.as_deref() != issuer {
        return Err(Fault::Issuer);
    }
    Ok(Claims { all, expires })
}

fn object(part: &[u8]) -> Result<Map<String, Value>, Fault> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Form)?;
    serde_json::from_slice(&bytes).map_err(|_| Fault::Form)
}
