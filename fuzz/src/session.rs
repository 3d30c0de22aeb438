//! A session from its first byte to its last: what client, peer, kernel and clock do in any order.

use super::script::Script;
use super::world::{End, REQUEST, World};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use websocksy::backend::Target;
use websocksy::config::{Config, Deadlines};
use websocksy::framing;
use websocksy_abi::PEER_BUFFER_SIZE;
use websocksy_world::frames::frame;
use websocksy_world::{ClientGets, PeerGets, Plug, Route};

/// Steps of one script, and bytes that it may make out of few.
const STEPS: usize = 256;
const BULK: usize = 512 * 1024;
/// Deadlines that may pass until a session that nobody touches is over.
const DEADLINES: usize = 256;

/// A peer, and what becomes of messages on the way to it and from it.
struct Kind {
    target: fn() -> Target,
    framing: &'static str,
    config: Option<&'static str>,
    peer_gets: PeerGets,
    client_gets: ClientGets,
}

const fn stream(
    framing: &'static str,
    config: Option<&'static str>,
    peer_gets: PeerGets,
    client_gets: ClientGets,
) -> Kind {
    Kind { target: tcp, framing, config, peer_gets, client_gets }
}

/// Long enough for an envelope to be the most of what goes to the peer.
const LONG: &str = "add:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const LONG_END: &[u8] = LONG.split_at(4).1.as_bytes();

/// Reads as they come.
const READS: ClientGets = ClientGets::Bytes { late: 0 };
/// The same, but for the rest of a character that a read cut.
const TEXT: ClientGets = ClientGets::Bytes { late: 3 };
/// What a framing may keep until it finds a message.
const KEPT: ClientGets = ClientGets::Bytes { late: PEER_BUFFER_SIZE };
const JSON: ClientGets = ClientGets::Dense { late: PEER_BUFFER_SIZE };
const LINES: ClientGets = ClientGets::Delimited(b"\n");

const KINDS: [Kind; 14] = [
    stream("auto", None, PeerGets::Payloads, TEXT),
    stream("binary", None, PeerGets::Payloads, READS),
    stream("rfc6455", None, PeerGets::Frames, ClientGets::Frames),
    stream("newline", Some("add:lf"), PeerGets::Suffix(b"\n"), LINES),
    stream("separator", Some("ab"), PeerGets::Payloads, ClientGets::Delimited(b"ab")),
    stream("separator", Some(LONG), PeerGets::Suffix(LONG_END), ClientGets::Delimited(LONG_END)),
    stream("dynamic32", Some("add=yes"), PeerGets::Length32, KEPT),
    stream("json", None, PeerGets::Payloads, JSON),
    stream("fixedlength", Some("3"), PeerGets::Payloads, KEPT),
    Kind { target: udp, ..datagrams("auto", None) },
    Kind {
        target: unix_datagram,
        client_gets: ClientGets::DatagramLines(b"\n"),
        ..datagrams("newline", Some("add:lf"))
    },
    Kind {
        target: || Target::FifoRx("/f".into()),
        ..stream("auto", None, PeerGets::Nothing, TEXT)
    },
    Kind {
        target: || Target::FifoTx("/f".into()),
        ..stream("auto", None, PeerGets::Payloads, TEXT)
    },
    Kind {
        target: || Target::UnixStream("/s".into()),
        ..stream("auto", None, PeerGets::Payloads, TEXT)
    },
];

const fn datagrams(framing: &'static str, config: Option<&'static str>) -> Kind {
    stream(framing, config, PeerGets::Datagrams, ClientGets::Datagrams)
}

fn tcp() -> Target {
    Target::Tcp { host: "h".into(), port: 1 }
}

fn udp() -> Target {
    Target::Udp { host: "h".into(), port: 1 }
}

fn unix_datagram() -> Target {
    Target::UnixDatagram("/d".into())
}

/// Input: the peer, how the script ends, and steps (see [`Session::step`]).
pub fn session(input: &[u8]) {
    let mut script = Script::new(input);
    let kind = &KINDS[usize::from(script.byte()) % KINDS.len()];
    let manners = script.byte();
    let mut session = Session::new(kind, manners & 0x80 != 0);
    for _ in 0..STEPS {
        if script.is_over() || session.world.session.connection.finished() {
            break;
        }
        session.step(&mut script);
    }
    session.leave(manners);
    session.world.session.check_end();
}

struct Session {
    world: World,
    /// Bytes that the script may still make.
    bulk: usize,
}

