//! What somebody may have meant.

/// The most letters that a slip of the finger changes.
const SLIPS: usize = 2;

/// The name that is written almost like `written`, if there is one.
pub(super) fn nearest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_ascii_lowercase().replace('_', "-");
    let near = names.into_iter().map(|name| (distance(&written, name), name));
    // A short name is near to anything.
    let near = near.filter(|(distance, name)| *distance <= SLIPS && distance * 2 <= name.len());
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many letters have to be put in, left out or replaced (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.bytes().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (left, same) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(same != letter);
            diagonal = row[left + 1];
            row[left + 1] = replaced.min(row[left] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        for (written, expected) in [
            ("port", Some("port")),
            ("prot", Some("port")),
            ("Port", Some("port")),
            ("max-connection", Some("max-connections")),
            ("max_connections", Some("max-connections")),
            ("pi", Some("ping")),
            ("x", None),
            ("", None),
            ("frobnicate", None),
        ] {
            let names = ["port", "ping", "max-connections"];
            assert_eq!(nearest(written, names), expected, "{written}");
        }
    }

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
