//! What a request is answered with when it is not accepted, and what a head is refused for.

use std::fmt;

/// The statuses this server answers with (RFC 9110 §15, RFC 6585 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// The request is served.
    Ok = 200,
    /// The range that was asked for follows.
    PartialContent = 206,
    /// What is asked for has another path.
    MovedPermanently = 301,
    /// What is asked for is at another path for now.
    Found = 302,
    /// The client has it already.
    NotModified = 304,
    /// The request is malformed.
    BadRequest = 400,
    /// The back end wants to know who asks, or a password is missing or wrong.
    Unauthorized = 401,
    /// The page or the address that wants to connect may not, or the peer may not be reached.
    Forbidden = 403,
    /// The back end knows no peer for this request.
    NotFound = 404,
    /// The method is not GET.
    MethodNotAllowed = 405,
    /// The head did not arrive in time.
    RequestTimeout = 408,
    /// What the client holds is not what is there.
    PreconditionFailed = 412,
    /// No byte of the range that was asked for exists.
    RangeNotSatisfiable = 416,
    /// Not a WebSocket handshake, or one for another version.
    UpgradeRequired = 426,
    /// The address begins sessions too fast.
    TooManyRequests = 429,
    /// The head passes one of the [`Limits`].
    FieldsTooLarge = 431,
    /// The back end or the bridge failed.
    Internal = 500,
    /// The request's content comes in a transfer coding that is not known here.
    NotImplemented = 501,
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
            Self::Ok => "OK",
            Self::PartialContent => "Partial Content",
            Self::MovedPermanently => "Moved Permanently",
            Self::Found => "Found",
            Self::NotModified => "Not Modified",
            Self::PreconditionFailed => "Precondition Failed",
            Self::RangeNotSatisfiable => "Range Not Satisfiable",
            Self::BadRequest => "Bad Request",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
            Self::UpgradeRequired => "Upgrade Required",
            Self::TooManyRequests => "Too Many Requests",
            Self::FieldsTooLarge => "Request Header Fields Too Large",
            Self::Internal => "Internal Server Error",
            Self::NotImplemented => "Not Implemented",
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
    /// The first byte is that of a TLS handshake.
    Tls,
    /// It begins as a PROXY header does (its §2.1, §2.2), which is not read here.
    ProxyHeader,
    /// The request target is not one a GET may have (RFC 9112 §3.2).
    BadTarget,
    /// The version is not `HTTP/` DIGIT `.` DIGIT (RFC 9112 §2.3).
    BadVersion,
    /// HTTP/1.0 cannot upgrade (RFC 6455 §4.2.1, RFC 9110 §7.8).
    OldVersion,
    /// Well-formed, but not HTTP/1.
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
            | Self::Tls
            | Self::ProxyHeader
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
            Self::Tls => "it is TLS, on a port that speaks plain HTTP",
            Self::ProxyHeader => {
                "it is a PROXY header, which listeners with proxy-protocol take, once"
            }
            Self::BadTarget => "the request target is malformed",
            Self::BadVersion => "the HTTP version is malformed",
            Self::OldVersion => "HTTP/1.0 cannot upgrade",
            Self::OtherVersion => "it is another HTTP than HTTP/1",
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
