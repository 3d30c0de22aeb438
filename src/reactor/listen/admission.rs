//! Which clients may come, how fast, and how many there may be in all and from each address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::access::{NotAdmitted, Rate, Rates, counted_as};
use crate::config::Config;
use crate::proto::client_addr::ClientAddr;
use crate::worker::Places;

/// Counts the clients that come and those that were let in.
#[derive(Default)]
pub(in crate::reactor) struct Admission {
    admitted: usize,
    per_address: HashMap<IpAddr, usize>,
    rates: Option<Rates>,
    /// Places that other processes take, too.
    shared: Option<Places>,
    /// What CLOCK_MONOTONIC said at a moment.
    clock: Option<(Instant, Duration)>,
}

/// A client's place among those that are counted; given back with [`Admission::leave`].
#[must_use]
pub(in crate::reactor) struct Place(Option<IpAddr>);

impl Admission {
    /// One whose clients count with those of other processes.
    /// The system's clock, which all of them have, says `clock` at `now`.
    pub(in crate::reactor) fn share(&mut self, places: Places, now: Instant, clock: Duration) {
        (self.shared, self.clock) = (Some(places), Some((now, clock)));
    }

    /// Counts one more client of an address.
    fn count(&mut self, address: IpAddr, limits: &Config) -> Result<(), NotAdmitted> {
        let (most, own) = (limits.max_per_address, self.per_address.get(&address));
        let is_full = most != 0 && own.is_some_and(|own| *own >= most);
        if is_full || self.shared.is_some_and(|shared| !shared.enter(address, most)) {
            return Err(NotAdmitted::FullForAddress);
        }
        *self.per_address.entry(address).or_default() += 1;
        Ok(())
    }

    /// Takes a token of an address, in this process or in all.
    fn take_token(&mut self, rate: Rate, address: IpAddr, now: Instant) -> Result<(), Duration> {
        if let (Some(shared), Some((then, clock))) = (&self.shared, self.clock) {
            let now = clock + now.saturating_duration_since(then);
            return shared.take_token(counted_as(address), (rate.per / rate.count, rate.per), now);
        }
        self.rates.get_or_insert_with(|| Rates::new(rate)).take(address, now)
    }

    /// There are so many places for the clients of all processes now.
    pub(in crate::reactor) fn share_up_to(&mut self, most: usize) {
        self.shared = self.shared.map(|shared| shared.up_to(most));
    }

    /// Takes a place among all.
    fn take(&mut self, limits: &Config) -> Result<(), NotAdmitted> {
        let is_full = self.admitted >= limits.max_connections;
        if is_full || self.shared.is_some_and(|shared| !shared.take()) {
            return Err(NotAdmitted::Full);
        }
        self.admitted += 1;
        Ok(())
    }

    /// Whether `client` may come now, if there is a place. One on a Unix socket may, whose
    /// permissions say who connects.
    ///
    /// # Errors
    /// Why it may not.
    pub(in crate::reactor) fn judge(
        &mut self,
        client: &ClientAddr,
        limits: &Config,
        now: Instant,
    ) -> Result<(), NotAdmitted> {
        let Some(address) = client.address().ip() else { return Ok(()) };
        if !limits.access.admits(address) {
            return Err(NotAdmitted::Denied);
        }
        let Some(rate) = limits.rate else { return Ok(()) };
        self.take_token(rate, address, now).map_err(|wait| {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            NotAdmitted::TooFast { retry_after: seconds.try_into().unwrap_or(u32::MAX) }
        })
    }

    /// The rate is another: what was counted for the one before counts no more.
    pub(in crate::reactor) fn forget_rates(&mut self) {
        self.rates = None;
    }

    /// A place for a proxy's client, of which it is not known yet who it is: it counts in all only.
    ///
    /// # Errors
    /// There is none.
    pub(in crate::reactor) fn enter_unknown(
        &mut self,
        limits: &Config,
    ) -> Result<Place, NotAdmitted> {
        self.take(limits)?;
        Ok(Place(None))
    }

    /// The proxy's client that has `place` is `client`, and may be another one with its next request:
    /// it counts by its own address from now on.
    ///
    /// # Errors
    /// Why it may not come.
    pub(in crate::reactor) fn identify(
        &mut self,
        place: &mut Place,
        client: &ClientAddr,
        limits: &Config,
        now: Instant,
    ) -> Result<(), NotAdmitted> {
        let ip = client.address().ip();
        // What a proxy does not know of its client, the permissions of its own socket do not say.
        if !ip.map_or_else(|| limits.access.admits_unknown(), |ip| limits.access.admits(ip)) {
            return Err(NotAdmitted::Denied);
        }
        let address = ip.map(counted_as);
        if address == place.0 {
            return Ok(());
        }
        self.judge(client, limits, now)?;
        let Some(address) = address else { return Ok(()) };
        self.count(address, limits)?;
        let before = place.0.replace(address);
        self.forget(before);
        Ok(())
    }

