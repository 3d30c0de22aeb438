//! Which cell of a block is which.
//!
//! A block may be shared by processes of one binary only, so numbers may move from one version to the
//! next.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::histogram::BUCKETS;

/// A number that stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Number {
    /// Payload bytes of clients' data frames.
    BytesIn,
    /// Payload bytes of data frames to clients.
    BytesOut,
    /// Whole messages of clients.
    MessagesIn,
    /// Whole messages to clients.
    MessagesOut,
    /// Names that are looked up.
    LookUps,
    /// Queries that the back end has not answered.
    Queries,
    /// Passwords that are looked at.
    Passwords,
    /// Files that are opened or read.
    Files,
    /// Bytes that wait in sessions, for a side that does not take them.
    Queued,
    /// Log lines that standard error did not take.
    LogLost,
    /// Log lines that were too many of a kind.
    LogLeftOut,
    /// 1 while the daemon ends.
    Draining,
    /// 1 if it would take a client and find a peer.
    Ready,
    /// How often the configuration was taken in: 1 from the start on.
    Generation,
    /// 1 if the last reload was taken in, or there was none.
    ReloadOk,
    /// When the configuration was taken in last, seconds from 1970.
    ReloadedAt,
    /// Bytes of memory that the process has of the system; zero if that does not say.
    Resident,
    /// Descriptors that are open; zero if the system does not say.
    Descriptors,
    /// How many descriptors may be open.
    MostDescriptors,
    /// When the process began, milliseconds from 1970.
    Started,
}

impl Number {
    /// All of them, each at its own place.
    pub(super) const ALL: [Self; 20] = [
        Self::BytesIn,
        Self::BytesOut,
        Self::MessagesIn,
        Self::MessagesOut,
        Self::LookUps,
        Self::Queries,
        Self::Passwords,
        Self::Files,
        Self::Queued,
        Self::LogLost,
        Self::LogLeftOut,
        Self::Draining,
        Self::Ready,
        Self::Generation,
        Self::ReloadOk,
        Self::ReloadedAt,
        Self::Resident,
        Self::Descriptors,
        Self::MostDescriptors,
        Self::Started,
    ];
}

/// How many [`Number`]s there are.
pub(super) const NUMBERS: usize = Number::ALL.len();

/// What is measured how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Times {
    /// From the accept, or the answer before, to the end of a request head.
    Handshake,
    /// From there to the back end's answer.
    Query,
    /// From there to the connected peer, with TLS if that is spoken.
    Dial,
    /// From the accept to the end of a client's TLS handshake.
    Tls,
    /// From the connected peer to the end.
    Session,
    /// What one turn of the loop takes.
    Turn,
}

/// How many [`Times`] there are.
pub(super) const TIMES: usize = Times::Turn as usize + 1;

/// The names of endings, as the log has them. The last one stands for all that are missing here.
pub const ENDINGS: [&str; 64] = [
    "bad-request",
    "bad-handshake",
    "request-timeout",
    "no-peer",
    "backend-invalid-answer",
    "backend-invalid-address",
    "out-of-resources",
    "framing-unusable",
    "backend-timeout",
    "peer-unreachable",
    "peer-connect-timeout",
    "client-left",
    "answered",
    "answer-timeout",
    "answer-failed",
    "client-closed",
    "client-eof",
    "client-failed",
    "client-protocol-error",
    "client-message-too-big",
    "peer-read-only",
    "encoder-failed",
    "client-silent",
    "peer-closed",
    "peer-close-frame",
    "peer-failed",
    "framing-failed",
    "peer-message-too-big",
    "peer-message-not-utf8",
    "peer-protocol-error",
    "client-stalled",
    "peer-stalled",
    "idle",
    "session-expired",
    "shutdown",
    "operator",
    "denied",
    "rate-limited",
    "limit-reached",
    "address-limit-reached",
    "out-of-watches",
    "displaced",
    "password-missing",
    "password-malformed",
    "password-too-long",
    "password-wrong",
    "password-queue-full",
    "password-timeout",
    "peer-not-allowed",
    "peer-link-local",
    "backend-unauthorized",
    "backend-forbidden",
    "backend-not-found",
    "backend-rate-limited",
    "backend-unavailable",
    "proxy-header",
    "untrusted-proxy",
    "restart",
    "session-lapsed",
    "client-dawdled",
    "client-tls-failed",
    "",
    "",
    "other",
];

