//! How many clients each address has in all workers, and how often it began one: tables of fixed size
//! that every worker writes to, without a lock.
//!
//! An address is found by a keyed hash, in a set of eight places. A count is a cell in the row of each
//! process, so that those of a process that dies can be taken back. A place is somebody else's once
//! nobody counts there; who has just counted there looks again whose it is.

use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The most processes at once: workers, and those before them that still have sessions.
pub const ROWS: usize = 1024;

/// Places in one set.
const WAYS: usize = 8;
/// So many addresses are known at once. Who has as many networks to come from is not held back by
/// counting addresses.
const PLACES: usize = 1 << 16;
/// How often one tries again whose place became somebody else's.
const TRIES: usize = 4;

/// All zeros is a table without addresses.
#[repr(C)]
pub(super) struct Addresses {
    /// What hashes begin with, so that nobody can choose addresses that share a set.
    key: [AtomicU64; 2],
    /// Whose each place is: a hash that is not zero.
    names: [AtomicU64; PLACES],
    counts: [[AtomicU32; PLACES]; ROWS],
    /// The same for the rates.
    bucket_names: [AtomicU64; PLACES],
    /// When each address's bucket is full again, nanoseconds of CLOCK_MONOTONIC.
    full_at: [AtomicU64; PLACES],
}

impl Addresses {
    /// To be called once, before anybody counts.
    pub(super) fn set_key(&self, key: [u64; 2]) {
        self.key.iter().zip(key).for_each(|(own, key)| own.store(key, Ordering::SeqCst));
    }

    fn name(&self, address: IpAddr) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.key.iter().for_each(|key| hasher.write_u64(key.load(Ordering::Relaxed)));
        let octets = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        hasher.write(&octets);
        hasher.finish() | 1
    }

    fn count(&self, row: usize, place: usize) -> Option<&AtomicU32> {
        self.counts.get(row)?.get(place)
    }

    /// Clients of the address that has this place, in the first `used` rows.
    fn sum(&self, place: usize, used: usize) -> u64 {
        let rows = self.counts.iter().take(used).filter_map(|row| row.get(place));
        rows.map(|count| u64::from(count.load(Ordering::SeqCst))).sum()
    }

    /// Clients of a name: who took a place for it at the same moment as another may have taken a second.
    fn sum_of(&self, name: u64, used: usize) -> u64 {
        self.places_of(name).map(|place| self.sum(place, used)).sum()
    }

    fn places_of(&self, name: u64) -> impl Iterator<Item = usize> {
        set(name).filter(move |place| load(&self.names, *place) == name)
    }

    /// The place of a name: its own, or one where nobody counts; none if all are taken.
    fn find(&self, name: u64, used: usize) -> Option<usize> {
        self.places_of(name).next().or_else(|| {
            set(name).find(|place| {
                let before = load(&self.names, *place);
                self.sum(*place, used) == 0 && exchange(&self.names, *place, before, name)
            })
        })
    }

    /// Counts one more client of `address` in `row`, unless there are `most` in all; zero for any
    /// number. Returns whether it may come.
    pub(super) fn enter(&self, address: IpAddr, row: usize, used: usize, most: usize) -> bool {
        let name = self.name(address);
        for _ in 0..TRIES {
            // Where there is no place nobody is counted.
            let Some(place) = self.find(name, used) else { return true };
            let Some(own) = self.count(row, place) else { return true };
            // Added before it is looked at: of two at least the later sees both.
            own.fetch_add(1, Ordering::SeqCst);
            if load(&self.names, place) != name {
                own.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let is_full = most != 0 && self.sum_of(name, used) > most as u64;
            if is_full {
                own.fetch_sub(1, Ordering::SeqCst);
            }
            return !is_full;
        }
        true
    }

    /// A client of `address` that was counted in `row` is gone.
    pub(super) fn leave(&self, address: IpAddr, row: usize) {
        let name = self.name(address);
        // It may not have been counted, for want of a place.
        let less = |count: u32| count.checked_sub(1);
        let took = |own: &AtomicU32| own.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        self.places_of(name)
            .filter_map(|place| self.count(row, place))
            .any(|own| took(own).is_ok());
    }

    /// Nobody is counted in `row` any more.
    pub(super) fn clear(&self, row: usize) {
        let counts = self.counts.get(row).into_iter().flatten();
        let counted = counts.filter(|count| count.load(Ordering::Relaxed) != 0);
        counted.for_each(|count| count.store(0, Ordering::SeqCst));
    }

    /// Takes a token of `address` at `now`, nanoseconds of CLOCK_MONOTONIC, of a bucket that fills in
    /// `per`, one token in `token`.
    ///
    /// # Errors
    /// None is there: the time until there is one.
    pub(super) fn take_token(
        &self,
        address: IpAddr,
        (token, per): (Duration, Duration),
        now: u64,
    ) -> Result<(), Duration> {
        let (name, nanos) = (self.name(address), |time: Duration| time.as_nanos() as u64);
        let known = set(name).find(|place| load(&self.bucket_names, *place) == name);
        let place = known.or_else(|| {
            // The fullest bucket goes where there is no place: that loses the least.
            let fullest = set(name).min_by_key(|place| load(&self.full_at, *place))?;
            let before = load(&self.bucket_names, fullest);
            let is_ours = exchange(&self.bucket_names, fullest, before, name);
            self.full_at.get(fullest).filter(|_| is_ours)?.store(0, Ordering::SeqCst);
            Some(fullest)
        });
        let Some(bucket) = place.and_then(|place| self.full_at.get(place)) else { return Ok(()) };
        let full = |full_at: u64| full_at.max(now).saturating_add(nanos(token));
        let most = now.saturating_add(nanos(per));
        let fits = |full_at| Some(full(full_at)).filter(|full| *full <= most);
        let taken = bucket.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits);
        taken.map(|_| ()).map_err(|full_at| Duration::from_nanos(full(full_at) - most))
    }
}

/// The places that a name may have.
fn set(name: u64) -> std::ops::Range<usize> {
    let first = (name >> 16) as usize % (PLACES / WAYS) * WAYS;
    first..first + WAYS
}

fn load(cells: &[AtomicU64], at: usize) -> u64 {
    cells.get(at).map_or(0, |cell| cell.load(Ordering::SeqCst))
}

fn exchange(cells: &[AtomicU64], at: usize, before: u64, new: u64) -> bool {
    let exchange = |cell: &AtomicU64| {
        cell.compare_exchange(before, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    };
    cells.get(at).is_some_and(exchange)
}
