//! What a store said, remembered: so that it is not asked for each client, and that known routes are
//! served while it is away.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};
use websocksy_plugin::{count, log, warn};

/// How often a store that is away is looked for, whether or not it has answered the last time: it is back
/// within a second, also where a question was lost and is waited for until its time is over.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// How long a store that did not answer one client may take to say whether it is there, before it counts as
/// away: the client has waited, and others may be behind it.
const DOUBT: Duration = Duration::from_millis(200);
/// The most questions that are waited for meanwhile: four seconds' worth.
const MOST_PROBES: usize = 8;
/// The most answers that are remembered; the oldest half goes when they are as many.
const MOST_FOUND: usize = 100_000;
/// The most keys of which is remembered that they are not there: strangers can make them up.
const MOST_MISSING: usize = 10_000;
/// The longest key that is remembered, bytes; a client may make its own long. It bounds what is found to
/// 200 MB, and what is not to 20.
const LONGEST_KEY: usize = 2048;

/// Where a back end looks keys up. Asked on several threads at once.
pub trait Store: Send + Sync + 'static {
    /// What a key stands for.
    type Value: Clone + Send + 'static;

    /// What it is called in the log: "redis at 127.0.0.1:6379".
    fn name(&self) -> String;

    /// What stands under a key, if anything does.
    ///
    /// # Errors
    /// Why the store does not say.
    fn ask(&self, key: &[u8]) -> Result<Option<Self::Value>, String>;

    /// Whether the store is there.
    ///
    /// # Errors
    /// Why it is not.
    fn probe(&self) -> Result<(), String>;

    /// How long an answer is good by its own word; none where it says nothing.
    fn lifetime(&self, value: &Self::Value) -> Option<Duration> {
        let _ = value;
        None
    }
}

/// How long answers are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// An answer, while the store is there, or shorter if it says so itself.
    pub fresh: Duration,
    /// That there is nothing under a key.
    pub missing: Duration,
    /// An answer while the store is away, since it was given.
    pub stale: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let [fresh, missing, stale] = [10, 1, 86_400].map(Duration::from_secs);
        Self { fresh, missing, stale }
    }
}

impl Times {
    /// What the keys are called that [`Times::set`] takes.
    pub const KEYS: &str = "'ttl', 'negative-ttl' and 'stale'";

    /// Takes a key; none if it is not one of these.
    ///
    /// # Errors
    /// What is wrong with its value.
    pub fn set(&mut self, key: &str, value: &str) -> Option<Result<(), String>> {
        let time = match key {
            "ttl" => &mut self.fresh,
            "negative-ttl" => &mut self.missing,
            "stale" => &mut self.stale,
            _ => return None,
        };
        Some(seconds(value).map(|value| *time = value))
    }
}

/// A time in seconds, as an operator writes it.
///
/// # Errors
/// It is none, or more than 30 days.
pub fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse::<f64>().ok().filter(|number| (0.0..=2_592_000.0).contains(number));
    let wrong = || format!("{value:?} is not a number of seconds, from 0 to 2592000");
    seconds.map(Duration::from_secs_f64).ok_or_else(wrong)
}

/// A store, and what it said.
pub struct Cache<S: Store>(Arc<Inner<S>>);

struct Inner<S: Store> {
    store: S,
    times: Times,
    /// What its counters begin with.
    prefix: &'static str,
    is_away: AtomicBool,
    known: Mutex<Known<S::Value>>,
}

struct Known<V> {
    found: HashMap<Vec<u8>, (V, Instant)>,
    missing: HashMap<Vec<u8>, Instant>,
}

/// How old an answer may be.
#[derive(Clone, Copy)]
enum Age {
    Fresh,
    Stale,
}

/// The store is away, or does not say what stands under this key, and that is not known.
#[derive(Debug, PartialEq, Eq)]
pub struct Away;

impl<S: Store> fmt::Debug for Cache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cache").field(&self.0.store.name()).finish()
    }
}

