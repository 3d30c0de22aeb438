//! The part of `websocksy.h`, API version 1, that a plug-in touches.

use core::ffi::{c_char, c_int, c_uint, c_void};

/// What `init` returns.
pub(crate) const WEBSOCKSY_API_VERSION: u64 = 1;

/// `ws_operation`, a frame's opcode.
#[allow(non_camel_case_types)]
pub(crate) type ws_operation = c_uint;
pub(crate) const WS_FRAME_TEXT: ws_operation = 1;
pub(crate) const WS_FRAME_BINARY: ws_operation = 2;
pub(crate) const WS_FRAME_DISCARD: ws_operation = 11;

/// `peer_transport_detect`: the transport is the scheme of the host.
pub(crate) const PEER_TRANSPORT_DETECT: c_uint = 0;

pub(crate) const WS_ENVELOPE_PREFIX: usize = 16;
pub(crate) const WS_ENVELOPE_SUFFIX: usize = 64;
pub(crate) const WS_ENVELOPE_NONE: c_int = 0;
pub(crate) const WS_ENVELOPE_STREAM: c_int = 1;
pub(crate) const WS_ENVELOPE_SIZED: c_int = 2;

/// A header field, split.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct ws_http_header {
    /// The name as sent.
    pub(crate) tag: *const c_char,
    /// The value, without white space around it.
    pub(crate) value: *const c_char,
}

/// A framing function.
#[allow(non_camel_case_types)]
pub(crate) type ws_framing = unsafe extern "C" fn(
    data: *mut u8,
    length: usize,
    last_read: usize,
    opcode: *mut ws_operation,
    framing_data: *mut *mut c_void,
    config: *const c_char,
) -> i64;

/// What `query` returns.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct ws_peer_info {
    /// How the peer is reached.
    pub(crate) transport: c_uint,
    /// Host or path with its scheme; null for "no peer".
    pub(crate) host: *mut c_char,
    /// Port or service; null where the host has it.
    pub(crate) port: *mut c_char,
    /// Cuts the stream; null for `auto`.
    pub(crate) framing: Option<ws_framing>,
    /// What the framing function is told; may be null.
    pub(crate) framing_config: *mut c_char,
    /// Index of the subprotocol agreed on; the number offered for "none".
    pub(crate) protocol: usize,
}

/// The head of the core's connection; the rest is the core's own and never looked at.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct websocket {
    /// The client's socket.
    pub(crate) ws_fd: c_int,
}

/// What goes to the peer around one message.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub struct ws_envelope {
    /// Bytes used of `prefix`.
    pub(crate) prefix_length: usize,
    /// Goes before the message.
    pub(crate) prefix: [u8; WS_ENVELOPE_PREFIX],
    /// Bytes used of `suffix`.
    pub(crate) suffix_length: usize,
    /// Goes after the message.
    pub(crate) suffix: [u8; WS_ENVELOPE_SUFFIX],
}

/// The way to the peer of a two-way framing.
#[allow(non_camel_case_types)]
pub(crate) type ws_encoder = unsafe extern "C" fn(
    length: u64,
    opcode: ws_operation,
    config: *const c_char,
    out: *mut ws_envelope,
) -> c_int;

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{align_of, offset_of, size_of};
    use websocksy::abi as core_abi;

    /// Both crates write the contract down for themselves; they must have written the same.
    macro_rules! same_layout {
        ($name:ident { $($field:ident),* }) => {
            assert_eq!(size_of::<$name>(), size_of::<core_abi::$name>(), stringify!($name));
            assert_eq!(align_of::<$name>(), align_of::<core_abi::$name>(), stringify!($name));
            same_offsets!($name { $($field),* });
        };
    }
    macro_rules! same_offsets {
        ($name:ident { $($field:ident),* }) => {
            $(assert_eq!(
                offset_of!($name, $field),
                offset_of!(core_abi::$name, $field),
                concat!(stringify!($name), ".", stringify!($field)),
            );)*
        };
    }

    #[test]
    fn types_are_those_of_the_core() {
        same_layout!(ws_http_header { tag, value });
        same_layout!(ws_peer_info { transport, host, port, framing, framing_config, protocol });
        same_layout!(ws_envelope { prefix_length, prefix, suffix_length, suffix });
        same_offsets!(websocket { ws_fd });
    }

    #[test]
    fn values_are_those_of_the_core() {
        assert_eq!(WEBSOCKSY_API_VERSION, core_abi::WEBSOCKSY_API_VERSION);
        assert_eq!(crate::PEER_BUFFER_SIZE, core_abi::PEER_BUFFER_SIZE);
        assert_eq!(PEER_TRANSPORT_DETECT, core_abi::PEER_TRANSPORT_DETECT);
        let opcodes = [WS_FRAME_TEXT, WS_FRAME_BINARY, WS_FRAME_DISCARD];
        let core_opcodes =
            [core_abi::WS_FRAME_TEXT, core_abi::WS_FRAME_BINARY, core_abi::WS_FRAME_DISCARD];
        assert_eq!(opcodes, core_opcodes);
        let envelopes = [WS_ENVELOPE_NONE, WS_ENVELOPE_STREAM, WS_ENVELOPE_SIZED];
        let core_envelopes =
            [core_abi::WS_ENVELOPE_NONE, core_abi::WS_ENVELOPE_STREAM, core_abi::WS_ENVELOPE_SIZED];
        assert_eq!(envelopes, core_envelopes);
    }

    #[test]
    fn functions_take_what_the_core_gives() {
        // The types of the arguments, by assignment; the pointers' mutability is no part of it.
        let _: fn(ws_framing) -> core_abi::ws_framing = |function| function;
        let _: fn(core_abi::ws_framing) -> ws_framing = |function| function;
    }
}
