//! What listening sockets were opened for: a reload keeps the sockets that are wanted still, and the
//! clients who wait there with them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::unix;
use crate::config::{Admin, Config, Listen, ListenWords};

/// What a socket was opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::reactor) enum Site {
    /// A TCP address as it was wanted, and whether IPv4 was left to others.
    Tcp { address: SocketAddr, only_v6: bool },
    /// A Unix socket.
    Unix(PathBuf),
    /// Sockets of this name that a service manager handed over.
    Systemd(Option<String>),
    /// A supervisor opened it, and knows what for.
    Handed,
    /// A reload leaves it alone.
    Other,
}

/// A socket that is there.
#[derive(Clone, Debug)]
pub(in crate::reactor) struct Present {
    pub(super) site: Site,
    pub(super) name: Arc<str>,
    pub(super) words: ListenWords,
    /// Device and inode of a Unix socket's file.
    pub(super) file: Option<(u64, u64)>,
    /// The socket's own number, where a supervisor opened it.
    pub(super) inode: Option<u64>,
    /// It is wanted still.
    pub(super) is_kept: bool,
}

impl Present {
    /// Whether it is what is wanted at `site`, and nobody has it yet.
    fn will_do(&self, site: &Site) -> bool {
        let is_there = |file| match site {
            // Somebody may have removed it.
            Site::Unix(path) => unix::identity(path).is_ok_and(|found| found == file),
            Site::Tcp { .. } | Site::Systemd(_) | Site::Handed | Site::Other => true,
        };
        !self.is_kept && self.site == *site && self.file.is_none_or(is_there)
    }
}

/// The number of one that is what is wanted at `site`; nobody else is given it.
pub(super) fn keep(present: &mut [Present], site: &Site) -> Option<usize> {
    let at = present.iter().position(|present| present.will_do(site))?;
    if let Some(present) = present.get_mut(at) {
        present.is_kept = true;
    }
    Some(at)
}

/// What of our own keeps `address` from being listened on, in words: it goes only once all that comes is
/// there.
pub(super) fn in_the_way(
    present: &[Present],
    address: SocketAddr,
    only_v6: bool,
) -> Option<String> {
    present.iter().filter(|own| !own.is_kept).find_map(|own| {
        let Site::Tcp { address: old, only_v6: was } = own.site else { return None };
        if old == address && was != only_v6 {
            let (is, will) = if only_v6 { ("with", "without") } else { ("without", "with") };
            return Some(format!(
                "needs a restart: {} is {is} IPv4, and is to be {will} it",
                own.name
            ));
        }
        overlap((old, was), (address, only_v6))
            .then(|| format!("needs a restart: {}, where it listens now, is in the way", own.name))
    })
}

/// Whether two addresses, which may leave IPv4 to others, have a place in common.
fn overlap(one: (SocketAddr, bool), other: (SocketAddr, bool)) -> bool {
    let is_all = |(address, only_v6): (SocketAddr, bool)| {
        address.is_ipv6() && address.ip().is_unspecified() && !only_v6
    };
    let is_any = one.0.ip().is_unspecified() || other.0.ip().is_unspecified();
    let same = one.0.ip() == other.0.ip() || is_any;
    let is_family = one.0.is_ipv4() == other.0.is_ipv4();
    one.0.port() == other.0.port() && (is_family && same || is_all(one) || is_all(other))
}

/// All that there is to listen on: what `--listen` says, and behind it the operator's own pages. The names
/// are those of [`Listen::place`], with a number behind each further port that the kernel chooses.
pub(super) fn places(config: &Config) -> Vec<(String, Listen)> {
    let mut places: Vec<(String, Listen)> = Vec::new();
    for listen in &config.listen {
        let place = listen.place(config.port);
        let same = places.iter().filter(|(_, other)| other.place(config.port) == place).count();
        let name = if same == 0 { place } else { format!("{place} {same}") };
        places.push((name, listen.clone()));
    }
    let admin = config.admin.as_ref().map(Admin::listen);
    places.extend(admin.map(|own| (format!("admin {}", own.place(config.port)), own)));
    places
}
