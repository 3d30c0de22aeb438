//! TLS over a made-up socket, with a whole `rustls` at the other end of the wire: records cut anywhere,
//! changed bytes and alerts anywhere, and a kernel that takes, gives and fails as it likes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};
use websocksy::config::{CertificatePair, Origin, PlacedPath, TlsSettings};
use websocksy::conn::socket::Socket;
use websocksy::net::tls::{Layer, Tls, TlsConfigs};

use super::script::Script;

/// A certificate for any name of `fuzz.example`, its own authority, until the year 4000, and its key. Its
/// signatures have one length (Ed25519), so that an input cuts the same bytes every time.
const PEM: &str = include_str!("tls.pem");

/// Plaintext that an input may make, each way, in bytes.
const MOST: usize = 128 * 1024;
/// Records that are encrypted before the kernel takes any, and what else may wait with them: the rest of a
/// handshake, an alert, an answer to new keys.
const MOST_UNFLUSHED: usize = 4 * 16_640 + 8 * 1024;
/// Wishes for new keys, of which `rustls` takes no more than a few without data in between.
const MOST_KEYS: usize = 16;
/// Steps of one input, and those that are enough to end it.
const STEPS: usize = 256;
const STEPS_TO_THE_END: usize = 64;

/// Input: a byte that says who is who, and steps. What comes out at either end is the beginning of what
/// went in at the other, whatever happens; all of it, if nothing did; and nothing behind an error.
pub fn tls(input: &[u8]) {
    let mut script = Script::new(input);
    let kind = Kind::of(script.byte());
    // The second connection may resume the session of the first.
    let name = fresh_name();
    for _ in 0..2 {
        let mut run = Run::new(kind, &name);
        run.follow(&mut script);
        run.finish();
        if script.is_over() {
            break;
        }
    }
}

/// Who is who.
#[derive(Clone, Copy)]
struct Kind {
    /// We are the client.
    is_client: bool,
    is_1_2: bool,
    /// The client shows a certificate, too.
    is_mutual: bool,
}

impl Kind {
    fn of(byte: u8) -> Self {
        Self { is_client: byte & 1 != 0, is_1_2: byte & 2 != 0, is_mutual: byte & 4 != 0 }
    }
}

/// A name that no session is kept for; all are of one length.
fn fresh_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{:08x}.fuzz.example", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// How both ends are set up: ours, without and with certificates of clients, and theirs.
struct Setup {
    ours: [Tls; 2],
    clients: [[Arc<ClientConfig>; 2]; 2],
    servers: [[Arc<ServerConfig>; 2]; 2],
}

thread_local! {
    static SETUP: Setup = Setup::new();
}

impl Setup {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("websocksy-fuzz-{}.pem", std::process::id()));
        let mut file = fs::OpenOptions::new();
        let file = file.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.expect("a place for a file").write_all(PEM.as_bytes()).expect("a file");
        let ours = [false, true].map(|is_mutual| our_tls(&path, is_mutual));
        let _ = fs::remove_file(&path);
        let each = [&TLS13, &TLS12];
        Self {
            ours,
            clients: each.map(|version| [false, true].map(|mutual| their_client(version, mutual))),
            servers: each.map(|version| [false, true].map(|mutual| their_server(version, mutual))),
        }
    }
}

/// The daemon's own, from a file.
fn our_tls(path: &std::path::Path, is_mutual: bool) -> Tls {
    let path: PathBuf = path.to_owned();
    let file = PlacedPath { path, origin: Origin::from("--file") };
    let settings = TlsSettings {
        certificates: vec![CertificatePair { certificate: file.clone(), key: None }],
        client_ca: is_mutual.then(|| file.clone()),
        peer_cert: is_mutual.then(|| file.clone()),
        peer_ca: Some(file),
        ..TlsSettings::default()
    };
    let mut tls = Tls::default();
    tls.renew(TlsConfigs::load(&settings, true, SystemTime::now()).expect("good files"));
    tls
}

fn chain() -> Vec<CertificateDer<'static>> {
    vec![CertificateDer::from_pem_slice(PEM.as_bytes()).expect("a certificate")]
}

fn key() -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(PEM.as_bytes()).expect("a key")
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    chain().into_iter().for_each(|root| roots.add(root).expect("an authority"));
    roots
}

fn their_client(version: &'static SupportedProtocolVersion, is_mutual: bool) -> Arc<ClientConfig> {
    let builder =
        ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots());
    Arc::new(match is_mutual {
        true => builder.with_client_auth_cert(chain(), key()).expect("a pair"),
        false => builder.with_no_client_auth(),
    })
}

