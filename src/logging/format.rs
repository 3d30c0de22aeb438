//! What a line looks like: text or JSON, for a file or a terminal or for the journal.

use std::env;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use humantime::format_rfc3339_millis;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};

use super::escape::{Json, WithoutControls};
use super::secrets;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Time, level, message, and behind them `name=value`.
    #[default]
    Text,
    /// One JSON object a line (RFC 8259).
    Json,
}

impl Format {
    /// The names that an operator chooses by.
    pub const NAMES: [(&'static str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}

/// What the words of a line say already, in text.
const IN_WORDS: [&str; 9] =
    ["event", "client", "user", "peer", "status", "reason", "remarks", "bytes_in", "bytes_out"];

/// More bytes than the line of a session's end has as a rule.
const USUAL: usize = 512;

/// The form of all lines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    pub(super) format: Format,
    /// The journal reads them: it has the time itself, and wants the priority (sd-daemon(3)).
    pub(super) journal: bool,
    /// The number of the worker process that writes them, if it is one of several.
    pub(super) worker: Option<usize>,
}

impl Form {
    pub(super) fn of(format: Format, stderr: &File) -> Self {
        let stream = env::var("JOURNAL_STREAM").ok();
        let ids = stderr.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        let journal = ids.is_ok_and(|ids| stream.as_deref().and_then(journal) == Some(ids));
        Self { format, journal, worker: None }
    }

    /// A record's line, with its end.
    pub(super) fn line(self, record: &Record<'_>, now: SystemTime) -> String {
        let mut line = String::with_capacity(USUAL);
        // Writing to a string does not fail, and the sources of the daemon do not either.
        let _ = self.write(record, now, &mut line);
        let mut line = secrets::concealed(line);
        line.push('\n');
        line
    }

    fn write(self, record: &Record<'_>, now: SystemTime, line: &mut String) -> fmt::Result {
        let level = record.level();
        if self.journal {
            write!(line, "<{}>", priority(level))?;
        }
        let time = (!self.journal).then(|| format_rfc3339_millis(now));
        let fields = record.key_values();
        match self.format {
            Format::Text => {
                if let Some(time) = time {
                    write!(line, "{time} {level:<5} ")?;
                }
                write!(WithoutControls(&mut *line), "{}", record.args())?;
                fields.visit(&mut Pairs(line)).map_err(|_| fmt::Error)?;
                self.worker.map_or(Ok(()), |number| write!(line, " worker={number}"))
            }
            Format::Json => {
                line.push('{');
                if let Some(time) = time {
                    write!(line, "\"time\":\"{time}\",")?;
                }
                write!(line, "\"level\":\"{}\",\"message\":\"", lower(level))?;
                write!(Json(line), "{}", record.args())?;
                line.push('"');
                fields.visit(&mut Members(line)).map_err(|_| fmt::Error)?;
                if let Some(number) = self.worker {
                    write!(line, ",\"worker\":{number}")?;
                }
                line.push('}');
                Ok(())
            }
        }
    }
}

/// Device and inode of the journal's socket (systemd.exec(5)).
fn journal(stream: &str) -> Option<(u64, u64)> {
    let (device, inode) = stream.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// syslog(3)
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn lower(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// ` name=value` for each field that the words do not have.
struct Pairs<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if IN_WORDS.contains(&key.as_str()) {
            return Ok(());
        }
        self.0.extend([" ", key.as_str(), "="]);
        let begin = self.0.len();
        match value.to_borrowed_str() {
            Some(text) => WithoutControls(&mut *self.0).write_str(text)?,
            None => write!(WithoutControls(&mut *self.0), "{value}")?,
        }
        let written = self.0.as_bytes().get(begin..).unwrap_or_default();
        if written.is_empty() || written.iter().any(|byte| b" \"=".contains(byte)) {
            let value = self.0.split_off(begin);
            write!(self.0, "\"{}\"", value.replace('"', "\\x22"))?;
        }
        Ok(())
    }
}

/// `,"name":value` for each field.
struct Members<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Members<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        write!(self.0, ",\"{key}\":")?;
        if let Some(number) = value.to_u64() {
            write!(self.0, "{number}")?;
        } else if let Some(number) = value.to_f64().filter(|number| number.is_finite()) {
            write!(self.0, "{number}")?;
        } else if let Some(truth) = value.to_bool() {
            write!(self.0, "{truth}")?;
        } else {
            self.0.push('"');
            write!(Json(self.0), "{value}")?;
            self.0.push('"');
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::escape::moves_text;
    use super::*;
    use log::RecordBuilder;
    use log::kv::Source;
    use std::time::{Duration, UNIX_EPOCH};

    const NOON: Duration = Duration::from_millis(1_700_049_600_042);

    fn line(format: Format, journal: bool, fields: &dyn Source) -> String {
        let args = format_args!("says \"{}\"", "a\\b\n\u{9b}é");
        let record = RecordBuilder::new().level(Level::Warn).args(args).key_values(fields).build();
        Form { format, journal, worker: None }.line(&record, UNIX_EPOCH + NOON)
    }

    #[test]
    fn fields_stand_behind_the_message() {
        let fields = [
            ("event", Value::from("end")),
            ("path", Value::from("/a b?c=\"d\"")),
            ("empty", Value::from("")),
            ("bytes", Value::from(u64::MAX)),
            ("seconds", Value::from(0.5)),
            ("tls", Value::from(true)),
        ];
        let text = "says \"a\\b\\x0a\\x9bé\" path=\"/a b?c=\\x22d\\x22\" empty=\"\" \
                    bytes=18446744073709551615 seconds=0.5 tls=true\n";
        let stamped = format!("2023-11-15T12:00:00.042Z WARN  {text}");
        assert_eq!(line(Format::Text, false, &fields), stamped);
        assert_eq!(line(Format::Text, true, &fields), format!("<4>{text}"));
        let json = line(Format::Json, false, &fields);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "time": "2023-11-15T12:00:00.042Z", "level": "warn", "message": "says \"a\\b\n\u{9b}é\"",
            "event": "end", "path": "/a b?c=\"d\"", "empty": "", "bytes": u64::MAX, "seconds": 0.5,
            "tls": true,
        });
        assert_eq!(parsed, expected, "{json}");
        let journal = line(Format::Json, true, &fields);
        assert!(journal.starts_with("<4>{\"level\":\"warn\","), "{journal}");
    }

    #[test]
    fn lines_of_workers_have_their_number() {
        let record = RecordBuilder::new().level(Level::Info).args(format_args!("x")).build();
        let form = |format| Form { format, journal: true, worker: Some(3) };
        let lines =
            [Format::Text, Format::Json].map(|format| form(format).line(&record, UNIX_EPOCH));
        let json = "<6>{\"level\":\"info\",\"message\":\"x\",\"worker\":3}\n";
        assert_eq!(lines, ["<6>x worker=3\n", json]);
    }

    #[test]
    fn every_character_survives_json() {
        let all: String = (0..0x300).chain(0x2020..0x2030).filter_map(char::from_u32).collect();
        let mut text = String::from("\"");
        write!(Json(&mut text), "{all}").unwrap();
        text.push('"');
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), all);
        assert!(!text.chars().any(moves_text), "{text}");
    }

    #[test]
    fn the_journal_is_known_by_its_socket() {
        let cases = [("8:123", Some((8, 123))), ("8", None), ("", None), ("8:x", None)];
        for (stream, expected) in cases {
            assert_eq!(journal(stream), expected, "{stream}");
        }
    }
}
