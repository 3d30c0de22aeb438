//! How many sessions a token has over the fleet: each is a member of the token's sorted set, whose score
//! is when it counts no more unless its bridge says that it is still there.

use crate::store::Redis;
use redis::{Cmd, Pipeline};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use websocksy_plugin::warn;
use websocksy_routes::Store;

/// Takes a place under KEYS[1] for ARGV[1], of ARGV[2], for ARGV[3] ms: 1, or 0 if there is none. The time
/// is the server's, so that bridges need no common clock.
const TAKE: &str = "local t = redis.call('TIME') \
    local now = t[1] * 1000 + math.floor(t[2] / 1000) \
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) \
    if not redis.call('ZSCORE', KEYS[1], ARGV[1]) \
        and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end \
    redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1]) \
    redis.call('PEXPIRE', KEYS[1], ARGV[3]) \
    return 1";
/// The sessions from ARGV[2] on are still there, for ARGV[1] ms. Those that the store has forgotten are
/// there, too.
const RENEW: &str = "local t = redis.call('TIME') \
    local now = t[1] * 1000 + math.floor(t[2] / 1000) \
    for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end \
    redis.call('PEXPIRE', KEYS[1], ARGV[1])";
/// The most commands that go out at once.
const BATCH: usize = 500;
/// When what could not be told is told again: within a second of the store's return.
const AGAIN: Duration = Duration::from_millis(500);
/// Of a lease's time, when it is renewed: two renewals may fail.
const RENEWALS: u32 = 3;

/// What the operator says of leases.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The most sessions of a token; 0 for any number, which is not counted.
    pub(crate) most: u32,
    /// How long a session counts whose bridge is gone.
    pub(crate) ttl: Duration,
    /// Whether nobody is let in while it cannot be counted.
    pub(crate) closed: bool,
    /// What stands before a token in the names of the sets.
    pub(crate) prefix: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: 0, ttl: Duration::from_secs(30), closed: false, prefix: "lease:".into() }
    }
}

/// What the thread is told that looks after the leases of this bridge.
enum Word {
    Taken(u64, Vec<u8>),
    Ended(u64),
}

/// The leases of this bridge.
pub(crate) struct Leases {
    limits: Limits,
    /// What no other bridge is called.
    bridge: String,
    words: Option<Sender<Word>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leases of {}", self.bridge)
    }
}

impl Leases {
    /// Looks after leases, over connections of its own to the same server.
    ///
    /// # Errors
    /// There is no randomness, or no thread.
    pub(crate) fn start(limits: Limits, store: Redis) -> io::Result<Self> {
        let bridge = format!("{:016x}", getrandom::u64().map_err(io::Error::other)?);
        let (words, told) = channel();
        let keeper = Keeper {
            store,
            bridge: bridge.clone(),
            ttl: limits.ttl,
            held: HashMap::new(),
            ended: Vec::new(),
            failed: false,
        };
        let thread = thread::Builder::new().name("leases".into()).spawn(|| keeper.run(told))?;
        Ok(Self { limits, bridge, words: Some(words), thread: Some(thread) })
    }

    /// Takes a place for a session, if there is one.
    ///
    /// # Errors
    /// The store does not say.
    pub(crate) fn take(&self, store: &Redis, token: &[u8], session: u64) -> Result<bool, String> {
        let key = self.key(token);
        let mut take = redis::cmd("EVAL");
        take.arg(TAKE).arg(1).arg(&key).arg(member(&self.bridge, session));
        take.arg(self.limits.most).arg(milliseconds(self.limits.ttl));
        let taken = store.over(|connection| take.query::<u32>(connection));
        let is_taken = taken.map_err(|error| store.in_words(&error))? == 1;
        if is_taken {
            self.tell(Word::Taken(session, key));
        }
        Ok(is_taken)
    }

    /// A session was let in that could not be counted: it is, as soon as that can be.
    pub(crate) fn count_later(&self, token: &[u8], session: u64) {
        self.tell(Word::Taken(session, self.key(token)));
    }

    /// A session is over.
    pub(crate) fn ended(&self, session: u64) {
        self.tell(Word::Ended(session));
    }

