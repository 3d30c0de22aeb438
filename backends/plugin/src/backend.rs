//! Back ends: who is the peer of a client?

use crate::{host, target};
use std::ffi::CStr;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// A back end: finds the peer of a client.
///
/// All of it runs on one thread, the back end's own; `query` also on others and on several at once,
/// if the operator allows it with `--query-threads`. `configure` never runs beside it.
pub trait Backend: Send + Sync + Sized + 'static {
    /// The back end before it was configured; called when it is loaded.
    fn new() -> Self;

    /// Takes one key of the configuration, in the operator's order.
    ///
    /// # Errors
    /// The reason why the key or its value is refused; it is logged, and the daemon does not start.
    fn configure(&mut self, key: &str, value: &str) -> Result<(), String>;

    /// Judges the configuration as a whole, when all of it is there.
    ///
    /// # Errors
    /// The reason why no client would get a peer with it; the daemon does not start.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Finds the peer; `None` for "there is none", which the client sees as 404, unless it was
    /// refused otherwise with [`Client::refuse`].
    ///
    /// Runs off the daemon's loop: it may block, within `--query-timeout`.
    fn query(&self, client: &Client<'_>) -> Option<Peer>;

    /// The session of this number, which [`Client::session`] said, is over, and so is its query. `reason`
    /// is the log's name of the ending.
    ///
    /// Runs on the back end's own thread, where [`export_backend!`](crate::export_backend) was told
    /// `ended`.
    fn ended(&self, session: u64, reason: &str) {
        let _ = (session, reason);
    }
}

/// What a client said when it asked to be connected; bytes, since HTTP promises no more.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    endpoint: &'a [u8],
    protocols: Vec<&'a [u8]>,
    headers: Vec<(&'a [u8], &'a [u8])>,
    socket: Option<BorrowedFd<'a>>,
    properties: Vec<(Vec<u8>, &'a [u8])>,
    session: u64,
    refusal: Arc<Mutex<Option<Refusal>>>,
    secrets: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl<'a> Client<'a> {
    /// A client for the tests of a back end; the core makes its own.
    pub fn new(
        endpoint: &'a [u8],
        protocols: &[&'a [u8]],
        headers: &[(&'a [u8], &'a [u8])],
    ) -> Self {
        Self {
            endpoint,
            protocols: protocols.to_vec(),
            headers: headers.to_vec(),
            socket: None,
            properties: Vec::new(),
            session: 0,
            refusal: Arc::default(),
            secrets: Arc::default(),
        }
    }

    /// The same client with its socket.
    pub(crate) fn with_socket(self, socket: Option<BorrowedFd<'a>>) -> Self {
        Self { socket, ..self }
    }

    /// The same client with its session's number; the core says it by itself.
    #[must_use]
    pub fn with_session(self, session: u64) -> Self {
        Self { session, ..self }
    }

    /// The session's number, for [`Backend::ended`]; 0 where the core does not say.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Keeps a part of the request out of the log, as it was sent: what lets its bearer in, and stands in
    /// the path, say. The values of the query are not in the log anyway.
    pub fn conceal(&self, part: &[u8]) {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push(part.to_vec());
    }

    /// What is to be kept out of the log.
    #[must_use]
    pub fn concealed(&self) -> Vec<Vec<u8>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same client, of which something more is known; the core says it by itself.
    #[must_use]
    pub fn with_property(mut self, name: &CStr, value: &'a [u8]) -> Self {
        self.properties.push((name.to_bytes().to_vec(), value));
        self
    }

    /// What else is known of the client: its `address` and `port`, as verified proxies say them, the
    /// `proxy` that it comes by, its name as a `user`, the `listener` where it came in, its
    /// `tls-version`, the `tls-server-name` that it asked for, and the `tls-subject` of its certificate
    /// (RFC 4514), which was verified. None for what is not known, or where the core does not say.
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        let mut properties = self.properties.iter();
        properties.find(|(own, _)| own == name.as_bytes()).map(|(_, value)| *value)
    }

    /// The request target as sent, with its query string.
    pub fn endpoint(&self) -> &'a [u8] {
        self.endpoint
    }

    /// The value of the first parameter of that name in the target's query, decoded as browsers write
    /// it: `%41` and `+`.
    pub fn parameter(&self, name: &[u8]) -> Option<Vec<u8>> {
        target::parameter(self.endpoint, name)
    }

    /// The last part of the target's path, with `%41` as what it stands for; none if the path ends in
    /// a slash.
    pub fn last_segment(&self) -> Option<Vec<u8>> {
        target::last_segment(self.endpoint)
    }

    /// The subprotocols offered, in the client's order, without duplicates.
    pub fn protocols(&self) -> &[&'a [u8]] {
        &self.protocols
    }

    /// All header fields as sent, name and value, in order; but Connection, Upgrade and
    /// Sec-WebSocket-Key, -Version and -Protocol, which are the handshake's own.
    pub fn headers(&self) -> &[(&'a [u8], &'a [u8])] {
        &self.headers
    }

    /// The value of the first field of that name, in any case (RFC 9110 §5.1).
    pub fn header(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields(name).next()
    }

    /// The value of the first cookie of that name (RFC 6265 §4.2.1), with quotes if it has them.
    pub fn cookie(&self, name: &[u8]) -> Option<&'a [u8]> {
        let pairs = self.fields(b"cookie").flat_map(|field| field.split(|&byte| byte == b';'));
        pairs.filter_map(split_pair).find(|&(key, _)| key == name).map(|(_, value)| value)
    }

    /// The client's address, as the kernel knows it: a proxy's, if there is one in between. Who the client
    /// is then, [`property`](Self::property) says.
    ///
    /// # Errors
    /// The kernel's, or `NotConnected` where there is no socket, as in tests.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let socket = self.socket.ok_or(io::ErrorKind::NotConnected)?;
        TcpStream::from(socket.try_clone_to_owned()?).peer_addr()
    }

    /// Refuses the client, and says why; what `query` returns then counts for nothing. The last call
    /// holds.
    pub fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    /// What the client was refused with, if it was.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fields(&self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        let same = move |tag: &[u8]| tag.eq_ignore_ascii_case(name);
        self.headers.iter().filter(move |(tag, _)| same(tag)).map(|&(_, value)| value)
    }
}

