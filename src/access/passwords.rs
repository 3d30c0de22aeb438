//! Who may come by name and password: a file as htpasswd(1) writes it, with bcrypt.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use bcrypt::HashParts;

/// bcrypt takes so many bytes, and would take a longer password for the one it is cut to.
pub const LONGEST_PASSWORD: usize = 72;
/// A hash of this cost takes some 4 seconds, which is as long as a client may wait behind others.
const MAX_COST: u32 = 16;
/// How long a password that was right is not asked for again.
const REMEMBERED: Duration = Duration::from_secs(300);
/// So many are remembered: clients that reconnect do not queue for the hash.
const MOST_REMEMBERED: usize = 1024;

/// Users and the hashes of their passwords.
pub struct Passwords {
    hashes: HashMap<String, String>,
    /// The hashes again, one of which stands for an unknown user: that takes as long.
    decoys: Vec<String>,
    hasher: RandomState,
}

/// Never the hashes.
impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords of {} users", self.hashes.len())
    }
}

impl Passwords {
    /// Reads `USER:HASH` lines; what follows a second colon, empty lines and those that begin with
    /// `#` mean nothing.
    ///
    /// # Errors
    /// The number of the line that is wrong, and what is; 0 if the file has no user.
    pub fn parse(bytes: &[u8]) -> Result<Self, (usize, String)> {
        let mut hashes = HashMap::new();
        for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            let wrong = |problem: &str| (number, problem.to_owned());
            let line = str::from_utf8(line).map_err(|_| wrong("is not UTF-8"))?.trim_ascii();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, rest) = line
                .split_once(':')
                .filter(|(user, _)| !user.is_empty() && !user.chars().any(char::is_control))
                .ok_or_else(|| wrong("is not USER:HASH"))?;
            let hash = rest.split(':').next().unwrap_or_default();
            check(hash).map_err(|problem| wrong(&problem))?;
            if hashes.insert(user.to_owned(), hash.to_owned()).is_some() {
                return Err(wrong("names a user that an earlier line names"));
            }
        }
        if hashes.is_empty() {
            return Err((0, "names no user; write one with htpasswd -B".into()));
        }
        let decoys = hashes.values().cloned().collect();
        Ok(Self { hashes, decoys, hasher: RandomState::new() })
    }

    /// Whether this is the user's password. Takes the time of a hash, some 50 ms and more, for users
    /// that are not there as well.
    #[must_use]
    pub fn verify(&self, user: &str, password: &str) -> bool {
        let hash = self.hashes.get(user);
        let decoy = self.hasher.hash_one(user) as usize % self.decoys.len().max(1);
        let Some(compared) = hash.or_else(|| self.decoys.get(decoy)) else { return false };
        let fits = password.len() <= LONGEST_PASSWORD;
        let is_same = bcrypt::verify(password, compared).unwrap_or(false);
        hash.is_some() && fits && is_same
    }
}

fn check(hash: &str) -> Result<(), String> {
    let is_bcrypt = ["$2y$", "$2b$", "$2a$"].iter().any(|kind| hash.starts_with(kind));
    let Some(parts) = is_bcrypt.then(|| hash.parse::<HashParts>().ok()).flatten() else {
        return Err("has no bcrypt hash ($2y$...); write the line with htpasswd -B".into());
    };
    match parts.get_cost() {
        cost if cost > MAX_COST => {
            Err(format!("has a hash of cost {cost}, which takes too long; 10 to 12 are usual"))
        }
        _ => Ok(()),
    }
}

/// A name and a password, hashed with keys that no other process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proof([u64; 2]);

/// Passwords that were right a while ago.
#[derive(Debug)]
pub struct Verified {
    keys: [RandomState; 2],
    until: HashMap<Proof, Instant>,
}

impl Default for Verified {
    fn default() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], until: HashMap::new() }
    }
}

impl Verified {
    /// What is remembered of this name and password.
    #[must_use]
    pub fn proof(&self, user: &str, password: &str) -> Proof {
        Proof([0, 1].map(|at: usize| self.keys[at].hash_one((user, password))))
    }

    /// Whether it was right a while ago.
    #[must_use]
    pub fn knows(&self, proof: Proof, now: Instant) -> bool {
        self.until.get(&proof).is_some_and(|until| now < *until)
    }

    /// It was right.
    pub fn remember(&mut self, proof: Proof, now: Instant) {
        if self.until.len() >= MOST_REMEMBERED {
            self.until.retain(|_, until| now < *until);
        }
        if self.until.len() >= MOST_REMEMBERED {
            let oldest = self.until.iter().min_by_key(|(_, until)| **until).map(|(of, _)| *of);
            oldest.map(|of| self.until.remove(&of));
        }
        self.until.insert(proof, now + REMEMBERED);
    }
}

/// Why a client is not known to be who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotVerified {
    /// It says nothing.
    Missing,
    /// What it says is no name and password.
    Malformed,
    /// The password is longer than 72 bytes.
    TooLong,
    /// There is no such user, or the password is another.
    Wrong,
    /// So many passwords wait to be looked at that this one may not.
    Busy,
    /// It waited too long.
    Late,
}

impl NotVerified {
    /// Its name for logs and metrics: lower case, stable over versions, one for each kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "password-missing",
            Self::Malformed => "password-malformed",
            Self::TooLong => "password-too-long",
            Self::Wrong => "password-wrong",
            Self::Busy => "password-queue-full",
            Self::Late => "password-timeout",
        }
    }
}

