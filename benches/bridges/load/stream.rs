//! Bulk: as many bytes as the bridge will take, one way.

use std::io;

use mio::Interest;

use super::Line;
use crate::dial::Target;
use crate::pattern::Pattern;
use crate::peer::Peers;
use crate::poll_loop::{PollLoop, read_some, write_some};
use crate::usage::{Meter, Span};

/// Connections that share the bridge.
const CONNECTIONS: usize = 4;

/// Bytes of one read.
const READ: usize = 256 * 1024;

/// Sends messages of `size` bytes without end. CPU nanoseconds a payload byte that reached the
/// peer.
pub(crate) fn upload(
    target: &Target<'_>,
    peers: &Peers,
    size: usize,
    span: Span,
) -> io::Result<f64> {
    let mut lines = lines(target)?;
    let mut poll_loop =
        PollLoop::new(lines.iter_mut().map(|line| line.stream.socket_mut()), Interest::WRITABLE)?;
    let mut patterns = vec![Pattern::new(target.wire(size).into()); CONNECTIONS];
    let mut meter = Meter::start(target.pid, span);
    while meter.goes_on(peers.drained()) {
        poll_loop.round(|index| {
            let (pattern, stream) = (&mut patterns[index], &mut lines[index].stream);
            let Some(count) = write_some(stream, pattern.next())? else { return Ok(false) };
            pattern.advance(count);
            Ok(true)
        })?;
    }
    meter.nanos_a_unit()
}

/// Takes what the peer sends without end. CPU nanoseconds a payload byte that arrived, and the
/// text messages among what did.
pub(crate) fn download(target: &Target<'_>, span: Span) -> io::Result<(f64, u64)> {
    let mut lines = lines(target)?;
    let mut poll_loop =
        PollLoop::new(lines.iter_mut().map(|line| line.stream.socket_mut()), Interest::READABLE)?;
    let mut buffer = vec![0; READ];
    let mut heard: u64 = lines.iter().map(|line| line.receiver.heard).sum();
    let mut meter = Meter::start(target.pid, span);
    while meter.goes_on(heard) {
        poll_loop.round(|index| {
            let line = &mut lines[index];
            let Some(count) = read_some(&mut line.stream, &mut buffer)? else { return Ok(false) };
            let before = line.receiver.heard;
            line.receiver.hear(&buffer[..count])?;
            heard += line.receiver.heard - before;
            Ok(true)
        })?;
    }
    Ok((meter.nanos_a_unit()?, lines.iter().map(|line| line.receiver.texts).sum()))
}

fn lines(target: &Target<'_>) -> io::Result<Vec<Line>> {
    target.open_many(CONNECTIONS)?.into_iter().map(Line::try_from).collect()
}
