//! What all TLS connections of a loop share, and what one of them may have to keep.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustls::client::ClientConfig;
use rustls::server::ServerConfig;

/// The configurations, and the buffers of a turn: no connection has any of its own while it has
/// nothing to keep.
#[derive(Default)]
pub(super) struct Memory {
    /// How clients are met; none without a certificate.
    pub(super) server: RefCell<Option<Arc<ServerConfig>>>,
    /// How peers are met.
    pub(super) client: RefCell<Option<Arc<ClientConfig>>>,
    /// Ciphertext as it comes in.
    pub(super) inbox: Cell<Vec<u8>>,
    /// Ciphertext to go out.
    pub(super) outbox: Cell<Vec<u8>>,
    /// Small pieces of plaintext, until they are a record.
    pub(super) record: Cell<Vec<u8>>,
}

/// Bytes that wait, of which the first go first. No memory while there are none.
#[derive(Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    start: usize,
}

impl Held {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The first `n` bytes are gone.
    pub(super) fn drop_front(&mut self, n: usize) {
        self.start += n;
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Moves as much as fits to the front of `buffer`; returns how much that was.
    pub(super) fn give(&mut self, buffer: &mut [u8]) -> usize {
        let mut given = 0;
        for (to, from) in buffer.iter_mut().zip(self.bytes()) {
            *to = *from;
            given += 1;
        }
        self.drop_front(given);
        given
    }
}
