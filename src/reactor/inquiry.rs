//! What a request needs of other workers: each is asked part by part, one after the other, and who does
//! not answer is left out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::slots::Key;
use crate::http::Request;
use crate::worker::{Message, Said, Wanted};

/// How long a part is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long all of them are.
const ALL_PATIENCE: Duration = Duration::from_secs(10);
/// When a question is asked again whose answer may have been lost.
const AGAIN: Duration = Duration::from_millis(500);
/// The most bytes of one answer.
const MOST: usize = 256 * 1024 * 1024;

/// A question to other workers on its way.
pub(super) struct Inquiry {
    /// Whose request it is for.
    pub(super) key: Key,
    pub(super) request: Box<Request>,
    gathered: Gathered,
    question: Question,
    /// The number of the question.
    number: u64,
    /// Who is to be asked then, and the number of each worker.
    left: VecDeque<(u32, usize)>,
    /// The numbers of those that did not answer.
    missing: Vec<usize>,
    again: Instant,
    until: Instant,
    all_until: Instant,
}

/// What is asked at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Question {
    /// The supervisor: who is there?
    Who,
    /// A process, which is this worker: for this.
    Ask(u32, usize, Wanted),
}

/// What is known so far.
#[derive(Debug, PartialEq)]
pub(super) enum Gathered {
    /// JSON objects, with commas between them.
    Sessions(String),
    /// JSON objects that begin with their time.
    Refusals(Vec<String>),
    /// The longest JSON array of samples.
    History(String),
    /// Whether the session was there.
    Closed(Option<bool>),
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is nothing to do yet.
    Wait,
    /// This is to be sent.
    Say(Message),
    /// All is known that will be.
    Done,
}

impl Inquiry {
    /// Asks all others for what they have; `serial` is of no other inquiry.
    pub(super) fn of_all(
        (key, request): (Key, Box<Request>),
        gathered: Gathered,
        serial: u32,
        now: Instant,
    ) -> (Self, Message) {
        Self::begin((key, request), gathered, Question::Who, serial, now)
    }

    /// Has one other process close a session.
    pub(super) fn of_one(
        (key, request): (Key, Box<Request>),
        (process, session): (u32, Key),
        serial: u32,
        now: Instant,
    ) -> (Self, Message) {
        let wanted = Wanted::Close(session.index, session.generation);
        let question = Question::Ask(process, 0, wanted);
        Self::begin((key, request), Gathered::Closed(None), question, serial, now)
    }

    fn begin(
        (key, request): (Key, Box<Request>),
        gathered: Gathered,
        question: Question,
        serial: u32,
        now: Instant,
    ) -> (Self, Message) {
        let own = Self {
            key,
            request,
            gathered,
            question,
            number: u64::from(serial) << 32,
            left: VecDeque::new(),
            missing: Vec::new(),
            again: now + AGAIN,
            until: now + PATIENCE,
            all_until: now + ALL_PATIENCE,
        };
        let first = own.message();
        (own, first)
    }

    fn message(&self) -> Message {
        let (peer, said) = match self.question {
            Question::Who => (0, Said::Who),
            Question::Ask(peer, _, wanted) => (peer, Said::Ask(wanted)),
        };
        Message { peer, number: self.number, said }
    }

    /// Whether this is an answer to what was asked last.
    pub(super) fn is_answer(&self, message: &Message) -> bool {
        message.number == self.number
    }

    /// Takes the answer.
    pub(super) fn hear(&mut self, said: Said, now: Instant) -> Step {
        match (said, self.question) {
            (Said::Present(all), Question::Who) => {
                self.left = all.into();
                self.ask_next(now)
            }
            (Said::Part { next, text }, Question::Ask(peer, worker, wanted)) => {
                self.gathered.add(text);
                let next = next.and_then(|next| wanted.advanced_to(next));
                match next.filter(|_| self.gathered.len() < MOST) {
                    Some(wanted) => self.ask(Question::Ask(peer, worker, wanted), now),
                    None => self.ask_next(now),
                }
            }
            (Said::Gone, Question::Ask(..)) => self.ask_next(now),
            _ => Step::Wait,
        }
    }

