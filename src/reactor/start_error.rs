//! Why the daemon does not start, or ended.

use std::fmt;
use std::io;

use super::listen::OpenError;

/// What kept the daemon from starting, or ended it.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be: the back end or the plug-ins refuse it.
    Configuration(String),
    /// The system refused something: in words, and its reason.
    System(String, io::Error),
}

impl StartError {
    /// The exit status for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) => 2,
            Self::System(..) => 1,
        }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Configuration(Some(origin), problem) => refused(origin, &problem),
            OpenError::Configuration(None, problem) => refused("--listen", &problem),
            OpenError::System(what, error) => Self::System(what, error),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(what) => f.write_str(what),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// What was written at `origin` cannot be.
pub(super) fn refused(origin: impl fmt::Display, error: &impl fmt::Display) -> StartError {
    StartError::Configuration(format!("{origin}: {error}"))
}
