//! The C contract, written once for daemon and plug-ins: types, limits and function types of
//! `backends/include/websocksy.h`.
//!
//! Layout and names are those of API version 1, byte for byte; the asserts at the end hold them.
//! Enumerations that C code hands to us are plain integers here: a plug-in may return any value,
//! and a Rust `enum` with a value outside its list would be undefined behaviour.

use core::ptr::null_mut;
use libc::{c_char, c_int, c_uint, c_void, size_t};

/// What `init` of a back end must return.
pub const WEBSOCKSY_API_VERSION: u64 = 1;
/// The longest line of a request head, bytes.
pub const WS_MAX_LINE: usize = 16_384;
/// The most bytes of a peer's stream that wait for a framing function's verdict.
pub const PEER_BUFFER_SIZE: usize = 16_384;
/// How many header fields the `websocket` struct has room for, and `query` gets.
pub const WS_HEADER_LIMIT: usize = 10;

/// `ws_state`: where a connection stands.
#[allow(non_camel_case_types)]
pub type ws_state = c_uint;
/// Initial state.
pub const WS_NEW: ws_state = 0;
/// The request head is being read.
pub const WS_HTTP: ws_state = 1;
/// Upgraded, forwarding.
pub const WS_OPEN: ws_state = 2;
/// The close frame was sent.
pub const WS_CLOSED: ws_state = 3;

/// `ws_operation`: a frame's opcode, RFC 6455 §5.2.
#[allow(non_camel_case_types)]
pub type ws_operation = c_uint;
/// Text, UTF-8.
pub const WS_FRAME_TEXT: ws_operation = 1;
/// Binary; the default before each call of a framing function.
pub const WS_FRAME_BINARY: ws_operation = 2;
/// Ours (and later versions of the first websocksy have it): drop the bytes instead of sending them.
pub const WS_FRAME_DISCARD: ws_operation = 11;
/// Ours, added to text or binary: send these, and the message goes on (RFC 6455 §5.4).
pub const WS_FRAME_MORE: ws_operation = 16;

/// `peer_transport`: how a peer is reached.
#[allow(non_camel_case_types)]
pub type peer_transport = c_uint;
/// By the scheme in `host`.
pub const PEER_TRANSPORT_DETECT: peer_transport = 0;
/// `tcp://host:port`
pub const PEER_TCP_CLIENT: peer_transport = 1;
/// `udp://host:port`
pub const PEER_UDP_CLIENT: peer_transport = 2;
/// `fifotx://path`: what the client sends goes into the FIFO.
pub const PEER_FIFO_TX: peer_transport = 3;
/// `fiforx://path`: what comes out of the FIFO goes to the client.
pub const PEER_FIFO_RX: peer_transport = 4;
/// `unix://path`
pub const PEER_UNIX_STREAM: peer_transport = 5;
/// `unix-dgram://path`
pub const PEER_UNIX_DGRAM: peer_transport = 6;

/// A header field, split; both strings end in NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct ws_http_header {
    /// The field name as sent.
    pub tag: *mut c_char,
    /// The field value, without white space around it.
    pub value: *mut c_char,
}

impl ws_http_header {
    /// No field.
    pub const NONE: Self = Self { tag: null_mut(), value: null_mut() };
}

/// Cuts a peer's stream: how many of `length` bytes make the next message; 0 for "not yet".
///
/// `data[length]` is readable and zero. `data` is null once, at the end of a connection whose
/// `framing_data` is set, so that the function can free it.
#[allow(non_camel_case_types)]
pub type ws_framing = unsafe extern "C" fn(
    data: *mut u8,
    length: size_t,
    last_read: size_t,
    opcode: *mut ws_operation,
    framing_data: *mut *mut c_void,
    config: *const c_char,
) -> i64;

/// Where a client's peer is: what `query` returns. Its strings are the core's to `free`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct ws_peer_info {
    /// How the peer is reached.
    pub transport: peer_transport,
    /// Host or path, with a scheme if the transport is to be detected; null for "no peer".
    pub host: *mut c_char,
    /// Service name or port; null where the host has it or the transport needs none.
    pub port: *mut c_char,
    /// Cuts the peer's stream; null for `auto`.
    pub framing: Option<ws_framing>,
    /// Handed to each call of the framing function; may be null.
    pub framing_config: *mut c_char,
    /// Index of the chosen subprotocol; as many as were offered, or more, for "none".
    pub protocol: size_t,
}

