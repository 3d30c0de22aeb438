//! `jwt`: peers that a signed token names, with websockify's claims.

#![forbid(unsafe_code)]

mod key;
mod token;

use key::Key;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};
use token::{Claims, Rules};
use websocksy_plugin::{Backend, Client, Peer, Refusal, export_backend, warn};
use websocksy_routes::{Options, Route};

/// How far clocks may be apart unless the operator says otherwise, seconds.
const LEEWAY: u64 = 30;
/// The most that they may be, seconds.
const MOST_LEEWAY: u64 = 3600;
/// The close code of a session whose token has expired: "Unauthorized", as registered with IANA.
const EXPIRED: u16 = 3000;

/// Sends clients to the peers that their tokens name.
#[derive(Debug)]
struct JwtBackend {
    rules: Rules,
    options: Options,
    /// Whether a session ends when its token does.
    end_sessions: bool,
}

impl Backend for JwtBackend {
    fn new() -> Self {
        let rules = Rules { leeway: LEEWAY, ..Rules::default() };
        Self { rules, options: Options::default(), end_sessions: false }
    }

    fn configure(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "key" => self.rules.keys.push(Key::configured(value)?),
            "audience" => self.rules.audiences.push(named(value)?),
            "issuer" => self.rules.issuer = Some(named(value)?),
            "leeway" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds <= MOST_LEEWAY);
                self.rules.leeway = seconds.ok_or_else(|| {
                    format!("{value:?} is not a number of seconds, 0 to {MOST_LEEWAY}")
                })?;
            }
            "without-exp" => self.rules.without_end = yes_or_no(value)?,
            "end-sessions" => self.end_sessions = yes_or_no(value)?,
            _ => {
                let unknown = || {
                    format!(
                        "the keys are 'key', 'audience', 'issuer', 'leeway', 'without-exp', \
                         'end-sessions', {}",
                        Options::KEYS
                    )
                };
                self.options.set(key, value).ok_or_else(unknown)??;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.rules.keys.is_empty() {
            return Err("jwt needs the key 'key', as in key=RS256 /etc/websocksy/jwt.pem".into());
        }
        self.options.check()
    }

    fn query(&self, client: &Client<'_>) -> Option<Peer> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match self.peer(client, now) {
            Ok(peer) => Some(peer),
            Err(refusal) => {
                client.refuse(refusal);
                None
            }
        }
    }
}

export_backend!(JwtBackend);

impl JwtBackend {
    /// The peer that the client's token names at `now`, in seconds since 1970.
    fn peer(&self, client: &Client<'_>, now: u64) -> Result<Peer, Refusal> {
        let token = token_of(client).ok_or_else(|| Refusal::unauthorized("a token is wanted"))?;
        let claims = token::read(&token, &self.rules, now);
        let claims = claims.map_err(|fault| Refusal::unauthorized(fault.to_string()))?;
        let route = self.route(&claims).map_err(|why| {
            warn(&format!("jwt: a token that is signed names no peer: {why}"));
            Refusal::forbidden("the token names no peer")
        })?;
        let peer = route.peer(client);
        Ok(match claims.expires.filter(|_| self.end_sessions) {
            Some(expires) => {
                let left = (expires - now as f64).clamp(1.0, f64::from(u32::MAX));
                peer.max_session(left as u32, EXPIRED)
            }
            None => peer,
        })
    }

    /// Where the claims `host` and `port` lead, and how it is spoken to.
    fn route(&self, claims: &Claims) -> Result<Route, String> {
        let text = |name| match claims.all.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(format!("its {name} is neither a text nor a number")),
        };
        let host = text("host")?.ok_or("it has no host")?;
        let address = match text("port")? {
            Some(port) if host.contains(':') && !host.contains(['/', '[']) => {
                format!("[{host}]:{port}")
            }
            Some(port) => format!("{host}:{port}"),
            None => host,
        };
        let mut options = Options::default();
        for key in ["framing", "framing-config", "protocol"] {
            if let Some(value) = text(key)? {
                options.set(key, &value).unwrap_or(Ok(()))?;
            }
        }
        Route::new(&address, options.or(&self.options))
    }
}

/// What the client shows: the parameter `token`, a bearer token (RFC 6750 §2.1), or the last part of the
/// path if it looks like one.
fn token_of(client: &Client<'_>) -> Option<Vec<u8>> {
    let bearer = || {
        let value = client.header(b"authorization")?;
        let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii().to_vec())
    };
    let of_path = || client.last_segment().filter(|part| part.contains(&b'.'));
    let token = client.parameter(b"token").or_else(bearer);
    token.or_else(|| of_path().and_then(|_| websocksy_routes::token(client)))
}

fn named(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("needs a value".into()) } else { Ok(value.into()) }
}

fn yes_or_no(value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(format!("{value:?} is neither yes nor no")),
    }
}

#[cfg(test)]
mod tests;