    /// A place for `client`, which counts by its IPv4 address or the /64 of its IPv6 address; on a
    /// Unix socket it has none and counts in all only.
    ///
    /// # Errors
    /// Why there is none.
    pub(in crate::reactor) fn enter(
        &mut self,
        client: &ClientAddr,
        limits: &Config,
    ) -> Result<Place, NotAdmitted> {
        let address = client.address().ip().map(counted_as);
        // First, since who is at its own limit must not displace others.
        if let Some(address) = address {
            self.count(address, limits)?;
        }
        self.take(limits).inspect_err(|_| self.forget(address))?;
        Ok(Place(address))
    }

    /// A client is gone.
    pub(in crate::reactor) fn leave(&mut self, Place(address): Place) {
        self.admitted -= 1;
        if let Some(shared) = &self.shared {
            shared.give_back();
        }
        self.forget(address);
    }

    /// One client less has this address.
    fn forget(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if let Some(shared) = &self.shared {
            shared.leave(address);
        }
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
    use crate::proto::client_addr::Address;
    use std::net::SocketAddr;

    fn client(text: &str) -> ClientAddr {
        ClientAddr::from(text.parse::<SocketAddr>().unwrap())
    }

    #[test]
    fn unix_sockets_clients_count_in_all_only() {
        let limits = Config { max_connections: 3, max_per_address: 1, ..Config::default() };
        let mut admission = Admission::default();
        let unix = ClientAddr::new(Address::Unix);
        let places = [(); 3].map(|()| admission.enter(&unix, &limits).ok().unwrap());
        assert_eq!(admission.enter(&unix, &limits).err(), Some(NotAdmitted::Full));
        assert_eq!((admission.admitted(), admission.addresses()), (3, 0));
        assert_eq!(admission.judge(&unix, &limits, Instant::now()), Ok(()));
        places.into_iter().for_each(|place| admission.leave(place));
        assert_eq!(admission.admitted(), 0);
    }

    #[test]
    fn a_proxys_clients_count_by_their_own_addresses() {
        let limits = Config { max_connections: 3, max_per_address: 1, ..Config::default() };
        let now = Instant::now();
        let [here, there] = ["192.0.2.1:1", "[2001:db8::1]:1"].map(client);
        let mut admission = Admission::default();
        let mut places = [(); 3].map(|()| admission.enter_unknown(&limits).ok().unwrap());
        assert_eq!(admission.enter_unknown(&limits).err(), Some(NotAdmitted::Full));
        assert_eq!((admission.admitted(), admission.addresses()), (3, 0));
        let [first, second, third] = &mut places;
        let mut identify = |place: &mut Place, client| {
            let outcome = admission.identify(place, client, &limits, now);
            (outcome, admission.addresses())
        };
        assert_eq!(identify(first, &here), (Ok(()), 1));
        assert_eq!(identify(first, &here), (Ok(()), 1));
        assert_eq!(identify(second, &here), (Err(NotAdmitted::FullForAddress), 1));
        assert_eq!(identify(second, &there), (Ok(()), 2));
        assert_eq!(identify(first, &there), (Err(NotAdmitted::FullForAddress), 2));
        assert_eq!(identify(third, &ClientAddr::new(Address::Unix)), (Ok(()), 2));
        places.into_iter().for_each(|place| admission.leave(place));
        assert_eq!((admission.admitted(), admission.addresses()), (0, 0));
    }

    #[test]
    fn places_are_given_back() {
        let limits = Config { max_connections: 3, max_per_address: 2, ..Config::default() };
        let [here, there] = ["192.0.2.1:1", "[2001:db8::1]:1"].map(client);
        let mut admission = Admission::default();
        let first = admission.enter(&here, &limits).ok().unwrap();
        let second = admission.enter(&here, &limits).ok().unwrap();
        let full = admission.enter(&here, &limits).err();
        assert_eq!(full, Some(NotAdmitted::FullForAddress));
        let third = admission.enter(&there, &limits).ok().unwrap();
        assert_eq!(admission.enter(&there, &limits).err(), Some(NotAdmitted::Full));
        assert_eq!(admission.enter(&here, &limits).err(), Some(NotAdmitted::FullForAddress));
        admission.leave(first);
        let fourth = admission.enter(&here, &limits).ok().unwrap();
        assert_eq!((admission.admitted(), admission.addresses()), (3, 2));
        [second, third, fourth].into_iter().for_each(|place| admission.leave(place));
        assert_eq!((admission.admitted(), admission.addresses()), (0, 0));
    }
}
