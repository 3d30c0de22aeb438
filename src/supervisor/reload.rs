//! SIGHUP to a supervisor: a process of its own checks the configuration, then all workers serve by it,
//! or none.

use super::check::Check;
use super::errand::Errand;
use super::rounds::{Rounds, Step};
use super::*;

use log::error;

use crate::config;
use crate::logging;
use crate::worker::{Item, MOST_HANDED, Message, Said};

/// How much longer workers and the check may take to answer: they say themselves what hangs.
const BEYOND: Duration = Duration::from_secs(5);

impl Supervisor {
    /// SIGHUP came.
    pub(super) fn hang_up(&mut self) {
        if let Phase::Draining(_) = self.phase {
            return info!("SIGHUP is ignored: the daemon ends");
        }
        self.reload.wanted = true;
    }

    /// Begins a reload, or goes on with one.
    pub(super) fn go_on_reloading(&mut self, now: Instant) {
        if let Phase::Draining(_) = self.phase {
            return self.reload.end();
        }
        let is_free = self.phase == Phase::Running && self.upgrade.is_none();
        if is_free && !self.reload.is_under_way() && std::mem::take(&mut self.reload.wanted) {
            info!("SIGHUP: reading the configuration again");
            self.manager.tell_reloading();
            self.begin_reading(now);
        }
        if let Some(outcome) = self.reload.reading.as_ref().and_then(|own| own.outcome(now)) {
            self.reload.reading = None;
            match outcome {
                Ok(accepted) => self.begin_check(accepted, now),
                Err(error) => self.refuse(&error.to_string()),
            }
        }
        if let Some(outcome) = self.reload.check.as_mut().and_then(|check| check.outcome(now)) {
            self.reload.check = None;
            match outcome {
                Ok(()) => self.begin_opening(now),
                Err(why) => self.refuse(&why),
            }
        }
        if let Some(outcome) = self.reload.opening.as_ref().and_then(|own| own.outcome(now)) {
            self.reload.opening = None;
            match outcome {
                Ok(sockets) => self.begin_rounds(sockets, now),
                Err(error) => self.refuse(&error.to_string()),
            }
        }
        if let Some(rounds) = &mut self.reload.rounds {
            let step = rounds.serve(now);
            self.follow(step);
        }
    }

    /// Has a thread read all files.
    fn begin_reading(&mut self, now: Instant) {
        let file = self.config.file.clone();
        let read = move || Accepted::read(file.as_deref(), config::again);
        match Errand::begin("reading the files", &self.waker, self.errand_until(now), read) {
            Ok(reading) => self.reload.reading = Some(reading),
            Err(error) => self.refuse(&format!("threads: {error}")),
        }
    }

    fn errand_until(&self, now: Instant) -> Instant {
        now + self.config.reload_timeout
    }

    fn begin_check(&mut self, accepted: Accepted, now: Instant) {
        let token = self.next_token();
        let what = (&self.program, &accepted.files);
        // It reads how long it may take from these files, too.
        let until = now + accepted.config.reload_timeout + BEYOND;
        match Check::begin(what, (self.poll.registry(), token), until) {
            Ok(check) => (self.reload.check, self.reload.fresh) = (Some(check), Some(accepted)),
            Err(error) => self.refuse(&format!("cannot begin the check: {error}")),
        }
    }

    /// Has a thread listen where nobody does: names are looked up for that.
    fn begin_opening(&mut self, now: Instant) {
        let (Some(sockets), Some(fresh)) = (self.sockets.clone(), &self.reload.fresh) else {
            return;
        };
        let (config, workers) = (fresh.config.clone(), self.slots.len());
        let open = move || reactor::renew_for_workers(&sockets, &config, workers);
        match Errand::begin("names to listen at", &self.waker, self.errand_until(now), open) {
            Ok(opening) => self.reload.opening = Some(opening),
            Err(error) => self.refuse(&format!("threads: {error}")),
        }
    }

    fn begin_rounds(&mut self, sockets: WorkerSockets, now: Instant) {
        self.reload.count += 1;
        let places = sockets.of_clients(0).count();
        let most = MOST_HANDED - 1; // beside the files
        if places > most {
            return self.refuse(&format!(
                "needs a restart: {places} places to listen, and workers can be handed {most}"
            ));
        }
        self.reload.sockets = Some(sockets);
        let current = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        let all: Vec<_> =
            current.filter(|own| own.ready).map(|own| (own.id(), own.number)).collect();
        if all.is_empty() {
            self.commit();
            return self
                .changed("no worker is there: those that are started next serve by it", &[]);
        }
        let until = now + self.config.reload_timeout + BEYOND;
        let (rounds, first) = Rounds::begin(self.reload.count, all, (now, until));
        self.reload.rounds = Some(rounds);
        self.follow(first);
    }

