//! A [`Backend`] behind `init`, `configure`, `query` and `cleanup`.
#![allow(unsafe_code)]

use super::{guarded, text};
use crate::log::log_for;
use crate::{Backend, Client, Peer, host};
use core::ffi::{CStr, c_char};
use core::ptr::null_mut;
use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::sync::{PoisonError, RwLock};
use websocksy_abi::{
    PEER_TRANSPORT_DETECT, WEBSOCKSY_API_VERSION, websocket, ws_http_header, ws_peer_info,
};

/// Where a shared object keeps its one back end: read by `query`, written by the others.
pub type Slot<B> = RwLock<Option<B>>;

/// The names that the header lists at `core_client`.
const PROPERTIES: [&CStr; 8] = [
    c"address",
    c"port",
    c"proxy",
    c"user",
    c"listener",
    c"tls-version",
    c"tls-server-name",
    c"tls-subject",
];

/// `configure`'s answer when a key was refused.
const REFUSED: u64 = 1;

/// `init`: makes the back end, and says which API it was written for; 0 when it could not be made.
pub fn init<B: Backend>(slot: &Slot<B>) -> u64 {
    let made = guarded(|| store(slot, Some(B::new())));
    made.map_or(0, |()| WEBSOCKSY_API_VERSION)
}

/// `configure`: 0 when the key was taken.
///
/// # Safety
/// Both strings end in NUL and are left unchanged during the call.
pub unsafe fn configure<B: Backend>(
    slot: &Slot<B>,
    key: *const c_char,
    value: *const c_char,
) -> u64 {
    // SAFETY: the caller's promise.
    let (key, value) = unsafe { (text(key), text(value)) };
    let answer = guarded(|| {
        let (key, value) = (key?.unwrap_or_default(), value?.unwrap_or_default());
        let mut slot = slot.write().unwrap_or_else(PoisonError::into_inner);
        let backend = slot.as_mut().ok_or("init was not called")?;
        backend.configure(key, value).map_err(|reason| format!("{key}: {reason}"))
    });
    match answer {
        Some(Ok(())) => return 0,
        Some(Err(reason)) => log_for::<B>(&reason),
        None => (),
    }
    REFUSED
}

/// `websocksy_check`: 0 when the configuration will do.
pub fn check<B: Backend>(slot: &Slot<B>) -> u64 {
    let answer = guarded(|| {
        let slot = slot.read().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().ok_or("init was not called")?.check()
    });
    match answer {
        Some(Ok(())) => return 0,
        Some(Err(reason)) => log_for::<B>(&reason),
        None => (),
    }
    REFUSED
}

/// `query`: the peer, or a null host for "none".
///
/// # Safety
/// What the header says of `query`: `protocols` strings at `protocol`, `headers` fields at
/// `header`, all strings end in NUL, `ws` is null or its `ws_fd` is open or negative; all of it is
/// left unchanged during the call.
pub unsafe fn query<B: Backend>(
    slot: &Slot<B>,
    endpoint: *const c_char,
    protocols: usize,
    protocol: *const *const c_char,
    headers: usize,
    header: *const ws_http_header,
    ws: *const websocket,
) -> ws_peer_info {
    // SAFETY: the caller's promise; nothing of the client outlives this function.
    let client = unsafe { client(endpoint, (protocols, protocol), (headers, header), ws) };
    let found = guarded(|| {
        let slot = slot.read().unwrap_or_else(PoisonError::into_inner);
        let peer = slot.as_ref()?.query(&client)?;
        if let Some(version) = peer.send_proxy {
            // SAFETY: `ws` is what the core handed us, and this call has not returned.
            let will_be = unsafe { host::send_proxy(ws, version.into()) };
            if !will_be && version != 0 {
                log_for::<B>("this core sends no PROXY header");
            }
        }
        // SAFETY: `ws` is what the core handed us, and this call has not returned.
        unsafe { say_more::<B>(&peer, ws) };
        peer_info(&peer, protocols).map_err(|reason| log_for::<B>(&reason)).ok()
    });
    for part in client.concealed() {
        if let Ok(part) = CString::new(part) {
            // SAFETY: `ws` is what the core handed us, and this call has not returned.
            unsafe { host::secret(ws, &part) };
        }
    }
    if let Some(refusal) = client.refusal() {
        // A zero byte ends the reason, as it would in C.
        let reason = refusal.reason.split('\0').next().unwrap_or_default();
        let reason = CString::new(reason).unwrap_or_default();
        // SAFETY: `ws` is what the core handed us, and this call has not returned.
        unsafe { host::refuse(ws, refusal.status, &reason, refusal.retry_after) };
    }
    found.flatten().unwrap_or_else(|| no_peer(protocols))
}

