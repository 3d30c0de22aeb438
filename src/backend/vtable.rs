//! The calls into a back end, and the reading of what it returns.
#![allow(unsafe_code)] // C functions are called through pointers, and return some

use super::error::{BadAnswer, ConfigureError, QueryError};
use super::exports::{Known, Said};
use super::object::{self, Functions};
use super::peer::{Answer, Request};
use super::peer_check;
use super::query_args::QueryArgs;
use super::said::heard;
use super::scheme::Scheme;
use super::target::{self, Target};
use crate::framing::Selection;
use libc::{c_char, size_t};
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::ptr;
use websocksy_abi::ws_peer_info;

/// The longest string taken from a back end, bytes; one that is not at its end there has none.
const LONGEST_TEXT: size_t = 65_536;

/// The back end, as the calls into its functions: from any thread, though never from two at once
/// unless the operator allows it.
pub(super) struct Vtable(Functions);

impl Vtable {
    pub(super) fn new(functions: Functions) -> Self {
        Self(functions)
    }

    pub(super) fn init(&self) -> u64 {
        // SAFETY: what [`Functions`] promise.
        unsafe { (self.0.table().init)() }
    }

    pub(super) fn configure(&self, key: &str, value: &str) -> Result<(), ConfigureError> {
        let configure = self.0.table().config.ok_or(ConfigureError::Unconfigurable)?;
        let (mut c_key, mut c_value) = (c_string(key)?, c_string(value)?);
        // SAFETY: what [`Functions`] promise; both are writable C strings.
        let call =
            || match unsafe { configure(c_key.as_mut_ptr().cast(), c_value.as_mut_ptr().cast()) } {
                0 => Ok(()),
                code => Err(code),
            };
        heard(call).map_err(|(code, reason)| ConfigureError::Refused(key.into(), code, reason))
    }

    /// Asks for a client's peer. The client's socket is closed and the loan empty afterwards.
    pub(super) fn query(&self, request: &mut Request) -> Result<Answer, QueryError> {
        let known = Known::of(request);
        let Request { upgrade, socket, loan, .. } = request;
        let socket = socket.take();
        let descriptor = socket.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let mut args = QueryArgs::new(upgrade, descriptor, loan, known);
        let (endpoint, protocols) = (args.endpoint(), args.protocols());
        let ws = args.websocket();
        // SAFETY: what [`Functions`] promise; the arguments hold what these pointers point to until
        // the call is over.
        let info = unsafe {
            let (protocol, headers, header) = (ws.protocol, ws.headers, ws.header.as_mut_ptr());
            (self.0.table().query)(endpoint, protocols, protocol, headers, header, ws)
        };
        let Said { refusal, send_proxy, further, lasts, secrets } = args.said();
        drop(args);
        request.secrets = secrets;
        let returned = Returned(info);
        if let Some(refusal) = refusal {
            // Also where a peer is named: a client that was refused is not let in by a slip.
            return Err(QueryError::Refused(refusal));
        }
        let answer = Answer { send_proxy, further, lasts, ..returned.read(protocols)? };
        let bad = |fault| QueryError::Bad(BadAnswer::Framing(fault));
        for target in &answer.further {
            peer_check::fit(target, &answer.framing).map_err(bad)?;
        }
        Ok(answer)
    }

    /// Whether the plug-in is told when a session ends.
    pub(super) fn hears_of_ends(&self) -> bool {
        self.0.ended().is_some()
    }

    /// Tells that a session is over that it was asked about.
    pub(super) fn ended(&self, session: u64, reason: &'static str) {
        if let (Some(ended), Ok(reason)) = (self.0.ended(), CString::new(reason)) {
            // SAFETY: what [`Functions`] promise; the reason is a C string until the call returns.
            unsafe { ended(session, reason.as_ptr()) }
        }
    }

    /// Asks whether the configuration will do as a whole, if the plug-in can tell.
    pub(super) fn check(&self) -> Result<(), ConfigureError> {
        let Some(check) = self.0.check() else { return Ok(()) };
        // SAFETY: what [`Functions`] promise.
        let call = || match unsafe { check() } {
            0 => Ok(()),
            code => Err(code),
        };
        heard(call).map_err(|(code, reason)| ConfigureError::Incomplete(code, reason))
    }

