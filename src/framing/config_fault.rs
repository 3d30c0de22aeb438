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
        /// Those of the plug-ins that come with the daemon.
        bundled: Vec<&'static str>,
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
    /// `separator` in quotes.
    Quotes,
    /// `separator` with this option of `newline`.
    Option(&'static str),
    /// This option twice.
    Twice(&'static str),
    /// `newline` with a name that is none of a line end.
    LineEnd(String),
    /// `auto` with another word than `text`.
    Auto(String),
    /// A framing that takes none.
    Unconfigurable(&'static str),
    /// A framing that is no function.
    Marker,
    /// Frames for a peer whose messages are datagrams.
    Datagrams,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, builtins, bundled } => unknown(f, name, builtins, bundled),
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
            Self::Quotes => f.write_str(
                "the quotes are a part of the separator: leave them out, or write \\x27 or \\x22 for one",
            ),
            Self::Option(option) => {
                let first = option.bytes().next().unwrap_or_default();
                let rest = option.get(1..).unwrap_or_default();
                write!(f, "framing separator has no {option}:, which newline has; ")?;
                write!(f, "for these bytes write \\x{first:02x}{rest}:")
            }
            Self::Twice(option) => write!(f, "{option}: is given twice; once is enough"),
            Self::LineEnd(name) => write!(
                f,
                "framing newline knows crlf, lfcr, lf and cr, not {name:?}; before them may stand \
                 add:, text: and strip:, as in add:crlf"
            ),
            Self::Auto(config) => {
                write!(f, "framing auto takes no configuration but text, not {config:?}")
            }
            Self::Unconfigurable(name) => {
                write!(f, "is for another framing: {name} takes no configuration")
            }
            Self::Marker => f.write_str("this framing is no function"),
            Self::Datagrams => f.write_str(
                "framing rfc6455 is for streams: a datagram is a message by itself, as with auto or \
                 binary",
            ),
        }
    }
}

impl std::error::Error for ConfigFault {}

fn unknown(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    builtins: &[&str],
    bundled: &[&str],
) -> fmt::Result {
    let lower = name.to_ascii_lowercase();
    write!(f, "no framing is named {name:?}")?;
    if bundled.contains(&&*lower) {
        return write!(
            f,
            " without its plug-in, which comes with the daemon: write framing={lower} and --plugins \
             DIR, where {lower}.so is"
        );
    }
    if builtins.contains(&&*lower) {
        write!(f, " (is it {lower}?)")?;
    }
    write!(f, "; there are {}, and those of plug-ins (--plugins DIR)", listed(builtins))
}

/// "a, b and c"
fn listed(names: &[&str]) -> String {
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    format!("{} and {last}", others.join(", "))
}
