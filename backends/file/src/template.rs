//! Expressions: names of files with variables in them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::str::FromStr;
use websocksy_plugin::Client;

/// What an error says would be right.
const VARIABLES: &str = "there are %endpoint%, %query:NAME%, %cookie:NAME%, %header:NAME%, \
    %client:address% and %user%";

/// An expression such as `users/%cookie:session%.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Endpoint,
    Cookie(Vec<u8>),
    Header(Vec<u8>),
    Query(Vec<u8>),
    Address,
    User,
}

impl FromStr for Template {
    type Err = String;

    /// Reads an expression; what stands between two `%` is a variable, and `%%` is a `%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let pieces: Vec<&str> = text.split('%').collect();
        if pieces.len().is_multiple_of(2) {
            return Err(format!("a '%' without its end in {text:?}; {VARIABLES}"));
        }
        let parts = pieces.iter().enumerate().map(|(index, piece)| match index % 2 {
            0 => Ok(Part::Literal(piece.as_bytes().to_vec())),
            _ => variable(piece),
        });
        let template = Self(parts.collect::<Result<_, _>>()?);
        // Any value will do here that is a name itself.
        match template.fill(|_| Some(b"value".to_vec())) {
            Some(_) => Ok(template),
            None => Err(format!("{text:?} names no file below the path")),
        }
    }
}

fn variable(name: &str) -> Result<Part, String> {
    match name.split_once(':') {
        None if name.is_empty() => Ok(Part::Literal(b"%".to_vec())),
        None if name == "endpoint" => Ok(Part::Endpoint),
        Some(("cookie", name)) if !name.is_empty() => Ok(Part::Cookie(name.into())),
        Some(("header", name)) if !name.is_empty() => Ok(Part::Header(name.into())),
        Some(("query", name)) if !name.is_empty() => Ok(Part::Query(name.into())),
        Some(("client", "address")) => Ok(Part::Address),
        None if name == "user" => Ok(Part::User),
        _ => Err(format!("unknown variable %{}%; {VARIABLES}", name.escape_debug())),
    }
}

impl Template {
    /// The file's path for a client, relative to the base path; none when a variable is missing or
    /// empty, or when its value would be more than part of a file's name.
    pub fn expand(&self, client: &Client<'_>) -> Option<PathBuf> {
        self.fill(|part| match part {
            Part::Literal(_) => None,
            Part::Endpoint => Some(path_of(client.endpoint()).to_vec()),
            Part::Cookie(name) => client.cookie(name).map(<[u8]>::to_vec),
            Part::Header(name) => client.header(name).map(<[u8]>::to_vec),
            Part::Query(name) => client.parameter(name),
            Part::Address => client.property("address").map(<[u8]>::to_vec),
            Part::User => client.property("user").map(<[u8]>::to_vec),
        })
    }

    fn fill(&self, value: impl Fn(&Part) -> Option<Vec<u8>>) -> Option<PathBuf> {
        let mut filled = Vec::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => filled.extend_from_slice(text),
                _ => filled.extend(value(part).filter(|value| !value.is_empty()).map(name)?),
            }
        }
        below(&filled)
    }
}

/// The path of a request target, without the slashes around it.
fn path_of(target: &[u8]) -> &[u8] {
    let mut path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    while let [b'/', rest @ ..] | [rest @ .., b'/'] = path {
        path = rest;
    }
    path
}

/// A value without a slash: part of a name, never a way to somewhere.
fn name(mut value: Vec<u8>) -> Vec<u8> {
    value.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b'_');
    value
}

