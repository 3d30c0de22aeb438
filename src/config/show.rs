//! What a configuration means, in the words of a file that means the same.

use std::fmt::Write as _;

use super::setting::Setting;
use super::{BackendStep, Config, Origin, PlacedStep, options, steps};
use crate::logging::Escaped;

/// A value as it was written.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// Options that mean something in their order: they are shown where the first of them stands, those
/// of flags before those of the file or behind them.
const LISTS: [(&str, &str); 2] = [("allow", "deny"), ("tls-cert", "tls-key")];

/// What the names of secrets' keys contain.
const SECRETS: [&str; 4] = ["pass", "secret", "token", "key"];

/// The text: `file` and `flags` are what was written in either, and `config` what came of it.
pub(super) fn text(config: &Config, file: &[Written], flags: &[Written]) -> String {
    let mut text = String::from("[core]\n");
    for opt in options::all() {
        let Some(setting) = opt.setting.as_ref().filter(|setting| setting.is_core_key()) else {
            continue;
        };
        if LISTS.iter().any(|(_, second)| *second == opt.long) {
            continue;
        }
        let effective = match setting {
            Setting::Backend => loads(config),
            _ => effective(opt.long, setting, file, flags),
        };
        for Written { name, value, origin } in &effective {
            line(&mut text, name, value, origin);
        }
        if effective.is_empty() {
            let _ = match default(setting) {
                Some(value) => writeln!(text, "# default: {} = {value}", opt.long),
                None => writeln!(text, "# not set: {}", opt.long),
            };
        }
    }
    text.push_str("\n[backend]\n");
    let last = config.backend.iter().rposition(is_load).map_or(0, |at| at + 1);
    for PlacedStep { step, origin } in config.backend.iter().skip(last) {
        if let BackendStep::Configure(key, value) = step {
            line(&mut text, key, value, origin);
        }
    }
    text
}

fn is_load(placed: &PlacedStep) -> bool {
    matches!(placed.step, BackendStep::Load(_))
}

/// The back end that answers; those that are loaded before it have no part in that.
fn loads(config: &Config) -> Vec<Written> {
    let last = config.backend.iter().rev().find_map(|placed| match &placed.step {
        BackendStep::Load(name) => Some((name, &placed.origin)),
        BackendStep::Configure(..) => None,
    });
    let written = |(name, origin): (&String, &Origin)| Written {
        name: "backend",
        value: name.clone(),
        origin: origin.clone(),
    };
    last.map(written).into_iter().collect()
}

/// What counts of what was written for an option, in its order.
fn effective(name: &str, setting: &Setting, file: &[Written], flags: &[Written]) -> Vec<Written> {
    let second = LISTS.iter().find(|(first, _)| *first == name).map(|(_, second)| *second);
    let is_of_list = |written: &&Written| written.name == name || Some(written.name) == second;
    let [file, flags] =
        [file, flags].map(|all| all.iter().filter(is_of_list).cloned().collect::<Vec<Written>>());
    let replaces = flags.iter().any(|written| written.name == name);
    match setting {
        Setting::Access(_) => [flags, file].concat(),
        _ if second.is_some() && !replaces => [file, flags].concat(),
        _ if setting.repeats() && flags.is_empty() => file,
        _ if setting.repeats() => flags,
        _ => flags.into_iter().chain(file).next().into_iter().collect(),
    }
}

/// The default as it would be written.
fn default(setting: &Setting) -> Option<String> {
    match setting {
        Setting::Switch(_) => Some("no".into()),
        // Behind some the help says more.
        _ => setting.default_value().map(|value| {
            let value = value.split([',', ';']).next().unwrap_or_default();
            value.trim_end().to_owned()
        }),
    }
}

/// Where it was written, and the line.
fn line(text: &mut String, name: &str, value: &str, origin: &Origin) {
    let origin = origin.to_string();
    let place = origin.strip_suffix(name).and_then(|place| place.strip_suffix(": "));
    let place = place.unwrap_or(&origin);
    let _ = if is_secret(name, value) {
        writeln!(text, "# {place}; a secret, which is not shown\n# {name} = ***")
    } else if can_be_written(value) {
        writeln!(text, "# {place}\n{name} = {value}")
    } else {
        writeln!(text, "# {place}; a file cannot say this\n# {name} = {}", Escaped(value))
    };
}

/// Whether it may be a secret: its key says so, or it is a URI with a password (RFC 3986 §3.2.1).
fn is_secret(name: &str, value: &str) -> bool {
    // Those of [core] name files.
    if options::all().any(|opt| opt.long == name) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let userinfo = value.split_once("://").and_then(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next()?;
        authority.rsplit_once('@')
    });
    SECRETS.iter().any(|word| name.contains(word))
        || userinfo.is_some_and(|(user, _)| user.contains(':'))
}

/// Whether a file's line can have this value.
fn can_be_written(value: &str) -> bool {
    value.trim_ascii() == value
        && !value.contains(char::is_control)
        && steps::no_comment(value).is_ok()
        && steps::no_quotes(value).is_ok()
}
