//! `redis`: peers by a token that the client shows, from Redis or what speaks like it.

#![forbid(unsafe_code)]

mod connection;
mod lease;
mod reply;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use lease::{Leases, Limits};
use server::Server;
use std::sync::OnceLock;
use std::time::Duration;
use store::Redis;
use tls::Tls;
use websocksy_plugin::{Backend, Client, Peer, Refusal, count, export_backend, secret, warn};
use websocksy_routes::{Cache, Options, Times, read_secret, seconds, token};

/// How long a connect and an answer may take unless the operator says otherwise.
const TIMEOUT: Duration = Duration::from_secs(2);
/// When a client may come again that is refused because the store is away, seconds.
const RETRY_AFTER: u32 = 2;
/// When a client may come again that finds all places taken, seconds.
const FULL_RETRY_AFTER: u32 = 5;
/// More sessions than a fleet has.
const MOST_LEASES: u32 = 10_000_000;
/// The shortest time that a session counts whose bridge is gone: it is renewed three times as often.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// The longest token that is looked up, bytes.
const LONGEST_TOKEN: usize = 4096;

/// Finds the peer of a client by its token.
#[derive(Debug)]
struct RedisBackend {
    server: Server,
    prefix: String,
    times: Times,
    options: Options,
    cache: Option<Cache<Redis>>,
    limits: Limits,
    /// Once it is configured.
    leases: OnceLock<Leases>,
}

impl Backend for RedisBackend {
    fn new() -> Self {
        Self {
            server: Server::new(TIMEOUT),
            prefix: String::new(),
            times: Times::default(),
            options: Options::default(),
            cache: None,
            limits: Limits::default(),
            leases: OnceLock::new(),
        }
    }

    fn configure(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "url" => self.server.at(value)?,
            "sentinel" => self.server.sentinel(value)?,
            "ca-file" | "cert-file" | "key-file" => self.server.tls.file(key, value)?,
            "password-file" => {
                let text = String::from_utf8(read_secret(value)?);
                let text = text.map_err(|_| format!("{value}: is no text in UTF-8"))?;
                let password = text.trim_end_matches(['\r', '\n']);
                if password.is_empty() {
                    return Err(format!("{value}: is empty"));
                }
                secret(password);
                self.server.password = Some(password.into());
            }
            "prefix" => self.prefix = value.into(),
            "timeout" => {
                self.server.timeout = seconds(value)?;
                if self.server.timeout.is_zero() {
                    return Err("needs some time, as 0.5 seconds are".into());
                }
            }
            "lease" => {
                let most = value.parse().ok().filter(|most| (1..=MOST_LEASES).contains(most));
                let wrong = || format!("{value:?} is no number of sessions, 1 to {MOST_LEASES}");
                self.limits.most = most.ok_or_else(wrong)?;
            }
            "lease-ttl" => {
                self.limits.ttl = seconds(value)?;
                if self.limits.ttl < SHORTEST_LEASE {
                    return Err("needs a second at least".into());
                }
            }
            "lease-failure" => {
                self.limits.closed = match value {
                    "open" => false,
                    "closed" => true,
                    _ => return Err(format!("{value:?} is not open or closed")),
                };
            }
            "lease-prefix" => self.limits.prefix = value.into(),
            _ => {
                let unknown = || {
                    format!(
                        "the keys are 'url', 'sentinel', 'password-file', {}, 'prefix', \
                         'timeout', 'lease', 'lease-ttl', 'lease-failure', 'lease-prefix', {}, {}",
                        Tls::KEYS,
                        Times::KEYS,
                        Options::KEYS
                    )
                };
                let times = self.times.set(key, value);
                times.or_else(|| self.options.set(key, value)).ok_or_else(unknown)??;
            }
        }
        // Keys come in any order, and queries after all of them.
        let store = Redis::new(self.server.clone(), self.prefix.clone(), self.options.clone());
        self.cache = Some(Cache::new(store, self.times, "redis"));
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        self.server.check()?;
        self.options.check()?;
        self.cache.iter().for_each(Cache::look);
        if self.limits.most > 0 {
            self.leases();
        }
        Ok(())
    }

    fn query(&self, client: &Client<'_>) -> Option<Peer> {
        let token = token(client).filter(|token| token.len() <= LONGEST_TOKEN)?;
        match self.cache.as_ref()?.get(&token) {
            Ok(found) => match found? {
                Ok(route) => self.has_place(client, &token).then(|| route.peer(client)),
                Err(why) => {
                    // The key lets its bearer in, so the line does not have it.
                    warn(&format!("redis: what stands under a client's token is no peer: {why}"));
                    None
                }
            },
            Err(_) => {
                let why = "where the peers are written is away";
                client.refuse(Refusal::unavailable(why).retry_after(RETRY_AFTER));
                None
            }
        }
    }

    fn ended(&self, session: u64, _reason: &str) {
        self.leases.get().into_iter().for_each(|leases| leases.ended(session));
    }
}

impl RedisBackend {
    /// Whether there is a place for one more session of this token over the fleet; the client is refused
    /// otherwise.
    fn has_place(&self, client: &Client<'_>, token: &[u8]) -> bool {
        let (Some(cache), 1..) = (&self.cache, self.limits.most) else { return true };
        let taken = self.leases().and_then(|leases| {
            let taken = cache.while_there(|store| leases.take(store, token, client.session()));
            if taken.is_err() && !self.limits.closed {
                leases.count_later(token, client.session());
            }
            taken.ok()
        });
        let refuse = |why, seconds| {
            client.refuse(Refusal::unavailable(why).retry_after(seconds));
            false
        };
        match taken {
            Some(true) => true,
            Some(false) => {
                count("redis_full", 1);
                refuse("all its places are taken", FULL_RETRY_AFTER)
            }
            None if self.limits.closed => refuse("where sessions are counted is away", RETRY_AFTER),
            None => true,
        }
    }

    /// None where the system has no thread for them.
    fn leases(&self) -> Option<&Leases> {
        if self.leases.get().is_none() {
            let store = Redis::new(self.server.clone(), String::new(), Options::default());
            match Leases::start(self.limits.clone(), store) {
                // Another thread may have been faster; then these end.
                Ok(leases) => drop(self.leases.set(leases)),
                Err(error) => warn(&format!("redis: sessions cannot be counted: {error}")),
            }
        }
        self.leases.get()
    }
}

export_backend!(RedisBackend, ended);
