//! From a supervisor to the next one, over exec(3) in the same process: which descriptors are what, and
//! which workers there are.

use std::env;
use std::fmt;
use std::os::fd::RawFd;

use crate::worker::place;

/// The variable of the environment.
pub(super) const VARIABLE: &str = "WEBSOCKSY_SUPERVISOR";

/// What is handed on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The process that it is for.
    pub(super) pid: u32,
    /// The memory of the workers' table.
    pub(super) table: RawFd,
    /// The sockets of each listener, the workers' in their order.
    pub(super) sockets: Vec<SocketState>,
    pub(super) workers: Vec<WorkerState>,
}

/// A listening socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SocketState {
    /// Those of one listener have one number.
    pub(super) listener: usize,
    /// Where that is.
    pub(super) place: String,
    pub(super) fd: RawFd,
}

/// A worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WorkerState {
    pub(super) number: usize,
    /// It takes no more clients.
    pub(super) retired: bool,
    pub(super) pid: i32,
    pub(super) row: usize,
    pub(super) control: RawFd,
    pub(super) stderr: RawFd,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid={} table={}", self.pid, self.table)?;
        for SocketState { listener, place, fd } in &self.sockets {
            write!(f, " socket={listener}:{}:{fd}", place::written(place))?;
        }
        for WorkerState { number, retired, pid, row, control, stderr } in &self.workers {
            let key = if *retired { "retired" } else { "worker" };
            write!(f, " {key}={number}:{pid}:{row}:{control}:{stderr}")?;
        }
        Ok(())
    }
}

impl State {
    /// What was handed on to this process, if anything was.
    pub(super) fn of_process() -> Option<Self> {
        let state = Self::parse(&env::var(VARIABLE).ok()?)?;
        (state.pid == std::process::id()).then_some(state)
    }

    /// Reads what it displays. Words that are not known are another version's.
    fn parse(text: &str) -> Option<Self> {
        let mut state = Self { table: -1, ..Self::default() };
        for word in text.split(' ') {
            let (key, value) = word.split_once('=')?;
            match key {
                "pid" => state.pid = value.parse().ok()?,
                "table" => state.table = value.parse().ok()?,
                "socket" => {
                    let (listener, rest) = value.split_once(':')?;
                    let (place, fd) = rest.split_once(':')?;
                    let (listener, fd) = (listener.parse().ok()?, fd.parse().ok()?);
                    let place = place::read(place)?;
                    state.sockets.push(SocketState { listener, place, fd });
                }
                "worker" | "retired" => {
                    let [number, pid, row, control, stderr] = numbers(value)?;
                    state.workers.push(WorkerState {
                        number: number.try_into().ok()?,
                        retired: key == "retired",
                        pid: pid.try_into().ok()?,
                        row: row.try_into().ok()?,
                        control: control.try_into().ok()?,
                        stderr: stderr.try_into().ok()?,
                    });
                }
                _ => {}
            }
        }
        Some(state)
    }
}

fn numbers<const COUNT: usize>(text: &str) -> Option<[u32; COUNT]> {
    let numbers: Option<Vec<u32>> = text.split(':').map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let worker = |number, retired, pid| WorkerState {
            number,
            retired,
            pid,
            row: number + 4,
            control: 20 + pid,
            stderr: 40 + pid,
        };
        let socket = |listener, place: &str, fd| SocketState { listener, place: place.into(), fd };
        let state = State {
            pid: 7,
            table: 3,
            sockets: vec![
                socket(0, "[::]:1", 4),
                socket(0, "[::]:1", 5),
                socket(1, "[::]:1", 6),
                socket(2, "unix:/a b", 9),
            ],
            workers: vec![worker(1, false, 30), worker(2, false, 31), worker(1, true, 12)],
        };
        assert_eq!(State::parse(&format!("new=1 {state}")), Some(state));
        for wrong in ["", "pid", "pid=x", "pid=1 socket=1:2", "pid=1 worker=1:2:3:4", "pid=-1"] {
            assert_eq!(State::parse(wrong), None, "{wrong}");
        }
    }
}
