//! From a supervisor to its workers, over exec(3): one variable says which descriptors are what.
#![allow(unsafe_code)] // descriptors whose numbers are known from the environment

use std::env;
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use super::place;
use super::table::Table;

/// The variable of the environment.
pub const VARIABLE: &str = "WEBSOCKSY_WORKER";

/// What a worker is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handoff {
    /// The supervisor's process id: the variable is for its children only.
    pub parent: u32,
    /// The worker's number, from 1 on.
    pub number: usize,
    /// How many workers there are.
    pub workers: usize,
    /// Its row in the table.
    pub row: usize,
    /// Whether it is the one that says what there is to say at a start.
    pub speaks: bool,
    /// The processor that it is to stay on.
    pub cpu: Option<usize>,
    /// After how many milliseconds of silence it is taken for stuck; zero for never.
    pub stall: u64,
    /// Where the log is written.
    pub log: RawFd,
    /// Where the supervisor is told how things are.
    pub control: RawFd,
    /// The memory of the table.
    pub table: RawFd,
    /// The listening sockets, and where each is.
    pub listeners: Vec<(String, RawFd)>,
}

impl fmt::Display for Handoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parent, number, workers, row, stall, log, control, table, .. } = self;
        write!(f, "parent={parent} number={number} workers={workers} row={row} stall={stall}")?;
        write!(f, " log={log} control={control} table={table}")?;
        if self.speaks {
            f.write_str(" speaks=1")?;
        }
        if let Some(cpu) = self.cpu {
            write!(f, " cpu={cpu}")?;
        }
        let mut all = self.listeners.iter();
        all.try_for_each(|(place, fd)| write!(f, " listen={}:{fd}", place::written(place)))
    }
}

impl Handoff {
    /// Reads what [`Handoff`] displays. Words that are not known are another version's.
    fn parse(text: &str) -> Option<Self> {
        let mut told = Self { log: -1, control: -1, table: -1, ..Self::default() };
        for word in text.split(' ') {
            let (key, value) = word.split_once('=')?;
            match key {
                "parent" => told.parent = value.parse().ok()?,
                "number" => told.number = value.parse().ok()?,
                "workers" => told.workers = value.parse().ok()?,
                "row" => told.row = value.parse().ok()?,
                "speaks" => told.speaks = value == "1",
                "cpu" => told.cpu = Some(value.parse().ok()?),
                "stall" => told.stall = value.parse().ok()?,
                "log" => told.log = value.parse().ok()?,
                "control" => told.control = value.parse().ok()?,
                "table" => told.table = value.parse().ok()?,
                "listen" => {
                    let (place, fd) = value.split_once(':')?;
                    told.listeners.push((place::read(place)?, fd.parse().ok()?));
                }
                _ => {}
            }
        }
        Some(told)
    }
}

/// What a worker has of its supervisor.
pub struct Inheritance {
    told: Handoff,
    /// Where the log is written.
    log: Option<File>,
    control: Option<OwnedFd>,
    table: &'static Table,
    listeners: Vec<(String, OwnedFd)>,
}

impl Inheritance {
    /// Takes what was handed over to this process, if it is a supervisor's worker. To be called once,
    /// before there are descriptors of our own.
    ///
    /// # Errors
    /// The supervisor is gone, or something that it speaks of is not there: in words.
    pub fn take() -> Result<Option<Self>, String> {
        let Some(told) = env::var(VARIABLE).ok().as_deref().and_then(Handoff::parse) else {
            return Ok(None);
        };
        // A worker's child has the variable too, and no descriptors.
        if !is_child_of(told.parent) {
            return Ok(None);
        }
        take_name();
        let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let log = adopt(told.log).map_err(failed("the supervisor's log"))?;
        let control = adopt(told.control).map_err(failed("the supervisor's socket"))?;
        let memory = adopt(told.table).map_err(failed("the supervisor's table"))?;
        let table = Table::map(&memory).map_err(failed("the supervisor's table"))?;
        let listeners = told.listeners.iter().map(|(place, fd)| Ok((place.clone(), adopt(*fd)?)));
        let listeners =
            listeners.collect::<io::Result<_>>().map_err(failed("a listening socket"))?;
        let (log, control) = (Some(log.into()), Some(control));
        let own = Self { told, log, control, table, listeners };
        own.die_with_supervisor().map_err(failed("worker"))?;
        if let Some(cpu) = own.told.cpu {
            pin(cpu).map_err(failed("--pin-workers"))?;
        }
        Ok(Some(own))
    }

