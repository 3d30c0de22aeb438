//! A worker's part in a reload: its supervisor says when all read what is new, and when all serve by it.

use std::os::fd::OwnedFd;

use super::event_loop::Reactor;
use super::kernel::Kernel;
use super::reload::{Found, Handed, Reload};
use super::start_error::StartError;
use super::system::System as _;
use crate::worker::{Item, Message, Said};

impl Reload {
    /// Does what the supervisor said since it was asked last.
    pub(super) fn obey(&mut self, reactor: &mut Reactor<Kernel>) {
        // It is asked in every turn, and nearly always there is nothing.
        if reactor.context.desk.orders.is_empty() && !reactor.context.system.has_handed() {
            return;
        }
        // With an order that came before the last, something else may have come.
        let mut handed = reactor.context.system.take_handed();
        for (number, order) in std::mem::take(&mut reactor.context.desk.orders) {
            match order {
                Said::Prepare(items) if items.iter().eq(handed.iter().map(|(item, _)| item)) => {
                    self.prepare(number, std::mem::take(&mut handed), reactor);
                }
                Said::Change => self.change(number, reactor),
                Said::Stay => self.stay(reactor),
                _ => {}
            }
        }
    }

    fn prepare(
        &mut self,
        number: u64,
        handed: Vec<(Item, OwnedFd)>,
        reactor: &mut Reactor<Kernel>,
    ) {
        let is_under_way = self.is_under_way();
        let Some(orders) = &mut self.orders else { return };
        if orders.reading == Some(number) {
            return; // it is told twice where an answer takes its time
        }
        if orders.held.as_ref().is_some_and(|(held, _)| *held == number) {
            return say(number, Said::Prepared(Ok(String::new())), reactor);
        }
        let before = orders.held.take();
        let handed = if is_under_way {
            (orders.reading, orders.next) = (None, Some((number, handed)));
            None
        } else {
            orders.reading = Some(number);
            Some(handed)
        };
        if let Some((_, found)) = before {
            self.forget(found, reactor);
        }
        if let Some(handed) = handed {
            let mut given = Handed::default();
            for (item, descriptor) in handed {
                match item {
                    Item::Files => given.files = Some(descriptor.into()),
                    Item::Socket(place) => given.sockets.push((place, descriptor)),
                }
            }
            self.begin(Some(given), reactor);
        }
    }

    /// The thread is done.
    pub(super) fn found(
        &mut self,
        outcome: Result<Found, StartError>,
        reactor: &mut Reactor<Kernel>,
    ) {
        let Some(orders) = &mut self.orders else { return };
        let (number, next) = (orders.reading.take(), orders.next.take());
        match (number, outcome) {
            (Some(number), Ok(found)) => {
                orders.held = Some((number, found));
                say(number, Said::Prepared(Ok(String::new())), reactor);
            }
            (Some(number), Err(error)) => {
                say(number, Said::Prepared(Err(error.to_string())), reactor);
            }
            (None, Ok(found)) => self.forget(found, reactor),
            (None, Err(_)) => {}
        }
        if let Some((next, handed)) = next {
            self.prepare(next, handed, reactor);
        }
    }

    fn change(&mut self, number: u64, reactor: &mut Reactor<Kernel>) {
        let Some(orders) = &mut self.orders else { return };
        if let Some((last, words)) = &orders.last
            && *last == number
        {
            return say(number, Said::Changed(Ok(words.clone())), reactor);
        }
        let Some((_, found)) = orders.held.take_if(|(held, _)| *held == number) else {
            return say(number, Said::Changed(Err("it was not prepared".into())), reactor);
        };
        let outcome = self.put_in_force(found, reactor).map_err(|error| error.to_string());
        let seconds = reactor.context.seconds() as u64;
        reactor.context.metrics.reloaded(outcome.is_ok(), seconds);
        if let (Ok(words), Some(orders)) = (&outcome, &mut self.orders) {
            orders.last = Some((number, words.clone()));
        }
        say(number, Said::Changed(outcome), reactor);
    }

    fn stay(&mut self, reactor: &mut Reactor<Kernel>) {
        let Some(orders) = &mut self.orders else { return };
        (orders.reading, orders.next) = (None, None);
        if let Some((_, found)) = orders.held.take() {
            self.forget(found, reactor);
        }
        let seconds = reactor.context.seconds() as u64;
        reactor.context.metrics.reloaded(false, seconds);
    }
}

/// Answers the supervisor.
fn say(number: u64, said: Said, reactor: &mut Reactor<Kernel>) {
    reactor.context.system.tell_other(&Message { peer: 0, number, said });
}
