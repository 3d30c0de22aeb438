//! What the operator says of the sandbox.

use super::error::Origin;
use super::tls::PlacedPath;

/// What the operator says of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxSettings {
    /// Where it was asked for; none for no sandbox.
    pub wanted: Option<Origin>,
    /// Files and directories that plug-ins may write, too.
    pub paths: Vec<PlacedPath>,
}
