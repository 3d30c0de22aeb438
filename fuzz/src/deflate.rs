//! Compression: what is agreed on, and both directions against an inflater that is never reset.

use std::cell::RefCell;
use std::rc::Rc;

use super::script::{Script, pieces};
use websocksy::deflate::{Decoder, Deflaters, Encoder, Pool, Progress};
use websocksy::proto::extensions::{CLIENT_BITS, SERVER_BITS, Window, negotiate};
use zlib_rs::{Inflate, InflateFlush, Status};

/// What ends a flush and is not sent (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The names of parameters, by their first letter and whether they take a window.
const NAMES: [&str; 4] = [
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
];

/// More than a block holds that is not compressed; what is longer says nothing new.
const LONGEST: usize = 70_000;
/// After how much of a message there is room for more of it at once.
const TRICKLE: usize = 4096;
const WIDE: usize = 16_384;

thread_local! {
    /// What compresses, one for each level. A state of 200 KB takes longer to make than most inputs to
    /// run, so they are kept for the next input, as a loop keeps them for the next session.
    static DEFLATERS: RefCell<[Deflaters; 9]> = RefCell::default();
    static INFLATERS: Rc<Pool> = Rc::default();
}

/// Input: a field's value. What is agreed on is what the first good offer asked for, as a simple
/// reader of fields without quotes has it.
pub fn extensions(input: &[u8]) {
    let found = negotiate([input].into_iter());
    let mut lines = input.splitn(2, |&byte| byte == b'\n');
    let twice = negotiate(lines.by_ref());
    if let Ok(Some(agreed)) = found {
        assert!((8..=SERVER_BITS).contains(&agreed.server.bits));
        let most = if agreed.client.takeover { CLIENT_BITS } else { 15 };
        assert!((8..=most).contains(&agreed.client.bits));
        let mut answer = Vec::new();
        agreed.write(&mut answer);
        // An answer is an offer, too, and says the same.
        let again = negotiate([answer.as_slice()].into_iter()).expect("an answer of ours");
        let again = again.expect("an offer that can be had");
        assert_eq!(again.server, agreed.server);
        assert_eq!(again.client.takeover, agreed.client.takeover);
    }
    if !input.contains(&b'"') && !input.contains(&b'\n') {
        assert_eq!(twice, found);
        if let (Ok(agreed), Ok(text)) = (found, str::from_utf8(input)) {
            let agreed = agreed.map(|agreed| (agreed.server.bits, agreed.server.takeover));
            assert_eq!(agreed, text.split(',').find_map(simple_offer));
        }
    }
}

/// What an offer without quotes asks of us.
fn simple_offer(offer: &str) -> Option<(u8, bool)> {
    let blank: &[char] = &[' ', '\t'];
    let mut parts = offer.split(';').map(|part| part.trim_matches(blank));
    if parts.next()? != "permessage-deflate" {
        return None;
    }
    let (mut seen, mut bits, mut takeover) = (Vec::new(), SERVER_BITS, true);
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_matches(blank), Some(value.trim_matches(blank))),
            None => (part, None),
        };
        let which = NAMES.iter().position(|known| *known == name)?;
        if seen.contains(&which) {
            return None;
        }
        seen.push(which);
        let window = value.map(|value| (8..16u8).find(|bits| bits.to_string() == value));
        match (which, window) {
            (0, None) => takeover = false,
            (2, Some(Some(asked))) => bits = asked.min(SERVER_BITS),
            (1 | 3, None) | (3, Some(Some(_))) => {}
            _ => return None,
        }
    }
    Some((bits, takeover))
}

/// A client's inflater.
struct Oracle(Inflate);

impl Oracle {
    /// It keeps 32 KiB whatever its window, so that references that reach too far pass: the tests of
    /// `src/deflate` look for those.
    fn new() -> Self {
        Self(Inflate::new(false, 15))
    }

    /// What it makes of a message, or a fragment that is not the last; whether it came to a last block,
    /// and none if the payload is wrong.
    fn inflate(&mut self, payload: &[u8], whole: bool) -> Option<(Vec<u8>, bool)> {
        let input = [payload, if whole { &TAIL } else { &[] }].concat();
        let (mut read, mut out) = (0, Vec::new());
        loop {
            let mut piece = [0; 512];
            let before = (self.0.total_in(), self.0.total_out());
            let status = self.0.decompress(&input[read..], &mut piece, InflateFlush::SyncFlush);
            read += (self.0.total_in() - before.0) as usize;
            let made = (self.0.total_out() - before.1) as usize;
            out.extend_from_slice(&piece[..made]);
            match status {
                Err(_) => return None,
                Ok(Status::StreamEnd) => return Some((out, true)),
                Ok(_) if made < piece.len() => return Some((out, false)),
                Ok(_) => {}
            }
        }
    }
}

