//! The head of an HTTP/1.1 request (RFC 9112 §2 to §5), read byte by byte as it arrives; of an
//! HTTP/1.0 request too, where plain requests are answered.
//!
//! [`HeadParser`] resumes where it stopped: nothing that came earlier is parsed again, so that ten
//! thousand pieces cost no more than their bytes. It keeps what a later reader needs and nothing
//! else; every string in the [`Head`] ends in NUL, because C back ends are shown them.
//!
//! Stricter than RFC 9112 lets a server be, where leniency has been used to smuggle requests past
//! a front end: lines end in CRLF and nothing else (§2.2), no folded lines (§5.2), one SP between
//! the parts of the request line (§3).

mod error;
mod head;
mod syntax;
#[cfg(test)]
mod tests;

pub use error::{HttpError, Status};
pub(super) use head::c_str;
pub use head::{Field, Head, Method, Version};
use syntax::{CR, Class, HTAB, LF, SP, path_of};
pub(super) use syntax::{is_authority, is_token};

/// The longest request line or field line, in bytes without its CRLF: what the C header's
/// `read_buffer` takes (`WS_MAX_LINE`).
const MAX_LINE: usize = 16_384;
/// The most header fields: a browser sends about 15, proxies add a few.
const MAX_FIELDS: usize = 100;
/// The longest head, in bytes with all line ends: four full lines. It bounds what one client can
/// make us hold before it is accepted.
const MAX_HEAD: usize = 65_536;

/// The shape of a version (RFC 9112 §2.3); `0` stands for any digit.
const VERSION: &[u8; 8] = b"HTTP/0.0";

/// What a client that takes this for a port with TLS begins with (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// How much a client may send before its head is refused with 431.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes in the request line or in one field line, without the CRLF.
    pub line: usize,
    /// Header fields.
    pub fields: usize,
    /// Bytes in the whole head, line ends included.
    pub head: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: MAX_LINE, fields: MAX_FIELDS, head: MAX_HEAD }
    }
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The method; an empty line may still come first.
    Start,
    /// The LF of that empty line.
    BlankLf,
    Method,
    Target,
    Version,
    RequestLf,
    /// A field name, or the CR of the empty line that ends the head.
    Name,
    /// A field value with the white space around it.
    Value,
    FieldLf,
    EndLf,
    Done,
    Refused(HttpError),
}

impl State {
    /// The characters that are copied in this state.
    fn class(self) -> Option<Class> {
        match self {
            Self::Start | Self::Method | Self::Name => Some(Class::Token),
            Self::Target => Some(Class::Target),
            Self::Value => Some(Class::Value),
            _ => None,
        }
    }
}

/// Reads one head. It costs the heap what it has received, not what it might receive.
#[derive(Debug)]
pub struct HeadParser {
    limits: Limits,
    state: State,
    /// Bytes of the head so far.
    seen: usize,
    /// Bytes of the line so far, without its CRLF.
    line: usize,
    /// The finished strings, each with its NUL, and from `part` on the one in progress.
    text: Vec<u8>,
    part: usize,
    method: Method,
    version: Version,
    /// Whether other requests than a GET in HTTP/1.1 are read to their end.
    plain: bool,
    /// Where path and query start in `text`.
    target: usize,
    fields: Vec<Field>,
}