    fn key(&self, token: &[u8]) -> Vec<u8> {
        [self.limits.prefix.as_bytes(), token].concat()
    }

    fn tell(&self, word: Word) {
        // It listens for as long as this is there.
        let _ = self.words.as_ref().map(|words| words.send(word));
    }
}

/// What is left is given back.
impl Drop for Leases {
    fn drop(&mut self) {
        drop(self.words.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn member(bridge: &str, session: u64) -> String {
    format!("{bridge}:{session}")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The thread: it alone renews and gives back, so that nothing is renewed that was given back.
struct Keeper {
    store: Redis,
    bridge: String,
    ttl: Duration,
    /// Sessions, and under which key each is counted.
    held: HashMap<u64, Vec<u8>>,
    /// Those that are over, and the store has not been told, or was not there, and since when.
    ended: Vec<(u64, Vec<u8>, Instant)>,
    failed: bool,
}

impl Keeper {
    fn run(mut self, words: Receiver<Word>) {
        // A connection is there for the first one; a start does not wait for it.
        let _ = self.store.probe();
        let mut renew_at = Instant::now() + self.ttl / RENEWALS;
        loop {
            let again_at = Instant::now() + AGAIN;
            let until = if self.ended.is_empty() { renew_at } else { renew_at.min(again_at) };
            let word = words.recv_timeout(until.saturating_duration_since(Instant::now()));
            let is_over = matches!(word, Err(RecvTimeoutError::Disconnected));
            // No more than these, or who renews might be kept from it.
            word.into_iter().chain(words.try_iter().take(BATCH)).for_each(|word| self.hear(word));
            if is_over {
                let since = Instant::now();
                self.ended.extend(self.held.drain().map(|(session, key)| (session, key, since)));
                self.give_back();
                return;
            }
            self.give_back();
            if Instant::now() >= renew_at {
                let pause = if self.renew() { self.ttl / RENEWALS } else { AGAIN };
                renew_at = Instant::now() + pause;
            }
        }
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Taken(session, key) => _ = self.held.insert(session, key),
            Word::Ended(session) => {
                let key = self.held.remove(&session);
                self.ended.extend(key.map(|key| (session, key, Instant::now())));
            }
        }
    }

    /// Gives back what is over. What the store cannot be told now is told again, until it has forgotten
    /// it by itself.
    fn give_back(&mut self) {
        while !self.ended.is_empty() {
            let most = self.ended.len().min(BATCH);
            let remove = |(session, key, _): &(u64, Vec<u8>, Instant)| {
                let mut remove = redis::cmd("ZREM");
                remove.arg(key).arg(member(&self.bridge, *session));
                remove
            };
            let commands: Vec<_> = self.ended.iter().take(most).map(remove).collect();
            if !self.tell(commands) {
                let ttl = self.ttl;
                return self.ended.retain(|(_, _, since)| since.elapsed() < ttl);
            }
            self.ended.drain(..most);
        }
    }

    /// Whether all are renewed.
    fn renew(&mut self) -> bool {
        let mut sessions: HashMap<&[u8], Vec<String>> = HashMap::new();
        for (session, key) in &self.held {
            sessions.entry(key).or_default().push(member(&self.bridge, *session));
        }
        let renew = |(key, members): (&&[u8], &Vec<String>)| {
            let parts = members.chunks(BATCH).map(|members| {
                let mut renew = redis::cmd("EVAL");
                renew.arg(RENEW).arg(1).arg(*key).arg(milliseconds(self.ttl)).arg(members);
                renew
            });
            parts.collect::<Vec<_>>()
        };
        let commands: Vec<Cmd> = sessions.iter().flat_map(renew).collect();
        commands.chunks(BATCH).all(|commands| self.tell(commands.to_vec()))
    }

    /// Whether the store took these commands.
    fn tell(&mut self, commands: Vec<Cmd>) -> bool {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command).ignore();
        }
        let told = self.store.over(|connection| pipeline.query::<()>(connection));
        let failed = told.is_err();
        if let (Err(error), false) = (told, self.failed) {
            warn(&format!("redis: sessions cannot be counted: {error}"));
        }
        self.failed = failed;
        !failed
    }
}