fn their_server(version: &'static SupportedProtocolVersion, is_mutual: bool) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_protocol_versions(&[version]);
    let builder = match is_mutual {
        true => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder(Arc::new(roots())).build().expect("a verifier"),
        ),
        false => builder.with_no_client_auth(),
    };
    Arc::new(builder.with_single_cert(chain(), key()).expect("a pair"))
}

/// One direction of the wire.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// How much of it can be read.
    arrived: usize,
    /// How much more is taken.
    window: usize,
    ended: bool,
    /// Every call fails from now on.
    fault: Option<ErrorKind>,
    interruptions: u8,
    /// What is read is not what was written.
    is_changed: bool,
}

impl Pipe {
    /// The first `n` bytes, or those that are there.
    fn take(&mut self, n: usize) -> Vec<u8> {
        let n = n.min(self.bytes.len());
        self.arrived = self.arrived.saturating_sub(n);
        self.bytes.drain(..n).collect()
    }

    /// What the system says before anything else.
    fn trouble(&mut self) -> Result<()> {
        if self.interruptions > 0 {
            self.interruptions -= 1;
            return Err(ErrorKind::Interrupted.into());
        }
        self.fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// Changes what is under way.
    fn change(&mut self, script: &mut Script<'_>) {
        const ALERT: [u8; 5] = [21, 3, 3, 0, 2];
        self.is_changed = true;
        let (how, at) = (script.byte(), usize::from(script.word()) % (self.bytes.len() + 1));
        match how % 4 {
            0 => {
                if let Some(byte) = self.bytes.get_mut(at) {
                    *byte ^= script.byte().max(1);
                }
            }
            1 => self.insert(at, &[&ALERT[..], &[script.byte() % 3, script.byte()]].concat()),
            2 => {
                let length = usize::from(script.byte() % 32);
                self.insert(at, script.take(length));
            }
            _ => {
                self.bytes.truncate(at);
                self.arrived = self.arrived.min(at);
                self.ended = true;
            }
        }
    }

    fn insert(&mut self, at: usize, bytes: &[u8]) {
        let behind = self.bytes.split_off(at);
        self.bytes.extend(bytes);
        self.bytes.extend(behind);
    }
}

/// A made-up stream socket.
struct Wire {
    to_us: Rc<RefCell<Pipe>>,
    to_them: Rc<RefCell<Pipe>>,
    /// Calls, less the bytes that they moved.
    calls: Rc<RefCell<isize>>,
}

impl Wire {
    fn called(&self, moved: usize) {
        *self.calls.borrow_mut() += 1 - moved.min(1) as isize;
    }
}

impl Socket for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        assert!(!buffer.is_empty(), "a read of nothing");
        let mut pipe = self.to_us.borrow_mut();
        let n = pipe.arrived.min(buffer.len());
        self.called(n);
        pipe.trouble()?;
        if n == 0 {
            let is_over = pipe.ended && pipe.bytes.is_empty();
            return if is_over { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        buffer.iter_mut().zip(pipe.take(n)).for_each(|(to, from)| *to = from);
        Ok(n)
    }

    fn write(&mut self, parts: &[IoSlice<'_>], _last: bool) -> Result<usize> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(length > 0, "a write of nothing");
        let mut pipe = self.to_them.borrow_mut();
        let n = length.min(pipe.window);
        self.called(n);
        pipe.trouble()?;
        assert!(!pipe.ended || pipe.is_changed, "a write after the end");
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        pipe.window -= n;
        pipe.bytes.extend(parts.iter().flat_map(|part| part.iter()).take(n));
        Ok(n)
    }

    fn send(&mut self, _: &[u8]) -> Result<()> {
        panic!("a stream")
    }

    fn shutdown(&mut self) -> Result<()> {
        self.to_them.borrow_mut().ended = true;
        Ok(())
    }

    fn close(&mut self) {
        self.to_them.borrow_mut().ended = true;
    }

    fn unacknowledged(&self) -> usize {
        self.to_them.borrow().bytes.len()
    }

    fn reads_unasked(&self) -> bool {
        true
    }
}

/// What one end says to the other: byte after byte of a stream that both know.
#[derive(Default)]
struct Stream {
    said: usize,
    heard: usize,
    /// Nothing more comes out.
    is_over: bool,
}

/// Bytes from `at` of what an end says.
fn text(at: usize, length: usize) -> Vec<u8> {
    (at..at + length).map(|at| (at ^ at >> 8).wrapping_mul(31) as u8).collect()
}

impl Stream {
    /// What is said next, of `length` bytes as far as an input may make so many.
    fn next(&self, length: usize) -> Vec<u8> {
        text(self.said, length.min(MOST - self.said))
    }

    fn hear(&mut self, bytes: &[u8]) {
        assert!(!self.is_over, "{} bytes behind the end", bytes.len());
        assert!(self.heard + bytes.len() <= self.said, "more than was said");
        assert!(bytes == text(self.heard, bytes.len()), "something else than was said");
        self.heard += bytes.len();
    }
}

/// Whether a call may be made again.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Whether an end may not see what is wrong, since it has said goodbye: `rustls` asserts in debug
/// builds that no alert follows that, and sends one. Without such assertions it is seen.
fn is_spared(said_goodbye: bool, is_wrong: bool) -> bool {
    cfg!(debug_assertions) && said_goodbye && is_wrong
}

/// A connection, and both ends of it.
struct Run {
    kind: Kind,
    ours: Layer<Wire>,
    theirs: Connection,
    to_us: Rc<RefCell<Pipe>>,
    to_them: Rc<RefCell<Pipe>>,
    calls: Rc<RefCell<isize>>,
    from_us: Stream,
    from_them: Stream,
    /// We say nothing more; that was tried; the end of the stream was asked for; it was hung up on.
    last: bool,
    goodbye: bool,
    shut: bool,
    closed: bool,
    /// A write failed for good.
    is_mute: bool,
    /// Who was hung up on during the handshake is read to be forgotten.
    forgets: bool,
    /// They say nothing more; they have failed.
    they_ended: bool,
    they_failed: bool,
    /// New keys that they wished for.
    keys: usize,
    /// Nothing happened for which something may be missing.
    is_whole: bool,
}

impl Run {
    fn new(kind: Kind, name: &str) -> Self {
        let [to_us, to_them]: [Rc<RefCell<Pipe>>; 2] = Default::default();
        let calls = Rc::default();
        let wire = Wire {
            to_us: Rc::clone(&to_us),
            to_them: Rc::clone(&to_them),
            calls: Rc::clone(&calls),
        };
        let (version, mutual) = (usize::from(kind.is_1_2), usize::from(kind.is_mutual));
        let (ours, theirs) = SETUP.with(|setup| {
            let tls = &setup.ours[mutual];
            match kind.is_client {
                true => {
                    let server = Arc::clone(&setup.servers[version][mutual]);
                    let server = ServerConnection::new(server).expect("a server");
                    (tls.connect(wire, name).expect("a client"), server.into())
                }
                false => {
                    let client = Arc::clone(&setup.clients[version][mutual]);
                    let name = ServerName::try_from(name.to_owned()).expect("a name");
                    let client = ClientConnection::new(client, name).expect("a client");
                    (tls.accept(wire), client.into())
                }
            }
        });
        let mut run = Self {
            kind,
            ours,
            theirs,
            to_us,
            to_them,
            calls,
            from_us: Stream::default(),
            from_them: Stream::default(),
            last: false,
            goodbye: false,
            shut: false,
            closed: false,
            is_mute: false,
            forgets: false,
            they_ended: false,
            they_failed: false,
            keys: 0,
            is_whole: true,
        };
        run.they_send();
        run
    }

    /// Steps, until there are no more or the next connection's turn has come.
    fn follow(&mut self, script: &mut Script<'_>) {
        for _ in 0..STEPS {
            if script.is_over() {
                return;
            }
            match script.byte() % 24 {
                0 => self.to_us.borrow_mut().arrived = self.arriving(script.length().0),
                1 => self.to_them.borrow_mut().window += script.length().0,
                2 => self.read(script.length().0.max(1)),
                3 => self.write(script.length().0, usize::from(script.byte()), false),
                4 => self.flush(),
                5 => self.they_take(script.length().0),
                6 => self.they_say(script.length().0),
                7 => self.handshake(),
                8 => self.deliver(),
                9 => self.meet(),
                10 => self.shut_down(),
                11 => self.they_end(true),
                12 => self.they_end(false),
                13 => self.changed(script, true),
                14 => self.changed(script, false),
                15 => self.to_us.borrow_mut().interruptions = 1 + script.byte() % 4,
                16 => self.to_them.borrow_mut().interruptions = 1 + script.byte() % 4,
                17 => self.break_reads(script),
                18 => self.break_writes(script),
                19 => self.new_keys(),
                20 => self.write(script.length().0, 0, true),
                21 => self.close(),
                22 => self.to_them.borrow_mut().window = 0,
                _ => return,
            }
            assert!(self.ours.unflushed() <= MOST_UNFLUSHED, "{}", self.ours.unflushed());
        }
    }

    /// How much has arrived when `more` bytes do.
    fn arriving(&self, more: usize) -> usize {
        let pipe = self.to_us.borrow();
        (pipe.arrived + more).min(pipe.bytes.len())
    }

    /// Everything arrives that is under way to us, and the kernel takes all.
    fn deliver(&mut self) {
        let mut to_us = self.to_us.borrow_mut();
        to_us.arrived = to_us.bytes.len();
        self.to_them.borrow_mut().window = 1 << 24;
    }

    /// Asks something of our end, which may ask no more of its socket than there is reason for.
    fn ask<T>(&mut self, what: impl FnOnce(&mut Layer<Wire>) -> T) -> T {
        *self.calls.borrow_mut() = 0;
        let answer = what(&mut self.ours);
        let calls = *self.calls.borrow();
        assert!(calls <= 16, "{calls} calls for nothing");
        answer
    }

    fn read(&mut self, length: usize) {
        if self.closed || is_spared(self.goodbye, self.to_us.borrow().is_changed) {
            return;
        }
        let mut buffer = vec![0; length];
        match self.ask(|ours| ours.read(&mut buffer)) {
            Ok(_) if self.forgets => {}
            Ok(0) => self.from_them.is_over = true,
            Ok(n) => {
                self.from_them.hear(&buffer[..n]);
                // Without more, only an event may bring some: all that is there was read.
                assert!(self.ours.holds_more() || self.to_us.borrow().arrived == 0);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(self.forgets || !self.ours.holds_more(), "it waits for what it has");
                assert_eq!(self.to_us.borrow().arrived, 0, "it waits for what is there");
            }
            Err(error) if is_passing(&error) => {}
            Err(_) => self.from_them.is_over = true,
        }
    }

    fn handshake(&mut self) {
        if self.closed || self.shut || !self.kind.is_client {
            return;
        }
        match self.ask(Layer::handshake) {
            Some(Ok(())) => assert!(self.ours.is_open()),
            Some(Err(error)) => {
                assert!(!is_passing(&error), "{error}");
                self.close(); // as the reactor does: nobody reads what it may have said before
            }
            None => assert!(!self.ours.is_open()),
        }
    }

    fn write(&mut self, length: usize, first: usize, last: bool) {
        if self.closed || self.last || self.is_mute || !self.ours.is_open() {
            return;
        }
        let bytes = self.from_us.next(length);
        if bytes.is_empty() {
            return;
        }
        self.goodbye |= last;
        let (first, second) = bytes.split_at(first.min(bytes.len()));
        let parts = [IoSlice::new(first), IoSlice::new(second)];
        match self.ask(|ours| ours.write(&parts, last)) {
            Ok(n) => {
                assert!(n > 0, "nothing is taken");
                assert!(n == bytes.len() || self.ours.unflushed() > 0, "no reason to take less");
                self.from_us.said += n;
                self.last = last && n == bytes.len();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(self.ours.unflushed() > 0);
            }
            Err(error) => self.is_mute = !is_passing(&error),
        }
    }

    fn flush(&mut self) {
        if !self.closed && !self.is_mute {
            let outcome = self.ask(Socket::flush);
            self.is_mute = outcome.is_err_and(|error| !is_passing(&error));
        }
    }

    fn shut_down(&mut self) {
        if self.closed || self.shut || self.is_mute {
            return;
        }
        let is_open = self.ours.is_open();
        self.is_whole &= is_open;
        self.last = true;
        self.goodbye = true;
        match self.ask(Socket::shutdown) {
            Ok(()) => {
                self.shut = true;
                self.forgets |= !is_open;
            }
            Err(error) => self.is_mute = !is_passing(&error),
        }
    }

    fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.is_whole = false;
            self.ask(Socket::close);
            assert_eq!(self.ours.unflushed(), 0);
        }
    }

