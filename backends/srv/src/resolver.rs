//! The name servers, and how they are asked.

use crate::wire::{self, Answer, Found, Kind};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const PORT: u16 = 53;
/// Where the system's servers are written (resolv.conf(5)).
const SYSTEM: &str = "/etc/resolv.conf";
/// The most servers that are asked.
const MOST_SERVERS: usize = 8;
/// What a server may send in a datagram without EDNS (RFC 1035 §2.3.4), and room to spare.
const DATAGRAM: usize = 4096;
/// How often a datagram is sent to each server: one may be lost.
const TRIES: u32 = 2;

/// Some name servers.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    /// None for the system's, which are read again for each question.
    servers: Vec<SocketAddr>,
    pub(crate) timeout: Duration,
}

impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.servers.is_empty() {
            return f.write_str(SYSTEM);
        }
        let names: Vec<_> = self.servers.iter().map(SocketAddr::to_string).collect();
        f.write_str(&names.join(", "))
    }
}

impl Resolver {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { servers: Vec::new(), timeout }
    }

    /// Whether the operator named the servers.
    pub(crate) fn is_named(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Takes a server, with a port or without.
    pub(crate) fn add(&mut self, value: &str) -> Result<(), String> {
        if self.servers.len() == MOST_SERVERS {
            return Err(format!("more than {MOST_SERVERS} servers"));
        }
        let address = value.parse().map(|ip| SocketAddr::new(ip, PORT));
        let address = address.or_else(|_| value.parse::<SocketAddr>());
        let wrong = |_| format!("{value:?} is no address: write ADDRESS[:PORT]");
        self.servers.push(address.map_err(wrong)?);
        Ok(())
    }

    /// When all is said that is asked from now on.
    pub(crate) fn until(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Asks one server after the other until one can say, or the time is over.
    ///
    /// # Errors
    /// What the last one said, or why it did not.
    pub(crate) fn ask(&self, name: &str, kind: Kind, until: Instant) -> Result<Found, String> {
        let of_system;
        let servers = if self.servers.is_empty() {
            of_system = system();
            &of_system
        } else {
            &self.servers
        };
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(servers.len().max(1)).unwrap_or(1);
        let (mut last, mut is_there) = (String::new(), false);
        for server in servers {
            match ask(*server, name, kind, share) {
                Ok(Answer::Found(found)) => return Ok(found),
                Ok(Answer::Failed(why)) => {
                    is_there = true;
                    last = format!("{server}: {why}");
                }
                Ok(Answer::Truncated | Answer::Other) => {
                    last = format!("{server}: its answer is none to the question");
                }
                Err(why) => last = format!("{server}: {why}"),
            }
        }
        // A host in a zone that is none of theirs: others may know it.
        if is_there && kind != Kind::Srv { Ok(Found::default()) } else { Err(last) }
    }
}

/// The system's servers; the machine's own where none is written.
fn system() -> Vec<SocketAddr> {
    let text = fs::read_to_string(SYSTEM).unwrap_or_default();
    let mut servers = servers_of(&text);
    if servers.is_empty() {
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
    }
    servers
}

fn servers_of(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let is_server = words.next() == Some("nameserver");
        words.next().filter(|_| is_server)?.parse::<IpAddr>().ok()
    };
    let servers = text.lines().filter_map(address).map(|ip| SocketAddr::new(ip, PORT));
    servers.take(MOST_SERVERS).collect()
}

/// Asks one server, in so much time.
fn ask(server: SocketAddr, name: &str, kind: Kind, time: Duration) -> Result<Answer, String> {
    // By the number and the port strangers have to guess at both (RFC 5452 §4).
    let id = getrandom::u32().map_err(|error| error.to_string())? as u16;
    let question = wire::question(id, name, kind)?;
    let until = Instant::now() + time;
    match over_udp(server, &question, id, name, until) {
        Ok(Answer::Truncated) => {}
        Ok(answer) => return Ok(answer),
        Err(error) => return Err(words(&error)),
    }
    let bytes = over_tcp(server, &question, until).map_err(|error| words(&error))?;
    Ok(wire::answer(&bytes, id, name))
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it does not answer in time".into(),
        _ => error.to_string(),
    }
}

/// What is left until then.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn over_udp(
    server: SocketAddr,
    question: &[u8],
    id: u16,
    name: &str,
    until: Instant,
) -> io::Result<Answer> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    // From now on it hears nobody else.
    socket.connect(server)?;
    let mut buffer = [0; DATAGRAM];
    for tries_left in (1..=TRIES).rev() {
        socket.send(question)?;
        let again_at = Instant::now() + left(until)? / tries_left;
        while let Ok(time) = left(again_at) {
            socket.set_read_timeout(Some(time))?;
            let received = match socket.recv(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                received => received?,
            };
            let bytes = buffer.get(..received).unwrap_or_default();
            match wire::answer(bytes, id, name) {
                // A stranger's, or late.
                Answer::Other => {}
                answer => return Ok(answer),
            }
        }
    }
    Err(ErrorKind::TimedOut.into())
}

/// With its length in front (RFC 1035 §4.2.2).
fn over_tcp(server: SocketAddr, question: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    stream.set_write_timeout(Some(left(until)?))?;
    let length = u16::try_from(question.len()).map_err(|_| ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    fill(&mut stream, &mut length, until)?;
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    fill(&mut stream, &mut bytes, until)?;
    Ok(bytes)
}

/// Reads all of it until then, however it trickles.
fn fill(stream: &mut TcpStream, buffer: &mut [u8], until: Instant) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(rest) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1\n\
                    nameserver\t2001:db8::1 # ours\nnameserver fe80::1%eth0\nnameserver\n";
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53"].map(|text| text.parse().unwrap());
        assert_eq!(servers_of(text), expected);
    }

    #[test]
    fn a_server_that_says_nothing_takes_its_time_and_no_more() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let begin = Instant::now();
        let time = Duration::from_millis(200);
        let answer = ask(silent.local_addr().unwrap(), "_a._tcp.b", Kind::Srv, time);
        assert_eq!(answer, Err("it does not answer in time".into()));
        let (took, mut asked) = (begin.elapsed(), 0);
        assert!(took >= time, "{took:?}");
        silent.set_nonblocking(true).unwrap();
        while silent.recv(&mut [0; 64]).is_ok() {
            asked += 1;
        }
        assert_eq!(asked, TRIES);
    }
}
