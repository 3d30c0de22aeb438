//! What the steady state costs in system calls, counted by strace(1): bytes per call decide what a
//! bridge costs, and a call too many in the loop shows up nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{Client, Daemon, PATIENCE, Peer, frame, kill, left_out, within};
use std::collections::HashMap;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Round trips that are counted.
const ECHOES: usize = 500;

/// The system calls of a daemon, counted until the tracer is told to stop.
struct Trace(Child);

impl Trace {
    /// None where there is no strace, or no right to trace.
    fn of(daemon: &Daemon) -> Option<Self> {
        let mut strace = Command::new("strace");
        strace.args(["-c", "-f", "-U", "name,calls", "-p"]).arg(daemon.pid().to_string());
        let Ok(mut child) = strace.stderr(Stdio::piped()).spawn() else {
            left_out("system calls", "no strace");
            return None;
        };
        let status = format!("/proc/{}/status", daemon.pid());
        let traced = || !std::fs::read_to_string(&status).unwrap().contains("TracerPid:\t0\n");
        let mut refused = false;
        let decided = within(PATIENCE, || {
            refused = child.try_wait().unwrap().is_some();
            refused || traced()
        });
        assert!(decided, "strace neither traces nor ends");
        if refused {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            left_out("system calls", said.trim());
            return None;
        }
        Some(Self(child))
    }

    fn stop(mut self) -> HashMap<String, usize> {
        kill("INT", self.0.id());
        let mut text = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        self.0.wait().unwrap();
        let row = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        };
        text.lines().filter_map(row).collect()
    }
}

fn count(calls: &HashMap<String, usize>, names: &[&str]) -> usize {
    names.iter().filter_map(|name| calls.get(*name)).sum()
}

const WAITS: [&str; 2] = ["epoll_wait", "epoll_pwait"];
const READS: [&str; 3] = ["read", "recvfrom", "readv"];
const WRITES: [&str; 4] = ["write", "sendto", "writev", "sendmsg"];

#[test]
fn an_echo_costs_four_data_calls_and_two_waits() {
    let peer = Peer::echo();
    assert_cheap(&Daemon::before(&peer, "binary", &[]));
    // An attempt that was lost, on ::1, leaves nothing behind to ask for.
    let host = format!("host=tcp://localhost:{}", peer.port());
    assert_cheap(&Daemon::start(&["-c", &host, "-c", "framing=binary"]));
}

fn assert_cheap(daemon: &Daemon) {
    let mut client = Client::connect(daemon.port());
    let mut echo = || {
        client.frame(0x82, &[7; 64]);
        assert_eq!(client.message(), (2, vec![7; 64]));
    };
    echo();
    let Some(trace) = Trace::of(daemon) else { return };
    let start = Instant::now();
    (0..ECHOES).for_each(|_| echo());
    let calls = trace.stop();
    // Once the peer's keep-alive, and as time passes what the kernel holds for either side.
    let timed = 4 + 2 * (1 + start.elapsed().as_millis() as usize / 1250);
    let data = count(&calls, &READS) + count(&calls, &WRITES);
    let waits = count(&calls, &WAITS);
    // A handful for the tracer's own coming and going.
    assert!(data >= 4 * ECHOES, "the trace has missed something: {calls:?}");
    assert!(data <= 4 * ECHOES + 10 && waits <= 2 * ECHOES + 10, "{calls:?}");
    let steady = [&WAITS[..], &READS, &WRITES, &["total", "syscall", "restart_syscall"]].concat();
    let others = calls.iter().filter(|(name, _)| !steady.contains(&name.as_str()));
    let others: usize = others.map(|(_, calls)| calls).sum();
    assert!(others <= timed, "other calls in the steady state: {calls:?}");
}

#[test]
fn many_frames_in_one_read_make_one_write() {
    let (peer, received) = Peer::sink();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let mut client = Client::connect(daemon.port());
    let Some(trace) = Trace::of(&daemon) else { return };
    let frames: Vec<u8> = (0..500).flat_map(|_| frame(0x82, &[1; 20])).collect();
    client.send(&frames);
    client.close(1000);
    assert_eq!(client.closed(), Some(1000));
    assert_eq!(received.recv().unwrap().digest.0, 10_000);
    let calls = trace.stop();
    // 500 frames and a close: one write to the peer, one close frame to the client, the log's.
    assert!(count(&calls, &WRITES) <= 8, "{calls:?}");
}
