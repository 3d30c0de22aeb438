//! Texts that no line may have.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::escape::{Json, OneLine};

/// The most of them.
const MOST: usize = 64;
/// What stands in their place.
pub(crate) const MASK: &str = "***";

/// Each secret in the forms in which lines may have it, the longest first.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());
/// Whether there are any: most daemons have none, and look no further.
static ANY: AtomicBool = AtomicBool::new(false);

/// From now on no line has this text; returns whether there is room for it.
pub fn conceal(secret: &str) -> bool {
    let mut json = String::new();
    let _ = write!(Json(&mut json), "{secret}"); // writing to a string does not fail
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if secrets.len() >= MOST && !secrets.iter().any(|known| known == secret) {
        return false;
    }
    for form in [secret.to_owned(), OneLine(secret).to_string(), json] {
        if !secrets.contains(&form) {
            secrets.push(form);
        }
    }
    secrets.sort_by_key(|form| std::cmp::Reverse(form.len()));
    ANY.store(true, Ordering::Release);
    true
}

/// A text without the secrets that may be in it.
#[must_use]
pub fn concealed(mut text: String) -> String {
    if ANY.load(Ordering::Acquire) {
        for secret in SECRETS.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if text.contains(secret) {
                text = text.replace(secret, MASK);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_in_no_line() {
        assert!(conceal("hunter\"2\n") && conceal("hunter\"2\n"));
        for (line, shown) in [
            ("of hunter", "of hunter"),
            ("a hunter\"2\n b", "a *** b"),
            ("a hunter\"2\\x0a b", "a *** b"),
            ("a hunter\\\"2\\u000a b", "a *** b"),
        ] {
            assert_eq!(concealed(line.into()), shown);
        }
    }
}
