//! Where the figures come from: absolute values mean nothing on another machine.

use std::fs;

use crate::bridges::Bridge;

/// Names and what there is to say of them.
pub(crate) type Facts = Vec<(String, String)>;

/// The machine, the kernel, the cores that were used, the versions of all bridges,
/// and how much else went on: `wait` is the share of time the bridges were kept from their core.
pub(crate) fn describe(
    bridges: &[&Bridge],
    [bridge_cpu, load_cpu]: [usize; 2],
    wait: f64,
) -> Facts {
    let mut facts = vec![
        ("CPU".into(), format!("{}, {} cores", cpu_model(), cpu_count())),
        ("kernel".into(), read("/proc/sys/kernel/osrelease")),
        ("cores".into(), format!("bridge on {bridge_cpu}, load and peers on {load_cpu}")),
        ("others on the bridge's core".into(), format!("{:.1} % of the time", wait * 100.0)),
    ];
    let versions = bridges.iter().map(|bridge| (bridge.title.to_owned(), bridge.version()));
    facts.extend(versions.filter(|(_, version)| !version.is_empty()));
    facts
}

fn cpu_model() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find(|line| line.starts_with("model name"));
    model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned()
}

fn cpu_count() -> usize {
    read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
