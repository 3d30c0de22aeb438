//! Several peers of the built-in back end: whose turn is it, and who rests?

use super::target::Target;
use std::collections::VecDeque;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How clients are spread over the peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Balance {
    /// The first of the list that can be reached.
    #[default]
    First,
    /// Any of them.
    Random,
    /// The one with the fewest sessions of this process.
    Least,
    /// By the client's address: the same one for the same client, as long as the list stays.
    Hash,
}

impl Balance {
    const NAMES: [(&'static str, Self); 4] = [
        ("first", Self::First),
        ("random", Self::Random),
        ("least", Self::Least),
        ("hash", Self::Hash),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(own, _)| *own == name).map(|(_, balance)| *balance)
    }
}

/// The peers, and how they stand.
#[derive(Debug)]
pub(super) struct Pool {
    peers: Vec<Standing>,
    balance: Balance,
    /// How long one that could not be reached is the last to be tried.
    rest: Duration,
    random: RandomState,
    drawn: u64,
}

#[derive(Debug)]
struct Standing {
    target: Target,
    sessions: usize,
    rests_until: Option<Instant>,
}

impl Pool {
    pub(super) fn new(targets: Vec<Target>, balance: Balance, rest: Duration) -> Self {
        let stand = |target| Standing { target, sessions: 0, rests_until: None };
        let peers = targets.into_iter().map(stand).collect();
        Self { peers, balance, rest, random: RandomState::new(), drawn: 0 }
    }

    /// The peers of a client, in the order in which they are to be tried. Those that rest come last:
    /// they are better than none.
    pub(super) fn order(&mut self, client: Option<IpAddr>, now: Instant) -> VecDeque<Target> {
        if let [only] = &self.peers[..] {
            return VecDeque::from([only.target.clone()]);
        }
        self.drawn = self.drawn.wrapping_add(1);
        let draw = |at: usize| self.random.hash_one((self.drawn, at));
        let mut places: Vec<(bool, usize, u64, usize)> = Vec::with_capacity(self.peers.len());
        for (at, peer) in self.peers.iter().enumerate() {
            let rests = peer.rests_until.is_some_and(|until| now < until);
            let (sessions, number) = match self.balance {
                Balance::First => (0, at as u64),
                Balance::Random => (0, draw(at)),
                Balance::Least => (peer.sessions, draw(at)),
                Balance::Hash => (0, weight(client, &peer.target)),
            };
            places.push((rests, sessions, number, at));
        }
        places.sort_unstable();
        let targets = places.iter().filter_map(|(.., at)| self.peers.get(*at));
        targets.map(|peer| peer.target.clone()).collect()
    }

    /// Whether every peer rests: at the last attempt, none could be reached.
    pub(super) fn all_rest(&self, now: Instant) -> bool {
        let rests = |peer: &Standing| peer.rests_until.is_some_and(|until| now < until);
        !self.peers.is_empty() && self.peers.iter().all(rests)
    }

    /// All peers.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.peers.iter().map(|peer| &peer.target)
    }

    /// A session begins with this peer.
    pub(super) fn reached(&mut self, target: &Target) {
        if let Some(peer) = self.peer(target) {
            peer.sessions += 1;
            peer.rests_until = None;
        }
    }

    /// A session with this peer is over.
    pub(super) fn left(&mut self, target: &Target) {
        if let Some(peer) = self.peer(target) {
            peer.sessions = peer.sessions.saturating_sub(1);
        }
    }

    /// This peer could not be reached.
    pub(super) fn unreached(&mut self, target: &Target, now: Instant) {
        let until = now.checked_add(self.rest);
        if let Some(peer) = self.peer(target) {
            peer.rests_until = until;
        }
    }

    fn peer(&mut self, target: &Target) -> Option<&mut Standing> {
        self.peers.iter_mut().find(|peer| peer.target == *target)
    }
}

/// What a peer is worth to a client: the lowest wins (rendezvous hashing), so that when a peer leaves the
/// list only its own clients are led elsewhere. The same in every process of this version.
fn weight(client: Option<IpAddr>, target: &Target) -> u64 {
    let mut hasher = DefaultHasher::new();
    client.map(|ip| ip.to_canonical()).hash(&mut hasher);
    target.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const REST: Duration = Duration::from_secs(10);

    fn target(number: usize) -> Target {
        Target::Tcp { host: format!("peer-{number}"), port: 1 }
    }

    fn pool(balance: Balance, peers: usize) -> Pool {
        Pool::new((0..peers).map(target).collect(), balance, REST)
    }

    fn client(number: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn all_rest_until_one_is_reached_or_has_rested() {
        let (mut pool, now) = (pool(Balance::First, 2), Instant::now());
        pool.unreached(&target(0), now);
        assert!(!pool.all_rest(now));
        pool.unreached(&target(1), now);
        assert!(pool.all_rest(now) && !pool.all_rest(now + REST));
        pool.reached(&target(0));
        assert!(!pool.all_rest(now));
    }

    #[test]
    fn first_is_the_order_of_the_list_and_who_rests_comes_last() {
        let (mut pool, now) = (pool(Balance::First, 3), Instant::now());
        assert_eq!(pool.order(None, now), [0, 1, 2].map(target));
        pool.unreached(&target(0), now);
        assert_eq!(pool.order(None, now), [1, 2, 0].map(target));
        pool.unreached(&target(1), now);
        pool.unreached(&target(2), now);
        assert_eq!(pool.order(None, now), [0, 1, 2].map(target), "they are better than none");
        pool.reached(&target(2));
        assert_eq!(pool.order(None, now), [2, 0, 1].map(target));
        assert_eq!(pool.order(None, now + REST), [0, 1, 2].map(target));
    }

    #[test]
    fn least_evens_out() {
        let (mut pool, now) = (pool(Balance::Least, 3), Instant::now());
        for _ in 0..300 {
            let first = pool.order(None, now)[0].clone();
            pool.reached(&first);
        }
        assert!(pool.peers.iter().all(|peer| peer.sessions == 100), "{pool:?}");
        pool.left(&target(1));
        assert_eq!(pool.order(None, now)[0], target(1));
    }

    #[test]
    fn random_leaves_nobody_out_and_is_no_order() {
        let (mut pool, now) = (pool(Balance::Random, 3), Instant::now());
        let firsts: Vec<_> = (0..300).map(|_| pool.order(None, now)[0].clone()).collect();
        for number in 0..3 {
            let share = firsts.iter().filter(|first| **first == target(number)).count();
            assert!((50..150).contains(&share), "{share} of 300");
        }
    }

    #[test]
    fn hash_leads_a_client_to_the_same_peer_and_only_a_lost_peers_clients_elsewhere() {
        let (mut four, mut three) = (pool(Balance::Hash, 4), pool(Balance::Hash, 3));
        let now = Instant::now();
        let mut led = [0; 4];
        for number in 0..1000 {
            let before = four.order(client(number), now);
            assert_eq!(before, four.order(client(number), now));
            let after = three.order(client(number), now);
            let kept: VecDeque<_> =
                before.iter().filter(|peer| **peer != target(3)).cloned().collect();
            assert_eq!(after, kept);
            let at = (0..4).find(|at| before[0] == target(*at)).unwrap();
            led[at] += 1;
        }
        assert!(led.iter().all(|clients| (150..350).contains(clients)), "{led:?}");
        let mapped = IpAddr::V6(Ipv4Addr::from_bits(7).to_ipv6_mapped());
        assert_eq!(four.order(Some(mapped), now), four.order(client(7), now), "the same client");
    }
}
