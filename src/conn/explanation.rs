//! What it takes to explain a refusal.

use crate::access::NotAdmitted;

/// What a refusal waits for to be explained.
#[derive(Default)]
pub(super) struct Explanation {
    /// The response that opens the WebSocket only to say why it is closed.
    pub(super) response: Option<Vec<u8>>,
    /// Why it is refused as soon as it is known what it asks for.
    pub(super) condemned: Option<NotAdmitted>,
}
