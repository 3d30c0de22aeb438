//! The servers of a service, as a store that is asked for them.

use crate::TOKEN;
use crate::resolver::Resolver;
use crate::wire::{Found, Kind};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use websocksy_routes::Store;

/// The token of nobody, by which it is seen whether a server answers.
const NOBODY: &str = "websocksy-probe";
/// The most servers of a service: more than a datagram holds.
const MOST_SERVERS: usize = 1000;

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    /// With scheme and port; of one host several.
    pub(crate) addresses: Vec<String>,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Servers {
    pub(crate) servers: Vec<Server>,
    /// How long that is so.
    ttl: Duration,
}

/// Where they are asked for.
#[derive(Debug)]
pub(crate) struct Records {
    name: String,
    scheme: &'static str,
    resolver: Resolver,
}

impl Records {
    pub(crate) fn new(name: String, resolver: Resolver) -> Self {
        let protocol = name.split('.').nth(1).unwrap_or_default();
        let scheme = if protocol.eq_ignore_ascii_case("_udp") { "udp" } else { "tcp" };
        Self { name, scheme, resolver }
    }

    fn ask_of(&self, token: &str) -> Result<Option<Servers>, String> {
        // One time for all questions, or a client would wait for each host anew.
        let until = self.resolver.until();
        let found = self.resolver.ask(&self.name.replace(TOKEN, token), Kind::Srv, until)?;
        let mut servers = Vec::new();
        for srv in found.srv.iter().take(MOST_SERVERS) {
            // The root as a target: there is no such service here (RFC 2782).
            if srv.target.is_empty() || srv.port == 0 {
                continue;
            }
            let hosts = self.hosts(&srv.target, &found, until)?;
            let address = |host: String| format!("{}://{host}:{}", self.scheme, srv.port);
            let addresses = hosts.into_iter().map(address).collect();
            servers.push(Server { priority: srv.priority, weight: srv.weight, addresses });
        }
        let ttl = Duration::from_secs(found.ttl.into());
        Ok((!servers.is_empty()).then_some(Servers { servers, ttl }))
    }

    /// The addresses of a host, if they came along. A server that the operator names may be the only one
    /// to know them, and is asked; otherwise the core looks the name up.
    fn hosts(&self, host: &str, found: &Found, until: Instant) -> Result<Vec<String>, String> {
        let of = |found: &Found| -> Vec<IpAddr> {
            let own = found.addresses.iter().filter(|(name, _)| name == host);
            own.map(|(_, address)| *address).collect()
        };
        // Which is not what a target should be (RFC 2782), and what some write.
        let mut addresses = host.parse().map_or_else(|_| of(found), |literal| vec![literal]);
        if addresses.is_empty() && self.resolver.is_named() {
            for kind in [Kind::A, Kind::Aaaa] {
                let answer = self.resolver.ask(host, kind, until)?;
                addresses.extend(answer.addresses.iter().map(|(_, address)| *address));
            }
        }
        if addresses.is_empty() {
            return Ok(vec![host.to_owned()]);
        }
        let written = addresses.into_iter().map(|address| match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        });
        Ok(written.collect())
    }
}

impl Store for Records {
    type Value = Servers;

    fn name(&self) -> String {
        format!("srv: {} of {}", self.name, self.resolver)
    }

    fn ask(&self, key: &[u8]) -> Result<Option<Servers>, String> {
        self.ask_of(&String::from_utf8_lossy(key))
    }

    /// That there is nothing is an answer, too.
    fn probe(&self) -> Result<(), String> {
        self.ask_of(NOBODY).map(drop)
    }

    fn lifetime(&self, servers: &Servers) -> Option<Duration> {
        Some(servers.ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::thread;

    /// Each of them alone would be in time.
    #[test]
    fn all_questions_of_a_name_have_one_time() {
        let timeout = Duration::from_millis(400);
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut resolver = Resolver::new(timeout);
        resolver.add(&server.local_addr().unwrap().to_string()).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, client)) = server.recv_from(&mut buffer) {
                let mut answer = buffer[..length].to_vec();
                answer[2] |= 0x80;
                // Of type SRV: port 1 of the host "h", by the name that was asked for.
                if answer[length - 3] == 33 {
                    answer[7] = 1;
                    answer.extend(b"\xc0\x0c\0\x21\0\x01\0\0\0\x09\0\x09\0\0\0\0\0\x01\x01h\0");
                }
                // Questions that were asked again meanwhile wait behind it.
                thread::sleep(timeout * 2 / 5);
                let _ = server.send_to(&answer, client);
            }
        });
        let records = Records::new("_a._tcp.b".into(), resolver);
        let begin = Instant::now();
        let error = records.ask(b"").unwrap_err();
        assert!(error.contains("in time"), "{error}");
        let took = begin.elapsed();
        assert!(took >= timeout && took < timeout * 5, "{took:?}");
    }
}
