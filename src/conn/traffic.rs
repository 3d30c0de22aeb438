//! How much data went one way.

/// Payload of data frames: control frames and headers are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of payload.
    pub bytes: u64,
    /// Messages that are complete.
    pub messages: u64,
}

impl Traffic {
    /// Counts `bytes` of payload, which are the `last` of their message or not.
    pub(super) fn count(&mut self, bytes: u64, last: bool) {
        self.bytes += bytes;
        self.messages += u64::from(last);
    }

    /// Counts what somebody else has counted.
    pub(super) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.messages += other.messages;
    }
}
