//! Connections that are there and say nothing: what they weigh, and what keeping them costs.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use mio::Interest;

use super::Line;
use super::echo::MESSAGE;
use crate::dial::{Client, Target};
use crate::poll_loop::{PollLoop, read_some, write_some};
use crate::usage::{cpu_nanos, memory_bytes};

/// For buffers to be given back and allocators to come to rest.
const SETTLE: Duration = Duration::from_millis(1500);

/// Bytes of memory that each of `count` idle connections adds to the bridge.
pub(crate) fn hold_memory(target: &Target<'_>, count: usize) -> io::Result<f64> {
    let before = memory_bytes(target.pid);
    let clients = idle_clients(target, count)?;
    thread::sleep(SETTLE);
    let after = memory_bytes(target.pid);
    clients.into_iter().try_for_each(Client::reset)?;
    Ok(after.saturating_sub(before) as f64 / count as f64)
}

/// The share of one core that `count` idle connections take while `span` passes and every ping
/// is answered, in percent.
pub(crate) fn hold_cpu(target: &Target<'_>, count: usize, span: Duration) -> io::Result<f64> {
    let clients = idle_clients(target, count)?.into_iter();
    let mut lines = clients.map(Line::try_from).collect::<io::Result<Vec<_>>>()?;
    let mut poll_loop =
        PollLoop::new(lines.iter_mut().map(|line| line.stream.socket_mut()), Interest::READABLE)?;
    thread::sleep(SETTLE);
    let mut buffer = vec![0; 4096];
    let (before, end) = (cpu_nanos(target.pid), Instant::now() + span);
    while Instant::now() < end {
        poll_loop.round(|index| lines[index].answer(&mut buffer))?;
    }
    let nanos = cpu_nanos(target.pid) - before;
    Ok(nanos as f64 / span.as_nanos() as f64 * 100.0)
}

/// Connections that have echoed one message, so that nothing is left to be set up.
fn idle_clients(target: &Target<'_>, count: usize) -> io::Result<Vec<Client>> {
    let wire = target.wire(MESSAGE);
    let message = &wire[..wire.len() / (target.pattern.next().len() / MESSAGE)];
    let open = |_| {
        let mut client = target.open()?;
        client.echo(message, MESSAGE).map(|()| client)
    };
    (0..count).map(open).collect()
}

impl Line {
    /// Reads what came and answers it if it was a ping.
    fn answer(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(count) = read_some(&mut self.stream, buffer)? else { return Ok(false) };
        self.receiver.hear(&buffer[..count])?;
        let pongs = std::mem::take(&mut self.receiver.pongs);
        if !pongs.is_empty() && write_some(&mut self.stream, &pongs)? != Some(pongs.len()) {
            return Err(io::Error::other("no room for a pong"));
        }
        Ok(false)
    }
}
