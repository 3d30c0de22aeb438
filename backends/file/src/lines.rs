//! Lines of `peer [send-proxy=VERSION] subprotocol [framing [framing-config]]`.

use websocksy_plugin::Peer;

/// A line that names a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line<'a> {
    address: &'a [u8],
    /// The value of the option `send-proxy`.
    send_proxy: Option<&'a [u8]>,
    /// A subprotocol, `*` for whichever is offered first, or none.
    protocol: Option<&'a [u8]>,
    framing: Option<&'a [u8]>,
    config: Option<&'a [u8]>,
}

/// The peer in the first line that fits a client who offered `protocols`.
///
/// `known` says whether a framing of that name exists, `check` whether a peer will do. A line that fits
/// but cannot be used is given to `report`, with its number from 1, and passed over.
pub fn select(
    text: &[u8],
    protocols: &[&[u8]],
    known: impl Fn(&[u8]) -> bool,
    check: impl Fn(&Peer) -> Result<(), String>,
    report: impl Fn(usize, String),
) -> Option<Peer> {
    let lines = text.split(|&byte| byte == b'\n').zip(1..);
    let lines = lines.filter_map(|(line, number)| Some((parse(line)?, number)));
    let mut fitting =
        lines.filter_map(|(line, number)| Some((line, number, line.fits(protocols)?)));
    fitting.find_map(|(line, number, agreed)| {
        let peer = line.peer(agreed);
        match check(&peer).err().or_else(|| line.fault(&known)) {
            Some(reason) => {
                report(number, reason);
                None
            }
            None => Some(peer),
        }
    })
}

/// The fields of a line; none for an empty one and for a comment.
fn parse(line: &[u8]) -> Option<Line<'_>> {
    let (address, rest) = field(line.strip_suffix(b"\r").unwrap_or(line))?;
    if address.starts_with(b"#") {
        return None;
    }
    // No subprotocol has such a name: `=` is no character of a token (RFC 9110 §5.6.2).
    let option =
        field(rest).and_then(|(option, rest)| Some((option.strip_prefix(SEND_PROXY)?, rest)));
    let (send_proxy, rest) = option.map_or((None, rest), |(value, rest)| (Some(value), rest));
    let (protocol, rest) = field(rest).unzip();
    let (framing, rest) = rest.and_then(field).unzip();
    let config = rest.map(trimmed).filter(|config| !config.is_empty());
    Some(Line { address, send_proxy, protocol, framing, config })
}

/// The option of a peer, and what stands before its value.
const SEND_PROXY: &[u8] = b"send-proxy=";

/// The version of the PROXY header that a peer is sent; 0 for none.
fn version(value: &[u8]) -> Option<u8> {
    match value {
        b"no" => Some(0),
        b"v1" => Some(1),
        b"v2" => Some(2),
        _ => None,
    }
}

/// The first field of a text, and what follows it.
fn field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = trimmed(text);
    let end = text.iter().position(is_blank).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(field, _)| !field.is_empty())
}

/// A text without the blanks at its ends.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

impl<'a> Line<'a> {
    /// The subprotocol to agree on, if the line fits. A client who offers none is agreed none
    /// with, and any line fits it; a line without a subprotocol fits nobody else.
    fn fits(&self, offered: &[&[u8]]) -> Option<Option<usize>> {
        if offered.is_empty() {
            return Some(None);
        }
        match self.protocol? {
            b"*" => Some(Some(0)),
            protocol => offered.iter().position(|&offer| offer == protocol).map(Some),
        }
    }

    /// Why no peer can be made of it.
    fn fault(&self, known: impl Fn(&[u8]) -> bool) -> Option<String> {
        if let Some(name) = self.framing.filter(|name| !known(name)) {
            let name = String::from_utf8_lossy(name);
            return Some(format!("no framing function is called {name:?}"));
        }
        if let Some(value) = self.send_proxy.filter(|value| version(value).is_none()) {
            let value = String::from_utf8_lossy(value);
            return Some(format!("send-proxy={value:?} is not v1, v2 or no"));
        }
        let strings = [Some(self.address), self.config];
        let zero = strings.into_iter().flatten().any(|string| string.contains(&0));
        zero.then(|| "there is a zero byte in it".into())
    }

