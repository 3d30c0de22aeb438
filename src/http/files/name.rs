//! From a path to the name of a file.

use std::fmt::Write;

/// What is served of a directory.
const INDEX: &[u8] = b"index.html";

/// A file's name below the directory that is served: segments that are neither empty nor start with
/// a dot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    segments: Vec<Vec<u8>>,
    /// Whether it was named as a directory, and stands for the index in it.
    is_index: bool,
}

impl Name {
    /// The name relative to the directory that is served, with `/` between its segments.
    #[must_use]
    pub fn relative(&self) -> Vec<u8> {
        let mut segments: Vec<&[u8]> = self.segments.iter().map(Vec::as_slice).collect();
        if self.is_index {
            segments.push(INDEX);
        }
        segments.join(&b'/')
    }

    /// The file's own name.
    #[must_use]
    pub fn last(&self) -> &[u8] {
        if self.is_index { INDEX } else { self.segments.last().map_or(INDEX, Vec::as_slice) }
    }

    /// Whether its path ends in `/`.
    #[must_use]
    pub fn is_index(&self) -> bool {
        self.is_index
    }

    /// The path that means it, in characters that a URI may hold (RFC 3986 §3.3). It starts with one
    /// `/`: two would name another host.
    pub(super) fn as_path(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            escape(segment, b"", &mut path);
        }
        path
    }
}

/// Appends `bytes`, and as `%XX` those that neither a path's segment may hold nor are in `more`.
pub(super) fn escape(bytes: &[u8], more: &[u8], out: &mut String) {
    for &byte in bytes {
        let in_segment = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
        let stands = in_segment || more.contains(&byte);
        if stands {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // a String takes all
        }
    }
}

/// The name of the file that a path means; none for what can be none of ours.
///
/// The path is decoded once (RFC 3986 §2.4). A segment that starts with a dot names a file that is not
/// to be seen, or another directory; `/` and NUL cannot stand in a name, and a backslash, which some
/// take for a `/`, and control characters do not in any of ours.
#[must_use]
pub fn name_of(path: &[u8]) -> Option<Name> {
    let path = path.strip_prefix(b"/")?;
    let mut segments = Vec::new();
    let mut is_index = true;
    for segment in path.split(|&byte| byte == b'/') {
        is_index = segment.is_empty();
        // As from a base that ends in `/` and a path that starts with one.
        if !is_index {
            segments.push(decode(segment)?);
        }
    }
    Some(Name { segments, is_index })
}

fn decode(segment: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(segment.len());
    let mut rest = segment.iter();
    while let Some(&byte) = rest.next() {
        let byte = match byte {
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            byte => byte,
        };
        if matches!(byte, b'/' | b'\\') || byte.is_ascii_control() {
            return None;
        }
        name.push(byte);
    }
    (!name.starts_with(b".")).then_some(name)
}

fn digit(byte: Option<&u8>) -> Option<u8> {
    char::from(*byte?).to_digit(16).map(|digit| digit as u8)
}
