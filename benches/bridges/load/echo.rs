//! One small message there and back, and the next: what a chat, a game or a terminal does.

use std::io;
use std::time::Instant;

use mio::Interest;

use super::Line;
use crate::dial::Target;
use crate::poll_loop::{PollLoop, read_some, write_some};
use crate::usage::{Meter, Span};

/// Bytes of one message.
pub(crate) const MESSAGE: usize = 64;

/// CPU nanoseconds a round trip, and its latency in nanoseconds at the median and the 99th
/// percentile.
pub(crate) fn echo(target: &Target<'_>, connections: usize, span: Span) -> io::Result<Vec<f64>> {
    let mut players = Player::seat(target, connections)?;
    let mut poll_loop =
        PollLoop::new(players.iter_mut().map(|p| p.line.stream.socket_mut()), Interest::READABLE)?;
    for player in &mut players {
        player.serve()?;
    }
    let mut trips = 0;
    let mut latencies = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut meter = Meter::start(target.pid, span);
    while meter.goes_on(trips) {
        poll_loop.round(|index| {
            let Some(nanos) = players[index].round_trip(&mut buffer)? else { return Ok(false) };
            trips += 1;
            if meter.counts() {
                latencies.push(nanos);
            }
            Ok(false)
        })?;
    }
    latencies.sort_unstable();
    let cost = meter.nanos_a_unit()?;
    Ok(vec![cost, percentile(&latencies, 50), percentile(&latencies, 99)])
}

fn percentile(sorted: &[u64], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).map_or(f64::NAN, |nanos| *nanos as f64)
}

/// A connection that always has one message under way.
struct Player {
    line: Line,
    wire: Vec<u8>,
    at: usize,
    stride: usize,
    due: u64,
    served: Instant,
}

impl Player {
    fn seat(target: &Target<'_>, count: usize) -> io::Result<Vec<Self>> {
        let wire = target.wire(MESSAGE);
        let stride = wire.len() / (target.pattern.next().len() / MESSAGE);
        let clients = target.open_many(count)?.into_iter();
        let seat = |client| {
            let (line, wire) = (Line::try_from(client)?, wire.clone());
            Ok(Self { line, wire, at: 0, stride, due: 0, served: Instant::now() })
        };
        clients.map(seat).collect()
    }

    fn serve(&mut self) -> io::Result<()> {
        self.served = Instant::now();
        let message = &self.wire[self.at..self.at + self.stride];
        if write_some(&mut self.line.stream, message)? != Some(message.len()) {
            return Err(io::Error::other("no room for one small message"));
        }
        self.at = (self.at + self.stride) % self.wire.len();
        self.due += MESSAGE as u64;
        Ok(())
    }

    /// Takes what came back; once it is the whole message, sends the next and returns how long
    /// the last one took.
    fn round_trip(&mut self, buffer: &mut [u8]) -> io::Result<Option<u64>> {
        let Some(count) = read_some(&mut self.line.stream, buffer)? else { return Ok(None) };
        self.line.receiver.hear(&buffer[..count])?;
        if self.line.receiver.heard < self.due {
            return Ok(None);
        }
        let nanos = self.served.elapsed().as_nanos() as u64;
        self.serve()?;
        Ok(Some(nanos))
    }
}