/// Says of a peer what the answer has no room for.
///
/// # Safety
/// `ws` is what `query` was handed, and the call has not returned.
unsafe fn say_more<B>(peer: &Peer, ws: *const websocket) {
    for address in &peer.further {
        let Ok(address) = c_string(address).map_err(|reason| log_for::<B>(&reason)) else {
            continue;
        };
        // SAFETY: the caller's promise.
        if !unsafe { host::add_peer(ws, &address) } {
            log_for::<B>("this core does not take a further peer");
        }
    }
    if let Some((seconds, code)) = peer.lasts {
        // SAFETY: the caller's promise.
        if !unsafe { host::max_session(ws, seconds, code) } {
            log_for::<B>("this core does not end the session in time");
        }
    }
}

/// `websocksy_ended`: the back end hears of it.
///
/// # Safety
/// The string ends in NUL and is left unchanged during the call.
pub unsafe fn ended<B: Backend>(slot: &Slot<B>, session: u64, reason: *const c_char) {
    // SAFETY: the caller's promise.
    let reason = unsafe { text(reason) };
    let _ = guarded(|| {
        let slot = slot.read().unwrap_or_else(PoisonError::into_inner);
        if let (Some(backend), Ok(reason)) = (slot.as_ref(), reason) {
            backend.ended(session, reason.unwrap_or_default());
        }
    });
}

/// `cleanup`: drops the back end.
pub fn cleanup<B: Backend>(slot: &Slot<B>) {
    let _ = guarded(|| store(slot, None));
}

fn store<B>(slot: &Slot<B>, backend: Option<B>) {
    let mut kept = slot.write().unwrap_or_else(PoisonError::into_inner);
    let old = std::mem::replace(&mut *kept, backend);
    drop(kept);
    drop(old); // the author's code, which must not find the slot locked
}

/// What the core hands to `query`, as slices.
///
/// # Safety
/// As for [`query`].
unsafe fn client<'a>(
    endpoint: *const c_char,
    (protocols, protocol): (usize, *const *const c_char),
    (headers, header): (usize, *const ws_http_header),
    ws: *const websocket,
) -> Client<'a> {
    // SAFETY: the arrays have as many elements as the caller promised.
    let (protocols, headers) =
        unsafe { (elements(protocols, protocol), elements(headers, header)) };
    // SAFETY: every string ends in NUL.
    let protocols: Vec<_> = protocols.iter().map(|&name| unsafe { bytes(name) }).collect();
    // SAFETY: the caller's promise: `query` has not returned.
    let all = unsafe { host::headers(ws) };
    let headers = all.unwrap_or_else(|| headers.iter().map(core::ptr::from_ref).collect());
    // SAFETY: the core's fields and ours are there during the call, or null.
    let headers = headers.into_iter().filter_map(|field| unsafe { field.as_ref() });
    // SAFETY: every string ends in NUL.
    let headers = headers.map(|field| unsafe { (bytes(field.tag), bytes(field.value)) });
    let headers: Vec<_> = headers.collect();
    // SAFETY: `ws` is null or points to the core's connection.
    let fd = unsafe { ws.as_ref() }.map(|ws| ws.ws_fd).filter(|&fd| fd >= 0);
    // SAFETY: the core keeps the socket open during the call.
    let socket = fd.map(|fd| unsafe { BorrowedFd::borrow_raw(fd) });
    // SAFETY: the endpoint ends in NUL.
    let client = Client::new(unsafe { bytes(endpoint) }, &protocols, &headers).with_socket(socket);
    // SAFETY: the caller's promise.
    let client = client.with_session(unsafe { host::session(ws) });
    PROPERTIES.iter().fold(client, |client, name| {
        // SAFETY: the caller's promise: `query` has not returned, nor will it while the client is there.
        match unsafe { host::client(ws, name) } {
            value if value.is_null() => client,
            // SAFETY: the core's string, which ends in NUL and stays until `query` returns.
            value => client.with_property(name, unsafe { bytes(value) }),
        }
    })
}

