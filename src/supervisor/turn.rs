//! A turn of the supervisor: signals, what workers say, who died, and what is due.

use super::process::say;
use super::words::{again, ended};
use super::*;

use nix::sys::wait::WaitStatus;

use crate::framing::watched;
use crate::logging::Escaped;
use crate::worker::{Message, Said};

impl Supervisor {
    /// Until all workers are gone.
    pub(super) fn supervise(&mut self) -> io::Result<Ended> {
        let mut events = Events::with_capacity(64);
        loop {
            if let Some(ended) = self.turn(&mut events)? {
                return Ok(ended);
            }
        }
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<Option<Ended>> {
        let mut tokens: Vec<_> = self.processes().filter_map(Process::has_more).collect();
        let until = self.wake_at.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = if tokens.is_empty() { until } else { Some(Duration::ZERO) };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let now = Instant::now();
        // Signals first: a worker may have been told to end by whoever told us.
        for signal in self.signals.pending().collect::<Vec<_>>() {
            self.signalled(signal, now);
        }
        self.forgive_lateness(now);
        tokens.extend(events.iter().map(|event| event.token()));
        for token in tokens {
            self.listen(token, now);
        }
        for slot in 0..self.slots.len() {
            if let Some(ended) = self.bury(slot, now) {
                return Ok(Some(ended));
            }
        }
        self.look_after_others(now);
        self.go_on_reloading(now);
        self.serve_deadlines(now);
        let is_over = matches!(self.phase, Phase::Draining(_)) && self.processes().next().is_none();
        Ok(is_over.then_some(Ended { code: self.failures, error: None }))
    }

    fn signalled(&mut self, signal: i32, now: Instant) {
        match (signal, self.phase) {
            (SIGTERM | SIGINT, Phase::Draining(_)) => {
                self.signal_all(Signal::SIGQUIT); // at once
                self.phase = Phase::Draining(now + PATIENCE);
            }
            (SIGTERM, _) => self.drain("SIGTERM", now),
            (SIGINT, _) => self.drain("SIGINT", now),
            (SIGHUP, _) => self.hang_up(),
            (SIGUSR2, Phase::Draining(_)) => {}
            (SIGUSR2, _) => self.begin_upgrade(now),
            _ => {}
        }
    }

    /// When we were not there to listen, as on a machine that was paused, nobody was stuck meanwhile
    /// as far as we know.
    fn forgive_lateness(&mut self, now: Instant) {
        let late = self.wake_at.map(|at| now.saturating_duration_since(at)).unwrap_or_default();
        if late > self.config.workers.stall_timeout / 4 {
            self.slots
                .iter_mut()
                .flat_map(|slot| &mut slot.process)
                .for_each(|own| own.heard = now);
        }
    }

    /// What a worker says.
    fn listen(&mut self, token: Token, now: Instant) {
        let found = self.slots.iter_mut().enumerate().find_map(|(at, slot)| {
            let process = slot.process.as_mut().filter(|process| process.is(token))?;
            Some((at, process))
        });
        let Some((at, process)) = found else { return self.listen_to_others(token, now) };
        let (is_news, messages) = process.listen(now);
        let from = process.id();
        if is_news {
            self.is_ready(at, now);
        }
        self.pass_on(from, messages, now);
    }

    /// The worker of a slot has become ready.
    fn is_ready(&mut self, at: usize, now: Instant) {
        let Some(process) = self.slots.get_mut(at).and_then(|slot| slot.process.as_mut()) else {
            return;
        };
        let words = process.words.let_go();
        for line in String::from_utf8_lossy(&words).lines() {
            say(at + 1, line);
        }
        match self.phase {
            Phase::Starting => {
                self.phase = Phase::Filling;
                self.slots.iter_mut().skip(1).for_each(|slot| slot.due = Some(now));
            }
            Phase::Filling => {}
            Phase::Running => info!(event = "worker-up", worker = at + 1; "worker is up again"),
            Phase::Draining(_) => process.signal(Signal::SIGTERM),
        }
        self.join_reload(at);
        let ready = |slot: &Slot| slot.process.as_ref().is_some_and(|process| process.ready);
        if self.phase == Phase::Filling && self.slots.iter().all(ready) {
            self.is_up();
        }
    }

    /// What a worker says that is to take over, or that another has followed.
    fn listen_to_others(&mut self, token: Token, now: Instant) {
        let new = self.upgrade.iter_mut().flat_map(|upgrade| &mut upgrade.workers);
        let mut all = self.retired.iter_mut().chain(new);
        let Some(process) = all.find(|process| process.is(token)) else { return };
        let (is_news, messages) = process.listen(now);
        let from = process.id();
        if is_news {
            let words = process.words.let_go();
            let worker = process.number;
            String::from_utf8_lossy(&words).lines().for_each(|line| say(worker, line));
            self.came_up(now);
        }
        self.pass_on(from, messages, now);
    }

    /// Carries what one worker says to others, and hears what is said to us.
    fn pass_on(&mut self, from: u32, messages: Vec<Message>, now: Instant) {
        for message in messages {
            match message.said {
                Said::Prepared(_) | Said::Changed(_) => {
                    self.hear_of_reload(from, message.number, message.said, now);
                }
                _ => self.carry(from, message),
            }
        }
    }

    fn carry(&self, from: u32, Message { peer, number, said }: Message) {
        let find = |pid: u32| self.processes().find(|process| process.id() == pid);
        let back = |said| {
            if let Some(process) = find(from) {
                process.tell(&Message { peer, number, said });
            }
        };
        match (said, find(peer)) {
            (Said::Who, _) => {
                let others = self.processes().filter(|own| own.ready && own.id() != from);
                back(Said::Present(others.map(|own| (own.id(), own.number)).collect()));
            }
            (said @ (Said::Ask(_) | Said::Part { .. }), Some(process)) => {
                process.tell(&Message { peer: from, number, said });
            }
            (Said::Ask(_), None) => back(Said::Gone),
            // The rest is ours to say.
            _ => {}
        }
    }

    /// A worker that has ended makes room for the next. At the start it is the end of us, too.
    fn bury(&mut self, at: usize, now: Instant) -> Option<Ended> {
        let slot = self.slots.get_mut(at)?;
        let status = slot.process.as_ref()?.ended()?;
        let mut process = slot.process.take()?;
        self.clear(process.row);
        let lived = now.saturating_duration_since(process.started);
        let (worker, id) = (at + 1, process.id());
        let last_words = match process.last_words(self.poll.registry()) {
            "" => String::new(),
            words => format!("; its last words: {words}"),
        };
        let how = ended(status);
        self.miss_in_reload(id, &how, now);
        if let Phase::Draining(_) = self.phase {
            let in_order = matches!(
                status,
                WaitStatus::Exited(_, 0)
                    | WaitStatus::Signaled(_, Signal::SIGTERM | Signal::SIGQUIT, _)
            );
            if !in_order {
                self.failures = 1;
                warn!(event = "worker-died", worker = worker; "worker {how}{last_words}");
            }
            return None;
        }
        if self.phase == Phase::Starting {
            let _ = io::stderr().write_all(&process.words.let_go());
            return Some(match status {
                WaitStatus::Exited(_, code) if code != 0 => {
                    Ended { code: u8::try_from(code).unwrap_or(1), error: None }
                }
                _ => Ended { code: 1, error: Some(Box::new(format!("the first worker {how}"))) },
            });
        }
        let slot = self.slots.get_mut(at)?;
        let pause = slot.restarts.pause(lived);
        slot.due = Some(now + pause);
        warn!(
            event = "worker-died", worker = worker, process = id;
            "worker {how}{last_words}; {}", again(pause)
        );
        None
    }

    fn serve_deadlines(&mut self, now: Instant) {
        for at in 0..self.slots.len() {
            let due = self.slots.get_mut(at).and_then(|slot| slot.due.take_if(|due| *due <= now));
            if due.is_some()
                && let Err(error) = self.fill(at, now)
            {
                warn!(event = "worker-died", worker = at + 1; "cannot start a worker: {error}");
                if let Some(slot) = self.slots.get_mut(at) {
                    slot.due = Some(now + RETRY);
                }
            }
        }
        self.replace_stuck(now);
        let mut next: Vec<Instant> = self.slots.iter().filter_map(|slot| slot.due).collect();
        let current = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        next.extend(current.filter_map(|process| self.stuck_at(process)));
        next.extend(self.upgrade_due(now));
        next.extend(self.reload.due());
        if let Phase::Draining(until) = self.phase {
            if until <= now {
                self.signal_all(Signal::SIGKILL);
            } else {
                next.push(until);
            }
        }
        if let (Some(at), Some(interval)) = (self.tell_at, self.manager.watchdog_interval()) {
            if at <= now {
                self.manager.tell("WATCHDOG=1");
                self.tell_at = Some(now + interval);
            }
            next.extend(self.tell_at);
        }
        self.wake_at = next.into_iter().min();
    }

    /// When a worker is taken for stuck, unless it says something.
    fn stuck_at(&self, process: &Process) -> Option<Instant> {
        let timeout = self.config.workers.stall_timeout;
        (process.ready && !timeout.is_zero()).then(|| match process.aborted {
            Some(aborted) => aborted + RETRY,
            None => process.heard + timeout,
        })
    }

    /// Ends workers that do not turn any more: with a core, if they dump one, and else without.
    fn replace_stuck(&mut self, now: Instant) {
        let stuck: Vec<bool> = self
            .slots
            .iter()
            .map(|slot| slot.process.as_ref().and_then(|process| self.stuck_at(process)))
            .map(|at| at.is_some_and(|at| at <= now))
            .collect();
        let slots = self.slots.iter_mut().enumerate().zip(stuck);
        for ((at, slot), _) in slots.filter(|(_, stuck)| *stuck) {
            let Some(process) = &mut slot.process else { continue };
            if process.aborted.replace(now).is_some() {
                process.signal(Signal::SIGKILL);
                continue;
            }
            let time = now.saturating_duration_since(process.heard).as_secs_f64();
            let function = match self.table.doing(process.row).map(watched).unwrap_or_default() {
                name if name.is_empty() => String::new(),
                name => format!(", in a function of the framing '{}'", Escaped(name)),
            };
            warn!(
                event = "worker-stuck", worker = at + 1;
                "worker has been in one turn for {time:.1} s{function}: replacing it"
            );
            process.signal(Signal::SIGABRT);
        }
    }
}

/// When something is tried again that failed.
const RETRY: Duration = Duration::from_secs(2);
