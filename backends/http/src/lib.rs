//! `http`: asks an HTTP service whether a client may come, and where to.

#![forbid(unsafe_code)]

mod service;
#[cfg(test)]
mod tests;

use service::{Asked, Service, Verdict};
use std::time::Duration;
use websocksy_plugin::{Backend, Client, Peer, Refusal, export_backend, warn};
use websocksy_routes::{Cache, Options, Route, Times, seconds};

/// How long an answer may take unless the operator says otherwise.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How old an answer may be that is given while the service is away: it says who may come, too.
const STALE: Duration = Duration::from_secs(3600);
/// When a client may come again that is refused because the service is away, seconds.
const RETRY_AFTER: u32 = 2;
/// The most header fields of clients that are handed on.
const MOST_FORWARDED: usize = 32;

/// Sends clients where a service says.
#[derive(Debug)]
struct HttpBackend {
    url: Option<String>,
    forward: Vec<String>,
    peer: Option<String>,
    timeout: Duration,
    times: Times,
    options: Options,
    cache: Option<Cache<Service>>,
}

impl Backend for HttpBackend {
    fn new() -> Self {
        Self {
            url: None,
            forward: Vec::new(),
            peer: None,
            timeout: TIMEOUT,
            times: Times { stale: STALE, ..Times::default() },
            options: Options::default(),
            cache: None,
        }
    }

    fn configure(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "url" => self.url = Some(service::url(value)?),
            "forward" if self.forward.len() == MOST_FORWARDED => {
                return Err(format!("more than {MOST_FORWARDED} header fields"));
            }
            "forward" => self.forward.push(service::field_name(value)?),
            "peer" => self.peer = Some(value.into()),
            "timeout" => {
                self.timeout = seconds(value)?;
                if self.timeout.is_zero() {
                    return Err("needs some time, as 0.5 seconds are".into());
                }
            }
            _ => {
                let unknown = || {
                    format!(
                        "the keys are 'url', 'forward', 'peer', 'timeout', {}, {}",
                        Times::KEYS,
                        Options::KEYS
                    )
                };
                let times = self.times.set(key, value);
                times.or_else(|| self.options.set(key, value)).ok_or_else(unknown)??;
            }
        }
        // Keys come in any order, and queries after all of them.
        if let Some(url) = &self.url {
            let peer = self.peer.as_deref().map(|peer| Route::new(peer, self.options.clone()));
            let peer = peer.and_then(Result::ok);
            let service = Service::new(url.clone(), self.timeout, peer, self.options.clone());
            self.cache = Some(Cache::new(service, self.times, "http"));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        self.options.check()?;
        if let Some(peer) = &self.peer {
            Route::new(peer, self.options.clone()).map_err(|why| format!("peer: {why}"))?;
        }
        let cache = self.cache.as_ref().ok_or("http needs the key 'url', the service to ask")?;
        cache.look();
        Ok(())
    }

    fn query(&self, client: &Client<'_>) -> Option<Peer> {
        let cache = self.cache.as_ref()?;
        let key = Asked::of(client, &self.forward).into_key();
        let Ok(found) = cache.get(&key) else {
            let why = "whoever says where to go is away";
            client.refuse(Refusal::unavailable(why).retry_after(RETRY_AFTER));
            return None;
        };
        match found? {
            Verdict::Peer(route) => Some(route.peer(client)),
            Verdict::Bad(why) => {
                warn(&format!("{}: its answer names no peer: {why}", service::NAME));
                None
            }
            Verdict::Refused(refusal) => {
                // Who logs in now must not wait for it to be forgotten.
                cache.forget(&key);
                client.refuse(refusal);
                None
            }
        }
    }
}

export_backend!(HttpBackend);
