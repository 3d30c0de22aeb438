//! Delimiters: how they are written in a configuration, and where they are in a stream.

use super::config_fault::ConfigFault;
use super::rendering::Rendering;
use memchr::memmem::Finder;

/// The longest separator; an envelope's suffix has room for it.
pub(super) const LONGEST: usize = websocksy_abi::WS_ENVELOPE_SUFFIX;

/// The bytes that end a message, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delimiter {
    /// At least one byte, at most [`LONGEST`].
    pub(super) bytes: Vec<u8>,
    /// Whether messages to the peer get the delimiter as well.
    pub(super) both_ways: bool,
    /// What becomes of a message on its way to the client.
    pub(super) rendering: Rendering,
}

impl Delimiter {
    /// A separator: `[add:]BYTES`, with escapes.
    pub(super) fn separator(config: &[u8]) -> Result<Self, ConfigFault> {
        let (both_ways, text) = direction(config);
        refuse_look_alikes(text)?;
        let bytes = unescape(text)?;
        match bytes.len() {
            0 => Err(ConfigFault::NoSeparator),
            length if length > LONGEST => Err(ConfigFault::LongSeparator(length)),
            _ => Ok(Self { bytes, both_ways, rendering: Rendering::default() }),
        }
    }

    /// A line end by name, behind options in any order: `[add:][text:][strip:]NAME`; `crlf` when
    /// unset, and an option may stand last.
    pub(super) fn newline(config: &[u8]) -> Result<Self, ConfigFault> {
        let unknown = || ConfigFault::LineEnd(String::from_utf8_lossy(config).into_owned());
        let (mut both_ways, mut text, mut strip) = (false, false, false);
        let once = |option: &mut bool, word| match std::mem::replace(option, true) {
            false => Ok(()),
            true => Err(ConfigFault::Twice(word)),
        };
        let mut bytes = &b"\r\n"[..];
        let mut words = config.split(|byte| *byte == b':').peekable();
        while let Some(word) = words.next() {
            match word {
                b"add" => once(&mut both_ways, "add")?,
                b"text" => once(&mut text, "text")?,
                b"strip" => once(&mut strip, "strip")?,
                _ if words.peek().is_some() => return Err(unknown()),
                b"" | b"crlf" => bytes = b"\r\n",
                b"lfcr" => bytes = b"\n\r",
                b"lf" => bytes = b"\n",
                b"cr" => bytes = b"\r",
                _ => return Err(unknown()),
            }
        }
        let strip = if strip { bytes.len() } else { 0 };
        Ok(Self { bytes: bytes.to_vec(), both_ways, rendering: Rendering { text, strip } })
    }
}

/// Takes the prefix `add:` off: what the peer sends is cut in any case, what goes to the peer
/// gets the delimiter only with it.
fn direction(config: &[u8]) -> (bool, &[u8]) {
    match config.strip_prefix(b"add:") {
        Some(rest) => (true, rest),
        None => (false, config),
    }
}

/// Refuses what was hardly meant as bytes: options of `newline`, an option twice, and quotes.
fn refuse_look_alikes(text: &[u8]) -> Result<(), ConfigFault> {
    if text.starts_with(b"add:") {
        return Err(ConfigFault::Twice("add"));
    }
    for option in ["text", "strip"] {
        if text.strip_prefix(option.as_bytes()).is_some_and(|rest| rest.starts_with(b":")) {
            return Err(ConfigFault::Option(option));
        }
    }
    match text {
        [b'\'', .., b'\''] | [b'"', .., b'"'] => Err(ConfigFault::Quotes),
        _ => Ok(()),
    }
}

fn unescape(text: &[u8]) -> Result<Vec<u8>, ConfigFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'\\' { escape(&mut rest)? } else { byte });
    }
    Ok(bytes)
}

/// The byte that the escape after a backslash stands for.
fn escape(rest: &mut impl Iterator<Item = u8>) -> Result<u8, ConfigFault> {
    match rest.next() {
        Some(b'r') => Ok(b'\r'),
        Some(b't') => Ok(b'\t'),
        Some(b'n') => Ok(b'\n'),
        Some(b'0') => Ok(b'\0'),
        Some(b'f') => Ok(b'\x0c'),
        Some(b'\\') => Ok(b'\\'),
        Some(b'x') => hex(rest.next(), rest.next()).ok_or(ConfigFault::Hex),
        Some(other) => Err(ConfigFault::Escape(other)),
        None => Err(ConfigFault::Backslash),
    }
}

/// Exactly two hexadecimal digits.
fn hex(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Looks for a delimiter in a stream that arrives piece by piece.
pub(super) struct Search {
    finder: Finder<'static>,
    /// How many of the waiting bytes are known to hold no whole delimiter.
    searched: usize,
}

impl Search {
    pub(super) fn new(delimiter: &Delimiter) -> Self {
        Self { finder: Finder::new(&delimiter.bytes).into_owned(), searched: 0 }
    }

    /// The length of the first message in `waiting`, its delimiter included; 0 for none yet. The
    /// last `fresh` bytes are new.
    ///
    /// Bytes seen before are looked at again only where a delimiter may have begun.
    pub(super) fn cut(&mut self, waiting: &[u8], fresh: usize) -> usize {
        let size = self.finder.needle().len();
        // A datagram is all new, whatever waited before it.
        let searched = self.searched.min(waiting.len().saturating_sub(fresh));
        let from = searched.saturating_sub(size - 1);
        let found = self.finder.find(&waiting[from..]);
        self.searched = if found.is_some() { 0 } else { waiting.len() };
        found.map_or(0, |at| from + at + size)
    }
}

#[cfg(test)]
mod tests;