/// An array of the core; null is an empty one.
///
/// # Safety
/// `first` is null or points to `count` elements that are left unchanged for `'a`.
unsafe fn elements<'a, T>(count: usize, first: *const T) -> &'a [T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(first, count) }
}

/// A string of the core; null is an empty one.
///
/// # Safety
/// `string` is null, or ends in NUL and is left unchanged for `'a`.
unsafe fn bytes<'a>(string: *const c_char) -> &'a [u8] {
    if string.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_bytes()
}

fn no_peer(offered: usize) -> ws_peer_info {
    ws_peer_info {
        transport: PEER_TRANSPORT_DETECT,
        host: null_mut(),
        port: null_mut(),
        framing: None,
        framing_config: null_mut(),
        protocol: offered,
    }
}

/// The peer as the core takes it, its strings the core's to free.
fn peer_info(peer: &Peer, offered: usize) -> Result<ws_peer_info, String> {
    let host = c_string(&peer.address)?;
    let port = peer.port.as_deref().map(c_string).transpose()?;
    let config = peer.framing_config.as_deref().map(c_string).transpose()?;
    let name = peer.framing.as_deref().map(c_string).transpose()?;
    let unknown = || format!("no framing function is called {name:?}");
    let framing = name.as_deref().map(|name| host::framing(name).ok_or_else(unknown));
    Ok(ws_peer_info {
        framing: framing.transpose()?,
        host: malloced(&host),
        port: port.as_deref().map_or(null_mut(), malloced),
        framing_config: config.as_deref().map_or(null_mut(), malloced),
        protocol: peer.protocol.unwrap_or(offered),
        ..no_peer(offered)
    })
}

fn c_string(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| format!("a zero byte in {:?}", String::from_utf8_lossy(bytes)))
}

