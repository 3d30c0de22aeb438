//! What the configuration is made of, read once: all that workers serve by is of the same moment, also of
//! those that begin later.

use std::path::Path;

use crate::config::{Config, ConfigError};
use crate::reactor::StartError;
use crate::worker::{Kept, Snapshot, hand};

/// A configuration, and the files that it was read from and names.
pub(super) struct Accepted {
    pub(super) config: Config,
    pub(super) files: Snapshot,
}

impl Accepted {
    /// What the configuration file says now, or what this thread was handed in its place. A file that it
    /// names and that cannot be read is left out: who has to read it says why.
    ///
    /// # Errors
    /// It cannot be.
    pub(super) fn read(
        file: Option<&Path>,
        parse: fn() -> Result<Config, ConfigError>,
    ) -> Result<Self, StartError> {
        let keep = |path: &Path| Some((path.to_owned(), Kept::of(path)?));
        let mut files: Vec<_> = file.and_then(keep).into_iter().collect();
        hand(files.clone());
        let config = parse();
        hand(Vec::new());
        let config = config.map_err(|error| StartError::Configuration(error.to_string()))?;
        files.extend(config.files().filter(|path| Some(*path) != file).filter_map(keep));
        let snapshot = Snapshot::of(&files);
        let files = snapshot
            .map_err(|error| StartError::System("memory for the configuration".into(), error))?;
        Ok(Self { config, files })
    }
}
