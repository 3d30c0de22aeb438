//! What workers and their supervisor say to each other: datagrams of one line of words, and text below
//! it. The supervisor carries from worker to worker, and knows nothing of what it carries.

use std::fmt::Write as _;

/// The longest message, bytes.
pub const LONGEST: usize = 64 * 1024;

/// What one process says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The process id of whom it is for; once the supervisor has carried it, of whom it is by.
    pub peer: u32,
    /// Which question it is, or is an answer to.
    pub number: u64,
    /// The message itself.
    pub said: Said,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// To the supervisor: which other workers are there?
    Who,
    /// By the supervisor: these process ids, and the number of each worker.
    Present(Vec<(u32, usize)>),
    /// For a part of what a worker has.
    Ask(Wanted),
    /// A part, and from where on there is more.
    Part {
        /// Where the next part begins.
        next: Option<u64>,
        /// This one.
        text: String,
    },
    /// By the supervisor: that process is not there.
    Gone,
    /// By the supervisor: read the configuration again, and all that it names. Of these, it has sent
    /// descriptors with the message.
    Prepare(Vec<Item>),
    /// That is done, and could be served by; or why it could not.
    Prepared(Result<String, String>),
    /// By the supervisor: serve by it.
    Change,
    /// That is done, in words; or not.
    Changed(Result<String, String>),
    /// By the supervisor: forget it, all stays as it was.
    Stay,
    /// By the supervisor: take no more clients, which others do, and keep those that are there.
    Retire,
}

/// What a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The files that the configuration is made of, to be read instead of what lies where they lay.
    Files,
    /// What is to be listened on at this place.
    Socket(String),
}

/// What a worker may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Its sessions from this place on, as JSON objects.
    Sessions(u64),
    /// Whom it refused, from this number on, as a JSON object a line.
    Refusals(u64),
    /// Its last ten minutes, as a JSON array.
    History,
    /// An end for the session of this place and generation; it says whether there was one.
    Close(u32, u32),
}

impl Message {
    /// As it is sent; nothing if that is too long.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let Self { peer, number, said } = self;
        let mut out = format!("MESSAGE={} peer={peer} number={number}", said.name());
        // Into a String: it cannot fail.
        let _ = match said {
            Said::Who | Said::Gone | Said::Change | Said::Stay | Said::Retire => Ok(()),
            Said::Prepare(items) => items.iter().try_for_each(|item| match item {
                Item::Files => write!(out, "\nfiles "),
                Item::Socket(place) => write!(out, "\nsocket {place}"),
            }),
            Said::Present(all) => {
                all.iter().try_for_each(|(pid, worker)| write!(out, " worker={pid}:{worker}"))
            }
            Said::Ask(Wanted::Sessions(from)) => write!(out, " sessions={from}"),
            Said::Ask(Wanted::Refusals(from)) => write!(out, " refusals={from}"),
            Said::Ask(Wanted::History) => write!(out, " history=0"),
            Said::Ask(Wanted::Close(index, generation)) => {
                write!(out, " close={index}:{generation}")
            }
            Said::Part { next: Some(next), text } => write!(out, " next={next}\n{text}"),
            Said::Part { next: None, text } => write!(out, "\n{text}"),
            Said::Prepared(Ok(text)) | Said::Changed(Ok(text)) => write!(out, " ok=1\n{text}"),
            Said::Prepared(Err(text)) | Said::Changed(Err(text)) => write!(out, " ok=0\n{text}"),
        };
        (out.len() < LONGEST).then(|| out.into_bytes())
    }

    /// Reads what [`Message::encode`] wrote. Words that are not known are another version's.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (line, text) = text.split_once('\n').unwrap_or((text, ""));
        let (kind, words) = line.strip_prefix("MESSAGE=")?.split_once(' ')?;
        let (mut peer, mut number, mut next, mut wanted) = (None, None, None, None);
        let (mut present, mut ok) = (Vec::new(), None);
        for word in words.split(' ') {
            let (key, value) = word.split_once('=')?;
            match key {
                "peer" => peer = Some(value.parse().ok()?),
                "number" => number = Some(value.parse().ok()?),
                "ok" => ok = Some(value == "1"),
                "next" => next = Some(value.parse().ok()?),
                "worker" => {
                    let (pid, worker) = value.split_once(':')?;
                    present.push((pid.parse().ok()?, worker.parse().ok()?));
                }
                "sessions" => wanted = Some(Wanted::Sessions(value.parse().ok()?)),
                "refusals" => wanted = Some(Wanted::Refusals(value.parse().ok()?)),
                "history" => wanted = Some(Wanted::History),
                "close" => {
                    let (index, generation) = value.split_once(':')?;
                    wanted = Some(Wanted::Close(index.parse().ok()?, generation.parse().ok()?));
                }
                _ => {}
            }
        }
        let outcome = || ok.map(|ok| if ok { Ok(text.to_owned()) } else { Err(text.to_owned()) });
        let said = match kind {
            "who" => Said::Who,
            "present" => Said::Present(present),
            "ask" => Said::Ask(wanted?),
            "part" => Said::Part { next, text: text.into() },
            "gone" => Said::Gone,
            "prepare" => {
                let item = |line: &str| match line.split_once(' ')? {
                    ("files", "") => Some(Item::Files),
                    ("socket", place) => Some(Item::Socket(place.into())),
                    _ => None,
                };
                Said::Prepare(text.lines().map(item).collect::<Option<_>>()?)
            }
            "prepared" => Said::Prepared(outcome()?),
            "change" => Said::Change,
            "changed" => Said::Changed(outcome()?),
            "stay" => Said::Stay,
            "retire" => Said::Retire,
            _ => return None,
        };
        Some(Self { peer: peer?, number: number?, said })
    }
}