/// A cookie's name and value, without the white space around them.
fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (name, value) = pair.split_at_checked(equals)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

/// Why a client is refused. The first 123 bytes of the reason reach the client and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) retry_after: u32,
}

impl Refusal {
    /// Who the client is must be known, and is not: 401.
    pub fn unauthorized(reason: impl Into<String>) -> Self {
        Self::new(401, reason)
    }

    /// The client may not: 403.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(403, reason)
    }

    /// There is no peer for it: 404.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::new(404, reason)
    }

    /// It comes too often: 429.
    pub fn too_many(reason: impl Into<String>) -> Self {
        Self::new(429, reason)
    }

    /// Its peer is not there now: 503.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(503, reason)
    }

    /// The client may try again after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: seconds, ..self }
    }

    fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), retry_after: 0 }
    }
}

/// Where a peer is and how its stream becomes messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub(crate) address: Vec<u8>,
    pub(crate) port: Option<Vec<u8>>,
    pub(crate) framing: Option<Vec<u8>>,
    pub(crate) framing_config: Option<Vec<u8>>,
    pub(crate) protocol: Option<usize>,
    pub(crate) send_proxy: Option<u8>,
    pub(crate) further: Vec<Vec<u8>>,
    pub(crate) lasts: Option<(u32, u16)>,
}

impl Peer {
    /// A peer by its address: `tcp://host:port`, `udp://host:port`, `unix://path`,
    /// `unix-dgram://path`, `fifotx://path` or `fiforx://path`.
    pub fn new(address: impl Into<Vec<u8>>) -> Self {
        Self {
            address: address.into(),
            port: None,
            framing: None,
            framing_config: None,
            protocol: None,
            send_proxy: None,
            further: Vec::new(),
            lasts: None,
        }
    }

    /// One more address, which is tried if those before it cannot be reached; it is spoken to in the same
    /// way. The core takes fifteen.
    #[must_use]
    pub fn or(mut self, address: impl Into<Vec<u8>>) -> Self {
        self.further.push(address.into());
        self
    }

    /// Ends the session after so many seconds, one at least, with this close code (RFC 6455 §7.4).
    #[must_use]
    pub fn max_session(self, seconds: u32, code: u16) -> Self {
        Self { lasts: Some((seconds.max(1), code)), ..self }
    }

