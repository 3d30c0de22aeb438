//! How much plaintext the other end has, of which the kernel tells the ciphertext only.

use std::cell::Cell;

/// What was written, as plaintext and as ciphertext, and how much of it is known to have arrived.
///
/// The plaintext between two looks at the kernel is taken to be spread evenly over their ciphertext:
/// exact when all has arrived, and in between it grows whenever more has. A count of ciphertext alone
/// would stand still while somebody takes small records out of a long queue.
#[derive(Default)]
pub(super) struct Account {
    plain: u64,
    wire: u64,
    seen: Cell<Seen>,
}

/// The last look.
#[derive(Clone, Copy, Default)]
struct Seen {
    plain: u64,
    wire: u64,
}

impl Account {
    /// `plain` bytes became `wire` bytes.
    pub(super) fn wrote(&mut self, plain: usize, wire: usize) {
        self.plain += plain as u64;
        self.wire += wire as u64;
        if self.plain == 0 {
            // What is before the first plaintext is no part of it.
            self.seen.set(Seen { plain: 0, wire: self.wire });
        }
    }

    /// How much plaintext is on its way when `held` bytes of ciphertext are; not zero while any are.
    pub(super) fn on_its_way(&self, held: usize) -> usize {
        let Seen { plain, wire } = self.seen.get();
        let arrived = self.wire.saturating_sub(held as u64).max(wire);
        let (new, all) = (arrived - wire, self.wire - wire);
        let share = u128::from(self.plain - plain) * u128::from(new);
        let share = share.checked_div(u128::from(all)).unwrap_or_default() as u64;
        // Where nothing new is seen, nothing is rounded away for good.
        if share > 0 || held == 0 {
            self.seen.set(Seen { plain: plain + share, wire: arrived });
        }
        let left = usize::try_from(self.plain - plain - share).unwrap_or(usize::MAX);
        left.max(usize::from(held > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_or_none() {
        let mut account = Account::default();
        account.wrote(0, 3000); // a handshake
        assert_eq!(account.on_its_way(3000), 1);
        assert_eq!(account.on_its_way(0), 0);
        account.wrote(100, 122);
        assert_eq!(account.on_its_way(122), 100);
        assert_eq!(account.on_its_way(0), 0);
        account.wrote(0, 24); // a close_notify
        assert_eq!(account.on_its_way(24), 1);
    }

    #[test]
    fn small_records_out_of_a_long_queue_are_progress() {
        let mut account = Account::default();
        for _ in 0..1000 {
            account.wrote(2, 24);
        }
        let mut before = account.on_its_way(24_000);
        assert_eq!(before, 2000);
        for taken in 1..1000 {
            let left = account.on_its_way(24_000 - taken * 24);
            assert_eq!(left, before - 2, "after {taken}");
            before = left;
        }
        assert_eq!(account.on_its_way(0), 0);
    }

    #[test]
    fn what_comes_in_drops_counts_in_the_end() {
        let mut account = Account::default();
        account.wrote(20, 2000);
        let lefts: Vec<_> = (0..=2000).map(|taken| account.on_its_way(2000 - taken)).collect();
        assert!(lefts.is_sorted_by(|a, b| a >= b));
        assert_eq!((lefts[0], lefts[1000], lefts[2000]), (20, 10, 0));
    }
}