    /// What is due.
    pub(super) fn serve(&mut self, now: Instant) -> Step {
        if now >= self.all_until || (now >= self.until && self.question == Question::Who) {
            self.missing.push(self.worker());
            self.missing.extend(self.left.drain(..).map(|(_, worker)| worker));
            return Step::Done;
        }
        if now >= self.until {
            self.missing.push(self.worker());
            return self.ask_next(now);
        }
        // To close a session twice would be to say that it was not there.
        if now >= self.again && !matches!(self.gathered, Gathered::Closed(_)) {
            self.again = now + AGAIN;
            return Step::Say(self.message());
        }
        Step::Wait
    }

    /// When something is due.
    pub(super) fn wake_up(&self) -> Instant {
        match self.gathered {
            Gathered::Closed(_) => self.until.min(self.all_until),
            _ => self.again.min(self.until).min(self.all_until),
        }
    }

    /// The number of the worker that is asked; 0 for all that are not known.
    fn worker(&self) -> usize {
        match self.question {
            Question::Who => 0,
            Question::Ask(_, worker, _) => worker,
        }
    }

    fn ask(&mut self, question: Question, now: Instant) -> Step {
        self.question = question;
        self.number += 1;
        (self.again, self.until) = (now + AGAIN, now + PATIENCE);
        Step::Say(self.message())
    }

    fn ask_next(&mut self, now: Instant) -> Step {
        let wanted = match &self.gathered {
            Gathered::Sessions(_) => Wanted::Sessions(0),
            Gathered::Refusals(_) => Wanted::Refusals(0),
            Gathered::History(_) => Wanted::History,
            Gathered::Closed(_) => return Step::Done,
        };
        match self.left.pop_front() {
            Some((peer, worker)) => self.ask(Question::Ask(peer, worker, wanted), now),
            None => Step::Done,
        }
    }

    /// What came of it, and the numbers of the workers that did not answer; 0 where it is not known
    /// which these are.
    pub(super) fn take(self) -> ((Key, Box<Request>), Gathered, Vec<usize>) {
        ((self.key, self.request), self.gathered, self.missing)
    }
}

impl Gathered {
    fn add(&mut self, text: String) {
        match self {
            Self::Sessions(all) => {
                if !all.is_empty() && !text.is_empty() {
                    all.push(',');
                }
                all.push_str(&text);
            }
            Self::Refusals(all) => all.extend(text.lines().map(str::to_owned)),
            Self::History(longest) => {
                let samples = |text: &str| text.matches("\"time\":").count();
                if samples(&text) > samples(longest) {
                    *longest = text;
                }
            }
            Self::Closed(closed) => *closed = Some(text == CLOSED),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Sessions(text) | Self::History(text) => text.len(),
            Self::Refusals(all) => all.iter().map(String::len).sum(),
            Self::Closed(_) => 0,
        }
    }
}

/// Said of a session that was there.
pub(super) const CLOSED: &str = "closed";