    /// The port or service, where the address does not have it.
    #[must_use]
    pub fn port(self, port: impl Into<Vec<u8>>) -> Self {
        Self { port: Some(port.into()), ..self }
    }

    /// The framing function's name; `auto` when it is not given. A name that no function is
    /// registered under costs the client its session, see [`framing_exists`](crate::framing_exists).
    #[must_use]
    pub fn framing(self, name: impl Into<Vec<u8>>) -> Self {
        Self { framing: Some(name.into()), ..self }
    }

    /// The framing function's configuration.
    #[must_use]
    pub fn framing_config(self, config: impl Into<Vec<u8>>) -> Self {
        Self { framing_config: Some(config.into()), ..self }
    }

    /// The version of the PROXY header, 1 or 2, that the peer is sent before anything else, or 0 for none,
    /// whatever the operator's `--send-proxy` says.
    #[must_use]
    pub fn send_proxy(self, version: u8) -> Self {
        Self { send_proxy: Some(version), ..self }
    }

    /// Whether it will do: its address, and what its framing is told.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right, for the log.
    pub fn check(&self) -> Result<(), String> {
        host::check_peer(self)
    }

    /// The subprotocol agreed on, as an index into [`Client::protocols`]; none when not given.
    #[must_use]
    pub fn protocol(self, index: usize) -> Self {
        Self { protocol: Some(index), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_match_in_any_case() {
        let headers: [(&[u8], &[u8]); 3] = [(b"X-A", b"1"), (b"x-a", b"2"), (b"X-AB", b"3")];
        let client = Client::new(b"/", &[], &headers);
        let cases: [(&[u8], Option<&[u8]>); 4] =
            [(b"x-a", Some(b"1")), (b"X-AB", Some(b"3")), (b"x", None), (b"", None)];
        for (name, expected) in cases {
            assert_eq!(client.header(name), expected, "{name:?}");
        }
    }

    #[test]
    fn the_last_refusal_holds() {
        let client = Client::new(b"/", &[], &[]);
        assert_eq!(client.refusal(), None);
        client.refuse(Refusal::forbidden("no"));
        client.clone().refuse(Refusal::too_many("slowly").retry_after(3));
        let expected = Refusal { status: 429, reason: "slowly".into(), retry_after: 3 };
        assert_eq!(client.refusal(), Some(expected));
    }

    #[test]
    fn what_else_is_known() {
        let client = Client::new(b"/", &[], &[]).with_property(c"address", b"192.0.2.1");
        assert_eq!(client.property("address"), Some(&b"192.0.2.1"[..]));
        assert_eq!((client.property("Address"), client.property("user")), (None, None));
    }

    #[test]
    fn cookies() {
        type Case<'a> = (&'a [&'a [u8]], Option<&'a [u8]>);
        let cases: &[Case<'_>] = &[
            (&[], None),
            (&[b""], None),
            (&[b"s=1"], Some(b"1")),
            (&[b"a=0; s=1; b=2"], Some(b"1")),
            (&[b"a=0;s=1;b=2"], Some(b"1")),
            (&[b"a=0; b=2", b"s=1"], Some(b"1")),
            (&[b"s=1; s=2"], Some(b"1")),
            (&[b"s="], Some(b"")),
            (&[b"s"], None),
            (&[b"S=1"], None),
            (&[b"ss=1; xs=2"], None),
            (&[b"a=s=1"], None),
            (&[b"s=x=y"], Some(b"x=y")),
            (&[b"s=\"q\""], Some(b"\"q\"")),
            (&[b" s = 1 ;"], Some(b"1")),
            (&[b";;=;s=1"], Some(b"1")),
        ];
        for (fields, expected) in cases {
            let headers: Vec<(&[u8], &[u8])> =
                fields.iter().map(|&field| (b"cOOkie".as_slice(), field)).collect();
            let client = Client::new(b"/", &[], &headers);
            assert_eq!(client.cookie(b"s"), *expected, "{fields:?}");
        }
    }

    #[test]
    fn a_client_without_a_socket_has_no_address() {
        let client = Client::new(b"/", &[], &[]);
        assert_eq!(client.address().unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}
