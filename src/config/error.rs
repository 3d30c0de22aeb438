//! What is wrong with a configuration, and where it was written.

use std::fmt;

/// Where a setting was written, as messages name it: `FILE:LINE: KEY` or `--flag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl<S: Into<String>> From<S> for Origin {
    fn from(text: S) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A setting that cannot be: one line for the operator, and exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    origin: Origin,
    problem: String,
}

impl ConfigError {
    /// Says that what was written at `origin` cannot be, and why.
    pub fn new(origin: impl Into<Origin>, problem: impl Into<String>) -> Self {
        Self { origin: origin.into(), problem: problem.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.problem)
    }
}

impl std::error::Error for ConfigError {}
