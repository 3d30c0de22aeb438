//! What can go wrong with a back end, by when it does.

use super::address_error::AddressError;
use super::keys::KEYS;
use super::target::Target;
use crate::framing::ConfigFault;
use crate::logging::Escaped;
use std::path::PathBuf;
use std::{fmt, io};
use websocksy_abi::{WEBSOCKSY_API_VERSION, peer_transport};

/// Why a plug-in, or a directory of them, is not loaded.
#[derive(Debug)]
pub enum LoadError {
    /// A back end's name is a part of a file name.
    Name(String),
    /// A relative path means whatever the working directory is.
    Relative(PathBuf),
    /// Somebody else can change it, or what is in it.
    Mistrusted(PathBuf, Mistrust),
    /// It cannot be looked at.
    Unreadable(PathBuf, io::Error),
    /// It is no directory.
    NotDirectory(PathBuf),
    /// It is no regular file.
    NotFile(PathBuf),
    /// The dynamic linker refuses it, with the reason.
    Refused(PathBuf, String),
    /// It does not define a function that it must.
    Missing(PathBuf, &'static str),
    /// `init` returned another API version.
    Version(PathBuf, u64),
    /// There is no thread for its calls.
    Thread(io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                let shown = name.rsplit('/').next().unwrap_or_default();
                let shown = shown.strip_prefix("backend_").unwrap_or(shown);
                let shown = shown.strip_suffix(".so").unwrap_or(shown);
                write!(f, "{name:?} is not the name of a back end")?;
                if shown.is_empty() || shown.contains('\0') {
                    return Ok(());
                }
                write!(f, ": for DIR/backend_{shown}.so write -b {shown} and --plugins DIR")
            }
            Self::Relative(path) => write!(f, "directory {path:?} is not an absolute path"),
            Self::Mistrusted(path, why) => {
                write!(f, "{}: {why}, so it is not trusted", path.display())
            }
            Self::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotDirectory(path) => write!(f, "{}: not a directory", path.display()),
            Self::NotFile(path) => write!(f, "{}: not a regular file", path.display()),
            Self::Refused(path, reason) => write!(f, "{}: {reason}", path.display()),
            Self::Missing(path, symbol) => {
                write!(f, "{}: does not define {symbol}", path.display())
            }
            Self::Version(path, version) => write!(
                f,
                "{}: init returned API version {version}, not {WEBSOCKSY_API_VERSION}",
                path.display()
            ),
            Self::Thread(error) => write!(f, "no thread for the back end: {error}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Who can change what must be root's and this user's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistrust {
    /// All may write to it.
    Everybody,
    /// This group may write to it.
    Group(u32),
    /// It belongs to this user.
    Owner(u32),
}

impl fmt::Display for Mistrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str("everybody may write to it"),
            Self::Group(group) => write!(f, "group {group} may write to it"),
            Self::Owner(user) => {
                write!(f, "it belongs to user {user}, neither root nor this daemon's")
            }
        }
    }
}

/// Why a back end's configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigureError {
    /// The built-in back end has no such key.
    Key(String),
    /// A C string cannot hold a NUL.
    Nul,
    /// The plug-in has no `configure`.
    Unconfigurable,
    /// The thread that calls the plug-in has ended.
    Gone,
    /// The plug-in's `configure` returned this for this key.
    Refused(String, u64, Option<String>),
    /// The plug-in's `websocksy_check` returned this.
    Incomplete(u64, Option<String>),
    /// A plug-in's framing refuses what it is told.
    Framed(String, Option<String>),
    /// The port in `port` and the one in `host` differ.
    TwoPorts(u16, u16),
    /// A port for a peer that has none.
    Portless(Target),
    /// What no client can offer as a subprotocol.
    Protocol(String),
    /// None of the ways to choose among peers.
    Balance(String),
    /// No time for a peer to rest.
    Rest(String),
    /// This one of several peers is none.
    Host(usize, AddressError),
    /// This one of several peers is there already.
    Twice(usize, Target),
    /// More peers than this.
    TooMany(usize),
    /// The peer's address is none.
    Address(AddressError),
    /// The framing or its configuration is none.
    Framing(ConfigFault),
}

impl ConfigureError {
    /// Which of the values of a key that may be repeated is meant, from 0; none for the last.
    #[must_use]
    pub fn place(&self) -> Option<usize> {
        match self {
            Self::Host(place, _) | Self::Twice(place, _) => Some(*place),
            _ => None,
        }
    }
}

