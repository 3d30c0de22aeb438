//! The machine's threads: queries and look-ups that wait their turn, run, and come back.

use std::collections::VecDeque;
use std::io::{ErrorKind, Result};
use std::sync::Arc;

use websocksy::backend::{Answer, Asked, QueryError, Request};
use websocksy::framing;
use websocksy::proto::handshake::Upgrade;
use websocksy::reactor::{Done, Instance, Key, LookedUp, Ticket, Workers};

use super::{Due, Machine, State};
use crate::descriptors::Descriptor;

/// What a job does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Query,
    LookUp,
}

/// Jobs of one kind.
#[derive(Debug)]
pub(super) struct Jobs {
    most: usize,
    running: Vec<Job>,
    pub(super) queued: VecDeque<Job>,
}

#[derive(Debug)]
pub(super) struct Job {
    ticket: u64,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// With the duplicate of the client's descriptor that it holds.
    Query {
        key: Key,
        request: Request,
        client: usize,
        _descriptor: Descriptor,
    },
    LookUp {
        name: String,
    },
}

impl Jobs {
    pub(super) fn new(most: usize) -> Self {
        Self { most, running: Vec::new(), queued: VecDeque::new() }
    }

    fn cancel(&mut self, ticket: Ticket) -> bool {
        let before = self.queued.len();
        self.queued.retain(|job| job.ticket != ticket.0);
        self.queued.len() < before
    }

    /// Whether a name is looked up, now or soon.
    pub(super) fn looks_up(&self, host: &str) -> bool {
        let mut all = self.running.iter().chain(&self.queued);
        all.any(|job| matches!(&job.what, What::LookUp { name } if name == host))
    }

    /// The descriptors that running queries hold.
    pub(super) fn holds(&self) -> usize {
        let all = self.running.iter().chain(&self.queued);
        all.filter(|job| matches!(job.what, What::Query { .. })).count()
    }
}

impl State {
    fn jobs(&mut self, kind: Kind) -> &mut Jobs {
        match kind {
            Kind::Query => &mut self.queries,
            Kind::LookUp => &mut self.look_ups,
        }
    }

    fn run(&mut self, kind: Kind, what: What) -> Ticket {
        self.tickets += 1;
        let ticket = self.tickets;
        self.jobs(kind).queued.push_back(Job { ticket, what });
        self.start_jobs(kind);
        Ticket(ticket)
    }

    fn start_jobs(&mut self, kind: Kind) {
        while self.jobs(kind).running.len() < self.jobs(kind).most
            && let Some(job) = self.jobs(kind).queued.pop_front()
        {
            let up_to = match kind {
                Kind::Query => self.latencies.query,
                Kind::LookUp => self.latencies.look_up,
            };
            let after = self.long_latency(up_to);
            self.enter(after, Due::Job(kind, job.ticket));
            self.jobs(kind).running.push(job);
        }
    }

    pub(super) fn job_ends(&mut self, kind: Kind, ticket: u64) {
        let running = &mut self.jobs(kind).running;
        let at = running.iter().position(|job| job.ticket == ticket).expect("a job that runs");
        let done = match running.swap_remove(at).what {
            What::Query { key, request, client, .. } => {
                let answer = self.answer(client);
                Done::Answered { key, request: Box::new(request), answer }
            }
            What::LookUp { name } => {
                let addresses = self.resolve(&name);
                Done::Resolved { name, addresses }
            }
        };
        self.done.push_back(done);
        self.offload_event = true;
        self.start_jobs(kind);
    }

    fn answer(&mut self, client: usize) -> std::result::Result<Answer, QueryError> {
        self.clients[client].known_at = Some(self.now);
        if self.random.one_in(self.faults.no_peer) {
            self.clients[client].no_peer = true;
            return Err(QueryError::NoPeer);
        }
        let target = self.target(client);
        self.clients[client].target = Some(target.clone());
        let framing = framing::by_name("binary").expect("a framing of ours");
        Ok(Answer::new(target, framing, None))
    }

    fn resolve(&mut self, name: &str) -> LookedUp {
        if !self.names.contains_key(name) {
            let known = !self.random.one_in(self.faults.unknown_name);
            let addresses = if known { self.addresses() } else { Vec::new() };
            self.names.insert(name.into(), addresses);
        }
        match self.names[name].as_slice() {
            [] => Err(Arc::new(ErrorKind::NotFound.into())),
            addresses => Ok(addresses.to_vec()),
        }
    }
}

fn client_of(upgrade: &Upgrade) -> usize {
    let path = upgrade.endpoint().to_str().expect("ASCII");
    path.trim_start_matches('/').parse().expect("a client's number")
}

impl Workers<Key> for Machine {
    fn answer(
        &mut self,
        _: Instance,
        asked: &Asked<'_>,
    ) -> Option<std::result::Result<Answer, QueryError>> {
        let mut state = self.state();
        let client = client_of(asked.upgrade);
        state.books.instant.then(|| state.answer(client))
    }

    fn query(&mut self, _: Instance, key: Key, request: Request) -> Result<Ticket> {
        let mut state = self.state();
        let client = client_of(&request.upgrade);
        assert!(request.socket.is_some(), "a query without the client's socket");
        let descriptor = state.descriptors.take()?;
        Ok(state.run(Kind::Query, What::Query { key, request, client, _descriptor: descriptor }))
    }

    fn cancel_query(&mut self, ticket: Ticket) -> bool {
        self.state().queries.cancel(ticket)
    }

    fn look_up(&mut self, name: &str) -> Result<Ticket> {
        Ok(self.state().run(Kind::LookUp, What::LookUp { name: name.into() }))
    }

    fn cancel_look_up(&mut self, ticket: Ticket) -> bool {
        self.state().look_ups.cancel(ticket)
    }

    fn next(&mut self) -> Option<Done<Key>> {
        self.state().done.pop_front()
    }
}