impl ws_peer_info {
    /// No peer.
    pub const NONE: Self = Self {
        transport: PEER_TRANSPORT_DETECT,
        host: null_mut(),
        port: null_mut(),
        framing: None,
        framing_config: null_mut(),
        protocol: 0,
    };
}

/// A connection as plug-ins see it: a loan that ends when `query` returns.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct websocket {
    /// A duplicate of the client's socket, good for `getpeername`; -1 once `query` has returned.
    pub ws_fd: c_int,
    /// The core's: what the client sent behind its request.
    pub read_buffer: [u8; WS_MAX_LINE],
    /// Bytes used of `read_buffer`.
    pub read_buffer_offset: size_t,
    /// [`WS_HTTP`] during `query`.
    pub state: ws_state,
    /// How many of `header` are set.
    pub headers: size_t,
    /// The first fields of the request; `query` is handed this array.
    pub header: [ws_http_header; WS_HEADER_LIMIT],
    /// The request target as sent.
    pub request_path: *mut c_char,
    /// 13.
    pub websocket_version: c_uint,
    /// The value of `Sec-WebSocket-Key`.
    pub socket_key: *mut c_char,
    /// 3: both `Connection: Upgrade` and `Upgrade: websocket` were there.
    pub want_upgrade: c_uint,
    /// How many subprotocols were offered.
    pub protocols: size_t,
    /// The subprotocols offered, in order, without duplicates.
    pub protocol: *mut *mut c_char,
    /// Zero during `query`.
    pub peer: ws_peer_info,
    /// -1 during `query`.
    pub peer_fd: c_int,
    /// The core's; empty during `query`.
    pub peer_buffer: [u8; PEER_BUFFER_SIZE],
    /// Bytes used of `peer_buffer`.
    pub peer_buffer_offset: size_t,
    /// Null during `query`.
    pub peer_framing_data: *mut c_void,
}

impl websocket {
    /// A connection of which nothing is known: what C has after `calloc`, and no descriptors.
    #[must_use]
    pub const fn blank() -> Self {
        Self {
            ws_fd: -1,
            read_buffer: [0; WS_MAX_LINE],
            read_buffer_offset: 0,
            state: WS_NEW,
            headers: 0,
            header: [ws_http_header::NONE; WS_HEADER_LIMIT],
            request_path: null_mut(),
            websocket_version: 0,
            socket_key: null_mut(),
            want_upgrade: 0,
            protocols: 0,
            protocol: null_mut(),
            peer: ws_peer_info::NONE,
            peer_fd: -1,
            peer_buffer: [0; PEER_BUFFER_SIZE],
            peer_buffer_offset: 0,
            peer_framing_data: null_mut(),
        }
    }
}

/// `init` of a back end: returns [`WEBSOCKSY_API_VERSION`].
#[allow(non_camel_case_types)]
pub type ws_backend_init = unsafe extern "C" fn() -> u64;
/// `configure` of a back end: 0 when the key and value were taken.
#[allow(non_camel_case_types)]
pub type ws_backend_configure = unsafe extern "C" fn(key: *mut c_char, value: *mut c_char) -> u64;
/// `query` of a back end: the peer for a client.
#[allow(non_camel_case_types)]
pub type ws_backend_query = unsafe extern "C" fn(
    endpoint: *mut c_char,
    protocols: size_t,
    protocol: *mut *mut c_char,
    headers: size_t,
    header: *mut ws_http_header,
    ws: *mut websocket,
) -> ws_peer_info;
/// `websocksy_check` of a back end: ours, beside the four.
#[allow(non_camel_case_types)]
pub type ws_backend_check = unsafe extern "C" fn() -> u64;

/// `websocksy_ended` of a back end: ours, beside the four.
#[allow(non_camel_case_types)]
pub type ws_backend_ended = unsafe extern "C" fn(session: u64, reason: *const c_char);

/// `cleanup` of a back end.
#[allow(non_camel_case_types)]
pub type ws_backend_cleanup = unsafe extern "C" fn();

/// A back end's functions.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct ws_backend {
    /// Required.
    pub init: ws_backend_init,
    /// Optional.
    pub config: Option<ws_backend_configure>,
    /// Required.
    pub query: ws_backend_query,
    /// Optional.
    pub cleanup: Option<ws_backend_cleanup>,
}

