//! Clients come.

use mio::Token;

use super::event_loop::Reactor;
use super::listen::{ACCEPTS, Accepted, BACKLOG, Listener};
use super::system::System;

impl<S: System> Reactor<S> {
    /// An event of a listener: accepts who waits, some at a time.
    pub(super) fn accept(&mut self, token: Token) {
        let of_token = |listener: &Listener<S>| listener.token() == token;
        let Some(index) = self.listeners.iter().position(of_token) else { return };
        if self.listeners[index].resume_at().is_none() {
            self.accept_some(index);
        }
    }

    /// Goes on accepting where a pause is over.
    pub(super) fn resume_accepting(&mut self) {
        for index in 0..self.listeners.len() {
            if self.listeners[index].resume(self.context.scratch.now) {
                self.accept_some(index);
            }
        }
    }

    /// Accepts some clients of a listener, and goes on at the next turn if more may wait, or if so many wait
    /// already that it is better to go on then.
    fn accept_some(&mut self, index: usize) {
        if self.is_crowded(&self.listeners[index]) || self.accept_up_to(ACCEPTS, index) {
            self.listeners[index].go_on_at(self.context.scratch.now);
        }
    }

    /// Closes the listeners. Those who wait are accepted before: a listener that is closed resets
    /// them.
    pub(super) fn stop_listening(&mut self) {
        for index in 0..self.listeners.len() {
            self.accept_up_to(BACKLOG as usize, index);
        }
        // The operator may look on until the end.
        for listener in self.listeners.extract_if(.., |own| !own.service().config.is_admin) {
            listener.close(&mut self.context.system);
        }
    }

    /// Accepts up to `most` clients; returns whether more may wait and can be taken at once.
    fn accept_up_to(&mut self, most: usize, index: usize) -> bool {
        let Self { listeners, sessions, context, .. } = self;
        let listener = &mut listeners[index];
        for _ in 0..most {
            match listener.accept(&mut context.system, context.scratch.now) {
                Accepted::Client(client, address) => {
                    sessions.admit(client, address, listener, context);
                }
                Accepted::Lost => {}
                Accepted::Nobody => return false,
            }
        }
        true
    }
}
