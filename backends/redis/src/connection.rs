//! A connection to a server: an exchange has one deadline, however its answer trickles.

use crate::reply;
use redis::{Cmd, ConnectionLike, RedisError, Value};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much is read at once, bytes.
const READ: usize = 4096;
/// The longest answer that is read, bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// A connection on which nothing is asked before all is read that was asked.
pub(crate) struct Connection {
    stream: Stream,
    /// What was read and is no whole answer yet.
    buffer: Vec<u8>,
    /// How long an exchange may take.
    timeout: Duration,
    database: i64,
    is_open: bool,
}

enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A socket each of whose reads and writes has what is left until then.
struct Timed {
    socket: Socket,
    until: Instant,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    /// To the first address of a host that takes it, all of them together until then.
    pub(crate) fn tcp(host: &str, port: u16, until: Instant) -> io::Result<Self> {
        let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        let mut last = io::Error::other("its name has no address");
        for (number, address) in addresses.iter().enumerate() {
            // One that is silent leaves time for the others.
            let others = u32::try_from(addresses.len() - number).unwrap_or(u32::MAX);
            match TcpStream::connect_timeout(address, left(until)? / others) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    return Ok(Self::over(Socket::Tcp(socket), until));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// To a socket in the file system.
    pub(crate) fn unix(path: &Path, until: Instant) -> io::Result<Self> {
        Ok(Self::over(Socket::Unix(UnixStream::connect(path)?), until))
    }

    fn over(socket: Socket, until: Instant) -> Self {
        Self {
            stream: Stream::Plain(Timed { socket, until }),
            buffer: Vec::new(),
            timeout: Duration::ZERO,
            database: 0,
            is_open: true,
        }
    }

    /// Speaks TLS from now on.
    pub(crate) fn with_tls(self, host: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        let Stream::Plain(mut socket) = self.stream else { return Ok(self) };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let stream = Stream::Tls(Box::new(StreamOwned::new(tls, socket)));
        Ok(Self { stream, ..self })
    }

    /// Says who we are and which database is meant, still until the deadline of the connect; an exchange has
    /// `timeout` from then on.
    pub(crate) fn greet(
        mut self,
        settings: &redis::RedisConnectionInfo,
        timeout: Duration,
    ) -> Result<Self, RedisError> {
        self.database = settings.db();
        let (user, password) = (settings.username(), settings.password());
        if settings.protocol().supports_resp3() {
            let mut hello = redis::cmd("HELLO");
            hello.arg(3);
            password.map(|word| hello.arg("AUTH").arg(user.unwrap_or("default")).arg(word));
            self.say(&hello)?;
        } else if let Some(password) = password {
            let said = self.say(redis::cmd("AUTH").arg(user).arg(password));
            match said {
                // Older than 6: it knows no users.
                Err(error) if user.is_some() && is_arity(&error) => {
                    self.say(redis::cmd("AUTH").arg(password))?;
                }
                said => said?,
            }
        }
        if self.database != 0 {
            self.say(redis::cmd("SELECT").arg(self.database))?;
        }
        self.timeout = timeout;
        Ok(self)
    }

    fn say(&mut self, command: &Cmd) -> Result<(), RedisError> {
        self.send(&command.get_packed_command())?;
        self.receive()?.extract_error().map(drop)
    }

    /// How long exchanges may take from now on.
    pub(crate) fn give(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    fn ask(&mut self, count: usize, commands: &[u8]) -> Result<Vec<Value>, RedisError> {
        self.timed().until = Instant::now() + self.timeout;
        let answers = self.send(commands).and_then(|()| {
            (0..count).map(|_| self.receive()).collect::<Result<Vec<_>, RedisError>>()
        });
        self.is_open &= answers.is_ok();
        answers
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), RedisError> {
        if !self.is_quiet() {
            self.is_open = false;
            // An answer that nobody asked for would be taken for that of the next question.
            return Err(io::Error::other("it says what nobody asked for, or nothing more").into());
        }
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes)?,
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush())?,
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Value, RedisError> {
        loop {
            if let Some(length) = reply::length(&self.buffer)? {
                let rest = self.buffer.split_off(length);
                let whole = std::mem::replace(&mut self.buffer, rest);
                match redis::parse_redis_value(&whole)? {
                    Value::Push { .. } => continue,
                    value => return Ok(value),
                }
            }
            if self.buffer.len() > LONGEST_ANSWER {
                return Err(io::Error::other("its answer is longer than 1 MiB").into());
            }
            let mut chunk = [0; READ];
            let read = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut chunk)?,
                Stream::Tls(stream) => stream.read(&mut chunk)?,
            };
            if read == 0 {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
            self.buffer.extend(chunk.iter().take(read));
        }
    }

    /// Whether it is there, and has said nothing that was not read.
    fn is_quiet(&mut self) -> bool {
        if !self.buffer.is_empty() || self.timed().socket.set_nonblocking(true).is_err() {
            return false;
        }
        let is_quiet = match &mut self.stream {
            Stream::Plain(stream) => would_block(stream.socket.read(&mut [0])),
            Stream::Tls(stream) => is_tls_quiet(&mut stream.conn, &mut stream.sock.socket),
        };
        self.timed().socket.set_nonblocking(false).is_ok() && is_quiet
    }

    fn timed(&mut self) -> &mut Timed {
        match &mut self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &mut stream.sock,
        }
    }
}

/// What it has to say of itself, as tickets for another handshake, is no answer.
fn is_tls_quiet(tls: &mut ClientConnection, socket: &mut Socket) -> bool {
    loop {
        match tls.process_new_packets() {
            Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
            _ => return false,
        }
        match tls.read_tls(socket) {
            Ok(1..) => {}
            read => return would_block(read),
        }
    }
}

fn would_block(read: io::Result<usize>) -> bool {
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn is_arity(error: &RedisError) -> bool {
    error.to_string().contains("wrong number of arguments")
}

/// What is left until then.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> Result<Value, RedisError> {
        let answers = self.ask(1, command)?;
        answers.into_iter().next().ok_or_else(|| io::Error::other("no answer").into())
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> Result<Vec<Value>, RedisError> {
        let answers = self.ask(offset + count, commands)?;
        Ok(answers.into_iter().skip(offset).collect())
    }

    fn get_db(&self) -> i64 {
        self.database
    }

    fn check_connection(&mut self) -> bool {
        self.is_open && self.is_quiet()
    }

    fn is_open(&self) -> bool {
        self.is_open
    }
}

impl Timed {
    fn timed<T>(
        &mut self,
        set: fn(&Socket, Duration) -> io::Result<()>,
        mut act: impl FnMut(&mut Socket) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            set(&self.socket, left(self.until)?)?;
            match act(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                done => return done,
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.timed(Socket::set_read_timeout, |socket| socket.read(buffer))
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.timed(Socket::set_write_timeout, |socket| match socket {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // nothing waits here
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Socket {
    fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(time)),
            Self::Unix(stream) => stream.set_read_timeout(Some(time)),
        }
    }

    fn set_write_timeout(&self, time: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(Some(time)),
            Self::Unix(stream) => stream.set_write_timeout(Some(time)),
        }
    }

    fn set_nonblocking(&self, is: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(is),
            Self::Unix(stream) => stream.set_nonblocking(is),
        }
    }
}
