//! What the operator wrote for the back end: is it for the one that is loaded?

use super::{BackendStep, Config, ConfigError, PlacedStep};
use crate::backend;

/// Whether the built-in back end has a key of this name.
pub(super) fn is_builtin_key(key: &str) -> bool {
    backend::KEYS.iter().any(|known| known.name == key)
}

/// The key of the built-in back end that may be repeated: all its values count.
const REPEATED: &str = "host";

/// Whether all values of this key count, and not one of them.
pub(super) fn may_repeat(key: &str) -> bool {
    key == REPEATED
}

/// Joins the steps of the file and of the command line, which wins.
///
/// # Errors
/// A step that nobody would look at, or one that undoes another.
pub(super) fn join(
    config: &mut Config,
    file: Vec<PlacedStep>,
    flags: Vec<PlacedStep>,
    twice: Option<ConfigError>,
) -> Result<(), ConfigError> {
    let load = flags.iter().position(is_load);
    let mut before = match load {
        // The file's back end is not the one that is loaded, and neither are its keys.
        Some(_) if file.iter().any(is_load) => &[],
        Some(_) => &file[..],
        None => &[],
    }
    .iter()
    .chain(&flags[..load.unwrap_or_default()]);
    if let Some(step) = before.next() {
        let problem = "is for the built-in back end, and --backend loads another one: write it \
                       behind --backend, or leave it out";
        return Err(ConfigError::new(step.origin.clone(), problem));
    }
    let is_builtin = load.is_none() && !file.iter().any(is_load);
    if let Some(error) = twice.or_else(|| set_twice(&flags)).filter(|_| is_builtin) {
        return Err(error);
    }
    if load.is_none() {
        // What the command line says of it is instead of what the file says, not beside it.
        let repeats = |placed: &PlacedStep| sets(placed, REPEATED);
        let is_instead = is_builtin && flags.iter().any(repeats);
        config.backend.extend(file.into_iter().filter(|step| !(is_instead && repeats(step))));
    }
    config.backend.extend(flags);
    Ok(())
}

fn sets(placed: &PlacedStep, key: &str) -> bool {
    matches!(&placed.step, BackendStep::Configure(own, _) if own == key)
}

fn is_load(placed: &PlacedStep) -> bool {
    matches!(placed.step, BackendStep::Load(_))
}

/// The built-in back end has one value for each key but one: the second would undo the first.
fn set_twice(steps: &[PlacedStep]) -> Option<ConfigError> {
    let mut seen = Vec::new();
    for PlacedStep { step, origin } in steps {
        let BackendStep::Configure(key, _) = step else { continue };
        if seen.contains(&key) && !may_repeat(key) {
            return Some(ConfigError::new(origin.clone(), "is given twice"));
        }
        seen.push(key);
    }
    None
}

/// A value as it stands in the file has no comment behind it, which would be a part of it.
///
/// # Errors
/// It has, in words.
pub(super) fn no_comment(value: &str) -> Result<(), String> {
    no_comment_of(&['#', ';'], value)
}

/// As [`no_comment`], with these marks.
///
/// # Errors
/// As there.
pub(super) fn no_comment_of(marks: &[char], value: &str) -> Result<(), String> {
    let mut marks = value.char_indices().filter(|(_, c)| marks.contains(c));
    let behind_blank =
        |(at, _): &(usize, char)| value.get(..*at).is_some_and(|text| text.ends_with([' ', '\t']));
    match marks.find(behind_blank) {
        None => Ok(()),
        Some((_, mark)) => {
            Err(format!("'{mark}' is a part of the value: a comment has a line of its own"))
        }
    }
}

/// Nor quotes around it.
///
/// # Errors
/// It has, in words.
pub(super) fn no_quotes(value: &str) -> Result<(), String> {
    let quoted = |mark| value.len() > 1 && value.starts_with(mark) && value.ends_with(mark);
    if quoted('"') || quoted('\'') {
        return Err("the quotes are a part of the value: leave them out".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o03_comments_behind_a_value() {
        for (value, mark) in [
            ("8001 # ours", Some('#')),
            ("newline ; lines", Some(';')),
            ("tcp://localhost\t#VNC", Some('#')),
            ("#", None),
            (";", None),
            ("unix:///run/a#b", None),
            ("a;b", None),
            ("", None),
        ] {
            match (no_comment(value), mark) {
                (Ok(()), None) => {}
                (Err(problem), Some(mark)) => assert!(problem.contains(mark), "{value}"),
                (judged, _) => panic!("{value}: {judged:?}"),
            }
        }
    }

    #[test]
    fn o03_quotes_around_a_value() {
        for (value, expected) in [
            ("\"tcp://localhost\"", true),
            ("'newline'", true),
            ("\"", false),
            ("'a\"", false),
            ("a'", false),
            ("", false),
        ] {
            assert_eq!(no_quotes(value).is_err(), expected, "{value}");
        }
    }
}