    pub(super) fn cleanup(&self) {
        if let Some(cleanup) = self.0.table().cleanup {
            // SAFETY: what [`Functions`] promise.
            unsafe { cleanup() }
        }
    }
}

/// A writable C string.
fn c_string(text: &str) -> Result<Vec<u8>, ConfigureError> {
    CString::new(text).map(CString::into_bytes_with_nul).map_err(|_| ConfigureError::Nul)
}

/// What a query returned. Its strings are the core's to free, whatever they hold.
struct Returned(ws_peer_info);

impl Returned {
    fn read(mut self, offered: usize) -> Result<Answer, QueryError> {
        let Some(host) = text("host", self.string("host", self.0.host)?)? else {
            return Err(QueryError::NoPeer);
        };
        let bad = QueryError::Bad(BadAnswer::Transport(self.0.transport));
        let transport = Scheme::from_abi(self.0.transport).ok_or(bad)?;
        let port = text("port", self.string("port", self.0.port)?)?;
        let target = Target::parse(transport, host, port).map_err(QueryError::Address)?;
        if target::lacks_scheme(transport, host) {
            log::warn!("peer {target} was named without a scheme and is taken for tcp");
        }
        let framing = self.framing()?;
        let bad = |fault| QueryError::Bad(BadAnswer::Framing(fault));
        peer_check::fit(&target, &framing).map_err(bad)?;
        let protocol = Some(self.0.protocol).filter(|index| *index < offered);
        Ok(Answer::new(target, framing, protocol))
    }

    /// A framing of ours gets a text; a plug-in's gets the back end's own pointer back, which is
    /// between the two of them.
    fn framing(&mut self) -> Result<Selection, QueryError> {
        if let Some(ours) = Selection::ours(self.0.framing) {
            let config = self.string("framing_config", self.0.framing_config)?;
            return Ok(ours.configured(config.map(CStr::to_owned)));
        }
        let Some(function) = self.0.framing else { return Ok(Selection::default()) };
        let config = std::mem::replace(&mut self.0.framing_config, ptr::null_mut());
        let owned = is_from_malloc("framing_config", config);
        // SAFETY: a back end returns functions that keep the contract, its own or those that
        // `core_framing` gave it; plug-ins are never unloaded. The contract says too that the
        // configuration is from C's allocator, and the core's.
        Ok(unsafe { Selection::foreign(function, config, owned) })
    }

    fn string(&self, field: &'static str, at: *const c_char) -> Result<Option<&CStr>, QueryError> {
        if at.is_null() {
            return Ok(None);
        }
        // SAFETY: the contract says that this is a C string, which lives until `drop` frees it;
        // one that runs on is given up at the limit.
        unsafe {
            match libc::strnlen(at, LONGEST_TEXT) {
                LONGEST_TEXT => Err(QueryError::Bad(BadAnswer::Endless(field))),
                _ => Ok(Some(CStr::from_ptr(at))),
            }
        }
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        let Self(ws_peer_info { host, port, framing_config, .. }) = *self;
        for (field, string) in [("host", host), ("port", port), ("framing_config", framing_config)]
        {
            if is_from_malloc(field, string) {
                // SAFETY: the contract says that these are null or from C's allocator, and the
                // core's.
                unsafe { libc::free(string.cast()) }
            }
        }
    }
}

/// Whether a pointer may be freed: not a literal or a variable, of which the first websocksy died.
fn is_from_malloc(field: &'static str, pointer: *const c_char) -> bool {
    let elsewhere = object::is_of_an_object(pointer.cast());
    if elsewhere {
        log::warn!("the back end's {field} is not from malloc; it is not freed");
    }
    !elsewhere
}

/// Text that may stand in an address and in a log.
fn text<'a>(field: &'static str, string: Option<&'a CStr>) -> Result<Option<&'a str>, QueryError> {
    let Some(string) = string else { return Ok(None) };
    let text = string.to_str().map_err(|_| QueryError::Bad(BadAnswer::NotText(field)))?;
    if text.chars().any(char::is_control) {
        return Err(QueryError::Bad(BadAnswer::Control(field)));
    }
    Ok(Some(text))
}