impl Session {
    fn new(kind: &Kind, idle: bool) -> Self {
        let idle = Duration::from_secs(if idle { 45 } else { 0 });
        let config =
            Config { deadlines: Deadlines { idle, ..Deadlines::default() }, ..Config::default() };
        let framing = framing::check(kind.framing, kind.config).expect("a framing of ours");
        let Kind { peer_gets, client_gets, .. } = *kind;
        let is_binary = matches!(kind.framing, "binary" | "separator" | "fixedlength");
        let route = Route { target: (kind.target)(), framing, peer_gets, client_gets, is_binary };
        Self { world: World::new(&Rc::new(config), route), bulk: BULK }
    }

    /// One step, chosen by a byte, with what follows it.
    fn step(&mut self, script: &mut Script<'_>) {
        match script.byte() {
            b'o' => self.world.open(),
            b'h' => self.world.client(|client| client.arrive(REQUEST)),
            b'g' => self.world.grant(),
            b'd' => self.world.deny(),
            b'c' => {
                let n = script.byte().into();
                self.world.client(|client| client.arrive(script.take(n)));
            }
            b'f' => {
                let (first, payload, times) = self.burst(script);
                let seed = script.byte();
                let key = [seed, seed ^ 0x55, !seed, 7];
                let bytes = frame(first, &payload, Some(key)).repeat(times);
                self.world.client(|client| client.arrive(&bytes));
            }
            b'p' => {
                let n = script.byte().into();
                self.world.peer_says(script.take(n));
            }
            b'F' => {
                let (first, payload, times) = self.burst(script);
                let bytes = frame(first, &payload, None).repeat(times);
                self.world.peer_says(&bytes);
            }
            b'b' => {
                let (first, payload, times) = self.burst(script);
                let bytes = [&[first], payload.as_slice()].concat().repeat(times);
                self.world.peer_says(&bytes);
            }
            other => self.event(other, script),
        }
    }

    /// What the kernel, the clock or the operator does.
    fn event(&mut self, event: u8, script: &mut Script<'_>) {
        let credit = |script: &mut Script<'_>| match script.byte() {
            255 => usize::MAX,
            n => usize::from(n) * usize::from(n),
        };
        match event {
            b'k' => self.world.client(|client| _ = client.set_window(credit(script))),
            b'K' => self.world.peer(|peer| _ = peer.set_window(credit(script))),
            b'e' => self.world.client_ends(End::Fin),
            b'r' => self.world.client_ends(End::Reset),
            b'E' => self.world.peer_ends(End::Fin),
            b'R' => self.world.peer_ends(End::Reset),
            b'w' => self.world.wait(Duration::MAX),
            b't' => self.world.wait(Duration::from_millis(script.word().into())),
            b's' => self.world.step(|session, scratch| session.connection.shut_down(scratch)),
            b'x' => self.spurious(script.byte()),
            b'm' => self.world.peer(|peer| peer.set_largest(credit(script))),
            _ => {}
        }
    }

    /// Events that bring nothing, and errors that pass.
    fn spurious(&mut self, which: u8) {
        let is_datagram = self.world.is_datagram();
        let wake = |plug: &mut Plug, refused| {
            plug.spurious();
            if which & 1 != 0 {
                plug.fail(ErrorKind::Interrupted);
            }
            if refused {
                plug.fail(ErrorKind::ConnectionRefused);
            }
        };
        self.world.client(|client| wake(client, false));
        self.world.peer(|peer| wake(peer, which & 2 != 0 && is_datagram));
    }

    /// A first byte, a payload and how often: the payload stands in the script, or is one of its
    /// bytes over and over.
    fn burst(&mut self, script: &mut Script<'_>) -> (u8, Vec<u8>, usize) {
        let first = script.byte();
        let payload = match script.length() {
            (n, false) => script.take(n).to_vec(),
            (n, true) => vec![script.byte(); n],
        };
        let times = usize::from(script.byte()) + 1;
        let times = times.min(self.bulk / (payload.len() + 14));
        self.bulk -= times * (payload.len() + 14);
        (first, payload, times)
    }

    /// The script is over: both sides end their streams or just fall silent, and the clock runs.
    fn leave(&mut self, manners: u8) {
        if manners & 1 != 0 {
            self.world.client(|client| _ = client.set_window(usize::MAX));
            self.world.peer(|peer| _ = peer.set_window(usize::MAX));
        }
        let end = if manners & 2 != 0 { End::Reset } else { End::Fin };
        if manners & 4 != 0 {
            self.world.peer_ends(end);
        }
        if manners & 8 != 0 {
            self.world.client_ends(end);
        }
        for _ in 0..DEADLINES {
            if self.world.session.connection.finished() {
                return;
            }
            self.world.wait(Duration::MAX);
        }
        panic!("it does not end");
    }
}
