//! Who was refused last, and why: a ring of bounded size.

use std::collections::VecDeque;

use super::json::Object;

/// How many are kept. Each takes a few hundred bytes, and with paths that are all escapes 5 KiB.
const KEPT: usize = 128;

/// A client that was refused, or hung up on.
#[derive(Default)]
pub(super) struct Refused<'a> {
    /// Seconds from 1970.
    pub(super) time: f64,
    pub(super) client: &'a str,
    /// The proxy that it came by, if that is another.
    pub(super) proxy: &'a str,
    pub(super) listener: &'a str,
    /// What it was told; none if it was hung up on.
    pub(super) status: Option<u16>,
    /// The name of the ending.
    pub(super) ending: &'a str,
    pub(super) reason: &'a str,
    pub(super) path: &'a str,
    pub(super) origin: &'a str,
}

/// The last ones, as JSON.
pub(super) struct Refusals {
    recent: VecDeque<String>,
    /// How many there were.
    count: u64,
    is_kept: bool,
}

impl Refusals {
    /// Keeps them if anybody can ask.
    pub(super) fn new(is_kept: bool) -> Self {
        Self { recent: VecDeque::new(), count: 0, is_kept }
    }

    /// Whether anybody can ask.
    pub(super) fn are_kept(&self) -> bool {
        self.is_kept
    }

    /// One more.
    pub(super) fn add(&mut self, refused: &Refused<'_>) {
        if !self.is_kept {
            return;
        }
        let mut out = if self.recent.len() == KEPT {
            self.recent.pop_front().unwrap_or_default()
        } else {
            String::new()
        };
        out.clear();
        let Refused { time, client, proxy, listener, .. } = refused;
        let mut object = Object::begin(&mut out).number("time", format_args!("{time:.3}"));
        object = object.text("client", client).text("proxy", proxy).text("listener", listener);
        if let Some(status) = refused.status {
            object = object.number("status", status);
        }
        let Refused { ending, reason, path, origin, .. } = refused;
        object
            .text("ending", ending)
            .text("reason", reason)
            .text("path", path)
            .text("origin", origin)
            .end();
        self.recent.push_back(out);
        self.count += 1;
    }

    /// All that are kept, the oldest first.
    pub(super) fn all(&self) -> Vec<String> {
        self.recent.iter().cloned().collect()
    }

    /// Those from number `from` on, each on a line, up to one more than `most` bytes; and where the
    /// next ones begin, if there are more.
    pub(super) fn part(&self, from: u64, most: usize) -> (String, Option<u64>) {
        let first = self.count - self.recent.len() as u64;
        let passed = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut out = String::new();
        for (at, one) in self.recent.iter().enumerate().skip(passed) {
            if out.len() > most {
                return (out, Some(first + at as u64));
            }
            out.push_str(one);
            out.push('\n');
        }
        (out, None)
    }
}

/// The last ones of those of several workers, as a JSON array, the oldest first.
pub(super) fn latest(mut all: Vec<String>) -> String {
    let time = |one: &String| -> f64 {
        let text = one.strip_prefix("{\"time\":").and_then(|rest| rest.split(',').next());
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    all.sort_by(|one, other| time(one).total_cmp(&time(other)));
    let before = all.len().saturating_sub(KEPT);
    format!("[{}]\n", all.get(before..).unwrap_or_default().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(time: f64) -> Refused<'static> {
        Refused { time, ending: "denied", ..Refused::default() }
    }

    #[test]
    fn the_last_ones_are_kept_and_no_more() {
        let mut refusals = Refusals::new(true);
        (0..KEPT + 3).for_each(|n| refusals.add(&refused(n as f64)));
        assert_eq!(refusals.recent.len(), KEPT);
        let text = latest(refusals.all());
        assert!(text.starts_with("[{\"time\":3.000,\"ending\":\"denied\"},"), "{text}");
        let told = Refused { status: Some(403), reason: "a \"b\"", ..refused(999.0) };
        refusals.add(&told);
        let last = "\"status\":403,\"ending\":\"denied\",\"reason\":\"a \\\"b\\\"\"}]\n";
        let text = latest(refusals.all());
        assert!(text.ends_with(last), "{text}");
        let mut nobody_asks = Refusals::new(false);
        nobody_asks.add(&told);
        assert_eq!(latest(nobody_asks.all()), "[]\n");
    }

    #[test]
    fn those_of_several_are_in_the_order_of_time_and_no_more_than_one_has() {
        let mut refusals = [Refusals::new(true), Refusals::new(true)];
        (0..2 * KEPT).for_each(|n| refusals[n % 2].add(&refused(n as f64)));
        let text = latest(refusals.iter().flat_map(Refusals::all).collect());
        let expected: Vec<_> = (KEPT..2 * KEPT)
            .map(|n| format!("{{\"time\":{n}.000,\"ending\":\"denied\"}}"))
            .collect();
        assert_eq!(text, format!("[{}]\n", expected.join(",")));
    }

    /// Part by part they are the same as at once, though some are gone meanwhile.
    #[test]
    fn they_can_be_had_in_parts() {
        let mut refusals = Refusals::new(true);
        (0..KEPT + 10).for_each(|n| refusals.add(&refused(n as f64)));
        let (mut all, mut from, mut parts) = (String::new(), Some(0), 0);
        while let Some(begin) = from {
            let (part, next) = refusals.part(begin, 1000);
            all.push_str(&part);
            (from, parts) = (next, parts + 1);
        }
        assert_eq!(all.lines().collect::<Vec<_>>(), refusals.all());
        assert!(parts > 3, "{parts}");
        assert_eq!(refusals.part(KEPT as u64 + 10, 1000), (String::new(), None));
        assert_eq!(refusals.part(u64::MAX, 1000), (String::new(), None));
    }
}
