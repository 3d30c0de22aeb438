//! Where requests for the operator's pages wait until the end of the turn.

use std::collections::VecDeque;

use super::inquiry::Inquiry;
use super::slots::Key;
use crate::http::Request;
use crate::worker::Said;

/// What is asked of the pages and not answered yet.
#[derive(Default)]
pub(super) struct Desk {
    /// Requests, and whose they are.
    pub(super) requests: Vec<(Key, Box<Request>)>,
    /// Only the first is worked at.
    pub(super) lists: VecDeque<List>,
    /// What other workers are asked.
    pub(super) inquiries: Vec<Inquiry>,
    /// What the supervisor has this worker do, and of which reload that is.
    pub(super) orders: Vec<(u64, Said)>,
    /// Whether others have said something that was not heard.
    pub(super) heard: bool,
    /// The number of this worker, if there are others whose answers belong to its own.
    pub(super) worker: Option<usize>,
    /// How many questions there were.
    serials: u32,
}

/// A list of all sessions on its way.
pub(super) struct List {
    /// Whose it is.
    pub(super) key: Key,
    pub(super) request: Box<Request>,
    /// The slot that is next.
    pub(super) next: usize,
    pub(super) text: String,
}

impl Desk {
    /// A request of the client with this key.
    pub(super) fn ask(&mut self, key: Key, request: Box<Request>) {
        self.requests.push((key, request));
    }

    /// Whether there is something to do at once.
    pub(super) fn is_busy(&self) -> bool {
        !self.lists.is_empty() || !self.requests.is_empty() || self.heard
    }

    /// The number of one more question.
    pub(super) fn next_serial(&mut self) -> u32 {
        self.serials = self.serials.wrapping_add(1);
        self.serials
    }
}
