//! Connections that come and go: connect, upgrade, one echo, close.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::echo::MESSAGE;
use crate::dial::Target;
use crate::usage::{Meter, Span};

/// Connections at any time.
const AT_ONCE: usize = 4;

/// CPU nanoseconds a connection, from the SYN to its end.
pub(crate) fn churn(target: &Target, span: Span) -> io::Result<f64> {
    let message = target.wire(MESSAGE);
    let message = &message[..message.len() / (target.tape.next().len() / MESSAGE)];
    let (over, lives) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let live = || live_until(&over, &lives, target, message);
        let clients: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(live)).collect();
        let mut meter = Meter::start(target.pid, span);
        while meter.goes_on(lives.load(Relaxed)) && !over.load(Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        over.store(true, Relaxed);
        for client in clients {
            client.join().map_err(|_| io::Error::other("a client panicked"))??;
        }
        meter.nanos_a_unit()
    })
}

/// One connection after another; an error ends it for all.
fn live_until(
    over: &AtomicBool,
    lives: &AtomicU64,
    target: &Target,
    message: &[u8],
) -> io::Result<()> {
    while !over.load(Relaxed) {
        let life = target.open().and_then(|mut client| {
            client.echo(message, MESSAGE)?;
            client.close(target.speech)
        });
        over.fetch_or(life.is_err(), Relaxed);
        life?;
        lives.fetch_add(1, Relaxed);
    }
    Ok(())
}
