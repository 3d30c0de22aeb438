//! The configurations of a framing that are refused.

use std::fmt;

/// Why a framing's configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFault {
    /// No framing has this name.
    Unknown {
        /// The name.
        name: String,
        /// Those that need no plug-in.
        builtins: Vec<&'static str>,
    },
    /// A C string cannot hold a NUL; `\0` stands for it in a separator.
    Nul,
    /// `separator` without bytes to look for.
    NoSeparator,
    /// `separator` with more bytes than it takes.
    LongSeparator(usize),
    /// A backslash at the end.
    Backslash,
    /// A backslash before a byte that means nothing there.
    Escape(u8),
    /// `\x` without two hexadecimal digits.
    Hex,
    /// `newline` with a name that is none of a line end.
    LineEnd(String),
    /// `auto` with another word than `text`.
    Auto(String),
    /// A framing that takes none.
    Unconfigurable(&'static str),
    /// A framing that is no function.
    Marker,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, builtins } => {
                write!(f, "no framing is named {name:?}; there are {}", listed(builtins))?;
                f.write_str(", and those of plug-ins (--plugins DIR)")
            }
            Self::Nul => f.write_str("a framing's configuration holds a NUL"),
            Self::NoSeparator => {
                f.write_str("framing separator needs bytes to look for, as framing-config")
            }
            Self::LongSeparator(length) => {
                let most = websocksy_abi::WS_ENVELOPE_SUFFIX;
                write!(f, "a separator of {length} bytes; at most {most} are looked for")
            }
            Self::Backslash => f.write_str("a separator ends in a lone backslash"),
            Self::Escape(byte) => {
                write!(
                    f,
                    "a separator has the unknown escape \\{}; there are \\r, \\n, \\t, \\f, \\0, \\\\ and \\xNN",
                    byte.escape_ascii()
                )
            }
            Self::Hex => f.write_str("a separator has \\x without two hexadecimal digits"),
            Self::LineEnd(name) => {
                write!(f, "framing newline knows crlf, lfcr, lf and cr, not {name:?}")
            }
            Self::Auto(config) => {
                write!(f, "framing auto takes no configuration but text, not {config:?}")
            }
            Self::Unconfigurable(name) => {
                write!(f, "is for another framing: {name} takes no configuration")
            }
            Self::Marker => f.write_str("this framing is no function"),
        }
    }
}

impl std::error::Error for ConfigFault {}

/// "a, b and c"
fn listed(names: &[&str]) -> String {
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    format!("{} and {last}", others.join(", "))
}
