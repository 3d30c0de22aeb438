//! Another configuration is in force: who comes from now on is served by it.

use std::rc::Rc;
use std::time::Duration;

use log::{info, warn};

use super::context::Context;
use super::event_loop::Reactor;
use super::kernel::Kernel;
use super::listen::service::Service;
use super::listen::{Entrance, Listener, Present};
use super::session::{Next, Session};
use super::sessions::TOLD;
use super::system::System;
use super::timer_wheel;
use crate::conn::respite;

/// A listening socket of another configuration.
pub(super) enum Renewed<S: System> {
    /// The one of this number that is there.
    Kept(usize, Entrance),
    /// One that is watched already.
    New(Listener<S>),
}

impl<S: System> Reactor<S> {
    /// Serves who comes from now on so; those that are there keep what they have. The listeners are
    /// these: who waits at another one is let in before it is closed.
    pub(super) fn renew(&mut self, service: Service, listeners: Vec<Renewed<S>>) {
        let service = Rc::new(service);
        let old = std::mem::replace(&mut self.service, Rc::clone(&service));
        let mut before: Vec<_> = self.listeners.drain(..).map(Some).collect();
        let mut after = Vec::new();
        for renewed in listeners {
            let (listener, entrance) = match renewed {
                Renewed::Kept(at, entrance) => {
                    (before.get_mut(at).and_then(Option::take), entrance)
                }
                Renewed::New(listener) => {
                    if !listener.is_handed() {
                        info!("listening on {}", listener.entrance().name);
                    }
                    let entrance = Entrance::clone(listener.entrance());
                    (Some(listener), entrance)
                }
            };
            if let Some(mut listener) = listener {
                listener.renew(entrance, Rc::clone(&service));
                after.push(listener);
            }
        }
        for mut listener in before.iter_mut().filter_map(|one| one.take_if(Listener::stays)) {
            let is_admin = listener.service().config.is_admin;
            let own = if is_admin { Rc::new(service.for_operators()) } else { Rc::clone(&service) };
            listener.renew(Entrance::clone(listener.entrance()), own);
            after.push(listener);
        }
        self.listeners = before.into_iter().flatten().collect();
        for listener in self.listeners.iter().filter(|listener| !listener.is_handed()) {
            info!("no longer listening on {}", listener.entrance().name);
        }
        self.stop_listening();
        self.listeners = after;
        if !Rc::ptr_eq(&old.backend, &service.backend) {
            self.context.outgoing.push(Rc::clone(&old.backend));
        }
        if old.config.rate != service.config.rate {
            self.context.admission.forget_rates();
        }
        // That of the sessions that are there may be shorter.
        let respite = timer_wheel::whole_ticks(respite(&service.config.deadlines));
        self.context.respite = self.context.respite.min(respite);
        for key in self.sessions.keys() {
            self.sessions.serve(key, &mut self.context, Session::outdated);
        }
    }

    /// How many clients there can be at once: more take a restart.
    pub(super) fn room(&self) -> usize {
        let others = TOLD + self.service.config.query_threads;
        self.context.slab.slots().saturating_sub(others)
    }

    /// Where it listens.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.listeners.iter().map(|listener| &*listener.entrance().name)
    }
}

impl Reactor<Kernel> {
    /// The listening sockets that are there.
    pub(super) fn present(&self) -> Vec<Present> {
        self.listeners.iter().map(Listener::present).collect()
    }

    /// Has the kernel probe clients that come from now on after so long.
    pub(super) fn set_probes(&self, probe: Duration) {
        for listener in &self.listeners {
            if let Err(error) = listener.socket().set_probe(probe) {
                warn!("{}: the kernel probes clients as before: {error}", listener.entrance().name);
            }
        }
    }
}

impl<S: System> Session<S> {
    /// The turn in which another configuration is in force: a further request on the same connection is
    /// to be served by it, so this one has no further.
    fn outdated(&mut self, context: &mut Context<S>) -> Next {
        if self.connection.outdated() { self.turn(context) } else { Next::Wait }
    }
}
