//! Between the head and the back end: is the client who it says (RFC 7617)?

use super::lifecycle::{Phase, Unverified, Wanted};
use super::{Action, Connection, Ending, Scratch};
use crate::access::{LONGEST_PASSWORD, NotVerified};
use crate::http::{Request, Route};
use crate::proto::basic::Credentials;
use crate::proto::handshake::Upgrade;
use crate::slab::Slot;

/// The field that says who the client is (RFC 9110 §11.6.2).
const AUTHORIZATION: &str = "authorization";

impl Connection {
    /// Has the client's password verified before the back end is asked, or refuses it for what it
    /// says.
    pub(super) fn identify(&mut self, upgrade: Box<Upgrade>, slot: Slot, scratch: &mut Scratch) {
        let is_named = |name: &[u8]| name.eq_ignore_ascii_case(AUTHORIZATION.as_bytes());
        let fields = upgrade.fields().filter(|(name, _)| is_named(name.to_bytes()));
        let said = credentials(fields.map(|(_, value)| value.to_bytes()));
        self.verify(said, Wanted::Bridge(upgrade), slot, scratch);
    }

    /// Has it verified before a plain request is answered.
    pub(super) fn identify_for_answer(
        &mut self,
        route: Route,
        request: Box<Request>,
        slot: Slot,
        scratch: &mut Scratch,
    ) {
        let said = credentials(request.values(AUTHORIZATION));
        self.verify(said, Wanted::Answer(route, request), slot, scratch);
    }

    fn verify(
        &mut self,
        said: Result<Credentials, NotVerified>,
        wanted: Wanted,
        slot: Slot,
        scratch: &mut Scratch,
    ) {
        match said {
            Ok(credentials) => {
                let user = credentials.user.clone();
                let unverified = Box::new(Unverified { wanted, slot, user });
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
        let Unverified { wanted, slot, user } = *unverified;
        match (outcome, wanted) {
            (Ok(()), Wanted::Bridge(mut upgrade)) => {
                upgrade.set_user(user);
                self.ask(upgrade, slot, scratch);
            }
            (Ok(()), Wanted::Answer(route, request)) => {
                self.requested(route, request, slot, scratch.now);
            }
            (Err(why), _) => self.refuse(Ending::NotVerified(why), scratch),
        }
    }
}

/// What the request says of its user. A second field would be another front end's reading of who it
/// is.
fn credentials<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Credentials, NotVerified> {
    let value = values.next().ok_or(NotVerified::Missing)?;
    if values.next().is_some() {
        return Err(NotVerified::Malformed);
    }
    let credentials = Credentials::parse(value).ok_or(NotVerified::Malformed)?;
    if credentials.password.len() > LONGEST_PASSWORD {
        return Err(NotVerified::TooLong);
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_password_has_72_bytes_at_most() {
        for (length, too_long) in [(LONGEST_PASSWORD, false), (LONGEST_PASSWORD + 1, true)] {
            let field = format!("Basic {}", STANDARD.encode(format!("a:{}", "x".repeat(length))));
            let refused = credentials([field.as_bytes()].into_iter()).err();
            assert_eq!(matches!(refused, Some(NotVerified::TooLong)), too_long, "{length}");
            assert_eq!(refused.is_some(), too_long, "{length}");
        }
    }
}
