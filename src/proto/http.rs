//! The head of an HTTP/1.1 request (RFC 9112 §2 to §5), read byte by byte as it arrives.
//!
//! [`HeadParser`] resumes where it stopped: no byte is looked at again on a later call, so that a
//! head costs the same in one piece and in ten thousand. It keeps what a later reader needs and
//! nothing else; every string in the [`Head`] ends in NUL, because C back ends are shown them.
//!
//! Stricter than RFC 9112 lets a server be, where leniency has been used to smuggle requests past
//! a front end: lines end in CRLF and nothing else (§2.2), no folded lines (§5.2), one SP between
//! the parts of the request line (§3).

use std::ffi::CStr;
use std::fmt;
use std::net::Ipv6Addr;

/// The longest request line or field line, in bytes without its CRLF: what the C program's buffer
/// (`WS_MAX_LINE`) took.
const MAX_LINE: usize = 16_384;
/// The most header fields: a browser sends about 15, proxies add a few.
const MAX_FIELDS: usize = 100;
/// The longest head, in bytes with all line ends: four full lines. It bounds what one client can
/// make us hold before it is accepted.
const MAX_HEAD: usize = 65_536;

const CR: u8 = b'\r';
const LF: u8 = b'\n';
const SP: u8 = b' ';
const HTAB: u8 = b'\t';

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

/// The statuses this server answers with (RFC 9110 §15, RFC 6585 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// The request is malformed.
    BadRequest = 400,
    /// The page that wants to connect is not on the list of allowed origins.
    Forbidden = 403,
    /// The back end knows no peer for this request.
    NotFound = 404,
    /// The method is not GET.
    MethodNotAllowed = 405,
    /// The head did not arrive in time.
    RequestTimeout = 408,
    /// Not a WebSocket handshake, or one for another version.
    UpgradeRequired = 426,
    /// The head passes one of the [`Limits`].
    FieldsTooLarge = 431,
    /// The back end or the bridge failed.
    Internal = 500,
    /// The peer refused the connection or cannot be reached.
    BadGateway = 502,
    /// The bridge is full or shutting down.
    Unavailable = 503,
    /// The peer did not answer in time.
    GatewayTimeout = 504,
    /// HTTP, but not HTTP/1.
    VersionNotSupported = 505,
}

impl Status {
    /// The three digits of the status line.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The reason phrase that RFC 9110 §15 registers.
    pub fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
            Self::UpgradeRequired => "Upgrade Required",
            Self::FieldsTooLarge => "Request Header Fields Too Large",
            Self::Internal => "Internal Server Error",
            Self::BadGateway => "Bad Gateway",
            Self::Unavailable => "Service Unavailable",
            Self::GatewayTimeout => "Gateway Timeout",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}

/// Why a head was refused. Always the client's fault, and final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The method is not a token (RFC 9110 §5.6.2), or not followed by one SP.
    BadMethod,
    /// The request target is not one a GET may have (RFC 9112 §3.2).
    BadTarget,
    /// The version is not `HTTP/` DIGIT `.` DIGIT (RFC 9112 §2.3).
    BadVersion,
    /// HTTP/1.0 cannot upgrade (RFC 6455 §4.2.1, RFC 9110 §7.8).
    OldVersion,
    /// Well-formed, but neither HTTP/1.1 nor HTTP/1.0.
    OtherVersion,
    /// A method, but not GET (RFC 6455 §4.2.1).
    NotGet,
    /// A bare CR or a bare LF (RFC 9112 §2.2).
    BadLineEnd,
    /// A line that starts with white space (RFC 9112 §2.2, §5.2).
    FoldedLine,
    /// The field name is not a token directly followed by a colon (RFC 9112 §5.1).
    BadFieldName,
    /// The field value holds a control character (RFC 9110 §5.5).
    BadFieldValue,
    /// A line passes [`Limits::line`].
    LineTooLong,
    /// One field more than [`Limits::fields`].
    TooManyFields,
    /// The head passes [`Limits::head`].
    HeadTooLarge,
}

impl HttpError {
    /// The one status that answers this error.
    pub fn status(self) -> Status {
        match self {
            Self::BadMethod
            | Self::BadTarget
            | Self::BadVersion
            | Self::OldVersion
            | Self::BadLineEnd
            | Self::FoldedLine
            | Self::BadFieldName
            | Self::BadFieldValue => Status::BadRequest,
            Self::OtherVersion => Status::VersionNotSupported,
            Self::NotGet => Status::MethodNotAllowed,
            Self::LineTooLong | Self::TooManyFields | Self::HeadTooLarge => Status::FieldsTooLarge,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::BadMethod => "the request line does not start with a method",
            Self::BadTarget => "the request target is malformed",
            Self::BadVersion => "the HTTP version is malformed",
            Self::OldVersion => "HTTP/1.0 cannot upgrade",
            Self::OtherVersion => "the HTTP version is not 1.1",
            Self::NotGet => "the method is not GET",
            Self::BadLineEnd => "a line does not end in CR LF",
            Self::FoldedLine => "a line starts with white space",
            Self::BadFieldName => "a field name is malformed",
            Self::BadFieldValue => "a field value holds a control character",
            Self::LineTooLong => "a line is too long",
            Self::TooManyFields => "there are too many fields",
            Self::HeadTooLarge => "the head is too large",
        })
    }
}

