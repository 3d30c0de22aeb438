//! A new binary without a gap: its workers come up beside the old ones and on the same sockets, then the
//! supervisor executes itself anew, in the same process, and the old workers keep their sessions.

use super::process::handed_on;
use super::program;
use super::state::{SocketState, State, VARIABLE, WorkerState};
use super::words::ended;
use super::*;

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use log::error;
use nix::sys::signal::SigSet;
use nix::unistd::dup;

use crate::worker::{FILES, Kept, Snapshot};

/// How long the new workers may take to be ready.
const COMING_UP: Duration = Duration::from_secs(60);
/// When an old worker is told again for whom there was no room for a message.
const AGAIN: Duration = Duration::from_millis(500);

impl Supervisor {
    /// Begins to replace all workers, and this program, by what now lies where it was started from.
    pub(super) fn begin_upgrade(&mut self, now: Instant) {
        if self.phase != Phase::Running || self.upgrade.is_some() {
            return warn!("SIGUSR2 is ignored: workers are being started");
        }
        if self.reload.is_under_way() {
            return warn!("SIGUSR2 is ignored: the configuration is being read");
        }
        let program = Program { path: program::path(&self.program.name), ..self.program.clone() };
        info!("SIGUSR2: starting workers of {}", program.path.display());
        // Its words may be known to the new program only, as may the files that it names.
        let file = self.config.file.as_deref();
        let kept = file.and_then(|path| Some((path.to_owned(), Kept::of(path)?)));
        let files = match Snapshot::of(kept.as_slice()) {
            Ok(files) => Rc::new(files),
            Err(error) => return warn!("SIGUSR2 is ignored: no memory for files: {error}"),
        };
        let upgrade = Upgrade { program, files, workers: Vec::new(), until: now + COMING_UP };
        self.upgrade = Some(upgrade);
        // The first finds out whether they come up; the others follow it.
        self.begin_next(now);
    }

    fn begin_next(&mut self, now: Instant) {
        let Some(upgrade) = &self.upgrade else { return };
        let (number, program) = (upgrade.workers.len(), upgrade.program.clone());
        let files = Rc::clone(&upgrade.files);
        let process = self.spawn(number, (&program, Some(&files)), number == 0, now);
        match (process, &mut self.upgrade) {
            (Ok(process), Some(upgrade)) => upgrade.workers.push(process),
            (Ok(process), None) => process.signal(Signal::SIGKILL),
            (Err(error), _) => self.give_up(&format!("cannot start a worker: {error}")),
        }
    }

    /// One of the new workers is ready.
    pub(super) fn came_up(&mut self, now: Instant) {
        let Some(upgrade) = &self.upgrade else { return };
        let (begun, count) = (upgrade.workers.len(), self.slots.len());
        if begun < count {
            (begun..count).for_each(|_| self.begin_next(now));
        } else if upgrade.workers.iter().all(|process| process.ready) {
            self.change_over();
        }
    }

