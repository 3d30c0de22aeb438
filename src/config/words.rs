//! The words behind an address to listen on.

use super::nearest::nearest;
use super::tls::WITHOUT;
use crate::logging::Escaped;

/// What the words say of a listener and its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenWords {
    /// Whether clients speak TLS.
    pub tls: bool,
    /// The permissions of a Unix socket; none for what the umask leaves.
    pub mode: Option<u32>,
    /// The owner of a Unix socket, a name or a number; none for this process's.
    pub user: Option<String>,
    /// The group of a Unix socket, a name or a number; none for this process's.
    pub group: Option<String>,
    /// Whether its clients are a proxy's, which says of each who it is in a PROXY header.
    pub proxy_protocol: bool,
}

/// A word, and what it does.
struct Word {
    name: &'static str,
    /// What its value is called.
    hint: &'static str,
    /// Whether it is for Unix sockets only.
    unix_only: bool,
    /// Takes the value in, or says what is wrong with it.
    set: fn(&mut ListenWords, &str) -> Result<(), String>,
}

/// Every word. One without a hint stands alone, the others are `NAME=VALUE`.
const WORDS: &[Word] = &[
    Word { name: "tls", hint: "", unix_only: false, set: |w, _| tls(w) },
    Word { name: "mode", hint: "OCTAL", unix_only: true, set: |w, value| mode(w, value) },
    Word { name: "user", hint: "NAME", unix_only: true, set: |w, v| name(&mut w.user, v) },
    Word { name: "group", hint: "NAME", unix_only: true, set: |w, v| name(&mut w.group, v) },
    Word { name: PROXY_PROTOCOL, hint: "", unix_only: false, set: |w, _| proxied(w) },
];

/// The word for a listener whose clients are a proxy's.
pub(super) const PROXY_PROTOCOL: &str = "proxy-protocol";

/// Whether this is a word for a listener, with its value if it has one.
pub(super) fn is_word(text: &str) -> bool {
    let (name, value) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v)));
    WORDS.iter().any(|word| word.name == name && word.hint.is_empty() == value.is_none())
}

/// Reads the words behind an address, which is a Unix socket's or another.
///
/// # Errors
/// The first that is wrong, and what would be right.
pub(super) fn read<'a>(
    texts: impl Iterator<Item = &'a str>,
    is_unix: bool,
) -> Result<ListenWords, String> {
    let mut words = ListenWords::default();
    let mut seen = Vec::new();
    for text in texts {
        let (name, value) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v)));
        let word = WORDS.iter().find(|word| word.name == name).ok_or_else(|| unknown(text))?;
        let wrong = |problem: &str| format!("'{}' {problem}", Escaped(text));
        if seen.contains(&name) {
            return Err(wrong("is its second value"));
        }
        seen.push(name);
        if word.unix_only && !is_unix {
            return Err(wrong("is for unix:/PATH only"));
        }
        match value {
            None if !word.hint.is_empty() => return Err(wrong(&format!("needs ={}", word.hint))),
            Some(_) if word.hint.is_empty() => return Err(wrong("takes no value")),
            value => (word.set)(&mut words, value.unwrap_or_default()).map_err(|p| wrong(&p))?,
        }
    }
    Ok(words)
}

fn unknown(text: &str) -> String {
    let name = text.split('=').next().unwrap_or_default();
    let near = nearest(name, WORDS.iter().map(|word| word.name));
    let near = near.map_or_else(String::new, |near| format!(" (is it {near}?)"));
    let form = |word: &Word| match word.hint {
        "" => word.name.to_owned(),
        hint => format!("{}={hint}", word.name),
    };
    let all = WORDS.iter().map(form).collect::<Vec<_>>().join(", ");
    format!("'{}' is not a word for a listener{near}; they are {all}", Escaped(text))
}

fn tls(words: &mut ListenWords) -> Result<(), String> {
    words.tls = cfg!(feature = "tls");
    if words.tls { Ok(()) } else { Err(WITHOUT.into()) }
}

fn mode(words: &mut ListenWords, value: &str) -> Result<(), String> {
    let digits = (3..=4).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    let mode = u32::from_str_radix(value, 8).ok().filter(|mode| digits && *mode <= 0o777);
    words.mode = Some(mode.ok_or("is not three octal digits, such as 0660")?);
    Ok(())
}

fn proxied(words: &mut ListenWords) -> Result<(), String> {
    words.proxy_protocol = true;
    Ok(())
}

fn name(field: &mut Option<String>, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("needs a name or a number".into());
    }
    *field = Some(value.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<ListenWords, String> {
        read(text.split_ascii_whitespace(), true)
    }

    #[test]
    fn words_say_what_a_unix_socket_is_like() {
        let expected = ListenWords {
            tls: false,
            mode: Some(0o660),
            user: Some("33".into()),
            group: Some("www-data".into()),
            proxy_protocol: true,
        };
        assert_eq!(of("mode=0660 user=33 proxy-protocol group=www-data"), Ok(expected));
        assert_eq!(of("mode=777").unwrap().mode, Some(0o777));
        assert_eq!(of(""), Ok(ListenWords::default()));
    }

    #[test]
    fn wrong_words_are_named_with_what_would_be_right() {
        for (text, says) in [
            ("modes=0660", "'modes=0660' is not a word for a listener (is it mode?); they are "),
            ("frob", "'frob' is not a word for a listener; they are tls, mode=OCTAL, "),
            ("mode", "'mode' needs =OCTAL"),
            ("mode=", "'mode=' is not three octal digits, such as 0660"),
            ("mode=66", "octal"),
            ("mode=0888", "octal"),
            ("mode=4755", "octal"),
            ("mode=+66", "octal"),
            ("user=", "'user=' needs a name or a number"),
            ("group=a group=b", "'group=b' is its second value"),
            ("=0660", "'=0660' is not a word"),
            (
                "proxy_protocol",
                "'proxy_protocol' is not a word for a listener (is it proxy-protocol?)",
            ),
            ("proxy-protocol=v2", "'proxy-protocol=v2' takes no value"),
        ] {
            let problem = of(text).unwrap_err();
            assert!(problem.contains(says), "{text}: {problem}");
        }
        let problem = read(["mode=0660"].into_iter(), false).unwrap_err();
        assert_eq!(problem, "'mode=0660' is for unix:/PATH only");
    }

    #[test]
    fn tls_is_for_all_and_needs_its_feature() {
        let words = [true, false].map(|is_unix| read(["tls"].into_iter(), is_unix));
        let expected = match cfg!(feature = "tls") {
            true => Ok(ListenWords { tls: true, ..ListenWords::default() }),
            false => Err("'tls' is not possible: this binary was built without TLS".into()),
        };
        assert_eq!(words, [expected.clone(), expected]);
        assert_eq!(of("tls=1.3").unwrap_err(), "'tls=1.3' takes no value");
    }
}
