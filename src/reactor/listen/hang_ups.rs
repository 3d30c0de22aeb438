//! Clients that are hung up on, for the log: a flood of them is not a flood of lines.

use std::fmt::Display;
use std::time::{Duration, Instant};

use log::info;

use crate::proto::client_addr::ClientAddr;

/// The lines in a [`SPAN`]: enough to see who it is.
const LINES: u32 = 20;
const SPAN: Duration = Duration::from_secs(1);

/// What the log was told in the span that began last.
#[derive(Default)]
pub(in crate::reactor) struct HangUps {
    began: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl HangUps {
    /// Says that a client is hung up on, by which proxy it came if it did, and why.
    pub(in crate::reactor) fn say(
        &mut self,
        client: &ClientAddr,
        proxy: Option<ClientAddr>,
        why: &dyn Display,
        now: Instant,
    ) {
        let is_old = |began| now.saturating_duration_since(began) >= SPAN;
        if self.began.is_none_or(is_old) {
            if self.unsaid > 0 {
                info!("hung up on {} more clients, without a line for each", self.unsaid);
            }
            *self = Self { began: Some(now), ..Self::default() };
        }
        if self.said == LINES {
            self.unsaid += 1;
            return;
        }
        self.said += 1;
        match proxy {
            Some(proxy) => info!(proxy:% = proxy; "{client}: hung up on: {why}"),
            None => info!("{client}: hung up on: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn a_flood_is_counted_and_not_told_one_by_one() {
        let (mut hang_ups, start) = (HangUps::default(), Instant::now());
        let client = ClientAddr::from(SocketAddr::from(([192, 0, 2, 1], 1)));
        for _ in 0..LINES + 5 {
            hang_ups.say(&client, None, &"denied", start);
        }
        assert_eq!((hang_ups.said, hang_ups.unsaid), (LINES, 5));
        hang_ups.say(&client, None, &"denied", start + SPAN);
        assert_eq!((hang_ups.said, hang_ups.unsaid), (1, 0));
    }
}