/// The first status that is counted as a refusal, and how many there are.
pub(super) const REFUSALS: (u16, usize) = (400, 200);

/// Listeners that are told apart; what further ones count, they count together.
pub(super) const LISTENERS: usize = 16;
/// Certificates whose end is shown.
pub(super) const CERTIFICATES: usize = 16;
/// Cells of a label: 120 bytes, enough for the longest path of a Unix socket.
pub(super) const LABEL: usize = 15;
/// Names that plug-ins count by, and the cells of one: 64 bytes.
pub(super) const COUNTS: usize = 64;
pub(super) const NAME: usize = 8;
/// The label of what listeners count together that have no place of their own.
pub(super) const OTHERS: &str = "others";

/// A listener's place among those that are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(pub(super) u8);

/// What is counted of a listener, behind its label.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(super) enum OfListener {
    /// Clients that were accepted.
    Accepted,
    /// Those of them that are gone.
    Gone,
    /// Sessions that were bridged.
    Opened,
    /// Those of them that have ended.
    Closed,
}

/// How many [`OfListener`] there are.
pub(super) const OF_LISTENER: usize = OfListener::Closed as usize + 1;

/// Cells of one listener, and of one certificate.
pub(super) const LISTENER: usize = LABEL + OF_LISTENER;
pub(super) const CERTIFICATE: usize = LABEL + 1;
/// Cells of what plug-ins count by one name.
pub(super) const COUNT: usize = NAME + 1;
/// Cells of a histogram: its buckets, and the sum of all in microseconds.
pub(super) const HISTOGRAM: usize = BUCKETS + 1;

/// Where each part begins. The numbers come first.
pub(super) const ENDINGS_AT: usize = NUMBERS;
pub(super) const REFUSALS_AT: usize = ENDINGS_AT + ENDINGS.len();
pub(super) const TIMES_AT: usize = REFUSALS_AT + REFUSALS.1;
pub(super) const LISTENERS_AT: usize = TIMES_AT + TIMES * HISTOGRAM;
pub(super) const CERTIFICATES_AT: usize = LISTENERS_AT + (LISTENERS + 1) * LISTENER;
pub(super) const COUNTS_AT: usize = CERTIFICATES_AT + CERTIFICATES * CERTIFICATE;
/// The number of cells of a block.
pub const CELLS: usize = COUNTS_AT + COUNTS * COUNT;

/// A number that tells blocks of this layout from those of other versions; never zero.
#[must_use]
pub fn layout_id() -> u64 {
    let mut hasher = DefaultHasher::new(); // whose keys are always the same
    (env!("CARGO_PKG_VERSION"), CELLS, ENDINGS).hash(&mut hasher);
    hasher.finish() | 1
}

#[cfg(test)]
mod tests {
    use super::{ENDINGS, Number};
    use std::fs;
    use std::path::Path;

    #[test]
    fn numbers_are_at_their_own_places() {
        for (place, number) in Number::ALL.into_iter().enumerate() {
            assert_eq!(number as usize, place, "{number:?}");
        }
    }

    /// Every name that is given where an ending is named has its cell.
    #[test]
    fn every_ending_is_counted_by_its_name() {
        let files = [
            "conn/ending.rs",
            "access/mod.rs",
            "access/passwords.rs",
            "access/peers.rs",
            "backend/error.rs",
        ];
        let mut names = Vec::new();
        for file in files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
            let source = fs::read_to_string(path).unwrap();
            let (_, body) = source.split_once("fn name(").unwrap();
            let (body, _) = body.split_once("\n    }\n").unwrap();
            names.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
        }
        assert!(names.len() > 50 && names.iter().any(|name| name == "client-closed"), "{names:?}");
        for name in names {
            assert!(ENDINGS.contains(&name.as_str()), "{name} has no cell in ENDINGS");
        }
    }
}
