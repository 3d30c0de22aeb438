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
pub use head::{Field, Head, Method, Version};
pub(super) use head::{authority, c_str};
use syntax::{CR, Class, FieldLine, HTAB, LF, SP, VERSION_LENGTH, path_of, trimmed, version_run};
pub(super) use syntax::{is_authority, is_token};

/// The longest request line or field line, in bytes without its CRLF: what the C header's
/// `read_buffer` takes (`WS_MAX_LINE`).
const MAX_LINE: usize = 16_384;
/// The most header fields: a browser sends about 15, proxies add a few.
const MAX_FIELDS: usize = 100;
/// Room for these is made with the first: what a browser and two proxies send.
const USUAL_FIELDS: usize = 20;
/// The longest head, in bytes with all line ends: four full lines. It bounds what one client can
/// make us hold before it is accepted.
const MAX_HEAD: usize = 65_536;

/// What a client that takes this for a port with TLS begins with (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;
/// What a PROXY header of version 1 looks like: a method, which nobody has registered.
const PROXY: &[u8] = b"PROXY";

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
    /// Behind one empty line another begins: no request, but perhaps the signature of a PROXY header
    /// of version 2, which has two and a NUL.
    SignatureLf,
    SignatureNul,
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

/// Reads one head. It costs the heap what it has received, not what it might receive.
#[derive(Debug)]
pub struct HeadParser {
    limits: Limits,
    state: State,
    /// Bytes of the head so far.
    seen: usize,
    /// Bytes of the line so far, without its CRLF.
    line: usize,
    /// What was received, read up to `at`. A string that is finished was given its NUL where it
    /// lies; the one in progress begins at `part`.
    text: Vec<u8>,
    at: usize,
    part: usize,
    method: Method,
    version: Version,
    /// Whether other requests than a GET in HTTP/1.1 are read to their end.
    plain: bool,
    /// Where path and query start in `text`, behind the method; 0 until they were read.
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
            at: 0,
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
        // Frames that came in the same read were there, too.
        self.text.shrink_to_fit();
        let Self { text, target, fields, method, version, .. } = self;
        Head { method, version, text, target, fields }
    }

    /// Path and query of a head that is not complete or was refused; none if it did not come to
    /// that, or is no `GET` where only those are read.
    pub fn target(&self) -> Option<&[u8]> {
        let has_path = self.method == Method::Get || self.plain;
        (has_path && self.target > 0).then(|| c_str(&self.text, self.target).to_bytes())
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, HttpError> {
        let allowed = bytes.get(..self.limits.head - self.seen).unwrap_or(bytes);
        self.text.extend_from_slice(allowed);
        while self.state != State::Done {
            self.take_field_lines();
            self.pass_run();
            let Some(&byte) = self.text.get(self.at) else { break };
            self.step(byte)?;
            self.at += 1;
        }
        let taken = allowed.len() - (self.text.len() - self.at);
        self.text.truncate(self.at);
        self.seen += taken;
        match self.state {
            State::Done => Ok(Some(taken)),
            _ if allowed.len() < bytes.len() => Err(HttpError::HeadTooLarge),
            _ => Ok(None),
        }
    }

    /// Takes the field lines that are there as a whole, as most are. What is not, or is not as it
    /// should be, is left to [`HeadParser::step`].
    fn take_field_lines(&mut self) {
        if self.state != State::Name || self.at != self.part {
            return;
        }
        while self.fields.len() < self.limits.fields {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(line) = FieldLine::of(rest).filter(|line| line.length <= self.limits.line)
            else {
                break;
            };
            self.end_string(self.at + line.name);
            self.end_string(self.at + line.value.end);
            self.keep_field(Field { name: self.at, value: self.at + line.value.start });
            self.at += line.length + 2;
            self.part = self.at;
        }
    }

    /// Passes over the characters that belong to the part in progress.
    fn pass_run(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let line = rest.get(..self.limits.line - self.line).unwrap_or(rest);
        let run = match self.state {
            State::Start | State::Method | State::Name => Class::Token.run(line),
            State::Target => Class::Target.run(line),
            State::Version => version_run(self.part().len(), line),
            State::Value => Class::Value.run(line),
            _ => return,
        };
        self.at += run;
        self.line += run;
    }

    /// Takes one byte that [`HeadParser::pass_run`] left: a delimiter, or an error.
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
            (State::BlankLf, LF) => self.begin_part(State::Method),
            (State::Method, CR) if empty => State::SignatureLf,
            (State::SignatureLf, LF) => State::SignatureNul,
            (State::Start | State::Method, SP) if !empty => self.end_method()?,
            (State::Target, SP) => self.end_target()?,
            (State::Version, CR) if self.part().len() == VERSION_LENGTH => State::RequestLf,
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
            State::SignatureNul if byte == 0 => HttpError::ProxyHeader,
            State::Start | State::Method | State::SignatureNul => HttpError::BadMethod,
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
        self.text.get(self.part..self.at).unwrap_or_default()
    }

    /// The next part begins behind this byte.
    fn begin_part(&mut self, state: State) -> State {
        self.part = self.at + 1;
        state
    }

    /// Puts the NUL behind a string.
    fn end_string(&mut self, end: usize) {
        if let Some(byte) = self.text.get_mut(end) {
            *byte = 0;
        }
    }

    fn end_method(&mut self) -> Result<State, HttpError> {
        if self.part() == PROXY {
            return Err(HttpError::ProxyHeader);
        }
        self.method = Method::of(self.part());
        Ok(self.begin_part(State::Target))
    }

    fn end_target(&mut self) -> Result<State, HttpError> {
        // The other forms of target (RFC 9112 §3.2) belong to methods that end in a 405.
        if self.method == Method::Get || self.plain {
            let error = match self.method {
                Method::Other if !self.part().is_empty() => HttpError::NotGet,
                Method::Get | Method::Head | Method::Post | Method::Other => HttpError::BadTarget,
            };
            self.target = self.part + path_of(self.part()).ok_or(error)?;
            if self.text.get(self.target) != Some(&b'/') {
                // RFC 9112 §3.2.1: an empty path is sent as "/".
                self.text.insert(self.target, b'/');
                self.at += 1;
            }
        } else if self.part().is_empty() {
            return Err(HttpError::BadTarget);
        }
        self.end_string(self.at);
        Ok(self.begin_part(State::Version))
    }

    fn end_request_line(&mut self) -> Result<State, HttpError> {
        let version = self.part();
        self.version = match version.get(..VERSION_LENGTH).unwrap_or(version) {
            b"HTTP/1.0" if self.plain => Version::Http10,
            b"HTTP/1.0" => return Err(HttpError::OldVersion),
            // RFC 9110 §2.5: a higher minor version is for us what 1.1 is.
            version if !version.starts_with(b"HTTP/1.") => return Err(HttpError::OtherVersion),
            _ if self.plain || self.method == Method::Get => Version::Http11,
            _ => return Err(HttpError::NotGet),
        };
        self.line = 0;
        Ok(self.begin_part(State::Name))
    }

    fn end_name(&mut self) -> Result<State, HttpError> {
        if self.fields.len() == self.limits.fields {
            return Err(HttpError::TooManyFields);
        }
        self.end_string(self.at);
        self.keep_field(Field { name: self.part, value: self.at });
        Ok(self.begin_part(State::Value))
    }

    fn end_value(&mut self) -> State {
        let value = trimmed(self.part());
        if let Some(field) = self.fields.last_mut() {
            field.value = self.part + value.start;
        }
        self.end_string(self.part + value.end);
        State::FieldLf
    }

    fn end_field_line(&mut self) -> State {
        self.line = 0;
        self.begin_part(State::Name)
    }

    #[inline]
    fn keep_field(&mut self, field: Field) {
        if self.fields.capacity() == 0 {
            self.fields.reserve_exact(USUAL_FIELDS);
        }
        self.fields.push(field);
    }
}
