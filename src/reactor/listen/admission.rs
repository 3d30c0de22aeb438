//! Which clients may come, how fast, and how many there may be in all and from each address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::Instant;

use crate::access::{NotAdmitted, Rates, counted_as};
use crate::config::Config;

/// Counts the clients that come and those that were let in.
#[derive(Default)]
pub(in crate::reactor) struct Admission {
    admitted: usize,
    per_address: HashMap<IpAddr, usize>,
    rates: Option<Rates>,
}

/// A client's place among those that are counted; given back with [`Admission::leave`].
#[must_use]
pub(in crate::reactor) struct Place(IpAddr);

impl Admission {
    /// Whether a client from `address` may come now, if there is a place.
    ///
    /// # Errors
    /// Why it may not.
    pub(in crate::reactor) fn judge(
        &mut self,
        address: IpAddr,
        limits: &Config,
        now: Instant,
    ) -> Result<(), NotAdmitted> {
        if !limits.access.admits(address) {
            return Err(NotAdmitted::Denied);
        }
        let Some(rate) = limits.rate else { return Ok(()) };
        let rates = self.rates.get_or_insert_with(|| Rates::new(rate));
        rates.take(address, now).map_err(|wait| {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            NotAdmitted::TooFast { retry_after: seconds.try_into().unwrap_or(u32::MAX) }
        })
    }

    /// A place for a client from `address`, IPv6 by its /64.
    ///
    /// # Errors
    /// Why there is none.
    pub(in crate::reactor) fn enter(
        &mut self,
        address: IpAddr,
        limits: &Config,
    ) -> Result<Place, NotAdmitted> {
        let address = counted_as(address);
        let from_here = self.per_address.get(&address).copied().unwrap_or_default();
        // First, since who is at its own limit must not displace others.
        if limits.max_per_address != 0 && from_here >= limits.max_per_address {
            return Err(NotAdmitted::FullForAddress);
        }
        if self.admitted >= limits.max_connections {
            return Err(NotAdmitted::Full);
        }
        self.admitted += 1;
        self.per_address.insert(address, from_here + 1);
        Ok(Place(address))
    }

    /// A client is gone.
    pub(in crate::reactor) fn leave(&mut self, Place(address): Place) {
        self.admitted -= 1;
        if let Entry::Occupied(mut count) = self.per_address.entry(address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// How many were let in and are not gone.
    pub(in crate::reactor) fn admitted(&self) -> usize {
        self.admitted
    }

    /// From how many addresses they are.
    pub(in crate::reactor) fn addresses(&self) -> usize {
        self.per_address.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let limits = Config { max_connections: 3, max_per_address: 2, ..Config::default() };
        let [here, there] = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap());
        let mut admission = Admission::default();
        let first = admission.enter(here, &limits).ok().unwrap();
        let second = admission.enter(here, &limits).ok().unwrap();
        let full = admission.enter(here, &limits).err();
        assert_eq!(full, Some(NotAdmitted::FullForAddress));
        let third = admission.enter(there, &limits).ok().unwrap();
        assert_eq!(admission.enter(there, &limits).err(), Some(NotAdmitted::Full));
        assert_eq!(admission.enter(here, &limits).err(), Some(NotAdmitted::FullForAddress));
        admission.leave(first);
        let fourth = admission.enter(here, &limits).ok().unwrap();
        assert_eq!((admission.admitted(), admission.addresses()), (3, 2));
        [second, third, fourth].into_iter().for_each(|place| admission.leave(place));
        assert_eq!((admission.admitted(), admission.addresses()), (0, 0));
    }
}
