//! A session from its first byte to its last: what client, peer, kernel and clock do in any order.

use super::ledger::{self, Wrap, masked};
use super::script::Script;
use super::wire::frame;
use super::world::{Bridge, End, REQUEST, World};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use websocksy::backend::Target;
use websocksy::config::{Config, Deadlines};
use websocksy::framing;

/// Steps of one script, and bytes that it may make out of few.
const STEPS: usize = 256;
const BULK: usize = 512 * 1024;
/// Deadlines that may pass until a session that nobody touches is over.
const DEADLINES: usize = 64;

/// A peer, and what becomes of messages on the way to it.
struct Kind {
    target: fn() -> Target,
    framing: &'static str,
    config: Option<&'static str>,
    wrap: Wrap,
}

const fn stream(framing: &'static str, config: Option<&'static str>, wrap: Wrap) -> Kind {
    Kind { target: tcp, framing, config, wrap }
}

/// Long enough for an envelope to be the most of what goes to the peer.
const LONG: &str = "add:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const KINDS: [Kind; 14] = [
    stream("auto", None, Wrap::Bare),
    stream("binary", None, Wrap::Bare),
    stream("rfc6455", None, Wrap::Frames),
    stream("newline", Some("add:lf"), Wrap::Suffix(b"\n")),
    stream("separator", Some("ab"), Wrap::Bare),
    stream("separator", Some(LONG), Wrap::Suffix(LONG.split_at(4).1.as_bytes())),
    stream("dynamic32", Some("add=yes"), Wrap::Length32),
    stream("json", None, Wrap::Bare),
    stream("fixedlength", Some("3"), Wrap::Bare),
    Kind { target: udp, ..stream("auto", None, Wrap::Datagrams) },
    Kind { target: unix_datagram, ..stream("newline", Some("add:lf"), Wrap::Datagrams) },
    Kind { target: || Target::FifoRx("/f".into()), ..stream("auto", None, Wrap::ReadOnly) },
    Kind { target: || Target::FifoTx("/f".into()), ..stream("auto", None, Wrap::Bare) },
    Kind { target: || Target::UnixStream("/s".into()), ..stream("auto", None, Wrap::Bare) },
];

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
        if script.is_over() || session.world.connection.finished() {
            break;
        }
        session.step(&mut script);
    }
    session.leave(manners);
    ledger::check(&session.world, kind.wrap, kind.framing == "json");
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
        let bridge = Bridge { target: (kind.target)(), framing };
        Self { world: World::new(&Rc::new(config), bridge), bulk: BULK }
    }

    /// One step, chosen by a byte, with what follows it.
    fn step(&mut self, script: &mut Script<'_>) {
        match script.byte() {
            b'o' => self.world.open(),
            b'h' => self.world.client(|client| client.deliver(REQUEST)),
            b'g' => self.world.grant(),
            b'd' => self.world.deny(),
            b'c' => {
                let n = script.byte().into();
                self.world.client(|client| client.deliver(script.take(n)));
            }
            b'f' => {
                let (first, payload, times) = self.burst(script);
                let seed = script.byte();
                let bytes = masked(first, &payload, seed).repeat(times);
                self.world.client(|client| client.deliver(&bytes));
            }
            b'p' => {
                let n = script.byte().into();
                self.world.peer(|peer| peer.deliver(script.take(n)));
            }
            b'F' => {
                let (first, payload, times) = self.burst(script);
                let bytes = frame(first, &payload, None).repeat(times);
                self.world.peer(|peer| peer.deliver(&bytes));
            }
            b'b' => {
                let (first, payload, times) = self.burst(script);
                let bytes = [&[first], payload.as_slice()].concat().repeat(times);
                self.world.peer(|peer| peer.deliver(&bytes));
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
            b'k' => self.world.client(|client| client.set_credit(credit(script))),
            b'K' => self.world.peer(|peer| peer.set_credit(credit(script))),
            b'e' => self.world.client(|client| client.finish(End::Fin)),
            b'r' => self.world.client(|client| client.finish(End::Reset)),
            b'E' => self.world.peer(|peer| peer.finish(End::Fin)),
            b'R' => self.world.peer(|peer| peer.finish(End::Reset)),
            b'w' => self.world.wait(Duration::MAX),
            b't' => self.world.wait(Duration::from_millis(script.word().into())),
            b's' => self.world.step(|world, scratch| world.connection.shut_down(scratch)),
            b'x' => self.spurious(script.byte()),
            b'm' => self.world.peer(|peer| peer.set_largest(credit(script))),
            _ => {}
        }
    }

    /// Events that bring nothing, and errors that pass.
    fn spurious(&mut self, which: u8) {
        let interrupted = (which & 1 != 0).then_some(ErrorKind::Interrupted);
        let refused = (which & 2 != 0).then_some(ErrorKind::ConnectionRefused);
        self.world.client(|client| client.wake(interrupted));
        self.world.peer(|peer| {
            peer.wake(interrupted);
            peer.wake(refused.filter(|_| peer.is_datagram()));
        });
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
            self.world.client(|client| client.set_credit(usize::MAX));
            self.world.peer(|peer| peer.set_credit(usize::MAX));
        }
        let end = if manners & 2 != 0 { End::Reset } else { End::Fin };
        if manners & 4 != 0 {
            self.world.peer(|peer| peer.finish(end));
        }
        if manners & 8 != 0 {
            self.world.client(|client| client.finish(end));
        }
        for _ in 0..DEADLINES {
            if self.world.connection.finished() {
                return;
            }
            self.world.wait(Duration::MAX);
        }
        panic!("it does not end");
    }
}