impl<S: Store> Cache<S> {
    /// Remembers what `store` says; what happens is counted under names that begin with `prefix`.
    pub fn new(store: S, times: Times, prefix: &'static str) -> Self {
        let known = Known { found: HashMap::new(), missing: HashMap::new() };
        let is_away = AtomicBool::new(false);
        let cache =
            Self(Arc::new(Inner { store, times, prefix, is_away, known: Mutex::new(known) }));
        ["asked", "cached", "stale", "failed"].iter().for_each(|what| cache.0.count(what, 0));
        cache
    }

    /// What stands under a key, if anything does.
    ///
    /// # Errors
    /// The store is away, or has no answer for this key, and nothing is known of it that is not too old.
    pub fn get(&self, key: &[u8]) -> Result<Option<S::Value>, Away> {
        let inner = &self.0;
        if let Some(known) = inner.known(key, Age::Fresh, Instant::now()) {
            inner.count("cached", 1);
            return Ok(known);
        }
        if !inner.is_away.load(Ordering::Acquire) {
            inner.count("asked", 1);
            match inner.store.ask(key) {
                Ok(answer) => {
                    inner.remember(key, answer.clone(), Instant::now());
                    return Ok(answer);
                }
                Err(why) => self.fails(&why),
            }
        }
        match inner.known(key, Age::Stale, Instant::now()) {
            Some(Some(stale)) => {
                inner.count("stale", 1);
                Ok(Some(stale))
            }
            _ => {
                inner.count("failed", 1);
                Err(Away)
            }
        }
    }

    /// What else the store is asked, unless it is away.
    ///
    /// # Errors
    /// It is away, or does not answer this.
    pub fn while_there<T>(&self, ask: impl FnOnce(&S) -> Result<T, String>) -> Result<T, Away> {
        if self.0.is_away.load(Ordering::Acquire) {
            return Err(Away);
        }
        ask(&self.0.store).map_err(|why| {
            self.fails(&why);
            Away
        })
    }

    /// Looks for the store now, so that the log says from the start that it is away.
    pub fn look(&self) {
        if let Err(why) = self.0.store.probe() {
            self.goes_away(&why, Probes::default());
        }
    }

    /// Forgets what is known of a key.
    pub fn forget(&self, key: &[u8]) {
        self.0.lock().found.remove(key);
    }

    /// Forgets what is not there: it may be there now.
    pub fn forget_missing(&self) {
        self.0.lock().missing.clear();
    }

    /// The store, for what it is asked otherwise.
    pub fn store(&self) -> &S {
        &self.0.store
    }

    /// The store did not answer one client. What that one says must not keep others out: the store is away
    /// if it does not answer a question about nobody either.
    fn fails(&self, why: &str) {
        let probes = Probes::default();
        let is_there = match probe_aside(Arc::clone(&self.0), probes.tell.clone()) {
            true => probes.told.recv_timeout(DOUBT).ok(),
            false => Some(self.0.store.probe().is_ok()),
        };
        match is_there {
            Some(true) => {
                let name = self.0.store.name();
                warn(&format!("{name}: {why}, of one client; others are answered"));
            }
            Some(false) => self.goes_away(why, probes),
            None => self.goes_away(why, Probes { asking: 1, ..probes }),
        }
    }

    /// The store does not answer: nobody asks it from now on but one thread, which waits until it does.
    fn goes_away(&self, why: &str, probes: Probes) {
        if self.0.is_away.swap(true, Ordering::AcqRel) {
            return;
        }
        let (name, known) = (self.0.store.name(), self.0.lock().found.len());
        warn(&format!("{name} is away: {why}; {known} known routes are served, new ones get 503"));
        let inner = Arc::downgrade(&self.0);
        let wait = move || wait_for(&inner, probes);
        if thread::Builder::new().name("probe".into()).spawn(wait).is_err() {
            // Then each client is a probe.
            self.0.is_away.store(false, Ordering::Release);
        }
    }
}

/// Questions whether the store is there, each on a thread of its own.
struct Probes {
    tell: Sender<bool>,
    told: Receiver<bool>,
    /// How many are not answered.
    asking: usize,
}

impl Default for Probes {
    fn default() -> Self {
        let (tell, told) = channel();
        Self { tell, told, asking: 0 }
    }
}

