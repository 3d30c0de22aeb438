//! The lossless two-way framing: RFC 6455 §5 frames, unmasked, between bridge and peer.
//!
//! A frame that fits the peer buffer goes to the client as the peer made it: FIN, opcode and
//! payload. A larger one goes as fragments as it arrives, which §5.4 allows an intermediary, so
//! that memory stays bounded and a close frame never has to wait for a frame that does not end.

use super::data_frames::DataFrames;
use super::text::TextCheck;
use crate::proto::close::{self, CloseCode};
use crate::proto::frame::{self, FrameError, Header, MAX_HEADER, Masking, Opcode, Sequence};
use websocksy_abi::PEER_BUFFER_SIZE;

/// What the peer did that this framing does not allow.
#[derive(Debug, PartialEq)]
pub enum PeerFrameFault {
    /// A frame was wrong.
    Frame(FrameError),
    /// The stream ended inside a frame or a message.
    Cut,
}

/// What the peer asked of the bridge itself in a two-way framing.
#[derive(Default)]
pub(super) struct ControlRequests {
    /// It sent a close frame.
    pub(super) close: Option<CloseCode>,
    /// It sent a ping with this payload.
    pub(super) ping: Option<Vec<u8>>,
}

/// The decoder of one peer's frames.
pub(super) struct PeerFrames {
    sequence: Sequence,
    text: TextCheck,
    /// A frame larger than the peer buffer, under way as fragments.
    long: Option<Long>,
}

struct Long {
    left: u64,
    fin: bool,
    text: bool,
}

impl PeerFrames {
    pub(super) fn new() -> Self {
        Self { sequence: Sequence::new(), text: TextCheck::default(), long: None }
    }

    /// Forwards what of `bytes` can go; returns how many it took.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        to_client: &mut impl DataFrames,
        requests: &mut ControlRequests,
    ) -> Result<usize, PeerFrameFault> {
        let mut at = 0;
        while at < bytes.len() && requests.close.is_none() {
            if self.long.is_some() {
                at += self.fragment(bytes, at, None, to_client)?;
                continue;
            }
            let decoded = frame::decode(&bytes[at..], Masking::Forbidden);
            let Some((header, n)) = decoded.map_err(PeerFrameFault::Frame)? else { break };
            let have = bytes.len() - at - n;
            if header.length <= have as u64 {
                self.whole(&header, bytes, at + n, to_client, requests)?;
                at += n + header.length as usize;
            } else if header.length > (PEER_BUFFER_SIZE - MAX_HEADER) as u64 && have > 0 {
                let opcode = self.accept(&header)?;
                let text = opcode == Opcode::Text;
                self.long = Some(Long { left: header.length, fin: header.fin, text });
                at += n + self.fragment(bytes, at + n, Some(header.opcode), to_client)?;
            } else {
                break;
            }
        }
        Ok(at)
    }

    /// The stream ended with `rest` unread.
    pub(super) fn end(&self, rest: &[u8]) -> Result<(), PeerFrameFault> {
        if self.long.is_some() || self.sequence.in_message() || !rest.is_empty() {
            return Err(PeerFrameFault::Cut);
        }
        Ok(())
    }

    fn accept(&mut self, header: &Header) -> Result<Opcode, PeerFrameFault> {
        self.sequence.accept(header).map_err(PeerFrameFault::Frame)
    }

    /// A frame that lies in `bytes` whole, its payload from `at`.
    fn whole(
        &mut self,
        header: &Header,
        bytes: &[u8],
        at: usize,
        to_client: &mut impl DataFrames,
        requests: &mut ControlRequests,
    ) -> Result<(), PeerFrameFault> {
        let opcode = self.accept(header)?;
        let range = at..at + header.length as usize;
        let payload = &bytes[range.clone()];
        match opcode {
            Opcode::Close => {
                let close = close::parse(payload).map_err(PeerFrameFault::Frame)?;
                requests.close = Some(close.map_or(CloseCode::NORMAL, |(code, _)| code));
            }
            Opcode::Ping => requests.ping = Some(payload.to_vec()),
            Opcode::Pong => {}
            _ => {
                if opcode == Opcode::Text {
                    self.text.piece(payload, header.fin).map_err(PeerFrameFault::Frame)?;
                }
                to_client.add_frame(header, bytes, range);
            }
        }
        Ok(())
    }

    /// What there is of a long frame's payload, as one fragment; `first` is the frame's own opcode
    /// if nothing of it went out yet.
    fn fragment(
        &mut self,
        bytes: &[u8],
        at: usize,
        first: Option<Opcode>,
        to_client: &mut impl DataFrames,
    ) -> Result<usize, PeerFrameFault> {
        let Some(long) = &mut self.long else { return Ok(0) };
        let n = usize::try_from(long.left).unwrap_or(usize::MAX).min(bytes.len() - at);
        long.left -= n as u64;
        let fin = long.left == 0 && long.fin;
        let text = long.text;
        if long.left == 0 {
            self.long = None;
        }
        // A browser fails the connection over text that is not UTF-8: we blame the peer first.
        if text {
            self.text.piece(&bytes[at..at + n], fin).map_err(PeerFrameFault::Frame)?;
        }
        let opcode = first.unwrap_or(Opcode::Continuation);
        let header = Header { fin, ..Header::whole(opcode, n as u64) };
        to_client.add_frame(&header, bytes, at..at + n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::batch::Batch;

    #[test]
    fn a_stream_may_end_between_messages_only() {
        for (bytes, rest, expected) in [
            (&b"\x82\x01a"[..], &b""[..], Ok(())),
            (b"", b"\x82", Err(PeerFrameFault::Cut)),
            (b"\x02\x01a", b"", Err(PeerFrameFault::Cut)),
            (b"\x82\x7e\xff\xffabc", b"", Err(PeerFrameFault::Cut)),
        ] {
            let (mut frames, mut batch) = (PeerFrames::new(), Batch::default());
            let mut requests = ControlRequests::default();
            let n = frames.feed(bytes, &mut batch, &mut requests).unwrap();
            assert_eq!(n, bytes.len());
            assert_eq!(frames.end(rest), expected, "{} and {rest:?}", bytes.escape_ascii());
        }
    }
}
