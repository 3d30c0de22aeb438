//! Session tickets whose keys are in a file, so that every process and machine that has it, and the next
//! one after a restart, can resume a session (RFC 8446 §4.6.1, RFC 5077).
//!
//! The file is HAProxy's: a line of base64 for each key, of 48 or 80 bytes, of which the first 16 name
//! it. What is in a ticket is ours: its key's name, 32 random bytes, and the session sealed with a key
//! that is derived from both, so that no number of tickets wears a key out.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{aead, hkdf};
use rustls::server::ProducesTickets;

use super::files;
use crate::config::{ConfigError, PlacedPath};

/// How a key is called in the tickets.
const NAME: usize = 16;
/// The random bytes of each ticket.
const SALT: usize = 32;
/// The lengths of a key with its name: HAProxy's for AES-128 and AES-256.
const LENGTHS: [usize; 2] = [48, 80];
/// The most keys: a year of days.
const MOST_KEYS: usize = 400;
/// How long clients keep a ticket, seconds: within it, they expect its key to be known.
const LIFETIME: u32 = 12 * 60 * 60;

/// The keys: the first encrypts, all decrypt.
pub(super) struct TicketKeys {
    keys: Vec<Key>,
    random: SystemRandom,
}

struct Key {
    name: [u8; NAME],
    secret: hkdf::Prk,
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({})", self.keys.len())
    }
}

impl TicketKeys {
    /// The keys of `file`. A ticket says who its client is, so those of servers that trust others
    /// than `trust` says are not taken.
    pub(super) fn load(file: &PlacedPath, trust: &[u8]) -> Result<Self, ConfigError> {
        let bytes = files::read(file, |bytes| !bytes.trim_ascii().is_empty())?;
        Self::parse(&bytes, trust).map_err(|(line, problem)| match line {
            0 => files::bad(file, problem),
            line => {
                let path = format!("{}:{line}", file.path.display());
                ConfigError::new(file.origin.clone(), format!("{path}: {problem}"))
            }
        })
    }

    fn parse(bytes: &[u8], trust: &[u8]) -> Result<Self, (usize, &'static str)> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[b"websocksy ticket ", trust].concat());
        let mut keys = Vec::new();
        for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let key = STANDARD.decode(text).ok().filter(|key| LENGTHS.contains(&key.len()));
            let key =
                key.ok_or((line, "is not 48 or 80 bytes in base64 (openssl rand -base64 48)"))?;
            let Some((name, secret)) = key.split_first_chunk() else { continue };
            keys.push(Key { name: *name, secret: salt.extract(secret) });
        }
        match keys.len() {
            0 => Err((0, "has no key: a line of openssl rand -base64 48 is one")),
            1..=MOST_KEYS => Ok(Self { keys, random: SystemRandom::new() }),
            _ => Err((0, "has more than 400 keys")),
        }
    }
}

impl Key {
    /// The key of one ticket, which seals nothing else.
    fn of_ticket(&self, salt: &[u8]) -> Option<aead::LessSafeKey> {
        let info = [salt];
        let derived = self.secret.expand(&info, &aead::AES_256_GCM).ok()?;
        Some(aead::LessSafeKey::new(derived.into()))
    }
}

/// It is used once, with a key that is used once.
fn nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

impl ProducesTickets for TicketKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let mut salt = [0; SALT];
        self.random.fill(&mut salt).ok()?;
        let mut sealed = plain.to_vec();
        let name = aead::Aad::from(key.name);
        key.of_ticket(&salt)?.seal_in_place_append_tag(nonce(), name, &mut sealed).ok()?;
        Some([&key.name, &salt[..], &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (salt, sealed) = rest.split_at_checked(SALT)?;
        let key = self.keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let plain =
            key.of_ticket(salt)?.open_in_place(nonce(), aead::Aad::from(*name), &mut sealed);
        plain.ok().map(|plain| plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(byte: u8, length: usize) -> String {
        STANDARD.encode(vec![byte; length]) + "\n"
    }

    fn keys(text: &str, trust: &[u8]) -> TicketKeys {
        TicketKeys::parse(text.as_bytes(), trust).unwrap()
    }

    #[test]
    fn the_first_encrypts_and_all_decrypt() {
        let (a, b) = (line(1, 48), line(2, 80));
        let old = keys(&a, b"");
        let new = keys(&format!("{b}\r\n  {a}"), b"");
        let ticket = old.encrypt(b"session").unwrap();
        assert_eq!(new.decrypt(&ticket).unwrap(), b"session");
        assert_ne!(ticket, old.encrypt(b"session").unwrap(), "two tickets are never the same");
        let ticket = new.encrypt(b"session").unwrap();
        assert_eq!(new.decrypt(&ticket).unwrap(), b"session");
        assert_eq!(old.decrypt(&ticket), None, "its key is not known yet");
    }

    #[test]
    fn tickets_of_servers_that_trust_others_are_not_taken() {
        let ticket = keys(&line(1, 48), b"one authority").encrypt(b"who it is").unwrap();
        assert_eq!(keys(&line(1, 48), b"another").decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_that_is_cut_or_changed_anywhere_is_none() {
        let keys = keys(&line(7, 48), b"");
        let ticket = keys.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            assert_eq!(keys.decrypt(&ticket[..at]), None, "cut at {at}");
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(keys.decrypt(&changed), None, "changed at {at}");
        }
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line() {
        let good = line(1, 48);
        for (text, line) in [
            (String::new(), 0),
            ("\n \n".into(), 0),
            (format!("{good}%%%\n"), 2),
            (self::line(1, 47), 1),
            (format!("{good}\n{}", self::line(1, 81)), 3),
            (good.repeat(401), 0),
        ] {
            assert_eq!(TicketKeys::parse(text.as_bytes(), b"").unwrap_err().0, line);
        }
    }
}
