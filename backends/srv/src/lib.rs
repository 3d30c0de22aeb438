//! `srv`: peers that DNS SRV records name (RFC 2782).

#![forbid(unsafe_code)]

mod order;
mod records;
mod resolver;
mod wire;

use records::Records;
use resolver::Resolver;
use std::time::Duration;
use websocksy_plugin::{Backend, Client, Peer, Refusal, export_backend, warn};
use websocksy_routes::{Cache, Options, Route, Times, seconds, token};

/// How long all servers together may take unless the operator says otherwise.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The records' own time counts, up to this.
const LONGEST_TTL: Duration = Duration::from_secs(86_400);
/// When a client may come again that is refused because no server answers, seconds.
const RETRY_AFTER: u32 = 2;
/// What stands for the client's token in a name.
const TOKEN: &str = "{token}";
/// A label of a name (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// Sends clients to the servers of a service.
#[derive(Debug)]
struct SrvBackend {
    name: Option<String>,
    resolver: Resolver,
    times: Times,
    options: Options,
    cache: Option<Cache<Records>>,
}

impl Backend for SrvBackend {
    fn new() -> Self {
        Self {
            name: None,
            resolver: Resolver::new(TIMEOUT),
            times: Times { fresh: LONGEST_TTL, ..Times::default() },
            options: Options::default(),
            cache: None,
        }
    }

    fn configure(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "name" => self.name = Some(service(value)?),
            "server" => self.resolver.add(value)?,
            "timeout" => {
                self.resolver.timeout = seconds(value)?;
                if self.resolver.timeout.is_zero() {
                    return Err("needs some time, as 0.5 seconds are".into());
                }
            }
            _ => {
                let unknown = || {
                    format!(
                        "the keys are 'name', 'server', 'timeout', {}, {}",
                        Times::KEYS,
                        Options::KEYS
                    )
                };
                let times = self.times.set(key, value);
                times.or_else(|| self.options.set(key, value)).ok_or_else(unknown)??;
            }
        }
        // Keys come in any order, and queries after all of them.
        if let Some(name) = &self.name {
            let records = Records::new(name.clone(), self.resolver.clone());
            self.cache = Some(Cache::new(records, self.times, "srv"));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        self.options.check()?;
        let nameless = "srv needs the key 'name', as in name=_vnc._tcp.example.org";
        self.cache.as_ref().ok_or(nameless)?.look();
        Ok(())
    }

    fn query(&self, client: &Client<'_>) -> Option<Peer> {
        let cache = self.cache.as_ref()?;
        let label = match self.name.as_deref()?.contains(TOKEN) {
            true => token(client).filter(|token| is_label(token))?,
            false => Vec::new(),
        };
        match cache.get(&label) {
            Ok(found) => {
                let servers = found?.servers;
                let addresses = order::order(&servers, random);
                match Route::new(&addresses, self.options.clone()) {
                    Ok(route) => Some(route.peer(client)),
                    Err(why) => {
                        warn(&format!("srv: what stands in the records is no peer: {why}"));
                        None
                    }
                }
            }
            Err(_) => {
                let why = "whoever knows the peers is away";
                client.refuse(Refusal::unavailable(why).retry_after(RETRY_AFTER));
                None
            }
        }
    }
}

/// A number from 0 to `most`.
fn random(most: u32) -> u32 {
    // Without randomness there is none in who comes first, and that is all.
    let number = getrandom::u32().unwrap_or_default();
    ((u64::from(number) * (u64::from(most) + 1)) >> 32) as u32
}

/// A service's name as an operator writes it.
fn service(value: &str) -> Result<String, String> {
    let name = value.trim_end_matches('.');
    let made_up = name.replace(TOKEN, "x");
    let wrong = || {
        format!(
            "{value:?} is no name of a service: write _SERVICE._tcp.DOMAIN; {TOKEN} stands for the \
             client's token as a part between dots"
        )
    };
    let mut parts = made_up.split('.');
    let [service, protocol] = [parts.next(), parts.next()].map(Option::unwrap_or_default);
    let is_service = service.len() > 1 && service.starts_with('_');
    let is_good = is_service
        && matches!(protocol.to_ascii_lowercase().as_str(), "_tcp" | "_udp")
        && made_up.len() + LONGEST_LABEL <= 253
        && made_up.split('.').all(|part| is_label(part.as_bytes()))
        && name.matches(TOKEN).count() <= 1
        && name.split('.').all(|part| part == TOKEN || !part.contains(['{', '}']));
    if is_good { Ok(name.into()) } else { Err(wrong()) }
}

/// Whether a client's token can stand in a name: a label of a host name, or with underscores.
fn is_label(bytes: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_LABEL).contains(&bytes.len()) && bytes.iter().all(good)
}

export_backend!(SrvBackend);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services() {
        for name in ["_vnc._tcp.example.org", "_a._udp.{token}.b", "_vnc._TCP.x."] {
            assert_eq!(service(name).unwrap(), name.trim_end_matches('.'));
        }
        let long = format!("_vnc._tcp.{}", "a.".repeat(120));
        for name in [
            "",
            ".",
            "example.org",
            "_vnc.example.org",
            "_vnc._sctp.example.org",
            "_._tcp.example.org",
            "_vnc._tcp..org",
            "_vnc._tcp.exa mple.org",
            "_vnc._tcp.{name}.org",
            "_vnc._tcp.a{token}.org",
            "_vnc._tcp.{token}.{token}.org",
            &long,
        ] {
            assert!(service(name).unwrap_err().contains("_SERVICE._tcp"), "{name}");
        }
    }

    #[test]
    fn what_of_a_token_stands_in_a_name() {
        for (token, is) in [
            ("desk-1", true),
            ("DESK_1", true),
            ("", false),
            ("a.b", false),
            ("a b", false),
            ("\u{e4}", false),
            ("*", false),
        ] {
            assert_eq!(is_label(token.as_bytes()), is, "{token}");
        }
        assert!(is_label(&[b'a'; 63]) && !is_label(&[b'a'; 64]));
    }

    #[test]
    fn random_numbers_are_in_their_range() {
        assert_eq!(random(0), 0);
        let mut seen = [false; 4];
        (0..1000).for_each(|_| seen[random(3) as usize] = true);
        assert_eq!(seen, [true; 4]);
    }

    #[test]
    fn keys() {
        let mut backend = SrvBackend::new();
        for (key, value, says) in [
            ("name", "x", "_SERVICE._tcp"),
            ("server", "dns.example.org", "is no address"),
            ("server", "", "is no address"),
            ("timeout", "0", "some time"),
            ("url", "x", "'name', 'server'"),
        ] {
            let error = backend.configure(key, value).unwrap_err();
            assert!(error.contains(says), "{key}={value}: {error}");
        }
        assert!(backend.check().unwrap_err().contains("needs the key 'name'"));
        for (key, value) in [("server", "127.0.0.1:5353"), ("server", "::1"), ("ttl", "3")] {
            backend.configure(key, value).unwrap();
        }
    }
}