/// A path with at least one name, and nothing but names, in it.
fn below(path: &[u8]) -> Option<PathBuf> {
    let mut names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).peekable();
    names.peek()?;
    let is_name = |name: &&[u8]| !matches!(*name, b"." | b"..") && !name.contains(&0);
    names.map(|name| is_name(&name).then(|| OsString::from_vec(name.to_vec()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(expression: &str, endpoint: &[u8], headers: &[(&[u8], &[u8])]) -> Option<PathBuf> {
        let template: Template = expression.parse().expect("an expression");
        template.expand(&Client::new(endpoint, &[], headers))
    }

    #[test]
    fn expressions_that_are_refused() {
        let cases = [
            ("", "names no file"),
            ("/", "names no file"),
            (".", "names no file"),
            ("../x", "names no file"),
            ("x/../y", "names no file"),
            ("x/./%endpoint%", "names no file"),
            ("a\0b", "names no file"),
            ("%", "without its end"),
            ("100%.txt", "without its end"),
            ("%endpoint", "without its end"),
            ("%endpoint%%", "without its end"),
            ("%cookie:x", "without its end"),
            ("%unknown%", "unknown variable %unknown%"),
            ("%Endpoint%", "unknown variable"),
            ("%cookie%", "unknown variable"),
            ("%cookie:%", "unknown variable"),
            ("%header:%", "unknown variable"),
            ("%query:%", "unknown variable"),
            ("%client:port%", "unknown variable"),
            ("%client%", "unknown variable"),
            ("%user:x%", "unknown variable"),
            ("%\x1b[2J%", "unknown variable %\\u{1b}[2J%"),
        ];
        for (expression, reason) in cases {
            let error = expression.parse::<Template>().expect_err(expression);
            assert!(error.contains(reason), "{expression}: {error}");
        }
    }

    #[test]
    fn s6_endpoints_without_their_query() {
        let cases: [(&[u8], Option<&str>); 14] = [
            (b"/", None),
            (b"", None),
            (b"/x", Some("d/x.t")),
            (b"//x//", Some("d/x.t")),
            (b"/a/b/c/", Some("d/a_b_c.t")),
            (b"/x?token=/1", Some("d/x.t")),
            (b"/?x", None),
            (b"/../../etc/passwd", Some("d/.._.._etc_passwd.t")),
            (b"/%2e%2e/x", Some("d/%2e%2e_x.t")),
            (b"/a%00b", Some("d/a%00b.t")),
            (b"/..", Some("d/...t")),
            (b"/.", Some("d/..t")),
            (b"/%endpoint%", Some("d/%endpoint%.t")),
            (b"/%cookie:a%", Some("d/%cookie:a%.t")),
        ];
        for (endpoint, path) in cases {
            let expanded = expand("d/%endpoint%.t", endpoint, &[]);
            assert_eq!(expanded, path.map(PathBuf::from), "{}", endpoint.escape_ascii());
        }
    }

    #[test]
    fn parameters_of_the_query() {
        let cases: [(&[u8], Option<&str>); 16] = [
            (b"/", None),
            (b"/?", None),
            (b"/?token", None),
            (b"/?token=", None),
            (b"/?token=a", Some("a")),
            (b"/x/y?a=1&token=b&token=c", Some("b")),
            (b"/?a=token=1&to%6ben=%41+b%2Bc", Some("A b+c")),
            (b"/?token=a=b?c", Some("a=b?c")),
            (b"/?token=%2e%2e", None),
            (b"/?token=%2e%2e%2fetc%2Fpasswd", Some(".._etc_passwd")),
            (b"/?token=a%00b", None),
            (b"/?token=%", Some("%")),
            (b"/?token=%4", Some("%4")),
            (b"/?token=%+1%zz%41", Some("% 1%zzA")),
            (b"/?Token=a", None),
            (b"/token=a", None),
        ];
        for (endpoint, path) in cases {
            let expanded = expand("%query:token%", endpoint, &[]);
            assert_eq!(expanded, path.map(PathBuf::from), "{}", endpoint.escape_ascii());
        }
    }

    #[test]
    fn who_the_client_is() {
        let template: Template = "%user%/%client:address%".parse().expect("an expression");
        let client = Client::new(b"/", &[], &[]).with_property(c"address", b"2001:db8::1");
        assert_eq!(template.expand(&client), None, "nobody was asked");
        let client = client.with_property(c"user", b"a/b");
        assert_eq!(template.expand(&client), Some("a_b/2001:db8::1".into()));
    }

    #[test]
    fn values_that_are_no_names() {
        for value in [".", "..", ""] {
            let headers: [(&[u8], &[u8]); 1] = [(b"A", value.as_bytes())];
            for expression in ["%header:a%", "d/%header:a%", "%header:a%/f", "d/%header:a%/f"] {
                assert_eq!(expand(expression, b"/", &headers), None, "{expression} {value:?}");
            }
        }
        let dot: [(&[u8], &[u8]); 1] = [(b"A", b".")];
        assert_eq!(expand("%header:a%%header:a%/f", b"/", &dot), None, "two dots make a name");
        assert_eq!(expand(".%header:a%", b"/", &dot), None);
    }

    #[test]
    fn variables() {
        let headers: [(&[u8], &[u8]); 3] =
            [(b"X-A", b"1/2"), (b"coOkie", b"a=3; b=.hidden"), (b"X-a", b"9")];
        let cases = [
            ("plain.txt", Some("plain.txt")),
            ("/a//b/", Some("a/b")),
            ("100%%", Some("100%")),
            ("%header:x-a%", Some("1_2")),
            ("%header:X-A%%cookie:a%", Some("1_23")),
            ("%cookie:b%/%endpoint%", Some(".hidden/e")),
            ("%cookie:B%", None),
            ("%header:x%", None),
            ("x%header:x%", None),
            ("%%endpoint%%", Some("%endpoint%")),
        ];
        for (expression, path) in cases {
            let expanded = expand(expression, b"/e", &headers);
            assert_eq!(expanded, path.map(PathBuf::from), "{expression}");
        }
    }
}
