//! Connections that come and go: connect, upgrade, one echo, and the end.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::echo::MESSAGE;
use crate::dial::Target;
use crate::secure::Security;
use crate::usage::{Meter, Span};

/// Connections at any time.
const AT_ONCE: usize = 4;

/// CPU nanoseconds a connection, from the SYN to its end: a closing handshake if it bids farewell,
/// else a reset.
pub(crate) fn churn(target: &Target<'_>, farewell: bool, span: Span) -> io::Result<f64> {
    let message = target.wire(MESSAGE);
    let message = &message[..message.len() / (target.pattern.next().len() / MESSAGE)];
    let crowd =
        Crowd { target, message, farewell, over: false.into(), lives: 0.into(), resumed: 0.into() };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| crowd.keep_coming())).collect();
        let mut meter = Meter::start(target.pid, span);
        while meter.goes_on(crowd.lives.load(Relaxed)) && !crowd.over.load(Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        crowd.over.store(true, Relaxed);
        for client in clients {
            client.join().map_err(|_| io::Error::other("a client panicked"))??;
        }
        crowd.check_resumed()?;
        meter.nanos_a_unit()
    })
}

/// What the clients have in common.
struct Crowd<'a> {
    target: &'a Target<'a>,
    message: &'a [u8],
    farewell: bool,
    over: AtomicBool,
    lives: AtomicU64,
    resumed: AtomicU64,
}

impl Crowd<'_> {
    /// A case of resumed connections is one only if most of them were.
    fn check_resumed(&self) -> io::Result<()> {
        let (lives, resumed) = (self.lives.load(Relaxed), self.resumed.load(Relaxed));
        if self.target.security == Security::Resumed && resumed < lives / 10 * 9 {
            return Err(io::Error::other(format!("{resumed} of {lives} were resumed")));
        }
        Ok(())
    }

    /// One connection after another; an error ends it for all.
    fn keep_coming(&self) -> io::Result<()> {
        while !self.over.load(Relaxed) {
            let life = self.live();
            self.over.fetch_or(life.is_err(), Relaxed);
            life?;
            self.lives.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn live(&self) -> io::Result<()> {
        let mut client = self.target.open()?;
        client.echo(self.message, MESSAGE)?;
        self.resumed.fetch_add(client.stream.is_resumed().into(), Relaxed);
        if self.farewell { client.close(self.target.speech) } else { client.reset() }
    }
}
