//! The hosts of a fleet: network namespaces (network_namespaces(7)) on one switch, each with an address of
//! its own. Where none may be made, all is on 127.0.0.1.
#![allow(unsafe_code)] // unshare(2) has no safe wrapper in std

use super::{Server, is_there};
use crate::common::left_out;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

/// The network of the hosts.
const NETWORK: &str = "10.0.0";

/// The network that all hosts are on; the test is one of them, and the switch.
pub(super) struct Network {
    is_apart: bool,
}

/// A host, until it is dropped.
pub(super) struct Host {
    pub(super) address: String,
    /// What keeps its namespace, if it has one.
    holder: Option<Child>,
}

impl Network {
    /// Does this on a network that ends with it: in a thread, whose threads and processes are there, too.
    pub(super) fn with(work: impl FnOnce(&Self) + Send) {
        thread::scope(|scope| {
            let thread = scope.spawn(|| work(&Self::begin()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }

    fn begin() -> Self {
        // SAFETY: it touches no memory, and changes the network of this thread alone.
        let unshare = || unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
        let is_apart = is_there("ip", "-V") && unshare();
        if is_apart {
            shell(&format!(
                "ip link set lo up && ip link add switch type bridge && ip link set switch up && \
                 ip address add {NETWORK}.1/24 dev switch"
            ));
        } else {
            left_out("a fleet on hosts of its own", "no ip, or unshare -n is not permitted");
        }
        Self { is_apart }
    }

    pub(super) fn is_apart(&self) -> bool {
        self.is_apart
    }

    /// Where the test itself is found.
    pub(super) fn own(&self) -> String {
        if self.is_apart { format!("{NETWORK}.1") } else { "127.0.0.1".into() }
    }

    /// All hosts.
    pub(super) fn all(&self) -> String {
        if self.is_apart { format!("{NETWORK}.0/24") } else { "127.0.0.0/8".into() }
    }

    /// One more host, with this number at the end of its address, and a cable to the switch.
    pub(super) fn host(&self, number: u8) -> Host {
        if !self.is_apart {
            return Host { address: self.own(), holder: None };
        }
        let script = "ip link set lo up && echo && exec sleep infinity";
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "-n", "sh", "-c", script]);
        let mut holder = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut is_made = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut is_made).unwrap();
        assert_eq!(is_made, "\n", "a host is made");
        let pid = holder.id();
        let host = Host { address: format!("{NETWORK}.{number}"), holder: Some(holder) };
        shell(&format!(
            "ip link add to{number} type veth peer name cable netns {pid} && \
             ip link set to{number} master switch up && {} ip address add {}/24 dev cable && \
             {} ip link set cable up",
            host.enter().join(" "),
            host.address,
            host.enter().join(" "),
        ));
        host
    }
}

impl Host {
    /// What becomes a program on this host, with the program's name and arguments behind it.
    pub(super) fn enter(&self) -> Vec<String> {
        let way = |holder: &Child| format!("--net=/proc/{}/ns/net", holder.id());
        self.holder.iter().flat_map(|holder| ["nsenter".into(), way(holder)]).collect()
    }

    /// A server of others on this host.
    pub(super) fn start(&self, program: &str, arguments: &[&str]) -> Server {
        let words = [self.enter(), vec![program.to_owned()]].concat();
        Server::start(Command::new(&words[0]).args(&words[1..]).args(arguments))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

fn shell(script: &str) {
    let done = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}
