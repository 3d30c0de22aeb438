//! Servers and clients in pairs over made-up sockets: records cut anywhere, refusals of the kernel and
//! alerts anywhere, by seeds.

use super::*;
use crate::config::{CertificatePair, ClientAuth, Origin, PlacedPath, TlsVersion};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::version::TLS12;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// splitmix64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// How much more is taken.
    window: usize,
    /// How much of it can be read.
    arrived: usize,
    ended: bool,
    closed: bool,
    interruptions: usize,
    /// What each write fails with.
    fault: Option<ErrorKind>,
}

/// A made-up stream socket.
struct Fake {
    from: Rc<RefCell<Pipe>>,
    to: Rc<RefCell<Pipe>>,
}

impl Socket for Fake {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut pipe = self.from.borrow_mut();
        assert!(!buffer.is_empty(), "a read of nothing");
        if pipe.interruptions > 0 {
            pipe.interruptions -= 1;
            return Err(ErrorKind::Interrupted.into());
        }
        let n = pipe.arrived.min(buffer.len());
        if n == 0 {
            let over = pipe.ended && pipe.bytes.is_empty();
            return if over { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        pipe.arrived -= n;
        for (to, from) in buffer.iter_mut().zip(pipe.bytes.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }

    fn write(&mut self, parts: &[IoSlice<'_>], _last: bool) -> Result<usize> {
        let mut pipe = self.to.borrow_mut();
        assert!(!pipe.ended, "a write after the end");
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(length > 0, "a write of nothing");
        if let Some(fault) = pipe.fault {
            return Err(fault.into());
        }
        let n = length.min(pipe.window);
        pipe.window -= n;
        pipe.bytes.extend(parts.iter().flat_map(|part| part.iter()).take(n));
        if n == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn send(&mut self, _: &[u8]) -> Result<()> {
        panic!("a stream");
    }

    fn shutdown(&mut self) -> Result<()> {
        assert!(!std::mem::replace(&mut self.to.borrow_mut().ended, true), "shut down twice");
        Ok(())
    }

    fn close(&mut self) {
        self.to.borrow_mut().closed = true;
    }

    fn unacknowledged(&self) -> usize {
        self.to.borrow().bytes.len()
    }

    fn reads_unasked(&self) -> bool {
        true
    }
}

/// The certificates of the tests.
struct Authority {
    directory: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

thread_local! {
    /// A thread's own, so that its files are gone when the thread is.
    static AUTHORITY: Rc<Authority> = Rc::new(Authority::new());
}

fn authority() -> Rc<Authority> {
    AUTHORITY.with(Rc::clone)
}

impl Authority {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("websocksy-tls-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { directory, issuer }
    }

    fn file(&self, name: &str, text: &str) -> PlacedPath {
        use std::os::unix::fs::OpenOptionsExt;
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
        std::fs::create_dir(self.directory.join(&number)).unwrap();
        let path = self.directory.join(number).join(name);
        let mut file = std::fs::OpenOptions::new();
        let file = file.write(true).create(true).truncate(true).mode(0o600).open(&path);
        std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
        PlacedPath { path, origin: Origin::from("--file") }
    }

    fn root(&self) -> PlacedPath {
        self.file("root.pem", &self.issuer.pem())
    }

    /// A certificate for `names` and its key, in one file.
    fn pair(&self, names: &[&str], until: i32) -> CertificatePair {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let file = format!("{}-{until}.pem", names.join("-"));
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let text = certificate.pem() + &key.serialize_pem();
        CertificatePair { certificate: self.file(&file, &text), key: None }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

const LATER: i32 = 4000;

fn settings() -> TlsSettings {
    TlsSettings {
        certificates: vec![authority().pair(&["localhost"], LATER)],
        peer_ca: Some(authority().root()),
        ..TlsSettings::default()
    }
}

fn load(settings: &TlsSettings) -> Tls {
    let mut tls = Tls::default();
    tls.renew(TlsConfigs::load(settings, true, SystemTime::now()).unwrap());
    tls
}

/// A server and client of TLS 1.2.
fn load_1_2() -> Tls {
    let tls = load(&settings());
    let crypto = Arc::new(provider::default_provider());
    let roots = files::authorities(&authority().root()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(crypto)
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut memory = Memory { client: Some(Arc::new(client)).into(), ..Memory::default() };
    memory.server = tls.memory.server.clone();
    Tls { memory: Rc::new(memory), ..Tls::default() }
}

/// Both ends of a connection, and the wire between them.
struct Pair {
    server: Layer<Fake>,
    client: Layer<Fake>,
    to_server: Rc<RefCell<Pipe>>,
    to_client: Rc<RefCell<Pipe>>,
}

impl Pair {
    fn new(server: &Tls, client: &Tls, name: &str) -> Self {
        let to_server = Rc::new(RefCell::new(Pipe::default()));
        let to_client = Rc::new(RefCell::new(Pipe::default()));
        let fake = |from: &Rc<_>, to: &Rc<_>| Fake { from: Rc::clone(from), to: Rc::clone(to) };
        let client = client.connect(fake(&to_client, &to_server), name).unwrap();
        let server = server.accept(fake(&to_server, &to_client));
        Self { server, client, to_server, to_client }
    }

    fn settled() -> Self {
        let tls = load(&settings());
        let mut pair = Self::new(&tls, &tls, "localhost");
        assert_eq!(pair.shake(), (Ok(()), None));
        pair
    }

    /// Everything that is under way arrives, and more is taken.
    fn deliver(&self) {
        for pipe in [&self.to_server, &self.to_client] {
            let mut pipe = pipe.borrow_mut();
            pipe.arrived = pipe.bytes.len();
            pipe.window = usize::MAX / 2;
        }
    }

    /// Shakes hands; what came of it, in words: for the client, and what the server's read failed with.
    fn shake(&mut self) -> (std::result::Result<(), String>, Option<String>) {
        let mut outcome = None;
        let mut failure = None;
        for _ in 0..20 {
            self.deliver();
            if outcome.is_none() {
                outcome = self.client.handshake();
            }
            self.deliver();
            match self.server.read(&mut [0; 100]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => failure = Some(error.to_string()),
                Ok(0) => {}
                Ok(n) => panic!("{n} bytes of nothing"),
            }
            if !self.server.shut {
                let _ = self.server.flush();
            }
        }
        let outcome = outcome.expect("an end").map_err(|error| error.to_string());
        (outcome, failure)
    }
}

/// What one end has to say, and has heard.
struct Talk {
    data: Vec<u8>,
    sent: usize,
    heard: Vec<u8>,
    shut: bool,
    over: bool,
}

/// A step of one end, as the pump would take it.
fn step(end: &mut Layer<Fake>, talk: &mut Talk, random: &mut Random) {
    match random.below(3) {
        0 if talk.sent < talk.data.len() => {
            let rest = &talk.data[talk.sent..];
            let rest = &rest[..rest.len().min(1 + random.below(100_000))];
            let (first, second) = rest.split_at(random.below(rest.len() + 1).min(20));
            let last = talk.sent + rest.len() == talk.data.len();
            match end.write(&[IoSlice::new(first), IoSlice::new(second)], last) {
                Ok(n) => {
                    assert!(n > 0, "nothing is taken");
                    assert!(n == rest.len() || end.unflushed() > 0, "no reason to take less");
                    talk.sent += n;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    assert!(end.unflushed() > 0);
                }
            }
        }
        1 if talk.sent == talk.data.len() && !talk.shut => match end.shutdown() {
            Ok(()) => talk.shut = true,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        },
        1 => _ = end.flush(),
        _ if !talk.over => read(end, talk, random),
        _ => {}
    }
}

fn read(end: &mut Layer<Fake>, talk: &mut Talk, random: &mut Random) {
    let mut buffer = vec![0; 1 + random.below(70_000)];
    match end.read(&mut buffer) {
        Ok(0) => talk.over = true,
        Ok(n) => {
            talk.heard.extend(&buffer[..n]);
            // Without more, only an event may bring some: all that is there was read.
            assert!(end.holds_more() || end.socket().from.borrow().arrived == 0);
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            assert!(!end.holds_more());
            assert_eq!(end.socket().from.borrow().arrived, 0, "not all was read");
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}"),
    }
}

fn talk(seed: u64, version: TlsVersion) {
    let mut random = Random(seed);
    let tls = match version {
        TlsVersion::V1_2 => load_1_2(),
        TlsVersion::V1_3 => load(&TlsSettings { min_version: version, ..settings() }),
    };
    run(tls, &mut random, seed);
}

fn run(tls: Tls, random: &mut Random, seed: u64) {
    let mut pair = Pair::new(&tls, &tls, "localhost");
    // Some wires are as slow as can be.
    let most = [1, 100, 20_000, 1_000_000][random.below(4)];
    let mut talks = [0, 1].map(|_| {
        let length = [10, 1_000, 200_000][random.below(3)].min(most * 100);
        let length = 1 + random.below(length);
        let data = random.bytes(length);
        Talk { data, sent: 0, heard: Vec::new(), shut: false, over: false }
    });
    let mut steps = 0;
    let mut open = false;
    while !talks.iter().all(|talk| talk.shut && talk.over) {
        steps += 1;
        assert!(steps < 2_000_000, "seed {seed}: it stands still");
        for pipe in [&pair.to_server, &pair.to_client] {
            let mut pipe = pipe.borrow_mut();
            let n = random.below(most + 1).max(usize::from(steps % 64 == 0));
            pipe.arrived = (pipe.arrived + n).min(pipe.bytes.len());
            pipe.window += random.below(most + 1);
            pipe.interruptions = usize::from(random.below(50) == 0);
        }
        if !open {
            open = match pair.client.handshake() {
                Some(outcome) => outcome.map(|()| true).unwrap(),
                None => false,
            };
        }
        let [of_server, of_client] = &mut talks;
        if open {
            step(&mut pair.client, of_client, random);
        }
        if pair.server.is_open() {
            step(&mut pair.server, of_server, random);
        } else {
            let _ = pair.server.flush();
            read(&mut pair.server, of_server, random);
        }
    }
    let [of_server, of_client] = talks;
    assert!(of_server.heard == of_client.data, "seed {seed}: to the server");
    assert!(of_client.heard == of_server.data, "seed {seed}: to the client");
    assert_eq!((pair.server.remark(), pair.client.remark()), (None, None));
}

#[test]
fn all_arrives_however_records_are_cut_and_refused() {
    for seed in 0..40 {
        talk(seed, TlsVersion::V1_3);
        talk(seed, TlsVersion::V1_2);
    }
}

/// With TLS 1.2 the server is the last to speak, and may say all that it has in the same breath.
#[test]
fn who_says_all_and_goodbye_with_the_end_of_the_handshake_is_heard() {
    let tls = load_1_2();
    let mut pair = Pair::new(&tls, &tls, "localhost");
    while !pair.server.is_open() {
        pair.deliver();
        assert!(pair.client.handshake().is_none());
        pair.deliver();
        let nothing = pair.server.read(&mut [0; 1]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    }
    pair.server.write(&[IoSlice::new(b"all")], true).unwrap();
    pair.server.shutdown().unwrap();
    pair.deliver();
    assert!(pair.client.handshake().is_some_and(|outcome| outcome.is_ok()));
    let mut buffer = [0; 10];
    assert_eq!((pair.client.read(&mut buffer).unwrap(), &buffer[..3]), (3, &b"all"[..]));
    assert_eq!(pair.client.read(&mut buffer).unwrap(), 0);
    assert_eq!(pair.client.remark(), None);
}

#[test]
fn an_idle_session_holds_no_buffers() {
    let mut pair = Pair::settled();
    for _ in 0..3 {
        assert_eq!(pair.client.write(&[IoSlice::new(&[7; 100_000])], false).unwrap(), 100_000);
        pair.deliver();
        let mut heard = 0;
        while heard < 100_000 {
            heard += pair.server.read(&mut [0; 4096]).unwrap();
        }
        pair.deliver();
        let nothing = pair.client.read(&mut [0; 4096]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        for end in [&pair.server, &pair.client] {
            assert_eq!((end.kept.capacity(), end.unflushed()), (0, 0));
            assert!(end.plain.is_empty());
        }
    }
}

#[test]
fn what_the_kernel_refuses_is_kept_counted_and_flushed() {
    let mut pair = Pair::settled();
    pair.deliver();
    assert!(pair.client.read(&mut [0; 1]).is_err(), "tickets, and nothing else");
    pair.to_client.borrow_mut().window = 1000;
    let data = Random(1).bytes(300_000);
    let taken = pair.server.write(&[IoSlice::new(&data)], false).unwrap();
    assert_eq!(taken, MOST_AT_ONCE, "no more than what is encrypted at once");
    assert!(pair.server.unflushed() > taken - 1000);
    assert_eq!(pair.server.unacknowledged(), taken, "none of it has arrived, as plaintext");
    let refused = |error: Error| error.kind() == ErrorKind::WouldBlock;
    assert!(pair.server.write(&[IoSlice::new(&data)], false).is_err_and(refused));
    assert!(pair.server.shutdown().is_err_and(refused), "the rest goes before the end");
    let unflushed = pair.server.unflushed();
    pair.to_client.borrow_mut().window = 10_000;
    assert!(pair.server.flush().is_err_and(refused));
    assert_eq!(pair.server.unflushed(), unflushed - 10_000);
    pair.deliver();
    assert_eq!(pair.server.shutdown().map_err(|error| error.kind()), Ok(()));
    pair.deliver();
    let mut heard: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 4096];
    while let n @ 1.. = pair.client.read(&mut buffer).unwrap() {
        heard.extend(&buffer[..n]);
    }
    assert!(heard == data[..taken]);
    assert_eq!(pair.client.remark(), None, "there was a close_notify");
    assert_eq!(pair.server.unacknowledged(), 0);
}

/// What is encrypted at once.
const MOST_AT_ONCE: usize = 4 * engine::RECORD;

#[test]
fn who_was_too_slow_is_given_less_at_once() {
    let mut pair = Pair::settled();
    let data = vec![0; 300_000];
    for expected in [4, 1, 1] {
        pair.to_client.borrow_mut().window = 0;
        let taken = pair.server.write(&[IoSlice::new(&data)], false).unwrap();
        assert_eq!(taken, expected * engine::RECORD);
        pair.deliver();
        pair.server.flush().unwrap();
    }
    assert_eq!(pair.server.write(&[IoSlice::new(&data)], false).unwrap(), data.len());
}

/// The client's first bytes in the handshake, and those with which it ends it.
fn client_flights() -> [Vec<u8>; 2] {
    let tls = load(&settings());
    let mut pair = Pair::new(&tls, &tls, "localhost");
    pair.deliver();
    assert!(pair.client.handshake().is_none());
    let hello = pair.to_server.borrow().bytes.iter().copied().collect();
    pair.deliver();
    assert!(pair.server.read(&mut [0; 1]).is_err());
    pair.deliver();
    assert!(pair.client.handshake().is_some_and(|outcome| outcome.is_ok()));
    let finished = pair.to_server.borrow().bytes.iter().copied().collect();
    [hello, finished]
}

/// A server that gets these bytes, and no more.
fn server_before(bytes: &[u8], ended: bool) -> (Layer<Fake>, Rc<RefCell<Pipe>>) {
    let from = Rc::new(RefCell::new(Pipe {
        bytes: bytes.iter().copied().collect(),
        arrived: bytes.len(),
        ended,
        ..Pipe::default()
    }));
    let to = Rc::new(RefCell::new(Pipe { window: 100_000, ..Pipe::default() }));
    let tls = load(&settings());
    (tls.accept(Fake { from, to: Rc::clone(&to) }), to)
}

#[test]
fn a_hello_that_is_cut_anywhere_is_waited_for_and_one_that_ends_there_is_noted() {
    let [hello, finished] = client_flights();
    assert!(!finished.is_empty());
    for length in (0..hello.len()).step_by(7) {
        let (mut server, sent) = server_before(&hello[..length], false);
        let waits = server.read(&mut [0; 10]).unwrap_err();
        assert_eq!(waits.kind(), ErrorKind::WouldBlock, "{length}");
        assert!(sent.borrow().bytes.is_empty());
        let (mut server, _) = server_before(&hello[..length], true);
        assert_eq!(server.read(&mut [0; 10]).unwrap(), 0, "{length}");
        assert_eq!(server.remark().is_some(), length > 0);
    }
}

#[test]
fn an_alert_anywhere_in_the_handshake_ends_it() {
    let [hello, _] = client_flights();
    let alert = [21, 3, 3, 0, 2, 2, 40];
    for behind in [&[][..], &hello] {
        let (mut server, _) = server_before(&[behind, &alert].concat(), false);
        let failed = server.read(&mut [0; 10]).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::InvalidData);
        assert!(server.remark().is_some_and(|why| why.contains("handshake_failure")), "{failed}");
    }
}

#[test]
fn changed_bytes_never_become_data() {
    let data = b"what is sent and must not be changed";
    for at in 0..data.len() + 22 {
        let mut pair = Pair::settled();
        pair.client.write(&[IoSlice::new(data)], false).unwrap();
        pair.deliver();
        pair.to_server.borrow_mut().bytes[at] ^= 0x40;
        let mut buffer = [0; 100];
        match pair.server.read(&mut buffer) {
            // A version that is not looked at (RFC 8446 §5.1).
            Ok(n) => assert_eq!((at, &buffer[..n]), (2, &data[..])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(matches!(at, 3 | 4), "a longer record: {at}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidData);
                assert!(pair.server.remark().is_some());
                assert!(pair.server.write(&[IoSlice::new(data)], false).is_err());
            }
        }
    }
}

#[test]
fn data_before_a_fault_is_given() {
    let mut pair = Pair::settled();
    pair.client.write(&[IoSlice::new(b"before")], false).unwrap();
    pair.to_server.borrow_mut().bytes.extend([23, 3, 3, 0, 20]);
    pair.to_server.borrow_mut().bytes.extend([0; 20]);
    pair.deliver();
    assert_eq!(pair.server.read(&mut [0; 100]).unwrap(), 6);
    assert!(pair.server.holds_more(), "the fault is still to be told");
    assert_eq!(pair.server.read(&mut [0; 100]).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn an_end_without_close_notify_is_noted() {
    let mut pair = Pair::settled();
    pair.client.write(&[IoSlice::new(b"data")], false).unwrap();
    pair.to_server.borrow_mut().ended = true;
    pair.deliver();
    assert_eq!(pair.server.read(&mut [0; 100]).unwrap(), 4);
    assert_eq!(pair.server.read(&mut [0; 100]).unwrap(), 0);
    assert!(pair.server.remark().is_some_and(|why| why.contains("close_notify")));
    // Its other half is as good as before.
    pair.server.write(&[IoSlice::new(b"late")], true).unwrap();
    pair.server.shutdown().unwrap();
    pair.deliver();
    assert_eq!(pair.client.read(&mut [0; 100]).unwrap(), 4);
    assert_eq!(pair.client.read(&mut [0; 100]).unwrap(), 0);
    assert_eq!(pair.client.remark(), None);
}

#[test]
fn no_alert_follows_our_close_notify() {
    for last in [false, true] {
        let mut pair = Pair::settled();
        pair.server.write(&[IoSlice::new(b"bye")], last).unwrap();
        let sent = pair.to_client.borrow().bytes.len();
        pair.to_server.borrow_mut().bytes.extend([23, 3, 3, 0, 20]);
        pair.to_server.borrow_mut().bytes.extend([0; 20]);
        pair.deliver();
        assert_eq!(pair.server.read(&mut [0; 100]).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(
            pair.to_client.borrow().bytes.len() == sent,
            last,
            "an alert before, none behind"
        );
    }
}

/// The tickets that follow a handshake are the server's own wish: that they cannot be sent is for who
/// writes, and what the client said before it left is still there to be read.
#[test]
fn tickets_that_cannot_be_sent_end_no_reading() {
    let tls = load(&settings());
    let mut pair = Pair::new(&tls, &tls, "localhost");
    let mut buffer = [0; 10];
    let waits = |error: Error| assert_eq!(error.kind(), ErrorKind::WouldBlock);
    pair.deliver();
    assert!(pair.client.handshake().is_none());
    pair.deliver();
    waits(pair.server.read(&mut buffer).unwrap_err());
    pair.deliver();
    assert!(pair.client.handshake().is_some_and(|outcome| outcome.is_ok()));
    pair.to_client.borrow_mut().fault = Some(ErrorKind::ConnectionReset);
    pair.deliver();
    waits(pair.server.read(&mut buffer).unwrap_err());
    assert!(pair.server.is_open());
    pair.client.write(&[IoSlice::new(b"all")], false).unwrap();
    pair.deliver();
    assert_eq!((pair.server.read(&mut buffer).unwrap(), &buffer[..3]), (3, &b"all"[..]));
    let refused = pair.server.write(&[IoSlice::new(b"more")], false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_handshake_that_cannot_be_answered_is_over() {
    let tls = load(&settings());
    let mut pair = Pair::new(&tls, &tls, "localhost");
    pair.to_client.borrow_mut().fault = Some(ErrorKind::OutOfMemory);
    pair.to_server.borrow_mut().window = usize::MAX / 2;
    assert!(pair.client.handshake().is_none());
    pair.deliver();
    for _ in 0..2 {
        let failure = pair.server.read(&mut [0; 10]).unwrap_err();
        assert_eq!(failure.to_string(), "out of memory");
    }
    assert!(pair.server.remark().is_some());
}

#[test]
fn who_is_reset_in_a_handshake_has_left_and_is_no_fault_of_its_tls() {
    let tls = load(&settings());
    for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::TimedOut] {
        let mut pair = Pair::new(&tls, &tls, "localhost");
        pair.to_client.borrow_mut().fault = Some(kind);
        pair.to_server.borrow_mut().window = usize::MAX / 2;
        assert!(pair.client.handshake().is_none());
        pair.deliver();
        let failure = pair.server.read(&mut [0; 10]).unwrap_err();
        assert_eq!(failure.kind(), kind);
        assert_eq!(pair.server.remark(), Some("the TLS handshake was not done"));
    }
}

#[test]
fn what_is_not_tls_is_named_and_gets_an_alert() {
    for (bytes, says) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "it speaks plain HTTP, on a port for TLS"),
        (b"\x00\x01hello", "it does not speak TLS: it begins with '\\x00\\x01hello'"),
    ] {
        let (mut server, sent) = server_before(bytes, false);
        assert!(server.read(&mut [0; 10]).is_err());
        assert_eq!(server.remark(), Some(says));
        let answer: Vec<u8> = sent.borrow().bytes.iter().copied().collect();
        assert_eq!((answer.first(), answer.get(5)), (Some(&21), Some(&2)), "a fatal alert");
        assert!(sent.borrow().ended);
    }
}

#[test]
fn a_handshake_message_that_does_not_end_is_bounded() {
    let record = [&[22, 3, 1, 0x40, 0][..], &[0; 0x4000]].concat();
    let mut first = record.clone();
    first[5..9].copy_from_slice(&[1, 0, 0xff, 0xff]);
    let (mut server, _) = server_before(&[&first[..], &record, &record].concat(), false);
    let failed = server.read(&mut [0; 10]).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::InvalidData);
    assert!(server.remark().is_some_and(|why| why.contains("too long")), "{failed}");
    assert_eq!(server.kept.capacity(), 0);
}

#[test]
fn who_is_hung_up_on_costs_no_handshake() {
    let [hello, _] = client_flights();
    let (mut server, sent) = server_before(&hello, false);
    assert_eq!(server.write(&[IoSlice::new(b"HTTP/1.1 503 ")], true).unwrap(), 13);
    server.shutdown().unwrap();
    assert!(sent.borrow().bytes.is_empty() && sent.borrow().ended);
    assert!(server.read(&mut [0; 4096]).unwrap() > 0, "read to be forgotten");
    assert!(matches!(server.state, layer::State::Fresh));
}

#[test]
fn peers_that_are_not_trusted_are_told_apart() {
    let other = Authority::new();
    let localhost = |until| vec![authority().pair(&["localhost"], until)];
    for (certificates, peer_ca, name, says) in [
        (
            localhost(LATER),
            authority().root(),
            "example.org",
            "not for the name example.org but for",
        ),
        (localhost(LATER), authority().root(), "127.0.0.1", "not for the name 127.0.0.1"),
        (localhost(2020), authority().root(), "localhost", "expired on Wed, 01 Jan 2020"),
        (localhost(LATER), other.root(), "localhost", "unknown issuer"),
    ] {
        let tls = load(&TlsSettings { certificates, peer_ca: Some(peer_ca), ..settings() });
        let (outcome, failure) = Pair::new(&tls, &tls, name).shake();
        let why = outcome.unwrap_err();
        assert!(why.contains(says), "{name}: {why}");
        assert!(failure.is_some_and(|why| why.contains("alert")), "{name}: the peer is told");
    }
}

#[test]
fn clients_show_certificates_where_they_are_asked_for() {
    let client_pair = authority().pair(&["client"], LATER);
    let other = Authority::new();
    let strange_pair = other.pair(&["client"], LATER);
    for (auth, shown, says) in [
        (ClientAuth::Required, Some(&client_pair), None),
        (ClientAuth::Required, None, Some("no certificate")),
        (ClientAuth::Required, Some(&strange_pair), Some("unknown issuer")),
        (ClientAuth::Optional, Some(&client_pair), None),
        (ClientAuth::Optional, None, None),
        (ClientAuth::Optional, Some(&strange_pair), Some("unknown issuer")),
    ] {
        let server = load(&TlsSettings {
            client_ca: Some(authority().root()),
            client_auth: Some((auth, Origin::from("--file"))),
            ..settings()
        });
        let client = load(&TlsSettings {
            peer_cert: shown.map(|pair| pair.certificate.clone()),
            ..settings()
        });
        let (_, failure) = Pair::new(&server, &client, "localhost").shake();
        match (says, failure) {
            (None, None) => {}
            (Some(says), Some(why)) => assert!(why.contains(says), "{auth:?}: {why}"),
            (says, failure) => panic!("{auth:?}: {says:?}, {failure:?}"),
        }
    }
}

#[test]
fn certificates_are_chosen_by_name_and_the_first_otherwise() {
    let certificates =
        ["one.example", "*.two.example", "127.0.0.1"].map(|name| authority().pair(&[name], LATER));
    let tls = load(&TlsSettings { certificates: certificates.to_vec(), ..settings() });
    for (name, is_there) in [
        ("one.example", true),
        ("a.two.example", true),
        ("three.example", false),
        ("127.0.0.1", false), // an address is never asked for (RFC 6066 §3)
    ] {
        let (outcome, _) = Pair::new(&tls, &tls, name).shake();
        match outcome {
            Ok(()) => assert!(is_there, "{name}"),
            Err(why) => {
                assert!(!is_there && why.contains("but for DnsName(\"one.example\")"), "{why}")
            }
        }
    }
}

#[test]
fn files_that_are_not_good_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let good = authority().pair(&["localhost"], LATER);
    let place = |name: &str, text: &str| authority().file(name, text);
    let pair = |certificate: &PlacedPath, key: Option<PlacedPath>| {
        let certificates = vec![CertificatePair { certificate: certificate.clone(), key }];
        TlsSettings { certificates, ..settings() }
    };
    let open = place("open.pem", &std::fs::read_to_string(&good.certificate.path).unwrap());
    std::fs::set_permissions(&open.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let missing = PlacedPath { path: "/nowhere/a.pem".into(), origin: Origin::from("--file") };
    let empty = place("empty.pem", "");
    let garbage =
        place("garbage.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let only = place("only.pem", &authority().issuer.pem());
    let other = place("key.pem", &KeyPair::generate().unwrap().serialize_pem());
    let locked = place(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    for (settings, says) in [
        (pair(&missing, None), "/nowhere/a.pem: No such file"),
        (pair(&empty, None), "empty.pem: has no certificate"),
        (pair(&garbage, None), "garbage.pem: its certificate"),
        (pair(&only, None), "only.pem: has no private key"),
        (pair(&only, Some(empty.clone())), "empty.pem: has no private key"),
        (pair(&only, Some(locked)), "locked.pem: has a key with a password"),
        (pair(&only, Some(open.clone())), "open.pem: is open to everybody (mode 0644)"),
        (pair(&open, None), "open.pem: is open to everybody"),
        (pair(&good.certificate, Some(other)), "key.pem: is not the key of"),
        (TlsSettings { client_ca: Some(empty.clone()), ..settings() }, "empty.pem: has no cert"),
        (TlsSettings { peer_ca: Some(missing.clone()), ..settings() }, "/nowhere/a.pem: No such"),
        (TlsSettings { tickets: Some(empty), ..settings() }, "empty.pem: has no key"),
        (TlsSettings { tickets: Some(open), ..settings() }, "open.pem: is open to everybody"),
    ] {
        let error =
            TlsConfigs::load(&settings, true, SystemTime::now()).err().expect(says).to_string();
        assert!(error.starts_with("--file: ") && error.contains(says), "{says}: {error}");
    }
    // A certificate alone is no secret.
    let open = place("public.pem", &authority().issuer.pem());
    std::fs::set_permissions(&open.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let settings = TlsSettings { client_ca: Some(open), ..settings() };
    assert!(TlsConfigs::load(&settings, true, SystemTime::now()).is_ok());
}