    /// What has become of the new workers, and of the old ones.
    pub(super) fn look_after_others(&mut self, now: Instant) {
        let lost = self.upgrade.as_mut().and_then(|upgrade| {
            let of = |process: &Process| Some((process.number, process.ended()?));
            upgrade.workers.iter().find_map(of)
        });
        if let (Some((number, status)), Some(upgrade)) = (lost, &mut self.upgrade) {
            let at = upgrade.workers.iter().position(|process| process.number == number);
            let mut process = upgrade.workers.remove(at.unwrap_or_default());
            let words = process.last_words(self.poll.registry()).to_owned();
            self.clear(process.row);
            self.give_up(&format!("worker {number} {}; its last words: {words}", ended(status)));
        }
        if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.until <= now) {
            self.give_up(&format!("not ready within {} s", COMING_UP.as_secs()));
        }
        let mut gone = Vec::new();
        let poll = &self.poll;
        self.retired.retain_mut(|process| {
            let Some(status) = process.ended() else {
                if process.untold {
                    process.retire();
                }
                return true;
            };
            let worker = process.number;
            match process.last_words(poll.registry()) {
                "" => info!(worker = worker; "old worker {}", ended(status)),
                words => warn!(
                    worker = worker;
                    "old worker {}; its last words: {words}", ended(status)
                ),
            }
            gone.push(process.row);
            false
        });
        gone.into_iter().for_each(|row| self.clear(row));
    }

    /// The old workers go on as if nothing had been.
    pub(super) fn give_up(&mut self, why: &str) {
        let Some(upgrade) = self.upgrade.take() else { return };
        error!("the upgrade failed, and all stays as it was: {why}");
        for mut process in upgrade.workers {
            // Those that are ready may have clients by now, whom they keep.
            if process.ready {
                process.retire();
            } else {
                process.signal(Signal::SIGKILL);
            }
            self.retired.push(process);
        }
    }

    /// When there is something to do for an upgrade.
    pub(super) fn upgrade_due(&self, now: Instant) -> Option<Instant> {
        let until = self.upgrade.as_ref().map(|upgrade| upgrade.until);
        let untold = self.retired.iter().any(|process| process.untold);
        until.into_iter().chain(untold.then(|| now + AGAIN)).min()
    }

    /// The new workers take the place of the old ones, and the new program that of this one.
    fn change_over(&mut self) {
        let Some(Upgrade { program, workers, files, .. }) = self.upgrade.take() else { return };
        for (slot, process) in self.slots.iter_mut().zip(workers) {
            if let Some(mut old) = slot.process.replace(process) {
                old.retire();
                self.retired.push(old);
            }
            (slot.due, slot.restarts) = (None, Restarts::default());
        }
        info!("the new workers serve; sessions of the old ones go on");
        let path = program.path.display().to_string();
        let failed = self.execute(&program, &files);
        // Workers that die are started of it all the same.
        (self.program, self.files) = (program, files);
        error!("cannot execute {path}: {failed}: the supervisor stays the old one");
    }

    /// Becomes another program; returns only if that fails.
    fn execute(&mut self, program: &Program, files: &Snapshot) -> io::Error {
        let handed = self.hand_on().and_then(|state| Ok((state, dup(files.as_fd())?)));
        let ((state, copies), files) = match handed {
            Ok(handed) => handed,
            Err(error) => return error,
        };
        let mut command = Command::new(&program.path);
        command.arg0(&program.name).args(&program.arguments).env(VARIABLE, state.to_string());
        command.env(FILES, handed_on(&files));
        crate::logging::flush(crate::logging::FLUSH_TIMEOUT);
        // What comes now waits for the new program, and does not end it before it has handlers.
        let old = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
        let error = command.exec();
        if let Ok(old) = old {
            let _ = old.thread_set_mask();
        }
        drop((copies, files));
        error
    }

    /// What the next supervisor is to know, and the descriptors that stay open for it.
    fn hand_on(&self) -> io::Result<(State, Vec<OwnedFd>)> {
        let mut copies = Vec::new();
        let mut copy = |fd: std::os::fd::BorrowedFd<'_>| -> io::Result<i32> {
            let own = dup(fd)?;
            let number = own.as_raw_fd();
            copies.push(own);
            Ok(number)
        };
        let table = copy(self.memory.as_fd())?;
        let mut state = State { pid: std::process::id(), table, ..State::default() };
        for (listener, place, fd) in self.sockets.iter().flat_map(WorkerSockets::all) {
            state.sockets.push(SocketState { listener, place: place.into(), fd: copy(fd)? });
        }
        let current = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        let all = current.map(|own| (own, false)).chain(self.retired.iter().map(|own| (own, true)));
        for (process, retired) in all {
            let [control, stderr] = process.descriptors();
            state.workers.push(WorkerState {
                number: process.number,
                retired,
                pid: process.id().cast_signed(),
                row: process.row,
                control: copy(control)?,
                stderr: copy(stderr)?,
            });
        }
        Ok((state, copies))
    }
}
