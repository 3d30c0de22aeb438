//! A client's compressed messages, piece by piece (RFC 7692 §7.2.2).

use std::rc::Rc;

use super::engine::Moved;
use super::history::History;
use super::pool::{Lease, Pool};
use crate::proto::extensions::Window;

/// What follows the payload of a message: the end of the flush that its sender cut off (RFC 7692
/// §7.2.2), and a last block of no bytes. That says whether the payload was complete: behind one that
/// was not, it is something else or no block at all.
const TAIL: [u8; 6] = [0, 0, 0xff, 0xff, 3, 0];
/// How much of it ends the flush.
const FLUSH: usize = 4;

/// What a beginning costs, in bytes of output that take as long.
pub const BEGINNING: usize = 256;
/// How often a step begins anew inside a message at most.
const RESTARTS: usize = 64;

/// The payload is not what a message can be compressed to.
#[derive(Debug, PartialEq, Eq)]
pub struct Corrupt;

/// How far a step came.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that were taken.
    pub read: usize,
    /// Bytes of the output that were made.
    pub written: usize,
    /// Why there are not more.
    pub progress: Progress,
    /// What was done, in bytes of output: a beginning costs as much as some.
    pub cost: usize,
}

/// Why a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The input is used up, and all that it says is out.
    Hungry,
    /// The output is full; there may be more to it, even without more input.
    Full,
    /// The message is complete.
    Done,
}

/// What is kept of a client's direction.
pub struct Decoder {
    history: History,
    takeover: bool,
    pool: Rc<Pool>,
    /// Inside a compressed message.
    message: Option<Box<Message>>,
    /// A message has begun, and nobody has asked since.
    begun: bool,
    /// It has waited for an inflater, and it is its turn.
    called: bool,
}

/// A message that is being decompressed.
struct Message {
    lease: Lease,
    /// Its stream said that it ends: if more follows, it is a new one (RFC 7692 §7.2.3.5).
    ended: bool,
    /// How much of the tail was taken.
    tail: usize,
    /// The last step had no room for all.
    full: bool,
}

impl Message {
    /// What comes next behind the payload, where what there was no room for `drains` before or not.
    fn tail(&self, drains: bool) -> &'static [u8] {
        match self.tail {
            at if at < FLUSH => &TAIL[at..FLUSH],
            _ if drains => &[],
            at => &TAIL[at..],
        }
    }

    /// Its stream has ended, and another one begins.
    fn begin_again(&mut self, history: &History) -> Result<(), Corrupt> {
        self.ended = false;
        if self.lease.begin(history.bytes()) { Ok(()) } else { Err(Corrupt) }
    }
}

impl Decoder {
    /// For a client that compresses in this way.
    #[must_use]
    pub fn new(window: Window, pool: Rc<Pool>) -> Self {
        Self {
            history: History::new(window.bits),
            takeover: window.takeover,
            pool,
            message: None,
            begun: false,
            called: false,
        }
    }

    /// Whether it is inside a message.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.message.is_some()
    }

    /// Whether a message has begun since this was asked last.
    pub fn take_beginning(&mut self) -> bool {
        std::mem::take(&mut self.begun)
    }

    /// Whether a message could go on or begin now.
    #[must_use]
    pub fn has_inflater(&self) -> bool {
        self.message.is_some() || self.pool.has_one_for(self.called)
    }

    /// Whether it may take an inflater that is [reserved](Pool::reserve).
    pub fn call(&mut self, called: bool) {
        self.called = called;
    }

    /// Whether there is more to be had of what was taken already.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.full)
    }

    /// Gives up the message it is in.
    pub fn give_up(&mut self) {
        self.message = None;
    }

    /// Goes on with the message, or begins one; returns whether there is what it takes.
    pub fn begin(&mut self) -> bool {
        if self.message.is_none() {
            if !self.pool.has_one_for(self.called) {
                return false;
            }
            let Some(mut lease) = self.pool.take() else { return false };
            if !lease.begin(self.history.bytes()) {
                return false;
            }
            self.message = Some(Box::new(Message { lease, ended: false, tail: 0, full: false }));
            self.begun = true;
        }
        true
    }

    /// Decompresses a part of the message that was [begun](Self::begin), the `last` or not, into
    /// `output`, which has room for something. What of `input` was not taken comes again.
    ///
    /// # Errors
    /// It is not what a message can be compressed to.
    pub fn step(&mut self, input: &[u8], last: bool, output: &mut [u8]) -> Result<Step, Corrupt> {
        let Self { history, takeover, message: slot, .. } = self;
        let message = slot.as_mut().ok_or(Corrupt)?;
        let (mut read, mut written, mut noted, mut restarts) = (0, 0, 0, 0);
        // What there was no room for comes before the last block is looked at.
        let mut drains = message.full;
        let progress = loop {
            if message.ended {
                match (read == input.len(), last) {
                    (true, true) => break Progress::Done,
                    (true, false) => break Progress::Hungry,
                    (false, _) if restarts == RESTARTS => break Progress::Full,
                    (false, _) => restarts += 1,
                }
                if *takeover {
                    history.push(&output[noted..written]);
                    noted = written;
                }
                message.begin_again(history)?;
            }
            let in_tail = read == input.len() && last;
            let is_proof = in_tail && message.tail >= FLUSH && !drains;
            let source = if in_tail { message.tail(drains) } else { &input[read..] };
            let moved = message.lease.inflate(source, &mut output[written..]);
            let Moved { read: taken, written: made, ended } = moved.map_err(|_| Corrupt)?;
            written += made;
            *(if in_tail { &mut message.tail } else { &mut read }) += taken;
            if is_proof {
                let proven = ended && made == 0 && message.tail == TAIL.len();
                break if proven { Progress::Done } else { return Err(Corrupt) };
            }
            if in_tail && ended {
                return Err(Corrupt);
            }
            message.ended = ended;
            if written == output.len() {
                break Progress::Full;
            }
            drains = false;
            // With room left, all of the input was taken.
            let is_left = if in_tail { message.tail < FLUSH } else { read < input.len() };
            if !ended && is_left {
                return Err(Corrupt);
            }
            if !ended && !last {
                break Progress::Hungry;
            }
        };
        message.full = progress == Progress::Full;
        if *takeover {
            history.push(&output[noted..written]);
        }
        if progress == Progress::Done {
            *slot = None;
        }
        Ok(Step { read, written, progress, cost: written + restarts * BEGINNING })
    }
}