    /// Both ends do what they can, twice.
    fn meet(&mut self) {
        for _ in 0..2 {
            self.deliver();
            self.handshake();
            self.read(32 * 1024);
            self.flush();
            self.they_take(usize::MAX);
        }
    }

    /// They take bytes off the wire, and answer.
    fn they_take(&mut self, most: usize) {
        self.they_failed |= is_spared(self.they_ended, !self.is_whole);
        let (bytes, is_over) = {
            let mut pipe = self.to_them.borrow_mut();
            let bytes = pipe.take(most);
            (bytes, pipe.ended && pipe.bytes.is_empty())
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() && !self.they_failed {
            let n = self.theirs.read_tls(&mut rest).expect("room");
            self.they_failed = self.theirs.process_new_packets().is_err();
            self.they_hear();
            if n == 0 {
                break; // behind a close_notify
            }
        }
        if is_over && !self.they_failed {
            let _ = self.theirs.read_tls(&mut &[][..]);
            let _ = self.theirs.process_new_packets();
            self.they_hear();
        }
        if self.they_failed {
            assert!(!self.is_whole, "they were told nothing wrong");
            self.from_us.is_over = true;
        }
        self.they_send();
    }

    fn they_hear(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = self.theirs.reader().read(&mut buffer) {
            self.from_us.hear(&buffer[..n]);
        }
    }

    /// Puts what they have to say on the wire.
    fn they_send(&mut self) {
        let mut out = Vec::new();
        while self.theirs.wants_write() {
            self.theirs.write_tls(&mut out).expect("room");
        }
        let mut pipe = self.to_us.borrow_mut();
        if !pipe.ended {
            pipe.bytes.extend(out);
        }
    }

    fn they_say(&mut self, length: usize) {
        if self.they_ended || self.they_failed || self.theirs.is_handshaking() {
            return;
        }
        let bytes = self.from_them.next(length);
        self.from_them.said += self.theirs.writer().write(&bytes).expect("room");
        self.they_send();
    }

    /// New keys for what they say (RFC 8446 §4.6.3), and a wish for new ones of ours.
    fn new_keys(&mut self) {
        if !self.they_ended && !self.they_failed && self.keys < MOST_KEYS {
            self.keys += 1;
            let _ = self.theirs.refresh_traffic_keys();
            self.they_send();
        }
    }

    /// Their end of the stream, announced or not.
    fn they_end(&mut self, with_notice: bool) {
        if !self.they_ended {
            self.is_whole &= with_notice && !self.theirs.is_handshaking() && !self.they_failed;
            self.they_ended = true;
            if with_notice {
                self.theirs.send_close_notify();
                self.they_send();
            }
            self.to_us.borrow_mut().ended = true;
        }
    }

    fn changed(&mut self, script: &mut Script<'_>, is_to_us: bool) {
        self.is_whole = false;
        let pipe = if is_to_us { &self.to_us } else { &self.to_them };
        pipe.borrow_mut().change(script);
    }

    fn break_reads(&mut self, script: &mut Script<'_>) {
        self.is_whole = false;
        self.to_us.borrow_mut().fault = Some(fault(script));
    }

    fn break_writes(&mut self, script: &mut Script<'_>) {
        self.is_whole = false;
        self.to_them.borrow_mut().fault = Some(fault(script));
    }

    /// Both ends say goodbye, and hear it.
    fn finish(mut self) {
        for _ in 0..STEPS_TO_THE_END {
            self.meet();
            let is_open = self.ours.is_open() && !self.theirs.is_handshaking();
            if is_open || !self.is_whole {
                self.they_end(true);
                self.shut_down();
            }
            let is_over = self.shut && self.from_them.is_over && self.ours.unacknowledged() == 0;
            if is_over || self.closed {
                break;
            }
        }
        if !self.is_whole {
            return;
        }
        assert!(self.from_them.is_over && self.shut, "it stands still");
        assert_eq!(self.from_us.heard, self.from_us.said, "from us");
        assert_eq!(self.from_them.heard, self.from_them.said, "from them");
        assert_eq!((self.ours.unflushed(), self.ours.unacknowledged()), (0, 0));
        assert_eq!(self.ours.remark(), None);
        assert!(!self.they_failed);
    }
}

/// What a socket fails with for good.
fn fault(script: &mut Script<'_>) -> ErrorKind {
    const FAULTS: [ErrorKind; 4] = [
        ErrorKind::ConnectionReset,
        ErrorKind::BrokenPipe,
        ErrorKind::TimedOut,
        ErrorKind::OutOfMemory,
    ];
    FAULTS[usize::from(script.byte() % 4)]
}