/// Looks for a store until it answers, or the back end ends.
fn wait_for<S: Store>(inner: &Weak<Inner<S>>, probes: Probes) {
    let Probes { tell, told, mut asking } = probes;
    let mut next = Instant::now() + PROBE_INTERVAL;
    loop {
        match told.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(is_there) => {
                asking -= 1;
                let Some(inner) = inner.upgrade() else { return };
                if is_there {
                    inner.lock().missing.clear();
                    inner.is_away.store(false, Ordering::Release);
                    return log(&format!("{} is back", inner.store.name()));
                }
            }
            Err(_) => {
                next = Instant::now() + PROBE_INTERVAL;
                let Some(inner) = inner.upgrade() else { return };
                if asking < MOST_PROBES && probe_aside(inner, tell.clone()) {
                    asking += 1;
                }
            }
        }
    }
}

/// Asks the store on a thread of its own whether it is there; whether there is such a thread.
fn probe_aside<S: Store>(inner: Arc<Inner<S>>, tell: Sender<bool>) -> bool {
    let ask = move || {
        let is_there = inner.store.probe().is_ok();
        drop(inner);
        // Nobody waits for it if another was answered first.
        let _ = tell.send(is_there);
    };
    thread::Builder::new().name("probe".into()).spawn(ask).is_ok()
}

impl<S: Store> Inner<S> {
    fn lock(&self) -> MutexGuard<'_, Known<S::Value>> {
        // Whoever panicked left whole maps behind.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, what: &str, by: u64) {
        count(&format!("{}_{what}", self.prefix), by);
    }

    /// What is known of a key, an answer of at most this age.
    fn known(&self, key: &[u8], age: Age, now: Instant) -> Option<Option<S::Value>> {
        let known = self.lock();
        if let Some((value, since)) = known.found.get(key) {
            let age = match (age, self.store.lifetime(value)) {
                (Age::Fresh, Some(own)) => own.min(self.times.fresh),
                (Age::Fresh, None) => self.times.fresh,
                (Age::Stale, _) => self.times.stale,
            };
            let is_good = now.saturating_duration_since(*since) < age;
            return is_good.then(|| Some(value.clone()));
        }
        let since = known.missing.get(key)?;
        (now.saturating_duration_since(*since) < self.times.missing).then_some(None)
    }

    fn remember(&self, key: &[u8], answer: Option<S::Value>, now: Instant) {
        if key.len() > LONGEST_KEY {
            return;
        }
        let mut known = self.lock();
        match answer {
            Some(value) => {
                known.missing.remove(key);
                known.found.insert(key.to_vec(), (value, now));
                if known.found.len() > MOST_FOUND {
                    forget_oldest(&mut known.found);
                }
            }
            None => {
                known.found.remove(key);
                if known.missing.len() >= MOST_MISSING {
                    known.missing.clear();
                }
                known.missing.insert(key.to_vec(), now);
            }
        }
    }
}