/// A copy that C's `free` takes.
fn malloced(text: &CStr) -> *mut c_char {
    // SAFETY: the string ends in NUL.
    let copy = unsafe { libc::strdup(text.as_ptr()) };
    if copy.is_null() {
        let bytes = text.to_bytes_with_nul();
        std::alloc::handle_alloc_error(std::alloc::Layout::for_value(bytes));
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::null;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    /// Answers with what it saw, so that a test can look at it from the C side.
    struct Mirror {
        configured: String,
    }

    impl Backend for Mirror {
        fn new() -> Self {
            Self { configured: String::new() }
        }

        fn configure(&mut self, key: &str, value: &str) -> Result<(), String> {
            match key {
                "panic" => panic!("configure"),
                "refuse" => Err("as asked".into()),
                _ => {
                    self.configured += &format!("{key}={value};");
                    Ok(())
                }
            }
        }

        fn query(&self, client: &Client<'_>) -> Option<Peer> {
            let seen = format!(
                "{:?}|{:?}|{:?}|{}",
                client.endpoint(),
                client.protocols(),
                client.headers(),
                client.address().is_ok(),
            );
            match client.endpoint() {
                b"/panic" => panic!("query"),
                b"/none" => None,
                b"/nul" => Some(Peer::new("a\0b")),
                b"/framing" => Some(Peer::new("a").framing("no such")),
                b"/all" => {
                    let peer = Peer::new("host").port("1").framing_config("config");
                    Some(peer.protocol(1))
                }
                _ => Some(Peer::new(seen).port(self.configured.clone())),
            }
        }
    }

    /// A query as the core asks it.
    fn ask(slot: &Slot<Mirror>, endpoint: &CStr, ws: *const websocket) -> ws_peer_info {
        let protocols = [c"a".as_ptr(), c"b".as_ptr()];
        let headers =
            [ws_http_header { tag: c"Host".as_ptr().cast_mut(), value: c"h".as_ptr().cast_mut() }];
        // SAFETY: arrays and strings as long as said, alive until the call returns.
        unsafe { query(slot, endpoint.as_ptr(), 2, protocols.as_ptr(), 1, headers.as_ptr(), ws) }
    }

    /// Takes a string over from the plug-in, as the core does.
    fn taken(string: *mut c_char) -> Option<String> {
        // SAFETY: null, or a string from `strdup` that nobody else frees.
        unsafe {
            let text = (!string.is_null()).then(|| CStr::from_ptr(string).to_str());
            let text = text.map(|text| text.expect("UTF-8").to_owned());
            libc::free(string.cast());
            text
        }
    }

    fn strings(info: &ws_peer_info) -> [Option<String>; 3] {
        [info.host, info.port, info.framing_config].map(taken)
    }

    fn set(slot: &Slot<Mirror>, key: &CStr, value: &CStr) -> u64 {
        // SAFETY: two strings that end in NUL.
        unsafe { configure(slot, key.as_ptr(), value.as_ptr()) }
    }

    #[test]
    fn the_life_of_a_back_end() {
        let slot = Slot::<Mirror>::new(None);
        assert_eq!(set(&slot, c"early", c""), REFUSED);
        assert_eq!(strings(&ask(&slot, c"/", null())), [None, None, None]);
        assert_eq!(init(&slot), WEBSOCKSY_API_VERSION);
        assert_eq!(set(&slot, c"k", c"v"), 0);
        assert_eq!(set(&slot, c"refuse", c""), REFUSED);
        assert_eq!(set(&slot, c"panic", c""), REFUSED);
        assert_eq!(set(&slot, c"k", c"w"), 0, "after a panic under the lock");
        assert_eq!(set(&slot, c"k", c"\xff"), REFUSED);
        assert_eq!(strings(&ask(&slot, c"/", null()))[1].as_deref(), Some("k=v;k=w;"));
        cleanup(&slot);
        cleanup(&slot);
        assert_eq!(strings(&ask(&slot, c"/", null())), [None, None, None]);
        assert_eq!(init(&slot), WEBSOCKSY_API_VERSION);
        assert_eq!(strings(&ask(&slot, c"/", null()))[1].as_deref(), Some(""));
    }

    #[test]
    fn answers() {
        let slot = Slot::<Mirror>::new(None);
        init(&slot);
        for endpoint in [c"/panic", c"/none", c"/nul", c"/framing"] {
            let info = ask(&slot, endpoint, null());
            assert_eq!((info.transport, info.protocol), (0, 2), "{endpoint:?}");
            assert!(info.framing.is_none());
            assert_eq!(strings(&info), [None, None, None], "{endpoint:?}");
        }
        let info = ask(&slot, c"/all", null());
        assert_eq!(info.protocol, 1);
        let expected = ["host", "1", "config"].map(|text| Some(text.to_owned()));
        assert_eq!(strings(&info), expected);
    }

    #[test]
    fn what_query_sees() {
        let slot = Slot::<Mirror>::new(None);
        init(&slot);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        for (fd, has_address) in [(client.as_raw_fd(), true), (-1, false)] {
            let ws = websocket { ws_fd: fd, ..websocket::blank() };
            let info = ask(&slot, c"/e?q", &raw const ws);
            assert_eq!(info.protocol, 2, "none of the two");
            let [seen, ..] = strings(&info);
            let expected = format!(
                "{:?}|{:?}|{:?}|{has_address}",
                b"/e?q",
                [b"a", b"b"],
                [(b"Host".as_slice(), b"h".as_slice())],
            );
            assert_eq!(seen, Some(expected));
        }
    }

    #[test]
    fn null_arrays_are_empty() {
        let slot = Slot::<Mirror>::new(None);
        init(&slot);
        // SAFETY: null for all that may be null.
        let info = unsafe { query(&slot, null(), 0, null(), 0, null(), null()) };
        assert_eq!(strings(&info)[0].as_deref(), Some("[]|[]|[]|false"));
    }
}
