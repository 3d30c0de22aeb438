//! What goes to a client, compressed message by message or not (RFC 7692 §7.2.1).

use super::engine::Deflater;
use super::history::History;
use crate::proto::extensions::{SERVER_BITS, Window};

/// What ends each flush, and is cut off at the end of a message.
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];
/// The last frame of a message of which nothing is left: a block without bytes (RFC 7692 §7.2.3.6).
const EMPTY: [u8; 1] = [0];
/// The most that a block holds that is not compressed (RFC 1951 §3.2.4).
const MOST_STORED: usize = 0xffff;

/// How much of the end of a session's history a state begins anew behind. Each KiB takes a microsecond to
/// enter, and the older half of 4 KiB made what was measured 2 % shorter at most. A session that sends
/// several messages in a row has all of it.
const PRIMED: usize = 2048;

/// Whole messages below this go as they are: what they would save is less than the headers of the
/// packet that they travel in.
const SHORTEST: usize = 64;
/// How much is compressed before it is judged whether that pays.
const SAMPLE: usize = 32 * 1024;
/// It does not where more than so many eighths are left.
const WORTH: usize = 7;
/// For how much it is left alone then, and for how much at most when it goes on not to pay: what is
/// tried in vain is one part in sixteen at first, and in a thousand later.
const FIRST_PAUSE: usize = 16 * SAMPLE;
const LONGEST_PAUSE: usize = 1024 * SAMPLE;

/// Windows that are compressed over: 8 to [`SERVER_BITS`].
const WINDOWS: usize = SERVER_BITS as usize - 7;

/// What a loop compresses with: one state a window, of which mostly one is used.
#[derive(Default)]
pub struct Deflaters {
    /// Each with the level that it was made for.
    states: [Option<(u8, Deflater)>; WINDOWS],
    /// Whose history each state stands behind, so that a session's next message can go on there.
    owners: [u64; WINDOWS],
    /// How many encoders there were.
    encoders: u64,
    output: Vec<u8>,
}

/// What is kept of the direction to a client.
pub struct Encoder {
    /// Which of all encoders it is, from 1 on.
    number: u64,
    level: u8,
    bits: u8,
    takeover: bool,
    history: History,
    /// Whether the message that is on its way is compressed.
    compresses: bool,
    worth: Worth,
}

/// Whether it pays to compress.
#[derive(Default)]
struct Worth {
    plain: usize,
    compressed: usize,
    /// For how many bytes more it is left alone.
    left_alone: usize,
    pause: usize,
}

impl Encoder {
    /// For a client that decompresses in this way.
    #[must_use]
    pub fn new(window: Window, level: u8, deflaters: &mut Deflaters) -> Self {
        deflaters.encoders += 1;
        Self {
            number: deflaters.encoders,
            level,
            bits: window.bits,
            takeover: window.takeover,
            history: History::new(window.bits),
            compresses: false,
            worth: Worth::default(),
        }
    }

    /// The payload of a frame, the `first` and the `last` of its message or not, as it goes out; none if
    /// it goes as it is.
    pub fn frame<'a>(
        &mut self,
        (first, last): (bool, bool),
        payload: &[u8],
        deflaters: &'a mut Deflaters,
    ) -> Option<&'a [u8]> {
        if first {
            self.compresses = self.worth.tries(payload.len(), last);
        }
        if !self.compresses {
            self.worth.passes(payload.len());
            return None;
        }
        let whole = first && last;
        deflaters.compress(self, payload);
        let output = &mut deflaters.output;
        if last && output.ends_with(&FLUSHED) {
            output.truncate(output.len() - FLUSHED.len());
        }
        if last && output.is_empty() {
            output.extend_from_slice(&EMPTY);
        }
        let length = output.len().min(payload.len());
        self.worth.compressed(payload.len(), length);
        if whole && length == payload.len() {
            // It goes as it is, and the client's window knows nothing of it.
            deflaters.disown(self);
            return None;
        }
        if self.takeover || !last {
            self.history.push(payload);
        } else {
            self.history.clear();
            deflaters.disown(self);
        }
        Some(&deflaters.output)
    }
}

impl Deflaters {
    /// Compresses `payload` behind the encoder's history into the output.
    fn compress(&mut self, encoder: &Encoder, payload: &[u8]) {
        self.output.clear();
        if self.flush(encoder, payload).is_none() {
            self.disown(encoder);
            store(payload, &mut self.output);
        }
    }

    fn flush(&mut self, encoder: &Encoder, payload: &[u8]) -> Option<()> {
        let at = index(encoder.bits);
        let state = self.states.get_mut(at)?;
        if state.as_ref().is_none_or(|(level, _)| *level != encoder.level) {
            *state = Some((encoder.level, Deflater::new(encoder.level, encoder.bits)?));
            self.owners[at] = 0;
        }
        let (_, deflater) = state.as_mut()?;
        let owner = std::mem::replace(&mut self.owners[at], encoder.number);
        if owner != encoder.number && !deflater.begin(encoder.history.end(PRIMED)) {
            return None;
        }
        let (mut read, mut written) = (0, 0);
        loop {
            // A flush is complete when there was room left behind it.
            self.output.resize(written + payload.len() - read + payload.len() / 8 + 64, 0);
            let moved = deflater.flush(&payload[read..], &mut self.output[written..]).ok()?;
            read += moved.read;
            written += moved.written;
            if written < self.output.len() {
                self.output.truncate(written);
                return (read == payload.len()).then_some(());
            }
        }
    }

    /// What the state stands behind is not what the encoder's history holds.
    fn disown(&mut self, encoder: &Encoder) {
        if let Some(owner) = self.owners.get_mut(index(encoder.bits)) {
            *owner = 0;
        }
    }
}

fn index(bits: u8) -> usize {
    usize::from(bits.saturating_sub(8))
}

/// Blocks that hold the payload as it is, and an empty one: what is right whatever zlib says.
fn store(payload: &[u8], output: &mut Vec<u8>) {
    output.clear();
    for block in payload.chunks(MOST_STORED).chain([&[][..]]) {
        let length = block.len() as u16; // at most MOST_STORED
        output.push(0);
        output.extend_from_slice(&length.to_le_bytes());
        output.extend_from_slice(&(!length).to_le_bytes());
        output.extend_from_slice(block);
    }
}

impl Worth {
    /// Whether a message that begins with `length` bytes, or consists of them, is compressed.
    fn tries(&self, length: usize, whole: bool) -> bool {
        self.left_alone == 0 && !(whole && length < SHORTEST)
    }

    /// `length` bytes go as they are.
    fn passes(&mut self, length: usize) {
        self.left_alone = self.left_alone.saturating_sub(length);
    }

    /// `plain` bytes became `compressed` ones.
    fn compressed(&mut self, plain: usize, compressed: usize) {
        self.plain += plain;
        self.compressed += compressed;
        if self.plain < SAMPLE {
            return;
        }
        let pays = self.compressed <= self.plain / 8 * WORTH;
        let pause = if pays { 0 } else { (self.pause * 4).clamp(FIRST_PAUSE, LONGEST_PAUSE) };
        *self = Self { plain: 0, compressed: 0, left_alone: pause, pause };
    }
}
