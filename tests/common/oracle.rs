//! The judge of all that a server sends after the 101 (RFC 6455 §5, §7, §8.1). Every client reads
//! through it, so every test also tests this.

/// The close codes that may stand in a frame (RFC 6455 §7.4 and the registry that it opened).
const LEGAL_CODES: [std::ops::RangeInclusive<u16>; 3] = [1000..=1003, 1007..=1014, 3000..=4999];

/// A frame header as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) len: u64,
}

/// What has been seen so far.
#[derive(Default)]
pub(crate) struct Oracle {
    message: Option<u8>,
    closed: bool,
    /// The bytes of a code point whose rest has not come yet.
    cut: Vec<u8>,
}

impl Oracle {
    /// Reads a header off the front of `bytes`, or says that it is not complete yet.
    #[track_caller]
    pub(crate) fn header(&mut self, bytes: &[u8]) -> Option<(Header, usize)> {
        assert!(!self.closed || bytes.is_empty(), "{bytes:02x?} after the close frame");
        let [first, second, ..] = *bytes else { return None };
        assert_eq!(first & 0x70, 0, "RSV bits in {first:02x} (§5.2)");
        assert_eq!(second & 0x80, 0, "a server does not mask (§5.1)");
        let (len, used) = length(second, bytes)?;
        let header = Header { fin: first & 0x80 != 0, opcode: first & 0x0f, len };
        self.judge(header);
        Some((header, used))
    }

    #[track_caller]
    fn judge(&mut self, header: Header) {
        match header.opcode {
            0 => assert!(self.message.is_some(), "continuation of nothing (§5.4)"),
            1 | 2 => {
                assert!(self.message.is_none(), "a message inside a message (§5.4)");
                self.message = Some(header.opcode);
            }
            8..=10 => assert!(header.fin && header.len <= 125, "{header:?} (§5.5)"),
            opcode => panic!("reserved opcode {opcode} (§5.2)"),
        }
        self.closed = header.opcode == 8;
    }

    /// The next bytes of a data frame's payload, in order.
    #[track_caller]
    pub(crate) fn payload(&mut self, bytes: &[u8]) {
        if self.message != Some(1) {
            return;
        }
        self.cut.extend_from_slice(bytes);
        let valid = match std::str::from_utf8(&self.cut) {
            Ok(_) => self.cut.len(),
            Err(error) => {
                assert_eq!(error.error_len(), None, "a text message is UTF-8 (§8.1)");
                error.valid_up_to()
            }
        };
        self.cut.drain(..valid);
    }

    /// The end of a data frame.
    #[track_caller]
    pub(crate) fn end(&mut self, header: Header) {
        if header.fin {
            assert!(self.cut.is_empty(), "a text message ends inside a code point (§8.1)");
            self.message = None;
        }
    }

    /// The code and the reason in a close frame's payload (§5.5.1).
    #[track_caller]
    pub(crate) fn close(payload: &[u8]) -> (Option<u16>, String) {
        let [high, low, reason @ ..] = payload else {
            assert!(payload.is_empty(), "a close frame of one byte (§5.5.1)");
            return (None, String::new());
        };
        let code = u16::from_be_bytes([*high, *low]);
        assert!(LEGAL_CODES.iter().any(|codes| codes.contains(&code)), "close code {code} (§7.4)");
        (Some(code), String::from_utf8(reason.to_vec()).expect("a reason is UTF-8 (§5.5.1)"))
    }
}

/// The payload length and the header's own, minimal or refused (§5.2).
#[track_caller]
fn length(second: u8, bytes: &[u8]) -> Option<(u64, usize)> {
    match second & 0x7f {
        126 => {
            let len = u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap());
            assert!(len > 125, "length {len} in 16 bits is not minimal (§5.2)");
            Some((len.into(), 4))
        }
        127 => {
            let len = u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap());
            assert!(len > 65_535 && len >> 63 == 0, "length {len} in 64 bits (§5.2)");
            Some((len, 10))
        }
        len => Some((len.into(), 2)),
    }
}