    /// Has this process killed when the supervisor ends, however it does. A change of the user undoes
    /// that (prctl(2)), so it is called again afterwards.
    ///
    /// # Errors
    /// The supervisor is gone already, or the system refuses.
    pub fn die_with_supervisor(&self) -> io::Result<()> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if is_child_of(self.told.parent) {
            return Ok(());
        }
        Err(io::Error::other("the supervisor is gone"))
    }

    /// The worker's number, from 1 on.
    #[must_use]
    pub fn number(&self) -> usize {
        self.told.number
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.told.workers.max(1)
    }

    /// Whether it says what there is to say at a start.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.told.speaks
    }

    /// After how long the supervisor takes it for stuck.
    #[must_use]
    pub fn stall_timeout(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.told.stall)).filter(|timeout| !timeout.is_zero())
    }

    /// Where it writes its log; once.
    pub fn take_log(&mut self) -> Option<File> {
        self.log.take()
    }

    /// Where it tells the supervisor how things are; once.
    pub fn take_control(&mut self) -> Option<OwnedFd> {
        self.control.take()
    }

    /// Its listening sockets, and by which `--listen` each is there; once.
    pub fn take_listeners(&mut self) -> Vec<(String, OwnedFd)> {
        std::mem::take(&mut self.listeners)
    }

    /// The table, and its row there.
    #[must_use]
    pub fn row(&self) -> (&'static Table, usize) {
        (self.table, self.told.row)
    }
}

/// Names the process as the program was called: it was started by a link in /proc, and ps(1) and pgrep(1)
/// would find an `exe`. Who cannot be named serves as well.
fn take_name() {
    let called = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let name = called.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
    if let Some(name) = name {
        let _ = prctl::set_name(&name);
    }
}

fn is_child_of(parent: u32) -> bool {
    u32::try_from(getppid().as_raw()) == Ok(parent)
}

/// Takes over a descriptor that was handed over, once, and hands it on to nobody.
///
/// # Errors
/// It is not open.
pub fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: it is used for the call of the next line only, which does no more than fail where
    // nothing of this number is open.
    fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and nobody else owns it: the supervisor opened it for us, and it is taken
    // once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Keeps this process, and the threads that it begins from now on, on one processor.
fn pin(cpu: usize) -> io::Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_words_of_other_versions_are_passed_over() {
        let told = Handoff {
            parent: 12,
            number: 3,
            workers: 4,
            row: 7,
            speaks: true,
            cpu: Some(5),
            stall: 2500,
            log: 9,
            control: 10,
            table: 11,
            listeners: vec![("[::]:1".into(), 12), ("[::]:1".into(), 13), ("unix:/a b".into(), 14)],
        };
        assert_eq!(Handoff::parse(&told.to_string()), Some(told.clone()));
        assert_eq!(Handoff::parse(&format!("colour=red {told}")), Some(told.clone()));
        let plain = Handoff { speaks: false, cpu: None, listeners: Vec::new(), ..told };
        assert_eq!(Handoff::parse(&plain.to_string()), Some(plain));
        for wrong in ["", "parent", "parent=x", "listen=1", "listen=1:x", "listen=x:1", "parent=-1"]
        {
            assert_eq!(Handoff::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_is_adopted_that_is_not_open() {
        assert!(adopt(-1).is_err());
        assert!(adopt(1_000_000).is_err());
    }
}