    fn peer(&self, agreed: Option<usize>) -> Peer {
        let peer = Peer::new(self.address);
        let send_proxy = self.send_proxy.and_then(version);
        let peer = send_proxy.into_iter().fold(peer, Peer::send_proxy);
        let peer = self.framing.into_iter().fold(peer, Peer::framing);
        let peer = self.config.into_iter().fold(peer, Peer::framing_config);
        agreed.into_iter().fold(peer, Peer::protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;

    fn known(name: &[u8]) -> bool {
        matches!(name, b"auto" | b"binary" | b"newline" | b"separator")
    }

    /// The peer, and the lines that were reported.
    fn selected(text: &[u8], protocols: &[&[u8]]) -> (Option<Peer>, Vec<usize>) {
        let reported = RefCell::new(Vec::new());
        let peer = select(
            text,
            protocols,
            known,
            |_| Ok(()),
            |number, _| reported.borrow_mut().push(number),
        );
        (peer, reported.into_inner())
    }

    #[test]
    fn the_fields_of_a_line() {
        let peer = || Peer::new("tcp://h:1");
        let cases: [(&str, Option<Peer>); 26] = [
            ("", None),
            ("  \t ", None),
            ("\r", None),
            ("# tcp://h:1 a", None),
            ("   #tcp://h:1 a", None),
            ("tcp://h:1", Some(peer())),
            ("tcp://h:1 ", Some(peer())),
            ("tcp://h:1 a", Some(peer())),
            ("tcp://h:1 a\r", Some(peer())),
            ("\ttcp://h:1\t\ta \t ", Some(peer())),
            ("tcp://h:1 a auto", Some(peer().framing("auto"))),
            ("tcp://h:1 a auto\r", Some(peer().framing("auto"))),
            (
                "tcp://h:1   a   newline   lf  ",
                Some(peer().framing("newline").framing_config("lf")),
            ),
            (
                "tcp://h:1 a separator \\r \\n # x\r",
                Some(peer().framing("separator").framing_config("\\r \\n # x")),
            ),
            ("tcp://h:1 a\u{c}b\rc auto", Some(peer().framing("auto"))), // no blanks
            ("tcp://h:1 # auto", Some(peer().framing("auto"))), // a subprotocol's name, RFC 9110 §5.6.2
            ("tcp://h:1 send-proxy=v2", Some(peer().send_proxy(2))),
            ("tcp://h:1 send-proxy=v1 a auto", Some(peer().send_proxy(1).framing("auto"))),
            ("tcp://h:1 send-proxy=no a", Some(peer().send_proxy(0))),
            ("tcp://h:1 a send-proxy=v2", None),
            ("tcp://h:1 send-proxy=v3 a", None),
            ("tcp://h:1 send-proxy= a", None),
            ("tcp://h:1 a nosuch", None),
            ("tcp://h:1 a Auto", None),
            ("tcp://\0h:1 a", None),
            ("tcp://h:1 a auto x\0y", None),
        ];
        for (line, expected) in cases {
            assert_eq!(selected(line.as_bytes(), &[]).0, expected, "{line:?}");
        }
    }

    #[test]
    fn which_line_fits() {
        let text = b"\
            # comment\r\n\
            none\r\n\
            \r\n\
            first a\r\n\
            second b nosuch\r\n\
            third b\r\n\
            any *";
        type Case<'a> = (&'a [&'a [u8]], &'a str, Option<usize>, &'a [usize]);
        let cases: [Case<'_>; 7] = [
            (&[], "none", None, &[]),
            (&[b"a"], "first", Some(0), &[]),
            (&[b"x", b"a"], "first", Some(1), &[]),
            (&[b"b", b"a"], "first", Some(1), &[]),
            (&[b"b"], "third", Some(0), &[5]),
            (&[b"x", b"y"], "any", Some(0), &[]),
            (&[b"A"], "any", Some(0), &[]),
        ];
        for (offered, address, agreed, reported) in cases {
            let peer = agreed.into_iter().fold(Peer::new(address), Peer::protocol);
            assert_eq!(selected(text, offered), (Some(peer), reported.to_vec()), "{offered:?}");
        }
        assert_eq!(selected(b"h a\nh b", &[b"c"]), (None, vec![]));
        assert_eq!(selected(b"h\n", &[b"c"]), (None, vec![]), "a line without a subprotocol");
        assert_eq!(selected(b"h star", &[b"*"]), (None, vec![]));
    }

    #[test]
    fn a_line_of_a_megabyte() {
        let long = [b"h ".as_slice(), &b"x".repeat(1 << 20), b"\nh2 a"].concat();
        assert_eq!(selected(&long, &[b"a"]).0, Some(Peer::new("h2").protocol(0)));
        let fields = [b"h a auto ".as_slice(), &b"x ".repeat(1 << 19)].concat();
        assert!(selected(&fields, &[]).0.is_some());
    }

    proptest! {
        /// Words in columns come out as they went in, whatever is between them.
        #[test]
        fn equals_the_words(
            words in prop::collection::vec("[!-\"$-~]{1,6}", 1..6),
            blanks in prop::collection::vec("[ \t]{1,3}", 6),
            end in "[ \t]{0,2}\r?",
        ) {
            let line: String = words.iter().zip(&blanks).map(|(word, blank)| blank.to_owned() + word).collect();
            let parsed = parse((line.clone() + &end).into_bytes().leak()).expect("a word");
            let word = |index: usize| words.get(index).map(String::as_bytes);
            prop_assert_eq!(Some(parsed.address), word(0));
            prop_assert_eq!(parsed.protocol, word(1));
            prop_assert_eq!(parsed.framing, word(2));
            let config: String = words.iter().zip(&blanks).skip(3).map(|(word, blank)| blank.to_owned() + word).collect();
            prop_assert_eq!(parsed.config.unwrap_or_default(), config.trim().as_bytes());
        }

        #[test]
        fn whatever_is_in_a_file(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let (peer, _) = selected(&text, &[b"a"]);
            prop_assert!(peer.is_none() || text.iter().any(is_blank));
        }
    }
}
