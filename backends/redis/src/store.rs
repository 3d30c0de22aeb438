//! Connections to the server, and what it is asked.

use crate::connection::Connection;
use crate::server::Server;
use crate::value::{self, Found};
use redis::RedisError;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use websocksy_routes::{Options, Route, Store};

/// Connections that are kept for the next query: as many as there are query threads, as a rule.
const MOST_KEPT: usize = 16;

/// The server, and connections to it.
#[derive(Debug)]
pub(crate) struct Redis {
    server: Server,
    prefix: String,
    options: Options,
    kept: Mutex<Kept>,
}

/// Connections, and how often the server had moved when each was made.
#[derive(Default)]
struct Kept(Vec<(Connection, u64)>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections", self.0.len())
    }
}

impl Redis {
    pub(crate) fn new(server: Server, prefix: String, options: Options) -> Self {
        Self { server, prefix, options, kept: Mutex::default() }
    }

    /// Does what `ask` does over a connection. One that was kept may have ended meanwhile, and then it
    /// is done over a new one; so it is if its server is no master any more.
    pub(crate) fn over<T>(
        &self,
        ask: impl Fn(&mut Connection) -> Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        let moves = self.server.moves();
        let kept = {
            let mut kept = self.lock();
            kept.0.retain(|(_, then)| *then == moves);
            kept.0.pop()
        };
        let (begin, is_again) = (Instant::now(), kept.is_some());
        if let Some((mut connection, _)) = kept {
            connection.give(self.server.timeout);
            match ask(&mut connection) {
                Err(error) if error.is_io_error() || error.code() == Some("READONLY") => {
                    self.lock().0.clear(); // the others are no better
                    if error.is_timeout() {
                        return Err(error);
                    }
                }
                answer => return self.keep((connection, moves), answer),
            }
        }
        // Once more has what is left; else it is one time for the connect, and one for the answer.
        let time = self.server.timeout.saturating_sub(begin.elapsed());
        let mut connection = self.server.connect(time)?;
        if is_again {
            connection.give(self.server.timeout.saturating_sub(begin.elapsed()));
        }
        let answer = ask(&mut connection);
        self.keep((connection, moves), answer)
    }

    fn keep<T>(
        &self,
        connection: (Connection, u64),
        answer: Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        // After a time-out, or one that cannot be read, an answer may come that belongs to nobody. What the
        // server says of an error it says whole, with a code.
        let is_whole = answer.as_ref().err().is_none_or(|error| error.code().is_some());
        let mut kept = self.lock();
        if is_whole && kept.0.len() < MOST_KEPT {
            kept.0.push(connection);
        }
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Whoever panicked left a whole list behind.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Redis {
    type Value = Found;

    fn name(&self) -> String {
        format!("redis: {}", self.server.name())
    }

    fn ask(&self, key: &[u8]) -> Result<Option<Found>, String> {
        let key = [self.prefix.as_bytes(), key].concat();
        let string = self
            .over(|connection| redis::cmd("GET").arg(&key).query::<Option<Vec<u8>>>(connection));
        match string {
            Ok(value) => Ok(value.map(|value| value::text(&value, &self.options))),
            Err(error) if error.code() == Some("WRONGTYPE") => self.ask_hash(&key),
            Err(error) => Err(self.server.in_words(&error)),
        }
    }

    fn probe(&self) -> Result<(), String> {
        let answer = self.over(|connection| redis::cmd("PING").query::<String>(connection));
        answer.map(drop).map_err(|error| self.server.in_words(&error))
    }
}

impl Redis {
    /// An error as one line.
    pub(crate) fn in_words(&self, error: &RedisError) -> String {
        self.server.in_words(error)
    }

    fn ask_hash(&self, key: &[u8]) -> Result<Option<Found>, String> {
        let hash = self.over(|connection| {
            redis::cmd("HGETALL").arg(key).query::<HashMap<String, String>>(connection)
        });
        match hash {
            Ok(fields) if fields.is_empty() => Ok(None), // gone meanwhile
            Ok(fields) => Ok(Some(Route::of_fields(&fields, &self.options))),
            Err(error) if error.is_io_error() => Err(self.server.in_words(&error)),
            Err(_) => Ok(Some(Err("it is neither a string nor a hash of texts".into()))),
        }
    }
}
