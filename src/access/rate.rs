//! How often an address may begin a session: a token bucket for each, in bounded memory.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::counted_as;

/// Places in the table are in sets of so many: an address has one set, by its hash.
const WAYS: usize = 8;
/// So many sets: 65,536 addresses are known at once, in 3 MiB. Who has as many networks to come
/// from is not held back by counting addresses.
const SETS: usize = 8192;

/// `count` new sessions `per` this time. As many may begin at once, too: a page that opens all its
/// connections together is no flood, and a smaller burst is a smaller count with a shorter time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; not zero.
    pub count: u32,
    /// In which time; not zero.
    pub per: Duration,
}

/// What each address has taken of its [`Rate`].
pub struct Rates {
    rate: Rate,
    /// Keyed by chance, so that nobody can choose addresses that share a set.
    hasher: RandomState,
    sets: Vec<Vec<Bucket>>,
}

/// An address's bucket: when it will be full again. Until then it lacks a token for each
/// `per / count` that is left.
struct Bucket {
    address: IpAddr,
    full_at: Instant,
}

impl Rates {
    /// Of nobody yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let sets = std::iter::repeat_with(Vec::new).take(SETS).collect();
        Self { rate, hasher: RandomState::new(), sets }
    }

    /// Takes a token of this address's, IPv6 by its /64.
    ///
    /// # Errors
    /// None is there: the time until there is one.
    pub fn take(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let Rate { count, per } = self.rate;
        let address = counted_as(address);
        let set = self.hasher.hash_one(address) as usize % SETS;
        let Some(set) = self.sets.get_mut(set) else { return Ok(()) };
        let token = per / count;
        let known = set.iter().position(|bucket| bucket.address == address);
        let full_at = match known.and_then(|at| set.get(at)) {
            Some(bucket) => bucket.full_at.max(now) + token,
            None => now + token,
        };
        let lacks = full_at.saturating_duration_since(now);
        // A token that does not divide the time evenly is a little short, so that this is exact.
        if lacks > per {
            return Err(lacks - per);
        }
        match known.and_then(|at| set.get_mut(at)) {
            Some(bucket) => bucket.full_at = full_at,
            None => {
                make_room(set);
                set.push(Bucket { address, full_at });
            }
        }
        Ok(())
    }
}

/// The fullest bucket goes where there is no place: that loses the least.
fn make_room(set: &mut Vec<Bucket>) {
    if set.len() < WAYS {
        return;
    }
    let fullest = set.iter().enumerate().min_by_key(|(_, bucket)| bucket.full_at);
    if let Some((at, _)) = fullest {
        set.swap_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn rates(count: u32, seconds: u64) -> (Rates, Instant) {
        (Rates::new(Rate { count, per: Duration::from_secs(seconds) }), Instant::now())
    }

    #[test]
    fn as_many_at_once_as_in_the_whole_time_and_then_one_after_the_other() {
        for (count, seconds) in [(1, 1), (3, 1), (5, 10), (7, 60), (1000, 1)] {
            let (mut rates, start) = rates(count, seconds);
            let here = address("192.0.2.1");
            (0..count).for_each(|_| assert_eq!(rates.take(here, start), Ok(())));
            let wait = rates.take(here, start).unwrap_err();
            let token = Duration::from_secs(seconds) / count;
            let rounding = Duration::from_nanos(count.into());
            assert!(wait <= token && wait + rounding >= token, "{count}/{seconds}: {wait:?}");
            assert_eq!(rates.take(address("192.0.2.2"), start), Ok(()), "others are not held");
            let later = start + wait;
            assert_eq!(rates.take(here, later), Ok(()), "a refusal costs nothing");
            assert!(rates.take(here, later).is_err());
            let full = later + Duration::from_secs(seconds);
            (0..count).for_each(|_| assert_eq!(rates.take(here, full), Ok(())));
            assert!(rates.take(here, full).is_err(), "and no more than that is saved up");
        }
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let (mut rates, now) = rates(1, 1);
        assert!(rates.take(address("2001:db8::1"), now).is_ok());
        assert!(rates.take(address("2001:db8::2"), now).is_err());
        assert!(rates.take(address("2001:db8:0:1::1"), now).is_ok());
        assert!(rates.take(address("192.0.2.1"), now).is_ok());
        assert!(rates.take(address("::ffff:192.0.2.1"), now).is_err());
    }

    #[test]
    fn strangers_do_not_make_it_grow_and_the_busiest_stay_known() {
        let (mut rates, now) = rates(4, 4);
        let busy = address("192.0.2.1");
        (0..4).for_each(|_| assert!(rates.take(busy, now).is_ok()));
        for number in 0..400_000_u32 {
            let stranger = IpAddr::from(number.to_be_bytes());
            if stranger != busy {
                assert!(rates.take(stranger, now).is_ok());
            }
        }
        assert!(rates.sets.iter().all(|set| set.len() <= WAYS && set.capacity() <= WAYS));
        assert!(rates.take(busy, now).is_err());
    }
}