impl Wanted {
    /// The same from there on, if that is further on.
    fn advanced_to(self, next: u64) -> Option<Self> {
        match self {
            Self::Sessions(from) if next > from => Some(Self::Sessions(next)),
            Self::Refusals(from) if next > from => Some(Self::Refusals(next)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::HeadParser;

    fn request() -> (Key, Box<Request>) {
        let mut parser = HeadParser::of_any_request();
        parser.push(b"GET /sessions HTTP/1.1\r\nHost: h\r\n\r\n").unwrap().unwrap();
        let request = Request::new(parser.finish()).unwrap();
        (Key { index: 1, generation: 0 }, Box::new(request))
    }

    fn part(next: Option<u64>, text: &str) -> Said {
        Said::Part { next, text: text.into() }
    }

    fn asks(step: Step, peer: u32, wanted: Wanted) -> u64 {
        let Step::Say(message) = step else { panic!("{step:?}") };
        assert_eq!((message.peer, message.said), (peer, Said::Ask(wanted)));
        message.number
    }

    #[test]
    fn all_are_asked_part_by_part() {
        let now = Instant::now();
        let own = Gathered::Sessions("{1}".into());
        let (mut inquiry, first) = Inquiry::of_all(request(), own, 7, now);
        assert_eq!((first.said, first.peer, first.number), (Said::Who, 0, 7 << 32));
        let step = inquiry.hear(Said::Present(vec![(40, 2), (41, 3), (42, 4)]), now);
        let number = asks(step, 40, Wanted::Sessions(0));
        let answer = |number| Message { peer: 40, number, said: Said::Gone };
        assert!(inquiry.is_answer(&answer(number)) && !inquiry.is_answer(&answer(number - 1)));
        let step = inquiry.hear(part(Some(128), "{2},{3}"), now);
        asks(step, 40, Wanted::Sessions(128));
        // A part that leads back would have no end.
        let step = inquiry.hear(part(Some(128), ""), now);
        asks(step, 41, Wanted::Sessions(0));
        asks(inquiry.hear(Said::Gone, now), 42, Wanted::Sessions(0));
        assert_eq!(inquiry.hear(part(None, "{4}"), now), Step::Done);
        let (_, gathered, missing) = inquiry.take();
        assert_eq!(gathered, Gathered::Sessions("{1},{2},{3},{4}".into()));
        assert!(missing.is_empty());
    }

    #[test]
    fn who_does_not_answer_is_asked_again_and_then_left_out() {
        let now = Instant::now();
        let own = Gathered::Refusals(Vec::new());
        let (mut inquiry, _) = Inquiry::of_all(request(), own, 0, now);
        inquiry.hear(Said::Present((2..20).map(|n| (40 + n as u32, n)).collect()), now);
        assert_eq!(inquiry.wake_up(), now + AGAIN);
        assert_eq!(inquiry.serve(now), Step::Wait);
        asks(inquiry.serve(now + AGAIN), 42, Wanted::Refusals(0));
        assert_eq!(inquiry.serve(now + AGAIN), Step::Wait);
        asks(inquiry.serve(now + PATIENCE), 43, Wanted::Refusals(0));
        let step = inquiry.hear(part(None, "{a}\n{b}\n"), now + PATIENCE);
        asks(step, 44, Wanted::Refusals(0));
        // All together are not waited for longer than so.
        assert_eq!(inquiry.serve(now + ALL_PATIENCE), Step::Done);
        let (_, gathered, missing) = inquiry.take();
        assert_eq!(gathered, Gathered::Refusals(vec!["{a}".into(), "{b}".into()]));
        assert_eq!(missing, [2].into_iter().chain(4..20).collect::<Vec<_>>());
    }

    #[test]
    fn the_longest_history_counts() {
        let now = Instant::now();
        let own = Gathered::History("[{\"time\":3}]".into());
        let (mut inquiry, _) = Inquiry::of_all(request(), own, 0, now);
        inquiry.hear(Said::Present(vec![(40, 2), (41, 3)]), now);
        let longer = "[{\"time\":1},{\"time\":2}]";
        inquiry.hear(part(None, longer), now);
        assert_eq!(inquiry.hear(part(None, "[]"), now), Step::Done);
        assert_eq!(inquiry.take().1, Gathered::History(longer.into()));
        let own = Gathered::History(String::new());
        let (mut alone, _) = Inquiry::of_all(request(), own, 0, now);
        assert_eq!(alone.serve(now + PATIENCE), Step::Done);
        assert_eq!(alone.take().2, [0]);
    }

    #[test]
    fn a_session_is_closed_once() {
        let (now, key) = (Instant::now(), Key { index: 3, generation: 9 });
        for (said, closed) in [(part(None, CLOSED), Some(true)), (part(None, ""), Some(false))] {
            let (mut inquiry, first) = Inquiry::of_one(request(), (40, key), 0, now);
            assert_eq!((first.peer, first.said), (40, Said::Ask(Wanted::Close(3, 9))));
            assert_eq!(inquiry.serve(now + AGAIN), Step::Wait);
            assert_eq!(inquiry.hear(said, now), Step::Done);
            assert_eq!(inquiry.take().1, Gathered::Closed(closed));
        }
        let (mut inquiry, _) = Inquiry::of_one(request(), (40, key), 0, now);
        assert_eq!(inquiry.serve(now + PATIENCE), Step::Done);
        let (_, gathered, missing) = inquiry.take();
        assert_eq!((gathered, missing), (Gathered::Closed(None), vec![0]));
    }
}
