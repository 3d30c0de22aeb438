//! Which framing a session gets, and the configurations that are refused.

use super::registry;
use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::Arc;
use websocksy_abi::ws_framing;

/// A framing function and its configuration, as a back end chose them.
#[derive(Clone)]
pub struct Selection {
    function: ws_framing,
    /// Shared: sessions of one back end mostly have the same.
    config: Option<Arc<CStr>>,
}

impl Selection {
    /// The function.
    pub fn function(&self) -> ws_framing {
        self.function
    }

    /// Its configuration.
    pub fn config(&self) -> Option<&CStr> {
        self.config.as_deref()
    }

    /// A function that some C code named, `auto` for none.
    ///
    /// # Safety
    /// The function keeps the contract of [`ws_framing`], and its code is never unloaded.
    #[allow(unsafe_code)] // safe code calls the function later: this is where that is vouched for
    pub unsafe fn foreign(function: Option<ws_framing>, config: Option<CString>) -> Self {
        let function = function.unwrap_or_else(registry::auto);
        Self { function, config: config.map(Arc::from) }
    }
}

impl Default for Selection {
    /// `auto`
    fn default() -> Self {
        Self { function: registry::auto(), config: None }
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = registry::name(self.function);
        f.debug_struct("Selection").field("framing", &name).field("config", &self.config).finish()
    }
}

/// The framing registered under `name`, without a configuration.
pub fn by_name(name: &str) -> Option<Selection> {
    registry::find(name).map(|function| Selection { function, config: None })
}

/// The framing registered under `name`, with a configuration; ours is looked at here.
///
/// # Errors
/// No framing has this name, or the one that has it refuses the configuration.
pub fn check(name: &str, config: Option<&str>) -> Result<Selection, ConfigFault> {
    let function = registry::find(name).ok_or_else(|| ConfigFault::Unknown(name.into()))?;
    let config = config.map(CString::new).transpose().map_err(|_| ConfigFault::Nul)?;
    registry::accepts(function, config.as_deref())?;
    Ok(Selection { function, config: config.map(Arc::from) })
}

/// Why a framing's configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFault {
    /// No framing has this name.
    Unknown(String),
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
    /// A framing that is no function.
    Marker,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "no framing is named {name:?}"),
            Self::Nul => f.write_str("a framing's configuration holds a NUL"),
            Self::NoSeparator => f.write_str("framing separator needs bytes to look for"),
            Self::LongSeparator(length) => {
                let most = super::delimiter::LONGEST;
                write!(f, "a separator of {length} bytes; at most {most} are looked for")
            }
            Self::Backslash => f.write_str("a separator ends in a lone backslash"),
            Self::Escape(byte) => {
                write!(f, "a separator has the unknown escape \\{}", byte.escape_ascii())
            }
            Self::Hex => f.write_str("a separator has \\x without two hexadecimal digits"),
            Self::LineEnd(name) => {
                write!(f, "framing newline knows crlf, lfcr, lf and cr, not {name:?}")
            }
            Self::Marker => f.write_str("this framing is no function"),
        }
    }
}

impl std::error::Error for ConfigFault {}
