//! The configuration: `key=value`, separated by commas, in any order.

use std::str::FromStr;
use websocksy_plugin::{PEER_BUFFER_SIZE, number};

/// What an error says would be right.
const OPTIONS: &str = "there are offset=BYTES, static=BYTES, endian=little or big, add=yes or no";

/// Bytes of the size field.
pub(crate) const FIELD: usize = 4;

/// Where the field stands and what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Bytes before the field, at most what the buffer holds beside it.
    pub(crate) offset: usize,
    /// `static`: bytes of a message that the field does not count.
    pub(crate) fixed: i32,
    /// The field's byte order.
    pub(crate) endian: Endian,
    /// Whether messages to the peer get such a field.
    pub(crate) add: bool,
}

/// A byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Endian {
    /// Least significant byte first; the default.
    #[default]
    Little,
    /// Most significant byte first.
    Big,
}

impl Endian {
    /// What a field says.
    pub(crate) fn size(self, field: [u8; FIELD]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(field),
            Self::Big => u32::from_be_bytes(field),
        }
    }

    /// The field that says it.
    pub(crate) fn field(self, size: u32) -> [u8; FIELD] {
        match self {
            Self::Little => size.to_le_bytes(),
            Self::Big => size.to_be_bytes(),
        }
    }
}

impl FromStr for Options {
    type Err = String;

    fn from_str(config: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let items = config.split(',').map(str::trim_ascii);
        for item in items.filter(|item| !item.is_empty()) {
            let refusal = || format!("{item:?} is not an option of dynamic32; {OPTIONS}");
            let (key, value) = item.split_once('=').ok_or_else(refusal)?;
            options.set(key.trim_ascii(), value.trim_ascii()).ok_or_else(refusal)?;
        }
        if options.add && options.offset > 0 {
            return Err("add=yes needs offset=0: nobody says what to put before the field".into());
        }
        Ok(options)
    }
}

impl Options {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "offset" => self.offset = number(value).filter(|&offset| fits(offset))?,
            "static" => self.fixed = number(value)?,
            "endian" => self.endian = endian(value)?,
            "add" => self.add = yes(value)?,
            _ => return None,
        }
        Some(())
    }
}

/// Whether a field at that offset can be in the buffer.
fn fits(offset: usize) -> bool {
    offset <= PEER_BUFFER_SIZE - FIELD
}

fn endian(value: &str) -> Option<Endian> {
    match value {
        "little" => Some(Endian::Little),
        "big" => Some(Endian::Big),
        _ => None,
    }
}

fn yes(value: &str) -> Option<bool> {
    match value {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_the_options() {
        let expected = Options { offset: 2, fixed: -3, endian: Endian::Big, add: false };
        let items = ["offset=2", "static=-3", "endian=big"];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let config = order.map(|index| items[index]).join(",");
            assert_eq!(config.parse(), Ok(expected.clone()), "{config}");
        }
    }

    #[test]
    fn configurations() {
        let cases = [
            ("", Some(Options::default())),
            ("endian=little", Some(Options::default())),
            (" , endian = big ,", Some(Options { endian: Endian::Big, ..Options::default() })),
            ("offset=16380", Some(Options { offset: 16_380, ..Options::default() })),
            ("offset=1,offset=2", Some(Options { offset: 2, ..Options::default() })),
            ("static=2147483647", Some(Options { fixed: i32::MAX, ..Options::default() })),
            ("static=-2147483648", Some(Options { fixed: i32::MIN, ..Options::default() })),
            ("add=yes", Some(Options { add: true, ..Options::default() })),
            ("add=no,offset=1", Some(Options { offset: 1, ..Options::default() })),
            // S6
            (
                "offset=0x10,static=-0x4",
                Some(Options { offset: 16, fixed: -4, ..Options::default() }),
            ),
            ("offset=010", None),
            ("static=-04", None),
            ("add=yes,offset=1", None),
            ("offset=16381", None),
            ("offset=4294967295", None),
            ("offset=18446744073709551616", None),
            ("offset=-1", None),
            ("offset=", None),
            ("static=2147483648", None),
            ("static=x", None),
            ("endian=BIG", None),
            ("add", None),
            ("add=maybe", None),
            ("length=4", None),
            ("=", None),
        ];
        for (config, expected) in cases {
            assert_eq!(config.parse::<Options>().ok(), expected, "{config:?}");
        }
    }
}