impl Said {
    fn name(&self) -> &'static str {
        match self {
            Self::Who => "who",
            Self::Present(_) => "present",
            Self::Ask(_) => "ask",
            Self::Part { .. } => "part",
            Self::Gone => "gone",
            Self::Prepare(_) => "prepare",
            Self::Prepared(_) => "prepared",
            Self::Change => "change",
            Self::Changed(_) => "changed",
            Self::Stay => "stay",
            Self::Retire => "retire",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let part = |next, text: &str| Said::Part { next, text: text.into() };
        for said in [
            Said::Who,
            Said::Present(vec![(4019, 1), (4020, 2)]),
            Said::Present(Vec::new()),
            Said::Ask(Wanted::Sessions(128)),
            Said::Ask(Wanted::Refusals(u64::MAX)),
            Said::Ask(Wanted::History),
            Said::Ask(Wanted::Close(3, 9)),
            part(Some(7), "{\"a\":\"b c=d\"}\n{}\n"),
            part(None, ""),
            Said::Gone,
            Said::Prepare(Vec::new()),
            Said::Prepare(vec![
                Item::Files,
                Item::Socket("unix:/run/a b".into()),
                Item::Socket("[::]:1".into()),
            ]),
            Said::Prepared(Ok(String::new())),
            Said::Prepared(Err("a.conf:4: prot: is not a key of [core]".into())),
            Said::Change,
            Said::Changed(Ok("listening on [::]:8001".into())),
            Said::Changed(Err("no".into())),
            Said::Stay,
            Said::Retire,
        ] {
            let message = Message { peer: 12, number: 34, said };
            let bytes = message.encode().unwrap();
            assert_eq!(Message::parse(&bytes), Some(message.clone()));
            let text = String::from_utf8(bytes).unwrap();
            let newer = text.replacen(" peer", " colour=red peer", 1);
            assert_eq!(Message::parse(newer.as_bytes()), Some(message));
        }
    }

    #[test]
    fn nonsense_is_nothing() {
        for wrong in [
            &b""[..],
            b"READY=1",
            b"MESSAGE=ask peer=1 number=2",
            b"MESSAGE=ask peer=1 number=2 sessions=-1",
            b"MESSAGE=ask peer=1 number=2 close=1",
            b"MESSAGE=who peer=1",
            b"MESSAGE=prepared peer=1 number=2",
            b"MESSAGE=who peer=x number=2",
            b"MESSAGE=sing peer=1 number=2",
            b"MESSAGE=part peer=1 number=2\n\xff",
            b"MESSAGE=prepare peer=1 number=2\n/etc/a",
        ] {
            assert_eq!(Message::parse(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
        let text = "x".repeat(LONGEST);
        let message = Message { peer: 1, number: 2, said: Said::Part { next: None, text } };
        assert_eq!(message.encode(), None);
    }
}