impl fmt::Display for NotVerified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no name and password",
            Self::Malformed => "Authorization is malformed or not Basic",
            Self::TooLong => "the password is longer than 72 bytes",
            Self::Wrong => "no such user, or a wrong password",
            Self::Busy => "too many passwords wait to be verified",
            Self::Late => "the password was not verified in time",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::time::{ClockId, clock_gettime};

    /// What other programs made of passwords.
    #[test]
    fn hashes_of_others() {
        let longest = "x".repeat(LONGEST_PASSWORD);
        for (password, hash) in [
            // htpasswd -bnB -C 4
            ("secret", "$2y$04$.Car.WPmgQsf8xjKQczzQet42AF8SN84U./yKh9CqDPINpQbqnMO."),
            // crypt(3), of libxcrypt
            ("s\u{e9}cret", "$2b$04$abcdefghijklmnopqrstuuxgaAVrATsv2cxAkEB3ENsaS.NPyRuGO"),
            ("s\u{e9}cret", "$2a$04$abcdefghijklmnopqrstuuxgaAVrATsv2cxAkEB3ENsaS.NPyRuGO"),
            (&longest, "$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i"),
        ] {
            let passwords = Passwords::parse(format!("alice:{hash}").as_bytes()).unwrap();
            assert!(passwords.verify("alice", password), "{hash}");
            assert!(!passwords.verify("alice", &password[1..]), "{hash}");
        }
    }

    /// "secret", of the least cost.
    fn hash(kind: &str) -> String {
        let parts = bcrypt::hash_with_salt("secret", 4, [7; 16]).unwrap();
        parts.to_string().replace("$2b$", kind)
    }

    #[test]
    fn users_and_their_passwords() {
        let [y, b, a] = ["$2y$", "$2b$", "$2a$"].map(hash);
        let file = format!("# ours\n\nalice:{y}\r\nbob:{b}:a comment\n  \n\u{e9}ve:{a}");
        let passwords = Passwords::parse(file.as_bytes()).unwrap();
        for user in ["alice", "bob", "\u{e9}ve"] {
            assert!(passwords.verify(user, "secret"), "{user}");
            for password in ["", "Secret", "secret ", "secret\0"] {
                assert!(!passwords.verify(user, password), "{user} {password:?}");
            }
        }
        for user in ["", "carol", "Alice", "alice "] {
            assert!(!passwords.verify(user, "secret"), "{user}");
        }
        assert_eq!(format!("{passwords:?}"), "Passwords of 3 users");
    }

    #[test]
    fn what_bcrypt_would_cut_is_not_taken() {
        let longest = "x".repeat(LONGEST_PASSWORD);
        let hash = bcrypt::hash_with_salt(&longest, 4, [7; 16]).unwrap().to_string();
        let passwords = Passwords::parse(format!("a:{hash}").as_bytes()).unwrap();
        assert!(passwords.verify("a", &longest));
        assert!(!passwords.verify("a", &(longest + "y")));
    }

    /// In time of the processor, and each at its fastest, so that a busy machine makes no difference.
    #[test]
    fn unknown_users_cost_as_much_time() {
        let hash = bcrypt::hash_with_salt("secret", 7, [7; 16]).unwrap().to_string();
        let passwords = Passwords::parse(format!("alice:{hash}").as_bytes()).unwrap();
        let spent = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
        let time = |user| {
            let before = spent();
            assert!(!passwords.verify(user, "wrong"));
            spent() - before
        };
        let fastest = |user| (0..8).map(|_| time(user)).min().unwrap();
        let (known, unknown) = (fastest("alice"), fastest("carol"));
        assert!(unknown * 2 > known, "{unknown:?} and {known:?}");
    }

    #[test]
    fn wrong_lines_are_named() {
        let good = hash("$2y$");
        let twice = format!("a:{good}\nb:{good}\na:{good}");
        let cut = format!("a:{}", &good[..59]);
        let dear = format!("a:{}", good.replace("$04$", "$17$"));
        for (file, line, says) in [
            ("", 0, "no user"),
            ("# alice\n", 0, "htpasswd -B"),
            ("alice", 1, "USER:HASH"),
            (":$2y$", 1, "USER:HASH"),
            ("\nalice:secret", 2, "htpasswd -B"),
            ("a:$apr1$salt$hash", 1, "bcrypt"),
            ("a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", 1, "bcrypt"),
            ("a:$2x$04$", 1, "bcrypt"),
            (&twice, 3, "earlier line"),
            (&cut, 1, "bcrypt"),
            (&dear, 1, "cost 17"),
        ] {
            let (at, problem) = Passwords::parse(file.as_bytes()).unwrap_err();
            assert_eq!(at, line, "{file}: {problem}");
            assert!(problem.contains(says), "{file}: {problem}");
        }
        assert_eq!(Passwords::parse(b"a:\xff").unwrap_err(), (1, "is not UTF-8".into()));
    }

    #[test]
    fn what_was_right_is_remembered_for_a_while() {
        let (mut verified, now) = (Verified::default(), Instant::now());
        let proof = verified.proof("alice", "secret");
        assert!(!verified.knows(proof, now));
        verified.remember(proof, now);
        assert!(verified.knows(proof, now + REMEMBERED / 2));
        assert!(!verified.knows(proof, now + REMEMBERED));
        for (user, password) in [("alice", "Secret"), ("alices", "ecret"), ("", "alicesecret")] {
            assert!(!verified.knows(verified.proof(user, password), now), "{user} {password}");
        }
        for number in 0..2 * MOST_REMEMBERED {
            let proof = verified.proof(&number.to_string(), "");
            verified.remember(proof, now + Duration::from_millis(number as u64));
            assert!(verified.until.len() <= MOST_REMEMBERED);
        }
        assert!(!verified.knows(proof, now), "the oldest goes");
        assert_ne!(Verified::default().proof("alice", "secret"), proof, "keyed by chance");
    }
}
