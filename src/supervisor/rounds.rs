//! A reload of all workers in two rounds: all read and load what is new and say so, and only then are
//! all told to serve by it. One that cannot, or does not answer, and nobody does.

use std::time::{Duration, Instant};

use crate::worker::Said;

/// How long they may take to say that they serve by it, which is done in one turn of their loops.
const CHANGING: Duration = Duration::from_secs(10);
/// When they are told again: a message that finds no room is lost.
const AGAIN: Duration = Duration::from_millis(500);

/// A worker: its process id and its number.
pub(super) type Member = (u32, usize);

/// A reload that is under way.
pub(super) struct Rounds {
    /// Of no other reload.
    number: u64,
    changing: bool,
    all: Vec<Member>,
    waiting: Vec<Member>,
    /// What the first of them says that it serves by.
    words: String,
    again: Instant,
    until: Instant,
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is nothing to do yet.
    Wait,
    /// These are to be told so.
    Tell(Said, Vec<Member>),
    /// Nobody changes, for this reason: all are to be told.
    Refused(String),
    /// All have changed, to this; but for the workers of these numbers, which have not said so.
    Changed(String, Vec<usize>),
}

impl Rounds {
    /// Has these workers prepare, and waits for them until then.
    pub(super) fn begin(
        number: u64,
        all: Vec<Member>,
        (now, until): (Instant, Instant),
    ) -> (Self, Step) {
        let mut own = Self {
            number,
            changing: false,
            waiting: all.clone(),
            all,
            words: String::new(),
            again: now,
            until,
        };
        let first = own.tell(now);
        (own, first)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether this worker takes part.
    pub(super) fn has(&self, process: u32) -> bool {
        self.all.iter().any(|(pid, _)| *pid == process)
    }

    /// One more worker has become ready, by what was in force when it began.
    pub(super) fn join(&mut self, member: Member) -> Step {
        if self.changing || self.has(member.0) {
            return Step::Wait;
        }
        self.all.push(member);
        self.waiting.push(member);
        Step::Tell(Said::Prepare(Vec::new()), vec![member])
    }

    fn tell(&mut self, now: Instant) -> Step {
        self.again = now + AGAIN;
        let order = if self.changing { Said::Change } else { Said::Prepare(Vec::new()) };
        Step::Tell(order, self.waiting.clone())
    }

    /// What a worker says.
    pub(super) fn hear(&mut self, process: u32, said: Said, now: Instant) -> Step {
        match said {
            Said::Prepared(Err(why)) if !self.changing && self.has(process) => Step::Refused(why),
            Said::Prepared(Ok(_)) if !self.changing => self.is_done(process, now),
            Said::Changed(outcome) if self.changing => {
                let is_first = self.all.first().is_some_and(|(pid, _)| *pid == process);
                match outcome {
                    Ok(words) if is_first => self.words = words,
                    _ => {}
                }
                self.is_done(process, now)
            }
            _ => Step::Wait,
        }
    }

    /// A worker has ended, which is told in words.
    pub(super) fn gone(&mut self, process: u32, how: &str, now: Instant) -> Step {
        let Some((_, worker)) = self.all.iter().find(|(pid, _)| *pid == process) else {
            return Step::Wait;
        };
        if !self.changing {
            return Step::Refused(format!("worker {worker} {how} meanwhile"));
        }
        self.is_done(process, now)
    }

    fn is_done(&mut self, process: u32, now: Instant) -> Step {
        self.waiting.retain(|(pid, _)| *pid != process);
        if !self.waiting.is_empty() {
            return Step::Wait;
        }
        if self.changing {
            return Step::Changed(std::mem::take(&mut self.words), Vec::new());
        }
        (self.changing, self.waiting, self.until) = (true, self.all.clone(), now + CHANGING);
        self.tell(now)
    }

    /// What is due.
    pub(super) fn serve(&mut self, now: Instant) -> Step {
        let late: Vec<_> = self.waiting.iter().map(|(_, worker)| *worker).collect();
        match (self.changing, self.until <= now) {
            (_, false) if self.again <= now => self.tell(now),
            (_, false) => Step::Wait,
            (true, true) => Step::Changed(std::mem::take(&mut self.words), late),
            (false, true) => {
                let names: Vec<_> = late.iter().map(ToString::to_string).collect();
                Step::Refused(format!("no answer of worker {}", names.join(", ")))
            }
        }
    }

    /// When something is due.
    pub(super) fn wake_up(&self) -> Instant {
        self.again.min(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Member; 3] = [(40, 1), (41, 2), (42, 3)];

    const PREPARING: Duration = Duration::from_secs(30);

    fn begin(now: Instant) -> Rounds {
        let (rounds, first) = Rounds::begin(7, ALL.to_vec(), (now, now + PREPARING));
        assert_eq!(first, Step::Tell(Said::Prepare(Vec::new()), ALL.to_vec()));
        rounds
    }

    fn prepared() -> Said {
        Said::Prepared(Ok(String::new()))
    }

    fn changed(words: &str) -> Said {
        Said::Changed(Ok(words.into()))
    }

    #[test]
    fn all_change_once_all_are_prepared() {
        let now = Instant::now();
        let mut rounds = begin(now);
        assert_eq!(rounds.hear(41, prepared(), now), Step::Wait);
        assert_eq!(rounds.hear(41, prepared(), now), Step::Wait, "it may say so twice");
        assert_eq!(rounds.hear(41, changed("too early"), now), Step::Wait);
        assert_eq!(rounds.hear(40, prepared(), now), Step::Wait);
        assert_eq!(rounds.hear(42, prepared(), now), Step::Tell(Said::Change, ALL.to_vec()));
        assert_eq!(rounds.hear(42, Said::Prepared(Err("late".into())), now), Step::Wait);
        assert_eq!(rounds.hear(40, changed("this"), now), Step::Wait);
        assert_eq!(rounds.hear(41, changed("that"), now), Step::Wait);
        assert_eq!(rounds.gone(42, "ended", now), Step::Changed("this".into(), Vec::new()));
    }

    #[test]
    fn nobody_changes_if_one_cannot() {
        let now = Instant::now();
        let mut rounds = begin(now);
        assert_eq!(rounds.hear(40, prepared(), now), Step::Wait);
        let why = Said::Prepared(Err("no such file".into()));
        assert_eq!(rounds.hear(99, why.clone(), now), Step::Wait, "it takes no part");
        assert_eq!(rounds.hear(41, why, now), Step::Refused("no such file".into()));
        let mut rounds = begin(now);
        assert_eq!(rounds.gone(99, "ended", now), Step::Wait);
        let refused = Step::Refused("worker 2 was killed by SIGSEGV meanwhile".into());
        assert_eq!(rounds.gone(41, "was killed by SIGSEGV", now), refused);
    }

    #[test]
    fn who_does_not_answer_is_told_again_and_then_nobody_changes() {
        let now = Instant::now();
        let mut rounds = begin(now);
        rounds.hear(40, prepared(), now);
        assert_eq!((rounds.serve(now), rounds.wake_up()), (Step::Wait, now + AGAIN));
        let rest = vec![ALL[1], ALL[2]];
        assert_eq!(rounds.serve(now + AGAIN), Step::Tell(Said::Prepare(Vec::new()), rest));
        assert_eq!(rounds.serve(now + AGAIN), Step::Wait);
        let refused = Step::Refused("no answer of worker 2, 3".into());
        assert_eq!(rounds.serve(now + PREPARING), refused);
    }

    #[test]
    fn who_becomes_ready_meanwhile_takes_part() {
        let now = Instant::now();
        let mut rounds = begin(now);
        let (late, told) = ((50, 4), |member| Step::Tell(Said::Prepare(Vec::new()), vec![member]));
        assert_eq!(rounds.join(late), told(late));
        assert_eq!((rounds.join(late), rounds.join(ALL[0])), (Step::Wait, Step::Wait));
        ALL.iter().for_each(|(pid, _)| assert_eq!(rounds.hear(*pid, prepared(), now), Step::Wait));
        let all = [&ALL[..], &[late]].concat();
        assert_eq!(rounds.hear(50, prepared(), now), Step::Tell(Said::Change, all));
        assert_eq!(rounds.join((51, 5)), Step::Wait, "it begins by what is new");
    }

    #[test]
    fn who_does_not_say_that_it_has_changed_is_named() {
        let now = Instant::now();
        let mut rounds = begin(now);
        ALL.iter().for_each(|(pid, _)| _ = rounds.hear(*pid, prepared(), now));
        rounds.hear(40, changed("this"), now);
        let rest = vec![ALL[1], ALL[2]];
        assert_eq!(rounds.serve(now + AGAIN), Step::Tell(Said::Change, rest));
        rounds.hear(42, Said::Changed(Err("no".into())), now);
        assert_eq!(rounds.serve(now + CHANGING), Step::Changed("this".into(), vec![2]));
    }
}
