//! The end of a daemon, or of a worker that another one follows: who is let in until when, and who is
//! told.

use log::{info, warn};

use super::event_loop::Reactor;
use super::goodbyes::{Stage, times};
use super::slots::Key;
use super::system::System;

impl<S: System> Reactor<S> {
    /// Ends the daemon: at first it says so to whoever looks for servers that are well.
    pub(super) fn begin_drain(&mut self, signal: &str) {
        let (now, grace) = (self.context.scratch.now, self.service.config.drain_grace);
        self.context.system.drains();
        self.context.draining = true;
        if grace.is_zero() {
            return self.say_goodbye(signal);
        }
        let seconds = grace.as_secs_f64();
        info!("{signal}: not ready any more, and taking clients for another {seconds} s");
        self.drain.stage = Stage::Grace(now + grace);
    }

    /// Takes no more clients, which go to another process, and keeps those that are there.
    pub(super) fn retire(&mut self) {
        if !self.drain.is_far() {
            return; // it is told twice where a supervisor cannot know whether it was told
        }
        let (now, limit) = (self.context.scratch.now, self.service.config.workers.upgrade_drain);
        let left = self.sessions.guests(&self.context);
        info!("an upgrade: others take new clients; sessions that go on here: {left}");
        for listener in self.listeners.drain(..) {
            listener.close(&mut self.context.system); // others hold the socket, and its queue
        }
        self.drain.is_restart = true;
        self.drain.stage = Stage::Retired((!limit.is_zero()).then(|| now + limit));
    }

    /// Takes no more clients and says goodbye to those that are there, to each in its time.
    fn say_goodbye(&mut self, why: &str) {
        info!("{why}: ending {} sessions", self.sessions.guests(&self.context));
        self.context.draining = true;
        self.stop_listening();
        let (now, spread) = (self.context.scratch.now, self.service.config.drain_spread);
        self.drain.stage = Stage::Ending(now + spread + self.service.config.drain_timeout);
        let keys = self.sessions.keys();
        let (later, at_once): (Vec<Key>, Vec<Key>) =
            keys.into_iter().partition(|key| !spread.is_zero() && self.sessions.is_bridged(*key));
        self.drain.goodbyes = times(later, now, spread);
        at_once.into_iter().for_each(|key| self.shut_down(key));
    }

    fn shut_down(&mut self, key: Key) {
        let is_restart = self.drain.is_restart;
        self.sessions.serve(key, &mut self.context, |session, context| {
            session.shut_down(is_restart, context)
        });
    }

    /// What the end has due, and the end itself.
    pub(super) fn go_on_draining(&mut self) {
        let now = self.context.scratch.now;
        let due = self.drain.goodbyes.partition_point(|(at, _)| *at <= now);
        for (_, key) in self.drain.goodbyes.drain(..due).collect::<Vec<_>>() {
            self.shut_down(key);
        }
        let left = self.sessions.guests(&self.context);
        match self.drain.stage {
            Stage::Serving => {}
            Stage::Retired(until) => {
                if until.is_some_and(|until| until <= now) {
                    self.say_goodbye("the upgrade's time is over");
                }
                self.over |= left == 0;
            }
            Stage::Grace(until) if until <= now => self.say_goodbye("not ready for long enough"),
            Stage::Grace(_) => {}
            Stage::Ending(until) => {
                let late = until <= now;
                if late && left > 0 {
                    warn!("cut off {left} sessions that did not end in time");
                }
                self.over |= left == 0 || late;
            }
        }
    }
}