impl std::error::Error for HttpError {}

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
    /// White space between the colon and the value.
    Space,
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
    /// Bytes of the head so far, and of its line without the CRLF.
    seen: usize,
    line: usize,
    /// The finished strings, each with its NUL, and the one in progress from `part` on.
    text: Vec<u8>,
    part: usize,
    get: bool,
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
            get: false,
            target: 0,
            fields: Vec::new(),
        }
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
    pub fn finish(self) -> Head {
        debug_assert_eq!(self.state, State::Done, "the head is not complete");
        Head { text: self.text, target: self.target, fields: self.fields }
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
        let end = line.iter().position(|&byte| !class.holds(byte)).unwrap_or(line.len());
        let (run, rest) = bytes.split_at(end);
        self.text.extend_from_slice(run);
        self.line += end;
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
            (State::Version, _) => self.version_byte(byte)?,
            (State::RequestLf, LF) => self.end_request_line()?,
            (State::Name, CR) if empty => State::EndLf,
            (State::Name, b':') if !empty => self.end_name()?,
            (State::Space, SP | HTAB) => State::Space,
            (State::Space | State::Value, CR) => self.end_value(),
            (State::Space, _) if Class::Value.holds(byte) => self.start_value(byte),
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
            State::Start | State::Method => HttpError::BadMethod,
            State::Target => HttpError::BadTarget,
            State::Name if self.part().is_empty() && matches!(byte, SP | HTAB) => {
                HttpError::FoldedLine
            }
            State::Name => HttpError::BadFieldName,
            State::Space | State::Value => HttpError::BadFieldValue,
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
        // RFC 9110 §9.1: methods are case-sensitive.
        self.get = self.text == b"GET";
        self.text.clear();
        State::Target
    }

    fn end_target(&mut self) -> Result<State, HttpError> {
        // The other forms of target (RFC 9112 §3.2) belong to methods that end in a 405.
        if self.get {
            self.target = path_of(&mut self.text).ok_or(HttpError::BadTarget)?;
        } else if self.text.is_empty() {
            return Err(HttpError::BadTarget);
        }
        self.end_part();
        Ok(State::Version)
    }

    fn version_byte(&mut self, byte: u8) -> Result<State, HttpError> {
        match VERSION.get(self.part().len()) {
            Some(b'0') if byte.is_ascii_digit() => self.text.push(byte),
            Some(&expected) if byte == expected => self.text.push(byte),
            _ if byte == LF => return Err(HttpError::BadLineEnd),
            _ => return Err(HttpError::BadVersion),
        }
        Ok(State::Version)
    }

    fn end_request_line(&mut self) -> Result<State, HttpError> {
        match self.part() {
            b"HTTP/1.1" if self.get => {}
            b"HTTP/1.1" => return Err(HttpError::NotGet),
            b"HTTP/1.0" => return Err(HttpError::OldVersion),
            _ => return Err(HttpError::OtherVersion),
        }
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
        Ok(State::Space)
    }

    fn start_value(&mut self, byte: u8) -> State {
        self.text.push(byte);
        State::Value
    }

    fn end_value(&mut self) -> State {
        // RFC 9110 §5.5: SP and HTAB around a value are not part of it.
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

/// The shape of a version (RFC 9112 §2.3); `0` stands for any digit.
const VERSION: &[u8; 8] = b"HTTP/0.0";

/// The schemes whose requests end here; `ws` and `wss` because some clients write what they dial.
const SCHEMES: [&[u8]; 4] = [b"http://", b"https://", b"ws://", b"wss://"];

/// The offset of path and query in a GET's target, in origin-form or absolute-form
/// (RFC 9112 §3.2.1, §3.2.2).
fn path_of(target: &mut [u8]) -> Option<usize> {
    if target.starts_with(b"/") {
        return Some(0);
    }
    let scheme =
        SCHEMES.iter().map(|scheme| scheme.len()).zip(SCHEMES).find_map(|(len, scheme)| {
            target.get(..len).is_some_and(|start| start.eq_ignore_ascii_case(scheme)).then_some(len)
        })?;
    let rest = target.get(scheme..)?;
    let authority = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    if !is_authority(rest.get(..authority)?) {
        return None;
    }
    let path = scheme + authority;
    if target.get(path) == Some(&b'/') {
        return Some(path);
    }
    // RFC 9112 §3.2.1: an empty path is sent as "/". The authority has done its duty.
    *target.get_mut(path - 1)? = b'/';
    Some(path - 1)
}

/// Whether these bytes are `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2) with a host
/// that is not empty (RFC 9110 §4.2.1).
pub(super) fn is_authority(bytes: &[u8]) -> bool {
    let Ok(authority) = str::from_utf8(bytes) else { return false };
    match authority.strip_prefix('[').and_then(|literal| literal.split_once(']')) {
        Some((address, "")) => address.parse::<Ipv6Addr>().is_ok(),
        Some((address, port)) => {
            address.parse::<Ipv6Addr>().is_ok() && port.strip_prefix(':').is_some_and(is_port)
        }
        None => match authority.split_once(':') {
            Some((name, port)) => is_reg_name(name) && is_port(port),
            None => is_reg_name(authority),
        },
    }
}

/// RFC 3986 §3.2.3 lets the digits be absent.
fn is_port(port: &str) -> bool {
    port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// A name or an IPv4 address. RFC 3986 §3.2.2 lets a name hold a comma; here it means that two
/// Host fields were joined to one (RFC 9110 §5.3), which must not pass.
fn is_reg_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&b);
    let mut pieces = name.split('%');
    !name.is_empty()
        && pieces.next().is_some_and(|first| first.bytes().all(plain))
        && pieces.all(|piece| {
            let mut bytes = piece.bytes();
            let mut hex = || bytes.next().is_some_and(|b| b.is_ascii_hexdigit());
            hex() && hex() && bytes.all(plain)
        })
}

