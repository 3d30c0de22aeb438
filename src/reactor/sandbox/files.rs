//! landlock(7): which files may be opened, and how.

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use std::path::{Path, PathBuf};

use super::places::Places;

/// The first kernel that has it all refuses everything named here; an older one what it knows of, which
/// is the most of it.
const RIGHTS: ABI = ABI::V5;

/// From now on this thread, and those that it starts, get at nothing else. Nothing may be run.
///
/// # Errors
/// The kernel has no landlock, or refuses.
pub(super) fn restrict(places: &Places) -> Result<(), String> {
    rules(places).and_then(|rules| rules.restrict_self().map(drop)).map_err(|error| match error {
        RulesetError::HandleAccesses(_) | RulesetError::CreateRuleset(_) => {
            "is not possible: this kernel has no landlock (Linux 5.13, with landlock in lsm=)"
                .into()
        }
        error => format!("is not possible: {error}"),
    })
}

fn rules(places: &Places) -> Result<RulesetCreated, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let fifo = AccessFs::ReadFile | AccessFs::WriteFile;
    let socket = AccessFs::MakeSock | AccessFs::RemoveFile | read;
    let write = AccessFs::from_all(RIGHTS) & !AccessFs::Execute;
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))?
        .scope(Scope::Signal)?
        .create()?;
    let rules = allow(rules, &["/dev/null".into()], fifo)?;
    let rules = allow(rules, &places.read, read)?;
    let rules = allow(rules, &places.fifos, fifo)?;
    let rules = allow(rules, &places.sockets, socket)?;
    allow(rules, &places.write, write)
}

/// What is not there, or not to be opened, needs no rule: who opens it is told.
fn allow(
    rules: RulesetCreated,
    places: &[PathBuf],
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let open = |path: &PathBuf| PathFd::new(Path::new(path)).ok();
    rules.add_rules(places.iter().filter_map(open).map(|fd| Ok(PathBeneath::new(fd, rights))))
}
