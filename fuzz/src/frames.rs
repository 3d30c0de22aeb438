//! Frames: the reader against a simple one, at every cut, and what it accepts written again.

use super::script::Script;
use websocksy::proto::close;
use websocksy::proto::frame::{FrameError, Header, MAX_HEADER, Masking, Opcode, Sequence, decode};
use websocksy::proto::mask::{unmask, unmask_to};
use websocksy_world::frames::{Broken, Frame, Reader, may_close_with};

/// Input: `m` for the frames of a client, a cut for the payloads, and frames.
pub fn frames(input: &[u8]) {
    let mut script = Script::new(input);
    let masked = script.byte() == b'm';
    let masking = if masked { Masking::Required } else { Masking::Forbidden };
    let cut = usize::from(script.byte());
    let mut rest = script.rest();

    let mut ahead = rest;
    let mut reader = Reader::new(masked);
    let mut sequence = Sequence::new();
    loop {
        let decoded = decode_at_every_cut(rest, masking);
        let expected = reader.next_frame(&mut ahead);
        let Some((header, n, frame)) = agree(decoded, expected, &mut sequence) else { break };
        assert_eq!(header.encode().as_slice(), &rest[..n], "the shortest header is the only one");
        assert_eq!(sequence.in_message(), reader.in_message());
        let payload = &rest[n..n + frame.payload.len()];
        check_unmasking(payload, header.mask.unwrap_or_default(), cut, &frame.payload);
        if header.opcode == Opcode::Close && frame.is_whole() {
            check_close(&frame.payload);
        }
        rest = &rest[n + payload.len()..];
    }
}

type Decoded = Result<Option<(Header, usize)>, FrameError>;

/// The header at the start of `bytes`. More bytes never change a verdict.
fn decode_at_every_cut(bytes: &[u8], masking: Masking) -> Decoded {
    let whole = decode(bytes, masking);
    let mut verdict = Ok(None);
    for n in 0..=bytes.len().min(MAX_HEADER) {
        let next = decode(&bytes[..n], masking);
        assert!(verdict == Ok(None) || next == verdict, "{verdict:?}, then {next:?}");
        assert!(!matches!(next, Ok(Some((_, taken))) if taken > n), "took more than it was given");
        verdict = next;
    }
    assert_eq!(verdict, whole);
    whole
}

/// Both say the same of the next frame; it, unless there is none or it ends the connection.
fn agree(
    decoded: Decoded,
    expected: Option<Result<Frame, Broken>>,
    sequence: &mut Sequence,
) -> Option<(Header, usize, Frame)> {
    let accepted = match decoded {
        Ok(Some((header, n))) => sequence.accept(&header).map(|part| Some((header, n, part))),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    match (accepted, expected) {
        (Ok(Some((header, n, part))), Some(Ok(frame))) => {
            let read = (header.fin, header.opcode as u8, header.length);
            assert_eq!(read, (frame.head.fin(), frame.head.opcode(), frame.head.length));
            assert!(
                part != Opcode::Continuation && (frame.head.opcode() == 0 || part == header.opcode)
            );
            Some((header, n, frame))
        }
        (Err(error), Some(Err(Broken))) => {
            assert!(
                matches!(error.close_code().get(), 1002 | 1007) && !error.to_string().is_empty()
            );
            None
        }
        (Ok(None), None) => None,
        (accepted, expected) => panic!("{accepted:?} instead of {expected:?}"),
    }
}

fn check_unmasking(payload: &[u8], key: [u8; 4], cut: usize, expected: &[u8]) {
    let mut data = payload.to_vec();
    let (first, second) = data.split_at_mut(cut.min(payload.len()));
    unmask(first, key, 0);
    unmask(second, key, first.len());
    assert_eq!(data, expected);

    let mut copy = b"before".to_vec();
    unmask_to(&payload[cut.min(payload.len())..], key, cut, &mut copy);
    assert_eq!(copy[b"before".len()..], expected[cut.min(payload.len())..]);
}

fn check_close(payload: &[u8]) {
    match close::parse(payload) {
        Ok(Some((code, reason))) => {
            assert!(may_close_with(payload));
            assert_eq!(close::payload(code, reason).as_slice(), payload);
        }
        Ok(None) => assert!(payload.is_empty()),
        Err(_) => assert!(!may_close_with(payload)),
    }
}
