//! The text that Prometheus reads, version 0.0.4.

use std::fmt::{Display, Write as _};

use super::histogram::bound;
use super::layout::{Number, Times};
use super::totals::{Listener, Totals};

/// A number that stands alone, or with others under one name, and how it is shown.
struct Shown {
    number: Number,
    name: &'static str,
    /// With its value; empty for none.
    label: &'static str,
    /// Empty for the same as above.
    help: &'static str,
}

const fn shown(
    number: Number,
    name: &'static str,
    label: &'static str,
    help: &'static str,
) -> Shown {
    Shown { number, name, label, help }
}

/// In their order on the page. What the system may not say is with [`PROCESS`].
const SHOWN: &[Shown] = &[
    shown(
        Number::BytesIn,
        "payload_bytes_total",
        "direction=\"in\"",
        "Payload of data frames from clients (in) and to clients (out).",
    ),
    shown(Number::BytesOut, "payload_bytes_total", "direction=\"out\"", ""),
    shown(
        Number::MessagesIn,
        "messages_total",
        "direction=\"in\"",
        "Whole messages from clients (in) and to clients (out).",
    ),
    shown(Number::MessagesOut, "messages_total", "direction=\"out\"", ""),
    shown(Number::Queued, "queued_bytes", "", "What waits for a side that does not take it."),
    shown(
        Number::LookUps,
        "offload_jobs",
        "kind=\"names\"",
        "What is done off the loop, and not yet done.",
    ),
    shown(Number::Queries, "offload_jobs", "kind=\"queries\"", ""),
    shown(Number::Passwords, "offload_jobs", "kind=\"passwords\"", ""),
    shown(Number::Files, "offload_jobs", "kind=\"files\"", ""),
    shown(
        Number::LogLost,
        "log_lines_missing_total",
        "why=\"lost\"",
        "Log lines that standard error did not take (lost) or that were too many (left-out).",
    ),
    shown(Number::LogLeftOut, "log_lines_missing_total", "why=\"left-out\"", ""),
    shown(Number::Draining, "draining", "", "1 while the daemon ends, else 0."),
    shown(Number::Ready, "ready", "", "1 if /readyz says 200, else 0."),
    shown(
        Number::Generation,
        "config_generation",
        "",
        "How many configurations were taken in, the one of the start among them.",
    ),
    shown(
        Number::ReloadOk,
        "config_last_reload_successful",
        "",
        "0 if the last reload was refused, else 1.",
    ),
    shown(
        Number::ReloadedAt,
        "config_last_reload_success_timestamp_seconds",
        "",
        "When a configuration was taken in last, in seconds from 1970.",
    ),
];

/// Under the names that Prometheus' own libraries give them; left out where they are not known.
const PROCESS: &[Shown] = &[
    shown(Number::Resident, "process_resident_memory_bytes", "", "Resident memory."),
    shown(Number::Descriptors, "process_open_fds", "", "Open descriptors."),
    shown(Number::MostDescriptors, "process_max_fds", "", "How many descriptors may be open."),
];