/// Ours: an error, for `core_log`.
pub const WS_LOG_ERROR: c_int = 1;
/// Ours: a warning.
pub const WS_LOG_WARNING: c_int = 2;
/// Ours: something worth knowing.
pub const WS_LOG_INFO: c_int = 3;
/// Ours: something worth knowing for who looks for a fault.
pub const WS_LOG_DEBUG: c_int = 4;

/// Ours: the most bytes that [`ws_envelope`] puts before a message.
pub const WS_ENVELOPE_PREFIX: usize = 16;
/// Ours: the most bytes that [`ws_envelope`] puts after a message.
pub const WS_ENVELOPE_SUFFIX: usize = 64;
/// Ours: what a [`ws_encoder`] returns when messages go to the peer as they are.
pub const WS_ENVELOPE_NONE: c_int = 0;
/// Ours: the envelope does not depend on the message's length.
pub const WS_ENVELOPE_STREAM: c_int = 1;
/// Ours: the encoder must know the message's length before its first byte goes out.
pub const WS_ENVELOPE_SIZED: c_int = 2;

/// Ours: what goes to the peer around one message of the client.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub struct ws_envelope {
    /// Bytes used of `prefix`.
    pub prefix_length: size_t,
    /// Goes before the message.
    pub prefix: [u8; WS_ENVELOPE_PREFIX],
    /// Bytes used of `suffix`.
    pub suffix_length: size_t,
    /// Goes after the message.
    pub suffix: [u8; WS_ENVELOPE_SUFFIX],
}

/// Ours: the way to the peer of a two-way framing. Fills `out` for one message of `length` bytes
/// and returns one of the `WS_ENVELOPE_*` values, or a negative number for a fault. It is called
/// once with a null `out` when the session starts, to learn which.
#[allow(non_camel_case_types)]
pub type ws_encoder = unsafe extern "C" fn(
    length: u64,
    opcode: ws_operation,
    config: *const c_char,
    out: *mut ws_envelope,
) -> c_int;

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<websocket>() == 33_080);
    assert!(offset_of!(websocket, read_buffer) == 4);
    assert!(offset_of!(websocket, read_buffer_offset) == 16_392);
    assert!(offset_of!(websocket, state) == 16_400);
    assert!(offset_of!(websocket, headers) == 16_408);
    assert!(offset_of!(websocket, header) == 16_416);
    assert!(offset_of!(websocket, request_path) == 16_576);
    assert!(offset_of!(websocket, websocket_version) == 16_584);
    assert!(offset_of!(websocket, socket_key) == 16_592);
    assert!(offset_of!(websocket, want_upgrade) == 16_600);
    assert!(offset_of!(websocket, protocols) == 16_608);
    assert!(offset_of!(websocket, protocol) == 16_616);
    assert!(offset_of!(websocket, peer) == 16_624);
    assert!(offset_of!(websocket, peer_fd) == 16_672);
    assert!(offset_of!(websocket, peer_buffer) == 16_676);
    assert!(offset_of!(websocket, peer_buffer_offset) == 33_064);
    assert!(offset_of!(websocket, peer_framing_data) == 33_072);
    assert!(size_of::<ws_http_header>() == 16);
    assert!(offset_of!(ws_http_header, value) == 8);
    assert!(size_of::<ws_peer_info>() == 48);
    assert!(offset_of!(ws_peer_info, host) == 8);
    assert!(offset_of!(ws_peer_info, port) == 16);
    assert!(offset_of!(ws_peer_info, framing) == 24);
    assert!(offset_of!(ws_peer_info, framing_config) == 32);
    assert!(offset_of!(ws_peer_info, protocol) == 40);
    assert!(size_of::<ws_backend>() == 32);
    assert!(offset_of!(ws_backend, config) == 8);
    assert!(offset_of!(ws_backend, query) == 16);
    assert!(offset_of!(ws_backend, cleanup) == 24);
    assert!(size_of::<ws_envelope>() == 96);
    assert!(offset_of!(ws_envelope, prefix) == 8);
    assert!(offset_of!(ws_envelope, suffix_length) == 24);
    assert!(offset_of!(ws_envelope, suffix) == 32);
    assert!(size_of::<ws_state>() == 4 && size_of::<peer_transport>() == 4);
};