    /// The worker of a slot has become ready, which a reload may not have known.
    pub(super) fn join_reload(&mut self, slot: usize) {
        let process = self.slots.get(slot).and_then(|slot| slot.process.as_ref());
        if let (Some(process), Some(rounds)) = (process, &mut self.reload.rounds) {
            let step = rounds.join((process.id(), process.number));
            self.follow(step);
        }
    }

    /// All workers can serve by what is new: from now on it is what counts, also for those that begin.
    fn commit(&mut self) {
        let Some(Accepted { config, files }) = self.reload.fresh.take() else { return };
        self.files = Rc::new(files);
        let before = std::mem::replace(&mut self.sockets, self.reload.sockets.take());
        if let (Some(before), Some(sockets)) = (&before, &self.sockets) {
            let count = self.slots.len();
            for entrance in sockets.beside(before) {
                let with_tls = if entrance.words.tls { " with TLS" } else { "" };
                info!("listening on {}{with_tls}, workers: {count}", entrance.name);
            }
            for entrance in before.beside(sockets) {
                info!("no longer listening on {}", entrance.name);
            }
        }
        // One that has not become ready begins by what was in force before, and has no clients.
        let begun = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        for process in begun.filter(|process| !process.ready) {
            info!(worker = process.number; "worker begins anew, by the new configuration");
            process.signal(Signal::SIGKILL);
        }
        if let Err(error) = reactor::protect_keys(&config) {
            warn!("core dumps of the supervisor stay as they are: {error}");
        }
        // How long they may take to end is ours to know.
        let Config { drain_grace, drain_spread, drain_timeout, reload_timeout, log, .. } = config;
        let before = self.config.clone();
        self.config = Config { drain_grace, drain_spread, drain_timeout, reload_timeout, ..before };
        logging::renew(log);
    }

    /// What a worker says of a reload.
    pub(super) fn hear_of_reload(&mut self, process: u32, number: u64, said: Said, now: Instant) {
        let rounds = self.reload.rounds.as_mut().filter(|rounds| rounds.number() == number);
        if let Some(rounds) = rounds {
            let step = rounds.hear(process, said, now);
            self.follow(step);
        }
    }

    /// A worker is gone, which a reload may have waited for.
    pub(super) fn miss_in_reload(&mut self, process: u32, how: &str, now: Instant) {
        if let Some(rounds) = &mut self.reload.rounds {
            let step = rounds.gone(process, how, now);
            self.follow(step);
        }
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Wait => {}
            Step::Tell(said, members) => {
                if said == Said::Change {
                    self.commit();
                }
                let is_member = |own: &&Process| members.iter().any(|(pid, _)| *pid == own.id());
                for process in self.processes().filter(is_member) {
                    match said {
                        Said::Prepare(_) => self.have_prepared(process),
                        _ => self.order(process, said.clone()),
                    }
                }
            }
            Step::Refused(why) => self.refuse(&why),
            Step::Changed(words, late) => self.changed(&words, &late),
        }
    }

    fn order(&self, process: &Process, said: Said) {
        process.tell(&Message { peer: 0, number: self.reload.count, said });
    }

    /// Has a worker prepare: it is handed the files, and what it is to listen on.
    fn have_prepared(&self, process: &Process) {
        let (Some(fresh), Some(sockets)) = (&self.reload.fresh, &self.reload.sockets) else {
            return;
        };
        let sockets = sockets.of_clients(process.number - 1);
        let sockets = sockets.map(|(place, socket)| (Item::Socket(place.into()), socket));
        let files = (Item::Files, fresh.files.as_fd());
        let (items, handed): (Vec<_>, Vec<_>) = std::iter::once(files).chain(sockets).unzip();
        let said = Said::Prepare(items);
        process.hand(&Message { peer: 0, number: self.reload.count, said }, &handed);
    }

    /// Nothing changes.
    fn refuse(&mut self, why: &str) {
        self.reload.end();
        error!("reload refused, configuration {} stays: {why}", self.reload.configuration);
        for slot in &self.slots {
            slot.process.iter().for_each(|process| self.order(process, Said::Stay));
        }
        self.manager.tell("READY=1");
    }

    /// All workers serve by it.
    fn changed(&mut self, words: &str, late: &[usize]) {
        self.reload.end();
        self.reload.configuration += 1;
        for worker in late {
            warn!(worker = worker; "worker has not said that it serves by the new configuration");
        }
        info!("configuration {} is in force: {words}", self.reload.configuration);
        self.manager.tell("READY=1");
    }
}
