//! Where the server is: at an address, or where the sentinels say that the master is.

use crate::connection::Connection;
use crate::tls::Tls;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use websocksy_plugin::{log, secret};

/// Where sentinels listen unless the operator says otherwise.
const SENTINEL_PORT: u16 = 26379;
/// What is said of the port 0.
const NO_PORT: &str = "0 is no port to connect to: write one of 1 to 65535, or none";
/// How often a sentinel is asked whether the master has moved. One that is replaced while it lives is told
/// so only after some ten seconds, and takes itself for the master until then.
const LOOK: Duration = Duration::from_secs(1);

/// Where the server is, and how it is spoken to.
#[derive(Clone)]
pub(crate) struct Server {
    /// As the operator wrote it; with sentinels, its host is the name of a master.
    url: Option<ConnectionInfo>,
    has_port: bool,
    sentinels: Vec<ConnectionInfo>,
    pub(crate) password: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) tls: Tls,
    found: Arc<Mutex<Found>>,
}

/// What the sentinels said.
#[derive(Default)]
struct Found {
    /// Which of them is asked first: the one that answered last.
    first: usize,
    /// Where the master was that was reached last.
    master: Option<(String, u16)>,
    /// When a sentinel was asked last.
    asked: Option<Instant>,
    /// How often the master was seen to have moved.
    moves: u64,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server") // its passwords are nobody's business
    }
}

