//! RFC 6455 §5.2 frames, made and read the simple way.

/// Opcodes and the FIN bit.
pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
/// Reserved bits: a fault of whoever sends it.
pub(crate) const WRONG: u8 = 0xf2;

/// A header without a mask; `mask` is the bit that announces one.
pub(crate) fn header(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        n @ 0..126 => header.push(mask | n as u8),
        n @ 126..65_536 => {
            header.push(mask | 126);
            header.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            header.push(mask | 127);
            header.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    header
}

/// A ping that a side sends.
pub(crate) struct Ping {
    /// Where it ends in that side's stream.
    pub(crate) end: usize,
    pub(crate) payload: Vec<u8>,
}

/// What a reader comes upon.
pub(crate) enum Part<'a> {
    /// The header of a frame that begins with the byte `first`.
    Begin { first: u8, header: &'a [u8] },
    /// The next bytes of its payload; `last`, perhaps without bytes, ends it.
    Payload { first: u8, bytes: &'a [u8], last: bool },
}

/// Reads unmasked frames strictly, as they come.
#[derive(Clone, Default)]
pub(crate) struct Reader {
    /// What there is of the next header.
    header: Vec<u8>,
    /// The frame whose payload is under way: its first byte, and how many bytes are left.
    frame: Option<(u8, usize)>,
}

impl Reader {
    /// Whether nothing of a frame is under way.
    pub(crate) fn is_between(&self) -> bool {
        self.header.is_empty() && self.frame.is_none()
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut see: impl FnMut(Part<'_>)) {
        while let Some((&next, rest)) = bytes.split_first() {
            let Some((first, left)) = self.frame else {
                bytes = rest;
                self.header.push(next);
                self.begin(&mut see);
                continue;
            };
            let (piece, after) = bytes.split_at(left.min(bytes.len()));
            bytes = after;
            let left = left - piece.len();
            self.frame = (left > 0).then_some((first, left));
            see(Part::Payload { first, bytes: piece, last: left == 0 });
        }
    }

    /// A frame begins if its header is complete; one without a payload ends, too.
    fn begin(&mut self, see: &mut impl FnMut(Part<'_>)) {
        let Some(length) = self.length() else { return };
        let first = self.header[0];
        see(Part::Begin { first, header: &self.header });
        self.header.clear();
        if length > 0 {
            self.frame = Some((first, length));
        } else {
            see(Part::Payload { first, bytes: &[], last: true });
        }
    }

    /// The length in a complete header.
    fn length(&self) -> Option<usize> {
        let (&first, &second) = (self.header.first()?, self.header.get(1)?);
        assert!(second & 0x80 == 0, "a masked frame");
        let length = match second {
            126 => u16::from_be_bytes(*self.header.get(2..)?.first_chunk()?).into(),
            127 => u64::from_be_bytes(*self.header.get(2..)?.first_chunk()?) as usize,
            n => n.into(),
        };
        assert_eq!(self.header, header(first, 0, length), "a length in more bytes than it needs");
        Some(length)
    }
}

/// The pongs that answer one side's pings.
#[derive(Clone, Default)]
pub(crate) struct Pongs {
    /// The pings up to this one are answered or passed over.
    next: usize,
    payload: Vec<u8>,
}

impl Pongs {
    /// A piece of a pong: it must answer a ping that no later pong passed over (§5.5.3).
    pub(crate) fn piece(&mut self, bytes: &[u8], last: bool, pings: &[Ping]) {
        self.payload.extend_from_slice(bytes);
        if last {
            let payload = std::mem::take(&mut self.payload);
            let found = pings[self.next..].iter().position(|ping| ping.payload == payload);
            self.next += 1 + found.expect("a ping for this pong");
        }
    }

    /// Checks, when `read` bytes of the side were read, that no pong is for what was not read, and,
    /// if nothing holds pongs up, that the last ping has its own.
    pub(crate) fn check(&self, pings: &[Ping], read: usize, settled: bool) {
        let known = pings.partition_point(|ping| ping.end <= read);
        assert!(self.next <= known, "a pong before its ping");
        let answered = self.next.checked_sub(1).map(|at| &pings[at].payload);
        let asked = known.checked_sub(1).map(|at| &pings[at].payload);
        assert!(!settled || answered == asked, "a ping is not answered");
    }
}