/// Histograms, and the first and last of the buckets that are shown.
const HISTOGRAMS: &[(Times, &str, usize, usize, &str)] = &[
    (
        Times::Handshake,
        "handshake_seconds",
        8,
        25,
        "From the accept to the end of the opening handshake's request.",
    ),
    (Times::Query, "query_seconds", 8, 25, "From there to the back end's answer."),
    (Times::Dial, "dial_seconds", 8, 25, "From there to the connected peer."),
    (Times::Tls, "tls_handshake_seconds", 8, 25, "From a client's accept to the end of its TLS."),
    (Times::Session, "session_seconds", 19, 38, "How long sessions were bridged that have ended."),
    (Times::Turn, "turn_seconds", 4, 23, "How long turns of the loop work."),
];

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// All numbers, in text.
#[must_use]
pub fn render(totals: &Totals) -> String {
    let mut page = Page(String::with_capacity(24 * 1024));
    page.family("build_info", GAUGE, "The daemon's version.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    listeners(&mut page, &totals.listeners);
    page.family("endings_total", COUNTER, "Clients that are gone, by the name of the reason.");
    for (name, count) in totals.endings() {
        page.sample("endings_total", &[("ending", name)], count);
    }
    page.family("refusals_total", COUNTER, "Answers that refuse, by HTTP status.");
    for (status, count) in totals.refusals() {
        page.sample("refusals_total", &[("status", &status.to_string())], count);
    }
    for Shown { number, name, label, help } in SHOWN {
        if !help.is_empty() {
            page.family(name, if name.ends_with("_total") { COUNTER } else { GAUGE }, help);
        }
        let label: Vec<_> = label.split_once('=').into_iter().collect();
        let label: Vec<_> =
            label.iter().map(|(key, value)| (*key, value.trim_matches('"'))).collect();
        page.sample(name, &label, totals.number(*number));
    }
    page.family("certificate_expiry_seconds", GAUGE, "When a certificate ends, from 1970.");
    for (name, end) in &totals.certificates {
        page.sample("certificate_expiry_seconds", &[("certificate", name)], end);
    }
    page.family("plugin_counts_total", COUNTER, "What plug-ins count, by the name they give it.");
    for (name, count) in &totals.counts {
        page.sample("plugin_counts_total", &[("name", name)], count);
    }
    for histogram in HISTOGRAMS {
        page.histogram(totals, histogram);
    }
    for Shown { number, name, help, .. } in PROCESS {
        let value = totals.number(*number);
        if value > 0 {
            page.head(name, GAUGE, help);
            page.line(name, &[], value);
        }
    }
    let started = totals.number(Number::Started) as f64 / 1e3;
    page.head("process_start_time_seconds", GAUGE, "When it started, in seconds from 1970.");
    page.line("process_start_time_seconds", &[], format_args!("{started:.3}"));
    page.0
}

fn listeners(page: &mut Page, all: &[Listener]) {
    type Of = fn(&Listener) -> u64;
    let families: [(&str, &str, &str, Of); 4] = [
        ("connections_accepted_total", COUNTER, "Clients that were accepted.", |own| own.accepted),
        ("connections", GAUGE, "Clients that are there, bridged or not.", |own| own.connections),
        ("sessions_opened_total", COUNTER, "Sessions that were bridged.", |own| own.opened),
        ("sessions", GAUGE, "Sessions that are bridged now.", |own| own.sessions),
    ];
    for (name, kind, help, of) in families {
        page.family(name, kind, help);
        for listener in all {
            page.sample(name, &[("listener", &listener.name)], of(listener));
        }
    }
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if n == 0 { '{' } else { ',' });
            for c in value.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.head(&format!("websocksy_{name}"), kind, help);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.line(&format!("websocksy_{name}"), labels, value);
    }

    fn histogram(
        &mut self,
        totals: &Totals,
        (what, name, first, last, help): &(Times, &str, usize, usize, &str),
    ) {
        self.family(name, "histogram", help);
        let (counts, sum) = totals.times(*what);
        let named = format!("{name}_bucket");
        let mut all = 0;
        for (n, count) in counts.into_iter().enumerate() {
            all += count;
            if (*first..=*last).contains(&n) {
                self.sample(&named, &[("le", &bound(n).to_string())], all);
            }
        }
        self.sample(&named, &[("le", "+Inf")], all);
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], all);
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::NUMBERS;
    use super::super::{Block, Totals};
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_number_has_its_line() {
        let block = Block::default();
        let place = block.place("unix:/a\"b\\c");
        (0..7).for_each(|_| block.accepted(place));
        (0..3).for_each(|_| block.opened(place));
        block.closed(place);
        block.ended("client-closed");
        block.answered(404);
        block.took(Times::Dial, Duration::from_micros(600));
        block.set(Number::BytesIn, 10);
        block.set(Number::MessagesOut, 2);
        block.set(Number::Resident, 4096);
        block.set(Number::Started, 1500);
        block.certificates([("/c.pem", 1_900_000_000)]);
        block.counted("lookups", 5);
        let text = render(&Totals::of(&[&block]));
        for line in [
            r#"websocksy_connections_accepted_total{listener="unix:/a\"b\\c"} 7"#,
            r#"websocksy_connections{listener="unix:/a\"b\\c"} 7"#,
            r#"websocksy_sessions{listener="unix:/a\"b\\c"} 2"#,
            "websocksy_payload_bytes_total{direction=\"in\"} 10",
            "websocksy_messages_total{direction=\"out\"} 2",
            "websocksy_endings_total{ending=\"client-closed\"} 1",
            "websocksy_refusals_total{status=\"404\"} 1",
            "websocksy_certificate_expiry_seconds{certificate=\"/c.pem\"} 1900000000",
            "websocksy_dial_seconds_bucket{le=\"0.000512\"} 0",
            "websocksy_dial_seconds_bucket{le=\"0.001024\"} 1",
            "websocksy_dial_seconds_bucket{le=\"+Inf\"} 1",
            "websocksy_plugin_counts_total{name=\"lookups\"} 5",
            "websocksy_dial_seconds_sum 0.0006",
            "websocksy_dial_seconds_count 1",
            "process_resident_memory_bytes 4096",
            "process_start_time_seconds 1.500",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("process_open_fds"), "what is not known is not said");
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn no_number_is_forgotten() {
        let mut all: Vec<_> = SHOWN.iter().chain(PROCESS).map(|row| row.number as usize).collect();
        all.push(Number::Started as usize);
        all.sort_unstable();
        assert_eq!(all, (0..NUMBERS).collect::<Vec<_>>());
    }
}
