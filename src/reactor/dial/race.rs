//! A TCP peer's addresses, tried as RFC 8305 says.

use std::collections::VecDeque;
use std::io::{self, Error};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::no_address;
use crate::net::{Channel, Readiness};

/// RFC 8305 §5, Connection Attempt Delay: how long an address has before the next is tried too.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Attempts under way at once; more addresses wait until one has failed.
const ATTEMPTS: usize = 6;

/// The race of a TCP peer's addresses.
pub(in crate::reactor) struct Race<T> {
    left: VecDeque<SocketAddr>,
    attempts: [Option<(T, SocketAddr)>; ATTEMPTS],
    /// When the next address is tried though no attempt has failed.
    pub(in crate::reactor) next_at: Option<Instant>,
    last_error: Option<Error>,
}

/// How a race stands.
pub(in crate::reactor) enum Standing {
    Running,
    Lost(Error),
}

impl<T: Channel> Race<T> {
    pub(in crate::reactor) fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            left: interleave(addresses),
            attempts: Default::default(),
            next_at: None,
            last_error: None,
        }
    }

    /// Starts the next attempt; `connect` is told its address and place.
    pub(in crate::reactor) fn attempt(
        &mut self,
        now: Instant,
        mut connect: impl FnMut(SocketAddr, usize) -> io::Result<T>,
    ) -> Standing {
        while let Some(place) = self.attempts.iter().position(Option::is_none) {
            let Some(address) = self.left.pop_front() else { break };
            match connect(address, place) {
                Ok(attempt) => {
                    self.attempts[place] = Some((attempt, address));
                    self.next_at = (!self.left.is_empty()).then_some(now + ATTEMPT_DELAY);
                    return Standing::Running;
                }
                Err(error) => self.last_error = Some(error),
            }
        }
        self.next_at = None;
        if self.attempts.iter().any(Option::is_some) {
            return Standing::Running;
        }
        Standing::Lost(self.last_error.take().unwrap_or_else(no_address))
    }

    /// Something happened to the attempt at `place`: is it connected, or has it failed?
    pub(in crate::reactor) fn event(
        &mut self,
        place: usize,
        readiness: Readiness,
    ) -> Option<io::Result<T>> {
        let (attempt, address) = self.attempts.get_mut(place)?.take()?;
        let outcome = if readiness.is_open() { Some(Ok(())) } else { attempt.connect_outcome() };
        match outcome {
            Some(Ok(())) => Some(attempt.has_met_another(address).map(|()| attempt)),
            Some(Err(error)) => Some(Err(error)),
            None => {
                self.attempts[place] = Some((attempt, address));
                None
            }
        }
    }

    /// An attempt failed: remembers why, in case that all do.
    pub(in crate::reactor) fn failed(&mut self, error: Error) {
        self.last_error = Some(error);
    }
}

/// RFC 8305 §4: families by turns, beginning with that of the first address.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut mixed = VecDeque::new();
    for address in first {
        mixed.push_back(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |list: &str| -> Vec<SocketAddr> {
            list.split_whitespace()
                .map(|address| SocketAddr::new(address.parse().unwrap(), 1))
                .collect()
        };
        let table = [
            ("", ""),
            ("::1 ::2 127.0.0.1", "::1 127.0.0.1 ::2"),
            ("127.0.0.1 127.0.0.2 ::1 127.0.0.3", "127.0.0.1 ::1 127.0.0.2 127.0.0.3"),
            ("::1 127.0.0.1 127.0.0.2", "::1 127.0.0.1 127.0.0.2"),
        ];
        for (given, expected) in table {
            assert_eq!(Vec::from(interleave(parse(given))), parse(expected), "{given}");
        }
    }
}