impl fmt::Display for ConfigureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => {
                let keys: Vec<_> = KEYS.iter().map(|known| known.name).collect();
                let keys = keys.join(", ");
                write!(f, "the built-in back end has no key {key:?}; it has {keys}")
            }
            Self::TwoPorts(port, own) => {
                write!(f, "is {port}, and host says {own}; one of them is enough")
            }
            Self::Protocol(name) => {
                write!(f, "{name:?} is not one subprotocol, nor * for the first, nor none")
            }
            Self::Portless(target) => write!(f, "means nothing to {target}"),
            Self::Balance(name) => {
                write!(f, "{name:?} is none of first, random, least and hash")
            }
            Self::Rest(value) => {
                write!(f, "{value:?} is not a number of seconds, from 0 to 86400")
            }
            Self::Twice(_, target) => write!(f, "{target} is given twice"),
            Self::TooMany(most) => write!(f, "more than {most} peers"),
            Self::Host(_, error) => error.fmt(f),
            Self::Nul => f.write_str("a key or value holds a NUL"),
            Self::Unconfigurable => f.write_str("the back end takes no configuration"),
            Self::Gone => f.write_str("the back end's thread has ended"),
            Self::Refused(_, _, Some(reason)) => write!(f, "refused by the {reason}"),
            Self::Refused(key, code, None) => {
                write!(f, "the back end refused {key:?} with {code}")
            }
            Self::Incomplete(_, Some(reason)) => write!(f, "refused by the {reason}"),
            Self::Incomplete(code, None) => {
                write!(f, "the back end refused its configuration with {code}")
            }
            Self::Framed(framing, Some(reason)) => {
                write!(f, "framing {framing} refuses its framing-config: {reason}")
            }
            Self::Framed(framing, None) => {
                write!(f, "framing {framing} refuses its framing-config")
            }
            Self::Address(error) => error.fmt(f),
            Self::Framing(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for ConfigureError {}

impl From<AddressError> for ConfigureError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

/// Why a query brought no peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// The back end knows none for this client: 404.
    NoPeer,
    /// It refuses this client, and says why.
    Refused(Refusal),
    /// What it returned is no answer: 500.
    Bad(BadAnswer),
    /// It named a peer that can be none: 502.
    Address(AddressError),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPeer => f.write_str("no peer for this client"),
            Self::Refused(why) if why.reason.is_empty() => f.write_str("refused"),
            Self::Refused(why) => write!(f, "refused: {}", Escaped(&why.reason)),
            Self::Bad(bad) => bad.fmt(f),
            Self::Address(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for QueryError {}

/// What a back end refuses a client with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: RefusalStatus,
    /// Why, for the client and the log: no control characters, 123 bytes at most; may be empty.
    pub reason: String,
    /// Seconds after which the client may try again.
    pub retry_after: Option<u32>,
}

/// The statuses that a back end may refuse with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalStatus {
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 429
    TooMany,
    /// 503
    Unavailable,
}

impl RefusalStatus {
    /// The status of this number, if it is one of them.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            429 => Self::TooMany,
            503 => Self::Unavailable,
            _ => return None,
        })
    }

    /// The name for logs and metrics of a session that ends by it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthorized => "backend-unauthorized",
            Self::Forbidden => "backend-forbidden",
            Self::NotFound => "backend-not-found",
            Self::TooMany => "backend-rate-limited",
            Self::Unavailable => "backend-unavailable",
        }
    }
}

/// How an answer breaks the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// The transport is none of the list.
    Transport(peer_transport),
    /// This string has no end within the limit.
    Endless(&'static str),
    /// This string is not UTF-8.
    NotText(&'static str),
    /// This string holds control characters.
    Control(&'static str),
    /// The framing, or what it is told, cannot be.
    Framing(ConfigFault),
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the back end's answer is bad: ")?;
        match self {
            Self::Transport(value) => write!(f, "transport {value}"),
            Self::Endless(field) => write!(f, "{field} has no end"),
            Self::NotText(field) => write!(f, "{field} is not UTF-8"),
            Self::Control(field) => write!(f, "{field} holds control characters"),
            Self::Framing(fault) => fault.fmt(f),
        }
    }
}
