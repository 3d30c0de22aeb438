//! A plain request that is being answered.

use super::scratch::Scratch;
use crate::http::{Asked, Need, Sending};
use crate::slab::Slot;

/// A request that is being answered.
pub(super) struct Responding {
    /// Its `read_buffer` holds what the client sent behind the request.
    pub(super) slot: Slot,
    pub(super) asked: Asked,
    pub(super) progress: Progress,
}

/// How far its answer is.
pub(super) enum Progress {
    /// The answer is awaited.
    Asked,
    /// It is on its way, and goes on when the client has taken what there is.
    Sending(Sending),
    /// Its next piece is awaited.
    Fetching(Sending),
}

impl Responding {
    /// Stages the next piece, if it is at hand, and says what is needed for the next if something is.
    pub(super) fn step(&mut self, scratch: &mut Scratch) -> Option<Need> {
        let Progress::Sending(sending) = &mut self.progress else { return None };
        let need = sending.need();
        match need {
            Need::Done => {}
            Need::Make => {
                let mut piece = Vec::new();
                sending.make(&mut piece);
                scratch.to_client.stage(&piece);
            }
            Need::Fetch { .. } => {
                if let Progress::Sending(sending) =
                    std::mem::replace(&mut self.progress, Progress::Asked)
                {
                    self.progress = Progress::Fetching(sending);
                }
            }
        }
        Some(need)
    }
}
