//! What a query shows to C code: a loan that ends with the call.

use super::Request;
use crate::proto::http::Field;
use libc::{c_char, size_t};
use std::os::fd::AsRawFd;
use std::ptr;
use websocksy_abi::{WS_HEADER_LIMIT, WS_HTTP};
use websocksy_abi::{websocket, ws_http_header};

/// `Connection: Upgrade` and `Upgrade: websocket` were both there.
const WANT_UPGRADE: u32 = 3;
/// RFC 6455 §4.1
const VERSION: u32 = 13;
const NO_HEADER: ws_http_header = ws_http_header { tag: ptr::null_mut(), value: ptr::null_mut() };

/// The arguments of a query, on memory of their own that the plug-in may write to.
pub(super) struct QueryArgs {
    /// Holds every string; the pointers below point into it.
    _text: Vec<u8>,
    endpoint: *mut c_char,
    protocols: Vec<*mut c_char>,
    /// All fields, and an empty one after them.
    headers: Vec<ws_http_header>,
    websocket: Box<websocket>,
}

impl QueryArgs {
    pub(super) fn new(request: &Request) -> Self {
        let upgrade = &request.upgrade;
        let mut text = upgrade.bytes().to_vec();
        let base = text.as_mut_ptr();
        let at = |offset: usize| base.wrapping_add(offset).cast::<c_char>();
        let header = |field: &Field| ws_http_header { tag: at(field.name), value: at(field.value) };
        let headers = upgrade.fields_at().iter().map(header).chain([NO_HEADER]).collect();
        let mut view = Self {
            _text: text,
            endpoint: at(upgrade.endpoint_at()),
            protocols: upgrade.protocols_at().iter().map(|offset| at(*offset)).collect(),
            headers,
            websocket: Box::new(websocket {
                state: WS_HTTP,
                websocket_version: VERSION,
                want_upgrade: WANT_UPGRADE,
                ..websocket::blank()
            }),
        };
        view.fill(request, at(upgrade.key_at()));
        view
    }

    /// Makes the fields of the `websocket` true.
    fn fill(&mut self, request: &Request, key: *mut c_char) {
        let protocol = self.protocol();
        let ws = &mut *self.websocket;
        ws.ws_fd = request.socket.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        ws.headers = (self.headers.len() - 1).min(WS_HEADER_LIMIT);
        for (to, from) in ws.header.iter_mut().zip(&self.headers) {
            *to = *from;
        }
        ws.request_path = self.endpoint;
        ws.socket_key = key;
        ws.protocols = self.protocols.len();
        ws.protocol = protocol;
    }

    pub(super) fn endpoint(&self) -> *mut c_char {
        self.endpoint
    }

    pub(super) fn protocols(&self) -> size_t {
        self.protocols.len()
    }

    /// Null when none is offered.
    pub(super) fn protocol(&mut self) -> *mut *mut c_char {
        if self.protocols.is_empty() { ptr::null_mut() } else { self.protocols.as_mut_ptr() }
    }

    pub(super) fn headers(&self) -> size_t {
        self.headers.len() - 1
    }

    pub(super) fn header(&mut self) -> *mut ws_http_header {
        self.headers.as_mut_ptr()
    }

    pub(super) fn websocket(&mut self) -> *mut websocket {
        &raw mut *self.websocket
    }
}