/// Input: windows, level, and what is sent: messages to the client of two sessions in turn, in
/// fragments, and a client's payloads, cut.
pub fn deflate(input: &[u8]) {
    let mut script = Script::new(input);
    let (bits, choice) = (8 + script.byte() % (SERVER_BITS - 7), script.byte());
    let takeover = choice & 1 == 0;
    let window = Window { bits, takeover };
    if choice & 2 == 0 {
        let level = choice / 4 % 9;
        DEFLATERS.with_borrow_mut(|deflaters| {
            to_client(window, level + 1, &mut deflaters[usize::from(level)], &mut script);
        });
    } else {
        from_client(Window { bits: CLIENT_BITS, takeover }, &mut script);
    }
}

fn to_client(window: Window, level: u8, deflaters: &mut Deflaters, script: &mut Script<'_>) {
    let mut sessions: Vec<_> =
        (0..2).map(|_| (Encoder::new(window, level, deflaters), Oracle::new())).collect();
    while !script.is_over() {
        let (kind, pattern) = (script.byte(), script.byte());
        let (length, _) = script.length();
        let message = match kind & 6 {
            0 => script.take(length).repeat(usize::from(kind / 8) + 1),
            2 => vec![kind; (length * 8).min(LONGEST)],
            _ => script.take(length).to_vec(),
        };
        let (encoder, oracle) = &mut sessions[usize::from(kind & 1)];
        if !window.takeover {
            oracle.0.reset(false);
        }
        // What is long is cut into long pieces.
        let pattern = if message.len() < TRICKLE { pattern } else { pattern | 0xcc };
        let parts: Vec<_> = pieces(&message, pattern).collect();
        let mut got = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let (first, last) = (at == 0, at + 1 == parts.len());
            match encoder.frame((first, last), part, deflaters) {
                None => got.extend_from_slice(part),
                Some(packed) => {
                    assert!(!(first && last) || packed.len() < part.len(), "it grows");
                    let (out, ended) = oracle.inflate(packed, last).expect("DEFLATE");
                    assert!(!ended);
                    got.extend(out);
                }
            }
        }
        assert_eq!(got, message);
    }
}

fn from_client(window: Window, script: &mut Script<'_>) {
    let mut decoder = Decoder::new(window, INFLATERS.with(Rc::clone));
    let mut oracle = Oracle::new();
    while !script.is_over() {
        let (pattern, room) = (script.byte(), usize::from(script.byte()) + 1);
        let length = usize::from(script.byte());
        let payload = script.take(length);
        if !window.takeover {
            oracle.0.reset(false);
        }
        let mut parts: Vec<_> = pieces(payload, pattern).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let Some(message) = decode(&mut decoder, &parts, room) else { return };
        let (expected, ended) = oracle.inflate(payload, true).expect("it was taken");
        if ended {
            // It goes on behind a last block, where an inflater has to be told to.
            assert!(message.starts_with(&expected));
            return;
        }
        assert_eq!(message, expected);
    }
}

/// A message, in parts and with room for so much at once; none if it is wrong.
fn decode(decoder: &mut Decoder, parts: &[&[u8]], room: usize) -> Option<Vec<u8>> {
    let (mut out, mut output) = (Vec::new(), [0; WIDE]);
    for (at, part) in parts.iter().enumerate() {
        let (last, mut read) = (at + 1 == parts.len(), 0);
        loop {
            assert!(decoder.begin(), "nobody else has any");
            // A quarter of a megabyte a byte at a time would only take long.
            let room = if out.len() < TRICKLE { room } else { WIDE };
            let step = decoder.step(&part[read..], last, &mut output[..room]).ok()?;
            read += step.read;
            assert!(step.cost >= step.written && step.written <= room);
            out.extend_from_slice(&output[..step.written]);
            assert_eq!(decoder.has_more(), step.progress == Progress::Full);
            match step.progress {
                Progress::Full => assert!(step.cost > 0, "it stands still"),
                Progress::Hungry => {
                    assert!(!last && read == part.len());
                    break;
                }
                Progress::Done => {
                    assert!(last && read == part.len() && !decoder.is_inside());
                    return Some(out);
                }
            }
        }
    }
    panic!("a message without an end");
}
