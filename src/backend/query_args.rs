//! What a query shows to C code: the client's own slot, filled and true, on loan until the call
//! returns.

use super::exports::{Known, Said, Shown};
use crate::proto::handshake::Upgrade;
use crate::proto::http::Field;
use crate::slab::Loan;
use libc::{c_char, c_int, size_t};
use std::ptr;
use websocksy_abi::{PEER_BUFFER_SIZE, WS_HEADER_LIMIT, WS_HTTP};
use websocksy_abi::{websocket, ws_http_header, ws_peer_info};

/// `Connection: Upgrade` and `Upgrade: websocket` were both there.
const WANT_UPGRADE: u32 = 3;
/// RFC 6455 §4.1
const VERSION: u32 = 13;

/// The arguments of a query. A plug-in may write to all of them: they are a copy of the handshake,
/// and the answer to the client is made of the other.
pub(super) struct QueryArgs<'a> {
    loan: &'a mut Loan,
    endpoint: *mut c_char,
    protocols: Vec<*mut c_char>,
    /// All fields, beside the first ones in the struct.
    _fields: Vec<ws_http_header>,
    /// The strings that did not fit into the slot; those that do lie in its `peer_buffer`, which
    /// is empty as long as there is no peer.
    _text: Vec<u8>,
    /// Last to be made and first to go.
    shown: Option<Shown>,
}

impl<'a> QueryArgs<'a> {
    pub(super) fn new(upgrade: &Upgrade, socket: c_int, loan: &'a mut Loan, known: Known) -> Self {
        let ws = loan.websocket();
        let bytes = upgrade.bytes();
        let mut text = if bytes.len() > PEER_BUFFER_SIZE { bytes.to_vec() } else { Vec::new() };
        let base = if text.is_empty() {
            ws.peer_buffer[..bytes.len()].copy_from_slice(bytes);
            ws.peer_buffer.as_mut_ptr()
        } else {
            text.as_mut_ptr()
        };
        let at = |offset: usize| base.wrapping_add(offset).cast::<c_char>();
        let header = |field: &Field| ws_http_header { tag: at(field.name), value: at(field.value) };
        let mut protocols: Vec<_> =
            upgrade.protocols_at().iter().map(|offset| at(*offset)).collect();
        let mut fields: Vec<_> = upgrade.fields_at().iter().map(header).collect();
        let endpoint = at(upgrade.endpoint_at());
        clear(ws);
        ws.ws_fd = socket;
        ws.state = WS_HTTP;
        ws.headers = fields.len().min(WS_HEADER_LIMIT);
        ws.header.iter_mut().zip(&fields).for_each(|(to, from)| *to = *from);
        ws.request_path = endpoint;
        ws.websocket_version = VERSION;
        ws.socket_key = at(upgrade.key_at());
        ws.want_upgrade = WANT_UPGRADE;
        ws.protocols = protocols.len();
        if !protocols.is_empty() {
            ws.protocol = protocols.as_mut_ptr();
        }
        let shown = Some(Shown::new(ws, &mut fields, known));
        Self { loan, endpoint, protocols, _fields: fields, _text: text, shown }
    }

    pub(super) fn endpoint(&self) -> *mut c_char {
        self.endpoint
    }

    /// How many subprotocols are offered.
    pub(super) fn protocols(&self) -> size_t {
        self.protocols.len()
    }

    /// What the plug-in said by functions.
    pub(super) fn said(&self) -> Said {
        self.shown.as_ref().map(Shown::said).unwrap_or_default()
    }

    /// The struct: the other arguments are what it says at first.
    pub(super) fn websocket(&mut self) -> &mut websocket {
        self.loan.websocket()
    }
}

impl Drop for QueryArgs<'_> {
    fn drop(&mut self) {
        self.shown = None;
        clear(self.loan.websocket());
    }
}

/// Nothing is known of a client. What lies behind the peer's buffer is zero but for plug-ins that
/// write there, and is left untouched then: its page need not be there.
fn clear(ws: &mut websocket) {
    ws.ws_fd = -1;
    ws.headers = 0;
    ws.header = [ws_http_header::NONE; WS_HEADER_LIMIT];
    ws.request_path = ptr::null_mut();
    ws.socket_key = ptr::null_mut();
    ws.protocols = 0;
    ws.protocol = ptr::null_mut();
    ws.peer = ws_peer_info::NONE;
    ws.peer_fd = -1;
    if ws.peer_buffer_offset != 0 {
        ws.peer_buffer_offset = 0;
    }
    if !ws.peer_framing_data.is_null() {
        ws.peer_framing_data = ptr::null_mut();
    }
}
