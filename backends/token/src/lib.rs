//! `token`: peers by a token that the client shows, from websockify's token files.

#![forbid(unsafe_code)]

mod lines;
mod source;

use lines::Table;
use source::{Read, Source};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use websocksy_plugin::{Backend, Client, Peer, export_backend, log, warn};
use websocksy_routes::{Options, token};

/// How often the files are looked at while clients come: a change counts within two seconds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Finds the peer of a client by its token.
#[derive(Debug, Default)]
struct TokenBackend {
    sources: Vec<Source>,
    options: Options,
    known: Mutex<Known>,
}

/// What is known of the files.
#[derive(Debug, Default)]
struct Known {
    looked: Option<Instant>,
    read: Read,
    table: Arc<Table>,
    /// Why they could not be read, if it is in the log.
    failure: Option<String>,
}

impl Backend for TokenBackend {
    fn new() -> Self {
        Self::default()
    }

    fn configure(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "file" => self.sources.push(Source::file(value)?),
            "dir" => self.sources.push(Source::directory(value)?),
            _ => {
                let unknown = || format!("the keys are 'file', 'dir', {}", Options::KEYS);
                self.options.set(key, value).ok_or_else(unknown)??;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.sources.is_empty() {
            return Err("token needs the key 'file' or 'dir', where the tokens are".into());
        }
        self.options.check()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.look(&mut known, Instant::now());
        known.failure.clone().map_or(Ok(()), Err)
    }

    fn query(&self, client: &Client<'_>) -> Option<Peer> {
        let token = token(client)?;
        self.table(Instant::now()).get(&token).map(|route| route.peer(client))
    }
}

export_backend!(TokenBackend);

impl TokenBackend {
    /// What the files say now, give or take the time between two looks.
    fn table(&self, now: Instant) -> Arc<Table> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |looked| now.saturating_duration_since(looked) >= LOOK_INTERVAL;
        if known.looked.is_none_or(is_due) {
            let said = known.failure.clone();
            self.look(&mut known, now);
            match &known.failure {
                Some(why) if said.as_ref() != Some(why) => {
                    warn(&format!("token: {why}: what was known before counts meanwhile"));
                }
                None if said.is_some() => log("token: the files can be read again"),
                _ => {}
            }
        }
        Arc::clone(&known.table)
    }

    /// Reads the files if they have changed. Those that cannot be read change nothing.
    fn look(&self, known: &mut Known, now: Instant) {
        known.looked = Some(now);
        match known.read.again(&self.sources) {
            Ok(Some(texts)) => {
                let files = texts.len();
                let table = lines::table(texts, &self.options, |line| warn(&line));
                log(&format!("token: {} tokens from {files} files", table.len()));
                (known.table, known.failure) = (Arc::new(table), None);
            }
            Ok(None) => known.failure = None,
            Err(why) => known.failure = Some(why),
        }
    }
}

#[cfg(test)]
mod tests;
