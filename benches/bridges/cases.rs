//! The cases, what each is measured in, and what websocksy sets itself as a goal.

use std::io;
use std::time::Duration;

use crate::bridges::{Bridge, Job};
use crate::dial::Target;
use crate::load;
use crate::peer::{Behaviour, Peers};
use crate::secure::Security;
use crate::usage::Span;

/// One load, and the rows of the report it fills.
pub(crate) struct Case {
    /// How the environment names it.
    pub(crate) id: &'static str,
    load: Load,
    /// How its connections begin.
    pub(crate) security: Security,
    /// One row for each value that the load yields.
    pub(crate) rows: &'static [Row],
}

enum Load {
    Echo { connections: usize },
    Upload { size: usize },
    Download { text: bool },
    Churn { farewell: bool },
    HoldMemory,
    HoldCpu,
}

/// One line of the report.
pub(crate) struct Row {
    /// How the JSON names it.
    pub(crate) id: &'static str,
    /// How the report names it.
    pub(crate) title: &'static str,
    /// The unit of its values.
    pub(crate) unit: &'static str,
    /// What the load's value is multiplied by to be in `unit`.
    pub(crate) scale: f64,
    /// What is aimed at, the rival it is compared with first.
    pub(crate) goals: &'static [Goal],
}

/// At most so much of what another needs, or at most so much.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// A factor to the value of the bridge with this id.
    Times(f64, &'static str),
    /// The same, for those who want more.
    Stretch(f64, &'static str),
    /// A value in the row's unit.
    AtMost(f64),
    /// The same, for those who want more.
    StretchAtMost(f64),
}

use Goal::{AtMost, Stretch, StretchAtMost, Times};

const NANO_TO_MICRO: f64 = 1e-3;
/// Nanoseconds a byte are seconds a gigabyte.
const SAME: f64 = 1.0;

const ECHO_GOALS: &[Goal] =
    &[Times(1.0, "haproxy"), Times(0.95, "lighttpd"), Stretch(1.1, "relay256")];
const LATENCY_GOALS: &[Goal] = &[Times(1.0, "haproxy")];
const UPLOAD_GOALS: &[Goal] =
    &[Times(0.75, "haproxy"), Times(0.25, "lighttpd"), Stretch(1.15, "relay256")];
const TLS_UPLOAD_GOALS: &[Goal] = &[Times(0.65, "haproxy"), Stretch(0.5, "haproxy")];

/// All cases, in the order of the report.
pub(crate) const CASES: [Case; 19] = [
    Case {
        id: "echo1",
        load: Load::Echo { connections: 1 },
        security: Security::Plain,
        rows: &[
            micros("echo1", "echo 64 B, 1 connection: CPU a round trip", ECHO_GOALS),
            micros("echo1_p50", "echo 64 B, 1 connection: median latency", LATENCY_GOALS),
            micros("echo1_p99", "echo 64 B, 1 connection: 99th percentile", LATENCY_GOALS),
        ],
    },
    Case {
        id: "echo32",
        load: Load::Echo { connections: 32 },
        security: Security::Plain,
        rows: &[
            micros("echo32", "echo 64 B, 32 connections: CPU a round trip", ECHO_GOALS),
            micros("echo32_p50", "echo 64 B, 32 connections: median latency", LATENCY_GOALS),
            micros("echo32_p99", "echo 64 B, 32 connections: 99th percentile", LATENCY_GOALS),
        ],
    },
    Case {
        id: "upload16k",
        load: Load::Upload { size: 16 * 1024 },
        security: Security::Plain,
        rows: &[bulk("upload16k", "upload, 16 KiB frames: CPU a GB", UPLOAD_GOALS)],
    },
    Case {
        id: "upload64k",
        load: Load::Upload { size: 64 * 1024 },
        security: Security::Plain,
        rows: &[bulk("upload64k", "upload, 64 KiB frames: CPU a GB", UPLOAD_GOALS)],
    },
    Case {
        id: "upload64",
        load: Load::Upload { size: 64 },
        security: Security::Plain,
        rows: &[Row {
            id: "upload64",
            title: "upload, 64 B frames: CPU a frame",
            unit: "ns",
            scale: 64.0,
            goals: &[Times(0.6, "lighttpd"), Stretch(0.4, "lighttpd")],
        }],
    },
    Case {
        id: "download",
        load: Load::Download { text: false },
        security: Security::Plain,
        rows: &[bulk(
            "download",
            "download, `binary`: CPU a GB",
            &[Times(0.75, "haproxy"), Times(0.9, "websocat"), Stretch(1.15, "relay256")],
        )],
    },
    Case {
        id: "download-text",
        load: Load::Download { text: true },
        security: Security::Plain,
        rows: &[bulk(
            "download_text",
            "download, `auto`, text: CPU a GB",
            &[Times(1.0, "haproxy"), Stretch(0.8, "haproxy")],
        )],
    },
    Case {
        id: "churn",
        load: Load::Churn { farewell: true },
        security: Security::Plain,
        rows: &[micros(
            "churn",
            "connect, upgrade, echo, close: CPU each",
            &[Times(0.7, "lighttpd"), Stretch(0.5, "lighttpd")],
        )],
    },
    Case {
        id: "churn-reset",
        load: Load::Churn { farewell: false },
        security: Security::Plain,
        rows: &[micros("churn_reset", "connect, upgrade, echo, reset: CPU each", &[])],
    },
    Case {
        id: "memory",
        load: Load::HoldMemory,
        security: Security::Plain,
        rows: &[Row {
            id: "memory",
            title: "idle connection: memory",
            unit: "KB",
            scale: 1e-3,
            goals: &[AtMost(3.3), StretchAtMost(1.5)],
        }],
    },
    Case {
        id: "idle",
        load: Load::HoldCpu,
        security: Security::Plain,
        rows: &[Row {
            id: "idle",
            title: "idle connections with pings every 30 s: CPU",
            unit: "% of a core",
            scale: SAME,
            goals: &[AtMost(1.0)],
        }],
    },
    Case {
        id: "tls-upload16k",
        load: Load::Upload { size: 16 * 1024 },
        security: Security::Tls,
        rows: &[bulk("tls_upload16k", "TLS: upload, 16 KiB frames: CPU a GB", TLS_UPLOAD_GOALS)],
    },
    Case {
        id: "tls-upload64k",
        load: Load::Upload { size: 64 * 1024 },
        security: Security::Tls,
        rows: &[bulk("tls_upload64k", "TLS: upload, 64 KiB frames: CPU a GB", TLS_UPLOAD_GOALS)],
    },
    Case {
        id: "tls-download",
        load: Load::Download { text: false },
        security: Security::Tls,
        rows: &[bulk(
            "tls_download",
            "TLS: download, `binary`: CPU a GB",
            &[Times(0.7, "haproxy"), Stretch(0.6, "haproxy")],
        )],
    },
    Case {
        id: "tls-echo1",
        load: Load::Echo { connections: 1 },
        security: Security::Tls,
        rows: &[
            micros(
                "tls_echo1",
                "TLS: echo 64 B, 1 connection: CPU a round trip",
                &[Times(0.9, "haproxy")],
            ),
            micros("tls_echo1_p50", "TLS: echo 64 B, 1 connection: median latency", &[]),
            micros("tls_echo1_p99", "TLS: echo 64 B, 1 connection: 99th percentile", &[]),
        ],
    },
    Case {
        id: "tls-echo32",
        load: Load::Echo { connections: 32 },
        security: Security::Tls,
        rows: &[
            micros(
                "tls_echo32",
                "TLS: echo 64 B, 32 connections: CPU a round trip",
                &[Times(1.0, "haproxy")],
            ),
            micros("tls_echo32_p50", "TLS: echo 64 B, 32 connections: median latency", &[]),
            micros("tls_echo32_p99", "TLS: echo 64 B, 32 connections: 99th percentile", &[]),
        ],
    },
    Case {
        id: "tls-churn",
        load: Load::Churn { farewell: true },
        security: Security::Tls,
        rows: &[micros(
            "tls_churn",
            "TLS: connect, upgrade, echo, close: CPU each",
            &[Times(0.6, "haproxy"), Stretch(0.5, "haproxy")],
        )],
    },
    Case {
        id: "tls-resumed",
        load: Load::Churn { farewell: true },
        security: Security::Resumed,
        rows: &[micros(
            "tls_resumed",
            "TLS: the same, resumed: CPU each",
            &[Times(0.65, "haproxy")],
        )],
    },
    Case {
        id: "tls-memory",
        load: Load::HoldMemory,
        security: Security::Tls,
        rows: &[Row {
            id: "tls_memory",
            title: "TLS: idle connection: memory",
            unit: "KB",
            scale: 1e-3,
            goals: &[AtMost(6.0), StretchAtMost(4.0)],
        }],
    },
];

const fn micros(id: &'static str, title: &'static str, goals: &'static [Goal]) -> Row {
    Row { id, title, unit: "µs", scale: NANO_TO_MICRO, goals }
}

const fn bulk(id: &'static str, title: &'static str, goals: &'static [Goal]) -> Row {
    Row { id, title, unit: "s", scale: SAME, goals }
}

/// Seconds between the pings of the idle case.
const PING_INTERVAL: u32 = 30;

/// Longer than the interval between pings, so that every connection sees one.
const IDLE_SPAN: Duration = Duration::from_secs(35);

impl Case {
    /// How often the case is measured, when `rounds` are asked for: memory hardly varies, and
    /// the idle case is long.
    pub(crate) fn rounds(&self, rounds: usize) -> usize {
        match self.load {
            Load::HoldMemory => rounds.min(3),
            Load::HoldCpu => 1,
            _ => rounds,
        }
    }

    /// Whether the case asks of `bridge` what it can do.
    pub(crate) fn suits(&self, bridge: &Bridge) -> bool {
        let speaks = match self.security {
            Security::Plain => bridge.plain,
            Security::Tls | Security::Resumed => bridge.tls,
        };
        speaks && (!matches!(self.load, Load::HoldCpu) || bridge.pings)
    }

    /// The load takes longer than all others together.
    pub(crate) fn is_long(&self) -> bool {
        matches!(self.load, Load::HoldCpu)
    }

    /// What the peer does in this case.
    pub(crate) fn behaviour(&self) -> Behaviour {
        match self.load {
            Load::Upload { .. } => Behaviour::Drain,
            Load::Download { text: false } => Behaviour::FloodNoise,
            Load::Download { text: true } => Behaviour::FloodText,
            _ => Behaviour::Echo,
        }
    }

    /// What the bridge is asked to do in this case.
    pub(crate) fn job(&self, peers: &Peers) -> Job {
        let pings = if self.is_long() { PING_INTERVAL } else { 0 };
        let auto = matches!(self.load, Load::Download { text: true });
        let tls = self.security != Security::Plain;
        Job { peer: peers.port(self.behaviour()), auto, pings, tls }
    }

    /// Drives the bridge; one value for each row.
    pub(crate) fn run(
        &self,
        bridge: &Bridge,
        target: &Target<'_>,
        peers: &Peers,
        span: Span,
    ) -> io::Result<Vec<f64>> {
        match self.load {
            Load::Echo { connections } => load::echo(target, connections, span),
            Load::Upload { size } => load::upload(target, peers, size, span).map(|v| vec![v]),
            Load::Download { text } => {
                let (value, texts) = load::download(target, span)?;
                if text && bridge.texts && texts == 0 {
                    return Err(io::Error::other("text did not come as text"));
                }
                Ok(vec![value])
            }
            Load::Churn { farewell } => {
                load::churn(target, farewell, span).map(|value| vec![value])
            }
            Load::HoldMemory => load::hold_memory(target, bridge.holds).map(|value| vec![value]),
            Load::HoldCpu => {
                load::hold_cpu(target, bridge.holds, IDLE_SPAN).map(|value| vec![value])
            }
        }
    }
}