/// The older half goes.
fn forget_oldest<V>(found: &mut HashMap<Vec<u8>, (V, Instant)>) {
    let mut times: Vec<Instant> = found.values().map(|(_, since)| *since).collect();
    let middle = times.len() / 2;
    let (_, middle, _) = times.select_nth_unstable(middle);
    let middle = *middle;
    found.retain(|_, (_, since)| *since > middle);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Condvar;
    use std::sync::atomic::AtomicUsize;

    /// A store that a test can take away.
    #[derive(Default)]
    struct Made {
        is_there: AtomicBool,
        asked: AtomicUsize,
        probed: AtomicUsize,
        has_all: AtomicBool,
        /// Whether the next question is lost; and those that are wait until this says that it is over.
        loses_one: AtomicBool,
        given_up: Mutex<bool>,
        gives_up: Condvar,
    }

    impl Store for Arc<Made> {
        type Value = String;

        fn name(&self) -> String {
            "the made-up store".into()
        }

        fn ask(&self, key: &[u8]) -> Result<Option<String>, String> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if key == b"odd" {
                return Err("cannot be asked for".into());
            }
            let there =
                || (self.has_all.load(Ordering::SeqCst) || key != b"none").then(|| "x".into());
            if self.is_there.load(Ordering::SeqCst) { Ok(there()) } else { Err("gone".into()) }
        }

        fn probe(&self) -> Result<(), String> {
            self.probed.fetch_add(1, Ordering::SeqCst);
            if self.loses_one.swap(false, Ordering::SeqCst) {
                let given_up = self.given_up.lock().unwrap();
                drop(self.gives_up.wait_while(given_up, |is_over| !*is_over).unwrap());
                return Err("no answer".into());
            }
            if self.is_there.load(Ordering::SeqCst) { Ok(()) } else { Err("gone".into()) }
        }
    }

    fn cache(times: Times) -> (Arc<Made>, Cache<Arc<Made>>) {
        let made = Arc::new(Made::default());
        made.is_there.store(true, Ordering::SeqCst);
        (Arc::clone(&made), Cache::new(made, times, "made"))
    }

    fn asked(made: &Made) -> usize {
        made.asked.load(Ordering::SeqCst)
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_fresh_answer_is_not_asked_for_again() {
        let (made, kept) = cache(Times { fresh: HOUR, missing: HOUR, stale: HOUR });
        for _ in 0..3 {
            assert_eq!(kept.get(b"a"), Ok(Some("x".into())));
            assert_eq!(kept.get(b"none"), Ok(None));
        }
        assert_eq!(asked(&made), 2);
        made.has_all.store(true, Ordering::SeqCst);
        kept.forget_missing();
        assert_eq!(kept.get(b"none"), Ok(Some("x".into())), "a change of the source");
        let zero = Duration::ZERO;
        let (made, kept) = cache(Times { fresh: zero, missing: zero, stale: zero });
        (0..3).for_each(|_| assert_eq!(kept.get(b"a"), Ok(Some("x".into()))));
        assert_eq!(asked(&made), 3);
    }

    #[test]
    fn known_routes_outlive_the_store_and_it_is_back_in_a_second() {
        let (made, kept) = cache(Times { fresh: Duration::ZERO, missing: HOUR, stale: HOUR });
        assert_eq!((kept.get(b"a"), kept.get(b"none")), (Ok(Some("x".into())), Ok(None)));
        made.is_there.store(false, Ordering::SeqCst);
        for _ in 0..10 {
            assert_eq!(kept.get(b"a"), Ok(Some("x".into())));
            assert_eq!(kept.get(b"new"), Err(Away));
        }
        assert_eq!(asked(&made), 3, "once, and then one thread looks for it");
        made.has_all.store(true, Ordering::SeqCst);
        made.is_there.store(true, Ordering::SeqCst);
        let since = Instant::now();
        while kept.get(b"new").is_err() {
            assert!(since.elapsed() < Duration::from_secs(10), "it is not found again");
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(kept.get(b"none"), Ok(Some("x".into())), "what was missing may be there now");
    }

    /// A cable that is plugged in again brings no question back that was lost.
    #[test]
    fn a_store_is_found_while_a_question_that_was_lost_is_waited_for() {
        let (made, kept) = cache(Times::default());
        made.is_there.store(false, Ordering::SeqCst);
        assert_eq!(kept.get(b"a"), Err(Away));
        made.loses_one.store(true, Ordering::SeqCst);
        let since = Instant::now();
        let wait_for = |seen: &dyn Fn() -> bool| {
            while !seen() {
                assert!(since.elapsed() < Duration::from_secs(20), "it is not found again");
                thread::sleep(Duration::from_millis(5));
            }
        };
        wait_for(&|| !made.loses_one.load(Ordering::SeqCst));
        made.is_there.store(true, Ordering::SeqCst);
        wait_for(&|| kept.get(b"a") == Ok(Some("x".into())));
        assert!(!*made.given_up.lock().unwrap(), "which is when others would have been asked");
        *made.given_up.lock().unwrap() = true;
        made.gives_up.notify_all();
        // It changes nothing any more.
        wait_for(&|| Arc::strong_count(&kept.0) == 1);
        assert_eq!(kept.get(b"b"), Ok(Some("x".into())));
    }

    /// Whoever is lost has waited for an answer, and does not wait for another one.
    #[test]
    fn nobody_waits_twice_for_a_store_that_is_silent() {
        let (made, kept) = cache(Times { fresh: Duration::ZERO, missing: HOUR, stale: HOUR });
        assert_eq!(kept.get(b"a"), Ok(Some("x".into())));
        made.loses_one.store(true, Ordering::SeqCst);
        thread::scope(|scope| {
            let odd = scope.spawn(|| (kept.get(b"odd"), kept.get(b"a")));
            let since = Instant::now();
            while !odd.is_finished() && since.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(5));
            }
            assert!(!*made.given_up.lock().unwrap(), "the probe has no answer");
            let is_over = odd.is_finished();
            *made.given_up.lock().unwrap() = true;
            made.gives_up.notify_all();
            assert!(is_over, "it waits for the probe");
            assert_eq!(odd.join().unwrap(), (Err(Away), Ok(Some("x".into()))));
        });
    }

    #[test]
    fn a_key_that_gets_no_answer_is_no_other_clients_trouble() {
        let (made, kept) = cache(Times { fresh: HOUR, missing: HOUR, stale: HOUR });
        for _ in 0..3 {
            assert_eq!(kept.get(b"odd"), Err(Away));
            assert_eq!(kept.get(b"none"), Ok(None));
            kept.forget_missing();
        }
        assert_eq!(asked(&made), 6, "nobody was told that it is away");
        assert_eq!(kept.while_there(|_| Err::<(), _>("odd".into())), Err(Away));
        assert_eq!(kept.while_there(|_| Ok(7)), Ok(7));
    }

    #[test]
    fn an_answer_that_is_too_old_is_none() {
        let (made, kept) =
            cache(Times { fresh: Duration::ZERO, missing: HOUR, stale: Duration::ZERO });
        assert_eq!(kept.get(b"a"), Ok(Some("x".into())));
        made.is_there.store(false, Ordering::SeqCst);
        assert_eq!(kept.get(b"a"), Err(Away));
    }

    #[test]
    fn the_thread_that_looks_for_the_store_ends_with_the_back_end() {
        let (made, kept) = cache(Times::default());
        made.is_there.store(false, Ordering::SeqCst);
        assert_eq!(kept.get(b"a"), Err(Away));
        drop(kept);
        thread::sleep(PROBE_INTERVAL * 3);
        let probed = made.probed.load(Ordering::SeqCst);
        thread::sleep(PROBE_INTERVAL * 2);
        assert_eq!(made.probed.load(Ordering::SeqCst), probed);
        assert_eq!(Arc::strong_count(&made), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (made, kept) = cache(Times { fresh: HOUR, missing: HOUR, stale: HOUR });
        let (inner, start) = (&kept.0, Instant::now());
        for number in 0..=MOST_FOUND {
            let now = start + Duration::from_millis(number as u64);
            inner.remember(number.to_string().as_bytes(), Some(String::new()), now);
            inner.remember(format!("-{number}").as_bytes(), None, now);
        }
        let known = inner.lock();
        assert!(known.found.len() <= MOST_FOUND && known.found.len() >= MOST_FOUND / 3);
        assert!(known.found.contains_key(MOST_FOUND.to_string().as_bytes()), "the newest stay");
        assert!(known.missing.len() <= MOST_MISSING);
        drop(known);
        let long = vec![b'x'; LONGEST_KEY + 1];
        (0..2).for_each(|_| assert_eq!(kept.get(&long), Ok(Some("x".into()))));
        assert_eq!(asked(&made), 2, "a long key is asked for each time");
    }

    #[test]
    fn times_of_an_operator() {
        let mut times = Times::default();
        assert_eq!(times.set("ttl", "1.5"), Some(Ok(())));
        assert_eq!(times.fresh, Duration::from_millis(1500));
        assert!(times.set("time", "1").is_none());
        for value in ["", "-1", "1m", "NaN", "inf", "2592001"] {
            assert!(times.set("stale", value).unwrap().is_err(), "{value}");
        }
    }
}
