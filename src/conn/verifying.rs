//! Between the head and the back end: is the client who it says (RFC 7617)?

use super::lifecycle::{Phase, Unverified};
use super::{Action, Connection, Ending, Scratch};
use crate::access::{LONGEST_PASSWORD, NotVerified};
use crate::proto::basic::Credentials;
use crate::proto::handshake::Upgrade;
use crate::slab::Slot;

impl Connection {
    /// Has the client's password verified, or refuses it for what it says.
    pub(super) fn identify(&mut self, upgrade: Box<Upgrade>, slot: Slot, scratch: &mut Scratch) {
        match credentials(&upgrade) {
            Ok(credentials) => {
                let user = credentials.user.clone();
                let unverified = Box::new(Unverified { upgrade, slot, user });
                let deadline = scratch.now + self.config.deadlines.query;
                self.lifecycle.advance(Phase::Verifying(unverified), Some(deadline));
                self.action = Some(Box::new(Action::Verify(credentials)));
            }
            Err(why) => self.refuse(Ending::NotVerified(why), scratch),
        }
    }

    /// What came of [`Action::Verify`].
    pub fn verified(&mut self, outcome: Result<(), NotVerified>, scratch: &mut Scratch) {
        // Otherwise it is too late: the client left, or was given an answer.
        let Phase::Verifying(_) = self.lifecycle.phase() else { return };
        let Phase::Verifying(unverified) = self.lifecycle.leave() else { return };
        let Unverified { mut upgrade, slot, user } = *unverified;
        match outcome {
            Ok(()) => {
                upgrade.set_user(user);
                self.ask(upgrade, slot, scratch);
            }
            Err(why) => self.refuse(Ending::NotVerified(why), scratch),
        }
    }
}

/// What the request says of its user. A second field would be another front end's reading of who it
/// is.
fn credentials(upgrade: &Upgrade) -> Result<Credentials, NotVerified> {
    let is_named = |name: &[u8]| name.eq_ignore_ascii_case(b"authorization");
    let mut values = upgrade.fields().filter(|(name, _)| is_named(name.to_bytes()));
    let (_, value) = values.next().ok_or(NotVerified::Missing)?;
    if values.next().is_some() {
        return Err(NotVerified::Malformed);
    }
    let credentials = Credentials::parse(value.to_bytes()).ok_or(NotVerified::Malformed)?;
    if credentials.password.len() > LONGEST_PASSWORD {
        return Err(NotVerified::TooLong);
    }
    Ok(credentials)
}