impl Server {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            url: None,
            has_port: false,
            sentinels: Vec::new(),
            password: None,
            timeout,
            tls: Tls::default(),
            found: Arc::default(),
        }
    }

    /// Takes the operator's URL.
    pub(crate) fn at(&mut self, value: &str) -> Result<(), String> {
        // Not what it says: it may hold a password.
        let wrong = || {
            "write redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, or unix:///PATH"
                .to_owned()
        };
        let url = redis::parse_redis_url(value).ok_or_else(wrong)?;
        if url.fragment().is_some() {
            return Err("drop what stands behind '#': certificates are verified always, and \
                        'ca-file' says by whom they are signed"
                .into());
        }
        if url.port() == Some(0) {
            return Err(NO_PORT.into());
        }
        self.has_port = url.port().is_some();
        self.url = Some(understood(value).ok_or_else(wrong)?);
        Ok(())
    }

    /// Takes the place of a sentinel.
    pub(crate) fn sentinel(&mut self, value: &str) -> Result<(), String> {
        let wrong = || {
            "write HOST[:PORT], redis://[USER:PASSWORD@]HOST[:PORT], or rediss:// for TLS"
                .to_owned()
        };
        let url = if value.contains("://") { value.into() } else { format!("redis://{value}") };
        let mut url = redis::parse_redis_url(&url).ok_or_else(wrong)?;
        let has_more =
            !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
        if url.host().is_none() || has_more {
            return Err(wrong());
        }
        if url.port() == Some(0) {
            return Err(NO_PORT.into());
        }
        if url.port().is_none() {
            url.set_port(Some(SENTINEL_PORT)).map_err(|()| wrong())?;
        }
        self.sentinels.push(understood(url.as_str()).ok_or_else(wrong)?);
        Ok(())
    }

    /// Judges all that was said of it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(url) = &self.url else {
            return Err("redis needs the key 'url', as in url=redis://127.0.0.1:6379/0".into());
        };
        let is_unix = matches!(url.addr(), ConnectionAddr::Unix(_));
        if !self.sentinels.is_empty() && (self.has_port || is_unix) {
            return Err("with 'sentinel', the name of the master stands for the host, without a \
                        port: url=redis://NAME[/DB]"
                .into());
        }
        self.tls.check(self.sentinels.iter().chain([url]).any(|info| is_tls(info.addr())))
    }

    /// What it is called in the log.
    pub(crate) fn name(&self) -> String {
        let Some(url) = &self.url else { return String::new() };
        if self.sentinels.is_empty() {
            return url.addr().to_string();
        }
        format!("the master {}", host(url.addr()))
    }

    /// A connection to the server, made in so much time; sentinels have their own.
    pub(crate) fn connect(&self, time: Duration) -> Result<Connection, RedisError> {
        let mut info = self.url.clone().ok_or_else(|| failed("no url".into()))?;
        if let Some(password) = &self.password {
            let settings = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(settings);
        }
        if self.sentinels.is_empty() { self.open(info, time) } else { self.open_master(&info) }
    }

    /// A connection on which we have said who we are: all that in one time.
    fn open(&self, info: ConnectionInfo, time: Duration) -> Result<Connection, RedisError> {
        let until = Instant::now() + time;
        let connection = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Connection::tcp(host, *port, until)?,
            ConnectionAddr::TcpTls { host, port, .. } => {
                let tls = self.tls.config().map_err(failed)?;
                Connection::tcp(host, *port, until)?.with_tls(host, tls)?
            }
            ConnectionAddr::Unix(path) => Connection::unix(path, until)?,
            _ => return Err(failed("its address is of no known kind".into())),
        };
        connection.greet(info.redis_settings(), self.timeout)
    }

    /// A connection to the master of which the sentinels say where it is.
    fn open_master(&self, url: &ConnectionInfo) -> Result<Connection, RedisError> {
        let name = host(url.addr());
        let (sentinel, place) = self.place(name)?;
        let (place_host, port) = place.clone();
        let addr = if is_tls(url.addr()) {
            ConnectionAddr::TcpTls { host: place_host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(place_host, port)
        };
        let connection =
            self.open(url.clone().set_addr(addr), self.timeout).and_then(|mut connection| {
                if is_master(&mut connection)? {
                    return Ok(connection);
                }
                Err(failed("it is no master any more, or not yet".into()))
            });
        // Elsewhere the log has its name alone.
        let connection = connection
            .map_err(|error| failed(format!("{}:{}: {}", place.0, place.1, self.in_words(&error))));
        let mut found = self.lock();
        // Another may know better, next time.
        found.first = if connection.is_ok() { sentinel } else { sentinel + 1 };
        if connection.is_ok() && found.master.as_ref() != Some(&place) {
            log(&format!("redis: the master {name} is at {}:{}", place.0, place.1));
            found.master = Some(place);
        }
        connection
    }

    /// Where the master is, and which of the sentinels says so.
    fn place(&self, name: &str) -> Result<(usize, (String, u16)), RedisError> {
        let (first, count) = (self.lock().first, self.sentinels.len());
        let mut reasons = Vec::new();
        for (number, sentinel) in self.sentinels.iter().enumerate().cycle().skip(first % count) {
            if reasons.len() == count {
                break;
            }
            reasons.push(match self.ask(sentinel, name) {
                Ok(Some(place)) => return Ok((number, place)),
                Ok(None) => format!("{} knows no such master", sentinel.addr()),
                Err(error) => format!("{}: {}", sentinel.addr(), self.in_words(&error)),
            });
        }
        Err(failed(format!("no sentinel says where it is: {}", reasons.join(", "))))
    }

    /// What a sentinel says where the master is.
    fn ask(
        &self,
        sentinel: &ConnectionInfo,
        name: &str,
    ) -> Result<Option<(String, u16)>, RedisError> {
        let mut connection = self.open(sentinel.clone(), self.timeout)?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("get-master-addr-by-name").arg(name).query(&mut connection)
    }

    /// A number that is another one when the master has moved: connections from before lead nowhere.
    pub(crate) fn moves(&self) -> u64 {
        let (Some(url), count @ 1..) = (&self.url, self.sentinels.len()) else { return 0 };
        let first = {
            let mut found = self.lock();
            if found.asked.is_some_and(|asked| asked.elapsed() < LOOK) {
                return found.moves;
            }
            found.asked = Some(Instant::now());
            found.first % count
        };
        let said = self.ask(&self.sentinels[first], host(url.addr()));
        let mut found = self.lock();
        match said {
            Ok(Some(place)) => {
                let has_moved = found.master.as_ref().is_some_and(|master| *master != place);
                found.moves += u64::from(has_moved);
            }
            // Another one is asked next time.
            Ok(None) | Err(_) => found.first = first + 1,
        }
        found.moves
    }

    /// An error as one line.
    pub(crate) fn in_words(&self, error: &RedisError) -> String {
        if error.is_timeout() {
            return format!("no answer in {} s", self.timeout.as_secs_f64());
        }
        error.to_string().lines().next().unwrap_or_default().to_owned()
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        // Whoever panicked left something whole behind.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a URL says, whose password is kept out of the log.
fn understood(url: &str) -> Option<ConnectionInfo> {
    let info = url.into_connection_info().ok()?;
    info.redis_settings().password().into_iter().for_each(secret);
    Some(info)
}

fn failed(why: String) -> RedisError {
    io::Error::other(why).into()
}

fn is_tls(addr: &ConnectionAddr) -> bool {
    matches!(addr, ConnectionAddr::TcpTls { .. })
}

fn host(addr: &ConnectionAddr) -> &str {
    match addr {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
        _ => "",
    }
}

/// Whether the server takes itself for a master. One that may not be asked is believed.
fn is_master(connection: &mut Connection) -> Result<bool, RedisError> {
    match redis::cmd("ROLE").query::<Vec<redis::Value>>(connection) {
        Ok(role) => {
            let first = role.into_iter().next().map(redis::from_redis_value::<String>);
            Ok(first.is_some_and(|role| role.is_ok_and(|role| role == "master")))
        }
        Err(error) if error.code().is_some() => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result = std::result::Result<(), String>;

    /// A file without PEM.
    const CODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

    fn server(keys: &[(&str, &str)]) -> Result {
        let mut server = Server::new(Duration::from_secs(2));
        for (key, value) in keys {
            match *key {
                "url" => server.at(value)?,
                "sentinel" => server.sentinel(value)?,
                name => server.tls.file(name, value)?,
            }
        }
        server.check()
    }

    #[test]
    fn where_a_server_may_be() {
        let good: [&[(&str, &str)]; 5] = [
            &[("url", "redis://127.0.0.1")],
            &[("url", "rediss://user:word@redis.example.org:6380/3")],
            &[("url", "unix:///run/redis.sock")],
            &[("url", "redis://my-Master_1/2"), ("sentinel", "10.0.0.1")],
            &[("url", "rediss://m"), ("sentinel", "[::1]:5"), ("sentinel", "rediss://u:p@s")],
        ];
        for keys in good {
            assert_eq!(server(keys), Ok(()), "{keys:?}");
        }
        let cases: [(&[(&str, &str)], &str); 17] = [
            (&[("url", "redis://h:0")], "0 is no port"),
            (&[("url", "rediss://h:0/1")], "0 is no port"),
            (&[("url", "redis://m"), ("sentinel", "h:0")], "0 is no port"),
            (&[], "needs the key 'url'"),
            (&[("url", "127.0.0.1:6379")], "write redis://["),
            (&[("url", "http://127.0.0.1")], "write redis://["),
            (&[("url", "redis://h/x")], "write redis://["),
            (&[("url", "rediss://h/#insecure")], "certificates are verified always"),
            (&[("sentinel", "10.0.0.1")], "needs the key 'url'"),
            (&[("url", "redis://m"), ("sentinel", "s/0")], "write HOST[:PORT]"),
            (&[("url", "redis://m"), ("sentinel", "unix:///s")], "write HOST[:PORT]"),
            (&[("url", "redis://m"), ("sentinel", "")], "write HOST[:PORT]"),
            (&[("url", "redis://m:6379"), ("sentinel", "s")], "url=redis://NAME[/DB]"),
            (&[("url", "unix:///m"), ("sentinel", "s")], "url=redis://NAME[/DB]"),
            (&[("ca-file", "/nonexistent")], "/nonexistent: No such file"),
            (&[("ca-file", CODE)], "holds no certificate in PEM"),
            (&[("key-file", CODE)], "is open to everybody (mode 0"),
        ];
        for (keys, reason) in cases {
            let error = server(keys).unwrap_err();
            assert!(error.contains(reason), "{keys:?}: {error}");
        }
    }
}
