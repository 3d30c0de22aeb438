//! The back end `file`: which line is taken, and where an expression leads.

use super::script::Script;
use backend_file::{lines, template::Template};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use websocksy_plugin::{Client, Peer};

/// Input: a line of subprotocols, separated by spaces, and a file.
pub fn file_lines(input: &[u8]) {
    let mut script = Script::new(input);
    let offered = script.line().split(|&byte| byte == b' ').filter(|name| !name.is_empty());
    let offered: Vec<&[u8]> = offered.collect();
    let text = script.rest();

    let reported = RefCell::new(Vec::new());
    let report = |number, reason: String| {
        assert!(!reason.chars().any(char::is_control), "{reason:?}");
        reported.borrow_mut().push(number);
    };
    let found = lines::select(text, &offered, known, |_| Ok(()), report);
    let (expected, faulty) = expected(text, &offered);
    assert_eq!(found, expected);
    assert_eq!(reported.into_inner(), faulty);
}

fn known(framing: &[u8]) -> bool {
    matches!(framing, b"auto" | b"binary" | b"separator")
}

/// The peer as the manual has it, and the lines before it that fit but cannot be used.
fn expected(text: &[u8], offered: &[&[u8]]) -> (Option<Peer>, Vec<usize>) {
    let mut faulty = Vec::new();
    for (line, number) in text.split(|&byte| byte == b'\n').zip(1..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let mut words = line.split(is_blank).filter(|word| !word.is_empty()).peekable();
        let Some(address) = words.next().filter(|word| word[0] != b'#') else { continue };
        let send_proxy = words.next_if(|word| word.starts_with(b"send-proxy="));
        let protocol = words.next();
        let agreed =
            offered.iter().position(|name| protocol == Some(*name) || protocol == Some(b"*"));
        if agreed.is_none() && !offered.is_empty() {
            continue;
        }
        let framing = words.next();
        // The configuration is the rest of the line, with the blanks inside it.
        let config = words.next().map(|word| {
            let start = word.as_ptr() as usize - line.as_ptr() as usize;
            let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
            &line[start..end]
        });
        let zero = [address, config.unwrap_or_default()].concat().contains(&0);
        let version = send_proxy.map(|option| match option {
            b"send-proxy=no" => Some(0),
            b"send-proxy=v1" => Some(1),
            b"send-proxy=v2" => Some(2),
            _ => None,
        });
        if zero || version == Some(None) || framing.is_some_and(|name| !known(name)) {
            faulty.push(number);
            continue;
        }
        let peer = agreed.into_iter().fold(Peer::new(address), Peer::protocol);
        let peer = version.flatten().into_iter().fold(peer, Peer::send_proxy);
        let peer = framing.into_iter().fold(peer, Peer::framing);
        return (Some(config.into_iter().fold(peer, Peer::framing_config)), faulty);
    }
    (None, faulty)
}

/// Input: a line with an expression, a line with an endpoint, and header fields, a line each.
pub fn file_template(input: &[u8]) {
    let mut script = Script::new(input);
    let Ok(expression) = str::from_utf8(script.line()) else { return };
    let endpoint = script.line();
    let fields = script.rest().split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    });
    let fields: Vec<(&[u8], &[u8])> = fields.collect();

    let template: Template = match expression.parse() {
        Ok(template) => template,
        Err(reason) => return assert!(!reason.chars().any(char::is_control), "{reason:?}"),
    };
    if let Some(path) = template.expand(&Client::new(endpoint, &[], &fields)) {
        check_path(&path, expression);
    }
}

/// Below the base, and as deep below it as the expression says: no value is a way to somewhere.
fn check_path(path: &Path, expression: &str) {
    assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
    assert!(!path.as_os_str().as_bytes().contains(&0));
    let names = |text: &OsStr| {
        text.as_bytes().split(|&byte| byte == b'/').filter(|name| !name.is_empty()).count()
    };
    // Between two '%' there may be a slash in a name of a cookie or a field.
    let literal: String = expression.split('%').step_by(2).collect::<Vec<_>>().join("%");
    assert_eq!(names(path.as_os_str()), names(OsStr::new(&literal)), "{path:?}");
    assert!(Path::new("/base").join(path).starts_with("/base"));
}