/// One header field: the offsets of its name and its value in the text it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where the name starts; its NUL is the byte before the value.
    pub name: usize,
    /// Where the value starts.
    pub value: usize,
}

/// A complete and well-formed `GET` in HTTP/1.1: its target, path and query only, and its fields.
#[derive(Debug)]
pub struct Head {
    pub(super) text: Vec<u8>,
    pub(super) target: usize,
    pub(super) fields: Vec<Field>,
}

impl Head {
    /// Path and query, as sent. It starts with `/`.
    pub fn target(&self) -> &[u8] {
        c_str(&self.text, self.target).to_bytes()
    }

    /// Names and values, as sent and in that order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|&field| (self.name(field), self.value(field)))
    }

    /// The values of all fields of this name (RFC 9110 §5.1: in any case), in their order.
    pub fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.named(name).map(|field| self.value(field))
    }

    pub(super) fn named(&self, name: &'static str) -> impl Iterator<Item = Field> {
        let is_named = move |field: &Field| self.name(*field).eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().copied().filter(is_named)
    }

    pub(super) fn name(&self, field: Field) -> &[u8] {
        self.text.get(field.name..field.value.saturating_sub(1)).unwrap_or_default()
    }

    pub(super) fn value(&self, field: Field) -> &[u8] {
        c_str(&self.text, field.value).to_bytes()
    }
}

/// The string that starts at this offset of a text whose strings end in NUL.
pub(super) fn c_str(text: &[u8], at: usize) -> &CStr {
    let from = text.get(at..).unwrap_or_default();
    CStr::from_bytes_until_nul(from).unwrap_or_default()
}

/// Whether these bytes are a token (RFC 9110 §5.6.2).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| Class::Token.holds(byte))
}

/// The kinds of characters that a head is made of, each a bit in [`CLASSES`].
#[derive(Clone, Copy)]
enum Class {
    /// `tchar` (RFC 9110 §5.6.2): methods and field names.
    Token = 1,
    /// What the path and query of a URI may hold (RFC 3986 §3.3, §3.4), and the brackets that
    /// browsers leave bare in a query; never NUL, which would end the C string early.
    Target = 2,
    /// SP, HTAB, visible ASCII and bytes above it (RFC 9110 §5.5).
    Value = 4,
}

impl Class {
    fn holds(self, byte: u8) -> bool {
        CLASSES[usize::from(byte)] & self as u8 != 0
    }
}

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let kinds = classes_of(byte as u8);
        table[byte] = kinds;
        byte += 1;
    }
    table
}

const fn classes_of(byte: u8) -> u8 {
    let token = byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~');
    let target = byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    let value = byte.is_ascii_graphic() || matches!(byte, SP | HTAB | 0x80..);
    (if token { Class::Token as u8 } else { 0 })
        | (if target { Class::Target as u8 } else { 0 })
        | (if value { Class::Value as u8 } else { 0 })
}