impl Default for HeadParser {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadParser {
    /// A parser with the default [`Limits`].
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// A parser with limits of its own.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Start,
            seen: 0,
            line: 0,
            text: Vec::new(),
            part: 0,
            method: Method::Other,
            version: Version::Http11,
            plain: false,
            target: 0,
            fields: Vec::new(),
        }
    }

    /// A parser for where plain requests are answered, too: any method, and HTTP/1.0. Elsewhere
    /// these are refused at the request line.
    pub fn of_any_request() -> Self {
        Self { plain: true, ..Self::new() }
    }

    /// Whether nothing was read yet.
    pub fn is_untouched(&self) -> bool {
        self.seen == 0
    }

    /// The method, once it was read.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Takes the bytes that arrived since the last call.
    ///
    /// `Some(n)`: the head is complete and ends with `bytes[n - 1]`; what follows it was not
    /// looked at. `None`: all of `bytes` was taken and more is needed.
    ///
    /// # Errors
    /// As soon as the bytes cannot become an acceptable head; an error is final.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<usize>, HttpError> {
        if let State::Refused(error) = self.state {
            return Err(error);
        }
        let result = self.advance(bytes);
        if let Err(error) = result {
            self.state = State::Refused(error);
        }
        result
    }

    /// The head, after [`HeadParser::push`] has returned `Some`.
    pub fn finish(mut self) -> Head {
        debug_assert_eq!(self.state, State::Done, "the head is not complete");
        // Frames that came in the same read had room reserved for them, too.
        self.text.shrink_to_fit();
        let Self { text, target, fields, method, version, .. } = self;
        Head { method, version, text, target, fields }
    }

    /// Path and query of a head that is not complete or was refused; none if it did not come to
    /// that, or is no `GET` where only those are read.
    pub fn target(&self) -> Option<&[u8]> {
        let has_path = self.method == Method::Get || self.plain;
        (has_path && self.part > 0).then(|| c_str(&self.text, self.target).to_bytes())
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, HttpError> {
        let allowed = bytes.get(..self.limits.head - self.seen).unwrap_or(bytes);
        self.text.reserve(allowed.len());
        let mut rest = allowed;
        while self.state != State::Done {
            rest = self.copy_run(rest);
            let Some((&byte, after)) = rest.split_first() else { break };
            self.step(byte)?;
            rest = after;
        }
        let taken = allowed.len() - rest.len();
        self.seen += taken;
        match self.state {
            State::Done => Ok(Some(taken)),
            _ if allowed.len() < bytes.len() => Err(HttpError::HeadTooLarge),
            _ => Ok(None),
        }
    }

    /// Copies the characters that belong to the part in progress; returns what is left.
    fn copy_run<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(class) = self.state.class() else { return bytes };
        let line = bytes.get(..self.limits.line - self.line).unwrap_or(bytes);
        let (run, rest) = bytes.split_at(class.run(line));
        self.text.extend_from_slice(run);
        self.line += run.len();
        rest
    }

    /// Takes one byte that [`HeadParser::copy_run`] left: a delimiter, or an error.
    fn step(&mut self, byte: u8) -> Result<(), HttpError> {
        if byte != CR && byte != LF {
            if self.line == self.limits.line {
                return Err(HttpError::LineTooLong);
            }
            self.line += 1;
        }
        let empty = self.part().is_empty();
        self.state = match (self.state, byte) {
            // RFC 9112 §2.2: a server SHOULD ignore at least one empty line before the request.
            (State::Start, CR) if empty => State::BlankLf,
            (State::BlankLf, LF) => State::Method,
            (State::Start | State::Method, SP) if !empty => self.end_method(),
            (State::Target, SP) => self.end_target()?,
            (State::Version, CR) if self.part().len() == VERSION.len() => State::RequestLf,
            (State::Version, _) if self.fits_version(byte) => self.copy_version(byte),
            (State::RequestLf, LF) => self.end_request_line()?,
            (State::Name, CR) if empty => State::EndLf,
            (State::Name, b':') if !empty => self.end_name()?,
            (State::Value, CR) => self.end_value(),
            (State::FieldLf, LF) => self.end_field_line(),
            (State::EndLf, LF) => State::Done,
            _ => return Err(self.complaint(byte)),
        };
        Ok(())
    }

    /// What is wrong when `byte` cannot follow.
    fn complaint(&self, byte: u8) -> HttpError {
        match self.state {
            _ if byte == LF => HttpError::BadLineEnd,
            State::Start if byte == TLS_HANDSHAKE && self.part().is_empty() => HttpError::Tls,
            State::Start | State::Method => HttpError::BadMethod,
            State::Target => HttpError::BadTarget,
            State::Version => HttpError::BadVersion,
            State::Name if self.part().is_empty() && matches!(byte, SP | HTAB) => {
                HttpError::FoldedLine
            }
            State::Name => HttpError::BadFieldName,
            State::Value => HttpError::BadFieldValue,
            _ => HttpError::BadLineEnd,
        }
    }

    fn part(&self) -> &[u8] {
        self.text.get(self.part..).unwrap_or_default()
    }

    /// Ends the string in progress; the next one starts behind its NUL.
    fn end_part(&mut self) {
        self.text.push(0);
        self.part = self.text.len();
    }

    fn end_method(&mut self) -> State {
        self.method = Method::of(&self.text);
        self.text.clear();
        State::Target
    }

    fn end_target(&mut self) -> Result<State, HttpError> {
        // The other forms of target (RFC 9112 §3.2) belong to methods that end in a 405.
        if self.method == Method::Get || self.plain {
            let error = match self.method {
                Method::Other if !self.text.is_empty() => HttpError::NotGet,
                Method::Get | Method::Head | Method::Post | Method::Other => HttpError::BadTarget,
            };
            self.target = path_of(&mut self.text).ok_or(error)?;
        } else if self.text.is_empty() {
            return Err(HttpError::BadTarget);
        }
        self.end_part();
        Ok(State::Version)
    }

    fn fits_version(&self, byte: u8) -> bool {
        match VERSION.get(self.part().len()) {
            Some(b'0') => byte.is_ascii_digit(),
            Some(&expected) => byte == expected,
            None => false,
        }
    }

    fn copy_version(&mut self, byte: u8) -> State {
        self.text.push(byte);
        State::Version
    }

    fn end_request_line(&mut self) -> Result<State, HttpError> {
        self.version = match self.part() {
            b"HTTP/1.1" if self.plain || self.method == Method::Get => Version::Http11,
            b"HTTP/1.1" => return Err(HttpError::NotGet),
            b"HTTP/1.0" if self.plain => Version::Http10,
            b"HTTP/1.0" => return Err(HttpError::OldVersion),
            _ => return Err(HttpError::OtherVersion),
        };
        self.text.truncate(self.part);
        self.line = 0;
        Ok(State::Name)
    }

    fn end_name(&mut self) -> Result<State, HttpError> {
        if self.fields.len() == self.limits.fields {
            return Err(HttpError::TooManyFields);
        }
        let name = self.part;
        self.end_part();
        self.fields.push(Field { name, value: self.part });
        Ok(State::Value)
    }

    fn end_value(&mut self) -> State {
        // RFC 9110 §5.5: SP and HTAB around a value are not part of it.
        let spaces = self.part().len() - self.part().trim_ascii_start().len();
        self.text.drain(self.part..self.part + spaces);
        let value = self.part().trim_ascii_end().len();
        self.text.truncate(self.part + value);
        self.end_part();
        State::FieldLf
    }

    fn end_field_line(&mut self) -> State {
        self.line = 0;
        State::Name
    }
}
